// Recording: the control, the panel that starts and stops it, and the badge everybody sees.

/** @import {RecordingId, RecordingState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {State} from '../base/state.js' */
/** @import {Session} from '../call/session.js' */
/** @import {FormatKey} from '../recordings/recordings.js' */

import { byId, el, reconcile, setLabel, setText } from '../base/dom.js';
import { Phase, recordings } from '../base/state.js';
import { FORMATS, formatName, formatOf, pageUrl, startOf } from '../recordings/recordings.js';

const DIRECT =
  'In a direct call nothing passes through the server, so there is nothing it could record. Change to Mixed or Forwarded first.';
const KEEPS_NONE = 'This server keeps no recordings. Whoever runs it can turn them on with --recordings.';

export class Record {
  #session;
  /** Whether a start has been asked for and not answered yet. */
  #asked = false;
  /** Whether this server keeps no recordings. */
  #keepsNone = false;

  /** @param {{session: Session}} env */
  constructor({ session }) {
    this.#session = session;
    byId('record-choices').append(...FORMATS.map(card));
    /** @type {HTMLInputElement} */ (byId('record-choices').querySelector('input')).checked = true;
    byId('record-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const chosen = new FormData(byId('record-form')).get('record-format');
      this.#start(/** @type {FormatKey} */ (chosen));
    });
  }

  /** @param {FormatKey} format */
  #start(format) {
    if (this.#asked) return;
    this.#asked = this.#session.send(startOf(format));
  }

  /** @param {RecordingId} id */
  #stop(id) {
    // The button goes with the recording; the focus is to stay in the panel.
    byId('panel-record').focus({ preventScroll: true });
    this.#session.send({ type: 'record', action: 'stop', recording: id });
  }

  /**
   * Takes an error of the call: it may be the answer to a start.
   *
   * @param {string} code
   * @param {State} state
   */
  refused(code, state) {
    this.#asked = false;
    if (code === 'recording_unavailable' && state.room?.mode !== 'p2p') this.#keepsNone = true;
    this.#sync(state);
  }

  /** @param {State} state @param {State} before */
  render(state, before) {
    if (state.phase !== before.phase) this.#asked = false;
    if (state.room === before.room && state.phase === before.phase) return;
    if (recordings(state).length !== recordings(before).length) this.#asked = false;
    this.#sync(state);
  }

  /** @param {State} state */
  #sync(state) {
    const running = state.phase === Phase.Idle ? [] : recordings(state);
    byId('recorded').hidden = !running.length;
    const reason = this.#reason(state);
    byId('record-reason').hidden = !reason;
    setText(byId('record-reason'), reason);
    byId('record-fields').disabled = reason !== '';
    this.#control(running, reason);
    if (state.roomId) byId('record-link').href = pageUrl({ room: state.roomId, offset: 0 });
    reconcile(byId('record-list'), running, {
      key: ({ id }) => id,
      create: (recording) => this.#row(recording),
      update: () => {},
    });
  }

  /** Why nothing can be recorded now, or an empty text. @param {State} state */
  #reason(state) {
    if (state.room?.mode === 'p2p') return DIRECT;
    return this.#keepsNone ? KEEPS_NONE : '';
  }

  /** @param {RecordingState[]} running @param {string} reason */
  #control(running, reason) {
    const button = byId('toggle-record');
    button.classList.toggle('control--recording', running.length > 0);
    button.classList.toggle('control--unavailable', reason !== '');
    setLabel(button, running.length ? 'Recording: stop it here' : 'Record the call', 'R');
    if (reason) button.title = reason;
  }

  /** @param {RecordingState} recording */
  #row(recording) {
    const { id } = recording;
    const format = formatOf(recording);
    const stop = el('button', {
      class: 'secondary',
      type: 'button',
      text: 'Stop',
      'aria-label': `Stop recording ${formatName(format)}`,
    });
    stop.addEventListener('click', () => this.#stop(id));
    return el(
      'li',
      { class: 'take-now' },
      el('span', { class: 'recorded__dot', 'aria-hidden': 'true' }),
      el('span', { class: 'take-now__text', text: `Recording ${formatName(format)}` }),
      stop,
    );
  }
}

/** @param {{key: FormatKey, name: string, about: string}} format */
function card({ key, name, about }) {
  return el(
    'label',
    { class: 'choice' },
    el('input', { type: 'radio', name: 'record-format', value: key }),
    el(
      'span',
      { class: 'choice__text' },
      el('span', { class: 'choice__name', text: name }),
      el('span', { class: 'choice__about', text: about }),
    ),
  );
}
