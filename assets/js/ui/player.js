// A recording played over the page of recordings.

/** @import {Recording} from '../../../tests/client/types/protocol.d.ts' */

import { byId, el, setText } from '../base/dom.js';
import { fileUrl, markersOf, playerFor, startedText, wordsForPlayback } from '../recordings/recordings.js';

export class Player {
  #dialog = byId('player');
  /** @type {HTMLMediaElement | null} */
  #media = null;

  constructor() {
    // The event comes a frame later, when the next recording may be open already.
    this.#dialog.addEventListener('close', () => this.#dialog.open || this.#unload());
    byId('player-close').addEventListener('click', () => this.#dialog.close());
  }

  /**
   * Opens the player with `recording` and begins to play it.
   *
   * @param {Recording} recording
   * @param {string} token
   */
  show(recording, token) {
    this.#unload();
    setText(byId('player-title'), recording.room);
    setText(byId('player-when'), startedText(recording));
    byId('player-download').href = fileUrl(recording, token, true);
    const media = el(playerFor(recording.format), { controls: '', playsinline: '', src: fileUrl(recording, token) });
    media.addEventListener('error', () => this.#failed(media));
    this.#media = media;
    byId('player-media').replaceChildren(media);
    this.#listMarkers(markersOf(recording), media);
    this.#dialog.showModal();
    media.focus({ preventScroll: true });
    // A browser that wants a click of its own still shows the controls.
    media.play().catch(() => {});
  }

  /**
   * Lists the markers; a click plays from there.
   *
   * @param {{at: number, name: string}[]} markers
   * @param {HTMLMediaElement} media
   */
  #listMarkers(markers, media) {
    const list = byId('player-moments');
    list.hidden = markers.length === 0;
    list.replaceChildren(
      ...markers.map(({ at, name }) => {
        const button = el('button', { class: 'quiet', type: 'button', text: name });
        button.addEventListener('click', () => {
          media.currentTime = at;
          media.play().catch(() => {});
        });
        return el('li', {}, button);
      }),
    );
  }

  /** @param {HTMLMediaElement} media */
  #failed(media) {
    if (media !== this.#media) return;
    const notice = byId('player-notice');
    notice.hidden = false;
    setText(notice, wordsForPlayback(media.error?.code));
  }

  /** Lets go of the file: without this the browser goes on fetching it. */
  #unload() {
    const media = this.#media;
    this.#media = null;
    byId('player-notice').hidden = true;
    if (!media) return;
    media.pause();
    media.removeAttribute('src');
    media.load();
    media.remove();
  }
}
