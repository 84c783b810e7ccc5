// The list of recordings.

/** @import {Recording} from '../../../tests/client/types/protocol.d.ts' */

import { byId, el, icon, reconcile } from '../base/dom.js';
import { factsOf, filesOf, fileUrl, isPlayable, statusOf, startedText, whoText } from '../recordings/recordings.js';

export class RecordingsList {
  #onPlay;
  #onDelete;

  /**
   * @param {object} env
   * @param {(recording: Recording) => void} env.onPlay called for a click
   * @param {(recording: Recording) => void} env.onDelete called for a click
   */
  constructor({ onPlay, onDelete }) {
    this.#onPlay = onPlay;
    this.#onDelete = onDelete;
  }

  /**
   * Shows `recordings`; downloads carry `token`.
   *
   * @param {Recording[]} recordings
   * @param {string} token
   */
  show(recordings, token) {
    reconcile(byId('takes'), recordings, {
      key: ({ id }) => id,
      create: () => el('li', { class: 'take' }),
      update: (row, recording) => {
        // What has not changed keeps its elements, and with them the focus.
        const shown = JSON.stringify([recording, token]);
        if (row.dataset.shown === shown) return;
        row.dataset.shown = shown;
        row.replaceChildren(this.#play(recording), textOf(recording, token), this.#actions(recording, token));
      },
    });
  }

  /** @param {Recording} recording */
  #play(recording) {
    const button = el(
      'button',
      { class: 'take__play', type: 'button', 'aria-label': `Play ${spoken(recording)}`, title: 'Play' },
      icon('play'),
    );
    button.disabled = !isPlayable(recording);
    button.addEventListener('click', () => this.#onPlay(recording));
    return button;
  }

  /** @param {Recording} recording @param {string} token */
  #actions(recording, token) {
    const actions = el('div', { class: 'take__actions' });
    if (recording.state === 'recording') return actions;
    const remove = el(
      'button',
      { class: 'quiet', type: 'button', 'aria-label': `Delete ${spoken(recording)}`, title: 'Delete' },
      icon('delete'),
    );
    remove.addEventListener('click', () => this.#onDelete(recording));
    // Tracks are files of their own, each with its link.
    if (recording.bytes > 0 && recording.kind !== 'tracks') {
      const name = `Download ${spoken(recording)}`;
      actions.append(
        el(
          'a',
          { class: 'quiet', href: fileUrl(recording, token, true), 'aria-label': name, title: 'Download' },
          icon('download'),
        ),
      );
    }
    actions.append(remove);
    return actions;
  }
}

/** The name of a recording for screen readers. @param {Recording} recording */
const spoken = (recording) => `${recording.room}, ${startedText(recording)}`;

/** @param {Recording} recording @param {string} token */
function textOf(recording, token) {
  const { tone, name, reason } = statusOf(recording);
  const title = el('p', { class: 'take__title' }, el('strong', { text: recording.room }));
  if (name) title.append(el('span', { class: `badge badge--${tone}`, text: name }));
  const text = el(
    'div',
    { class: 'take__text' },
    title,
    el(
      'p',
      { class: 'take__facts' },
      ...[startedText(recording), ...factsOf(recording)].map((fact) => el('span', { text: fact })),
    ),
  );
  for (const line of [whoText(recording), reason]) if (line) text.append(el('p', { class: 'take__note', text: line }));
  const files = filesOf(recording, token);
  if (files.length) text.append(filesList(files));
  return text;
}

/**
 * The files of a recording of tracks, folded away.
 *
 * @param {{name: string, about: string, url: string}[]} files
 */
function filesList(files) {
  /** @param {{name: string, about: string, url: string}} file */
  const entry = ({ name, about, url }) => el('li', {}, el('a', { href: url, text: name }), ` ${about}`);
  return el(
    'details',
    { class: 'take__files' },
    el('summary', { text: files.length === 1 ? '1 file' : `${files.length} files` }),
    el('ul', {}, ...files.map(entry)),
  );
}
