// The side panels (sheets on a phone): at most one is open.

import { byId } from '../base/dom.js';

const NAMES = ['people', 'chat', 'figures', 'settings', 'modes', 'record'];

export class Panels {
  #open = null;
  #onChange;

  /** `onChange(name)` is told which panel is open, or null. */
  constructor({ onChange }) {
    this.#onChange = onChange;
    for (const name of NAMES) {
      byId(`toggle-${name}`).addEventListener('click', () => this.toggle(name));
      byId(`panel-${name}`)
        .querySelector('.panel__close')
        .addEventListener('click', () => this.close(true));
    }
  }

  /** The open panel's name, or null. */
  get open() {
    return this.#open;
  }

  toggle(name) {
    if (this.#open === name) this.close(true);
    else this.show(name);
  }

  /** Opens a panel in place of any other. */
  show(name) {
    this.#set(name);
    const panel = byId(`panel-${name}`);
    (panel.querySelector('textarea, input:checked:enabled') ?? panel).focus({ preventScroll: true });
  }

  /** Closes the open panel; `refocus` puts the focus back on its button. */
  close(refocus = false) {
    const was = this.#open;
    this.#set(null);
    if (was && refocus) byId(`toggle-${was}`).focus();
  }

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
