// The controls for the room's mode, in the bar and in a panel, and for a mode for oneself.

/** @import {Mode} from '../../../tests/client/types/protocol.d.ts' */
/** @import {State} from '../base/state.js' */
/** @import {Session} from '../call/session.js' */

import { byId, el, setText } from '../base/dom.js';
import { MODES, MODE_WORDS, VIEWS } from '../base/modes.js';
import { participant, Phase, targetOf } from '../base/state.js';

export class Modes {
  #session;
  /** The badge's text. @type {string | null} */
  #shown = null;

  /** @param {{session: Session}} env */
  constructor({ session }) {
    this.#session = session;
    const inBar = MODES.map((mode) => segment(mode));
    byId('mode-bar').append(...inBar);
    byId('mode-choices').append(...MODES.map((mode) => card('mode', mode, { ...MODE_WORDS[mode] })));
    byId('view-choices').append(...VIEWS.map((view) => card('view', view.mode ?? 'room', { ...view, short: '' })));
    for (const id of ['mode-bar', 'mode-choices']) {
      byId(id).addEventListener('change', (event) => this.ask(/** @type {Mode} */ (valueOf(event))));
    }
    byId('view-choices').addEventListener('change', (event) => {
      const value = valueOf(event);
      session.view(value === 'room' ? null : /** @type {Mode} */ (value));
    });
  }

  /** Asks the room for a mode. @param {Mode} mode */
  ask(mode) {
    this.#session.send({ type: 'mode', mode });
  }

  /** @param {State} state @param {State} before */
  render(state, before) {
    if (state.phase === Phase.Idle || !state.room) return;
    if (state.room !== before.room || state.served !== before.served || state.mesh !== before.mesh) this.sync(state);
  }

  /** Shows the modes in force, also after a choice that was refused. @param {State} state */
  sync(state) {
    if (!state.room) return;
    const { mode } = state.room;
    check('mode-segment', mode);
    check('mode', mode);
    check('view', participant(state, state.self)?.view ?? 'room');
    this.#badge(state);
    byId('view-note').hidden = mode !== 'p2p';
  }

  /**
   * Shows how this page is served, which is not the room's mode where it asked for another.
   *
   * @param {State} state
   */
  #badge(state) {
    const target = targetOf(state);
    const served = target === 'p2p' && !state.mesh.covered && state.served ? state.served : target;
    const text = `${MODE_WORDS[served].name}, ${MODE_WORDS[served].short}`;
    if (text === this.#shown) return;
    this.#shown = text;
    const badge = byId('toggle-modes');
    setText(byId('mode'), MODE_WORDS[served].short);
    badge.setAttribute('aria-label', `How this room is connected: ${text}`);
    badge.title = `${MODE_WORDS[served].name}: how this room is connected (T)`;
  }
}

/** The value of the radio button that was chosen. @param {Event} event */
const valueOf = (event) => /** @type {HTMLInputElement} */ (event.target).value;

/**
 * Checks the radio button `name` that has this value.
 *
 * @param {string} name
 * @param {string} value
 */
function check(name, value) {
  /** @type {NodeListOf<HTMLInputElement>} */
  const inputs = document.querySelectorAll(`input[name="${name}"]`);
  for (const input of inputs) {
    if (input.checked !== (input.value === value)) input.checked = input.value === value;
  }
}

/** @param {Mode} mode */
function segment(mode) {
  const { name, short, about } = MODE_WORDS[mode];
  const label = el(
    'label',
    { class: 'segment', title: `${short}: ${about} (${1 + MODES.indexOf(mode)})` },
    el('input', { type: 'radio', name: 'mode-segment', value: mode, 'aria-label': `${name}, ${short}` }),
    el('span', { text: name }),
  );
  return label;
}

/**
 * @param {string} group
 * @param {string} value
 * @param {{name: string, short?: string, about: string}} words
 */
function card(group, value, { name, short, about }) {
  const title = el('span', { class: 'choice__name', text: name });
  if (short) title.append(' ', el('span', { class: 'badge', text: short }));
  return el(
    'label',
    { class: 'choice' },
    el('input', { type: 'radio', name: group, value }),
    el('span', { class: 'choice__text' }, title, el('span', { class: 'choice__about', text: about })),
  );
}
