// The side panels (sheets on a phone), of which at most one is open.

import { byId } from '../base/dom.js';

/** @typedef {'people' | 'chat' | 'figures' | 'settings' | 'modes' | 'record'} PanelName */

/** @type {readonly PanelName[]} */
const NAMES = ['people', 'chat', 'figures', 'settings', 'modes', 'record'];

export class Panels {
  /** @type {PanelName | null} */
  #open = null;
  #onChange;

  /**
   * @param {{onChange: (name: PanelName | null) => void}} env `onChange` is called with the open
   *   panel, or null
   */
  constructor({ onChange }) {
    this.#onChange = onChange;
    for (const name of NAMES) {
      byId(`toggle-${name}`).addEventListener('click', () => this.toggle(name));
      byId(`panel-${name}`)
        .querySelector('.panel__close')
        ?.addEventListener('click', () => this.close(true));
    }
  }

  /** The open panel's name, or null. */
  get open() {
    return this.#open;
  }

  /** Opens a panel, or closes it. @param {PanelName} name */
  toggle(name) {
    if (this.#open === name) this.close(true);
    else this.show(name);
  }

  /** Opens a panel in place of any other. @param {PanelName} name */
  show(name) {
    this.#set(name);
    const panel = byId(`panel-${name}`);
    /** @type {HTMLElement | null} */
    const field = panel.querySelector('textarea, input:checked:enabled');
    (field ?? panel).focus({ preventScroll: true });
  }

  /** Closes the open panel; with `refocus` the focus goes back to its button. */
  close(refocus = false) {
    const was = this.#open;
    this.#set(null);
    if (was && refocus) byId(`toggle-${was}`).focus();
  }

  /** @param {PanelName | null} name */
  #set(name) {
    this.#open = name;
    for (const one of NAMES) {
      byId(`panel-${one}`).hidden = one !== name;
      byId(`toggle-${one}`).setAttribute('aria-expanded', String(one === name));
    }
    byId('call').classList.toggle('call--with-panel', name !== null);
    this.#onChange(name);
  }
}
