// The list of people: one row each, with what they send and how loud they are.

/** @import {ParticipantId, UplinkState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Row, State} from '../base/state.js' */

import { byId, el, icon, reconcile, setIcon, setText } from '../base/dom.js';
import { people, spokenLabel } from '../base/state.js';
import { avatarTone, initials } from './avatar.js';

/** The parts of the state that the list depends on. @type {readonly (keyof State)[]} */
const PARTS = ['room', 'levels', 'self', 'meshAudio', 'mesh', 'slots'];

export class People {
  #onPin;
  #raised = false;

  /**
   * @param {object} env
   * @param {(id: ParticipantId) => void} env.onPin called when a person is chosen
   * @param {(raised: boolean) => void} env.onHand called when one's own hand is to be raised or lowered
   */
  constructor({ onPin, onHand }) {
    this.#onPin = onPin;
    byId('toggle-hand').addEventListener('click', () => onHand(!this.#raised));
  }

  /** @param {State} state @param {State} before */
  render(state, before) {
    if (PARTS.every((part) => state[part] === before[part])) return;
    const rows = people(state);
    setText(byId('people-count'), rows.length ? String(rows.length) : '');
    setText(byId('people-title-count'), String(rows.length));
    byId('people-alone').hidden = rows.length !== 1;
    this.#raised = rows.some((row) => row.own && row.hand);
    const hand = byId('toggle-hand');
    hand.hidden = !rows.some((row) => row.own);
    hand.setAttribute('aria-pressed', String(this.#raised));
    setText(hand.children[1], this.#raised ? 'Lower hand' : 'Raise hand');
    reconcile(byId('people-list'), rows, {
      key: (row) => row.id,
      create: (row) => this.#create(row),
      update: (item, row) => this.#update(item, row, state),
    });
  }

  /** @param {Row} row */
  #create(row) {
    const button = el(
      'button',
      { class: 'person', type: 'button' },
      el('span', { class: `avatar avatar--${avatarTone(row.id)}`, 'aria-hidden': 'true' }),
      el(
        'span',
        { class: 'person__text' },
        el('span', { class: 'person__name' }),
        el('span', { class: 'person__note' }),
      ),
      el('span', { class: 'person__level', 'aria-hidden': 'true' }, el('span')),
      el(
        'span',
        { class: 'person__icons', 'aria-hidden': 'true' },
        icon('hand'),
        icon('screen'),
        icon('camera'),
        icon('mic'),
        icon('pin'),
      ),
    );
    button.addEventListener('click', () => this.#onPin(row.id));
    return el('li', {}, button);
  }

  /** @param {HTMLElement} item @param {Row} row @param {State} state */
  #update(item, row, state) {
    const button = /** @type {HTMLElement} */ (item.firstElementChild);
    const [avatar, text, level, icons] = button.children;
    const [hand, screen, camera, mic, pinned] = icons.children;
    setText(avatar, initials(row.name));
    setText(text.children[0], row.name);
    setText(text.children[1], note(row) || (lacksSlot(row, state) ? 'no picture at the moment' : ''));
    button.classList.toggle('person--speaking', row.speaking);
    button.setAttribute('aria-label', spokenLabel(row));
    button.setAttribute('aria-pressed', String(row.pinned));
    button.title = row.pinned ? 'Click to unpin' : 'Click to pin to the large tile';
    const bar = /** @type {HTMLElement} */ (level.firstElementChild);
    bar.style.transform = `scaleY(${row.level.toFixed(2)})`;
    toggle(hand, row.hand);
    toggle(screen, row.screen === 'live');
    toggle(pinned, row.pinned);
    showUplink(camera, 'camera', row.camera);
    showUplink(mic, 'mic', row.mic);
  }
}

/** @param {Element} svg @param {string} name @param {UplinkState} state */
function showUplink(svg, name, state) {
  setIcon(svg, state === 'live' ? name : `${name}-off`);
  svg.classList.toggle('icon--off', state !== 'live');
  svg.classList.toggle('icon--warn', state === 'stalled');
}

/** Whether the picture of a person has no forward slot. @param {Row} row @param {State} state */
function lacksSlot(row, { served, slots }) {
  if (served !== 'sfu' || row.own || row.camera !== 'live' || !slots.length) return false;
  return !slots.some((slot) => slot.participant === row.id && slot.role === 'camera');
}

/** @param {Element} svg @param {boolean} shown */
const toggle = (svg, shown) => svg.classList.toggle('icon--gone', !shown);

/** What is said below the name. @param {Row} row */
function note(row) {
  if (!row.connected) return 'connecting…';
  if (row.own) return 'you';
  if (row.viewer) return 'watching';
  if (row.camera === 'stalled' || row.mic === 'stalled') return 'connection trouble';
  if (row.screen === 'live') return 'sharing a screen';
  if (row.mic === 'none' && row.camera === 'none') return 'listening';
  return '';
}
