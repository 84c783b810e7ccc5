// The player of a room: picture, sound, full screen, and what there is to say.

/** @import {Notice} from '../watch/notice.js' */

import { byId, setIcon, setLabel, setText } from '../base/dom.js';

/** How long the bar stays after the last movement, ms. */
const BAR_STAYS = 3_000;

export class Viewer {
  #video = byId('video');
  #still = byId('still');
  #root = byId('watch');
  #timer = 0;
  #noticed = false;

  /**
   * @param {object} env
   * @param {() => void} env.onRetry
   * @param {(token: string) => void} env.onToken
   * @param {() => void} env.onPicture called when there is a picture
   */
  constructor({ onRetry, onToken, onPicture }) {
    byId('retry').addEventListener('click', onRetry);
    byId('token-form').addEventListener('submit', (event) => {
      event.preventDefault();
      onToken(byId('token').value.trim());
    });
    byId('start').addEventListener('click', () => this.#hear(true));
    byId('toggle-sound').addEventListener('click', () => this.#hear(this.#video.muted));
    byId('fullscreen').hidden = !document.fullscreenEnabled && !this.#video.webkitEnterFullscreen;
    byId('fullscreen').addEventListener('click', () => this.#toggleFullscreen());
    this.#video.addEventListener('dblclick', () => this.#toggleFullscreen());
    document.addEventListener('fullscreenchange', () => this.#label());
    this.#video.addEventListener('volumechange', () => this.#label());
    this.#video.addEventListener('loadeddata', () => {
      this.#still.hidden = true;
      onPicture();
    });
    for (const kind of ['pointermove', 'pointerdown', 'keydown', 'focusin']) {
      document.addEventListener(kind, () => this.#wake());
    }
    this.#label();
    this.#wake();
  }

  /** Whether there is a picture, be it an old one. */
  get pictured() {
    return this.#video.videoWidth > 0 || !this.#still.hidden;
  }

  /** Whether no sound is to be heard. */
  get muted() {
    return this.#video.muted;
  }

  /**
   * Plays `stream`. What is seen now stays until its first frame.
   *
   * @param {MediaStream} stream
   */
  async play(stream) {
    this.#freeze();
    this.#video.srcObject = stream;
    try {
      await this.#video.play();
    } catch (error) {
      if (/** @type {Error} */ (error).name !== 'NotAllowedError') return;
      // Without a click on the page browsers play only what makes no sound.
      this.#block(true);
      this.#video.muted = true;
      this.#video.play().catch(() => {});
    }
  }

  #freeze() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!width) return;
    Object.assign(this.#still, { width, height });
    this.#still.getContext('2d')?.drawImage(this.#video, 0, 0, width, height);
    this.#still.hidden = false;
  }

  /** @param {boolean} wanted */
  #hear(wanted) {
    this.#block(false);
    this.#video.muted = !wanted;
    this.#video.play().catch(console.warn);
  }

  /** Shows the button that the browser wants to be pressed first. @param {boolean} blocked */
  #block(blocked) {
    byId('start').hidden = !blocked;
    byId('toggle-sound').hidden = blocked;
  }

  #toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.#root.requestFullscreen) this.#root.requestFullscreen().catch(console.warn);
    else this.#video.webkitEnterFullscreen?.();
  }

  #label() {
    const { muted } = this.#video;
    setLabel(byId('toggle-sound'), muted ? 'Turn sound on' : 'Turn sound off');
    setIcon(byId('toggle-sound'), muted ? 'sound-off' : 'sound');
    const full = document.fullscreenElement !== null;
    setLabel(byId('fullscreen'), full ? 'Leave full screen' : 'Full screen');
    setIcon(byId('fullscreen'), full ? 'fullscreen-end' : 'fullscreen');
  }

  /** @param {Notice} notice */
  show({ title, text, busy, retry, token, dimmed }) {
    this.#noticed = title !== '';
    byId('notice').hidden = !this.#noticed;
    byId('busy').hidden = !busy;
    setText(byId('notice-title'), title);
    setText(byId('notice-text'), text);
    byId('notice-text').hidden = !text;
    byId('retry').hidden = !retry;
    setText(byId('retry'), retry);
    const asks = token && byId('token-form').hidden;
    byId('token-form').hidden = !token;
    if (asks) byId('token').focus();
    this.#root.classList.toggle('watch--dimmed', dimmed);
    this.#wake();
  }

  /** Shows the bar. It goes after a while, where there is nothing but a picture to see. */
  #wake() {
    clearTimeout(this.#timer);
    this.#root.classList.remove('watch--still');
    this.#timer = setTimeout(() => this.#root.classList.toggle('watch--still', !this.#noticed), BAR_STAYS);
  }
}
