// The composite and the invisible buttons over its tiles.

import { byId, el, icon, reconcile, setText } from '../dom.js';
import { tileKey, tilePlacement } from '../geometry.js';
import { people, Phase, spokenLabel } from '../state.js';

export class Stage {
  #video = byId('video');
  #still = byId('still');
  #frame = byId('frame');
  #onPin;
  #picture = false;

  /** `onPin(id)` is called when a tile is chosen. */
  constructor({ onPin }) {
    this.#onPin = onPin;
    byId('unmute').addEventListener('click', () => this.#hear());
    byId('fullscreen').addEventListener('click', () => this.toggleFullscreen());
  }

  /** Plays the composite in `stream`, behind the last picture until the first new one. */
  async show(stream) {
    this.#video.srcObject = stream;
    this.#video.muted = false;
    byId('unmute').hidden = true;
    this.#whenPictured(() => {
      this.#picture = true;
      this.#still.hidden = true;
      byId('waiting').hidden = true;
    });
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError') return;
      // Without a click on the page browsers play only what makes no sound.
      this.#video.muted = true;
      byId('unmute').hidden = false;
      this.#video.play().catch(console.warn);
    }
  }

  #whenPictured(then) {
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(then);
    else this.#video.addEventListener('timeupdate', then, { once: true });
  }

  async #hear() {
    this.#video.muted = false;
    await this.#video.play().catch(console.warn);
    byId('unmute').hidden = true;
  }

  /** Keeps the last picture standing while there is no connection. */
  freeze() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!this.#picture || !width) return;
    this.#still.width = width;
    this.#still.height = height;
    this.#still.getContext('2d').drawImage(this.#video, 0, 0, width, height);
    this.#still.hidden = false;
    this.#picture = false;
  }

  /** Forgets the picture. */
  clear() {
    this.#video.srcObject = null;
    this.#picture = false;
    this.#still.hidden = true;
    byId('unmute').hidden = true;
    if (document.fullscreenElement) document.exitFullscreen();
  }

  /** The picture alone on the whole screen, and back. */
  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.#frame.requestFullscreen) this.#frame.requestFullscreen().catch(console.warn);
    else this.#video.webkitEnterFullscreen?.();
  }

  render(state, before) {
    if (state.phase === Phase.Idle) return;
    this.#renderStatus(state);
    if (state.room === before.room && state.self === before.self) return;
    const { canvas, tiles } = state.room ?? { canvas: { width: 16, height: 9 }, tiles: [] };
    this.#frame.style.setProperty('--ratio', String(canvas.width / canvas.height));
    const rows = new Map(people(state).map((row) => [row.id, row]));
    const shown = tiles.filter((tile) => rows.has(tile.participant));
    reconcile(byId('tiles'), shown, {
      key: tileKey,
      create: (tile) => this.#createTile(tile),
      update: (button, tile) => updateTile(button, tile, rows.get(tile.participant), canvas),
    });
  }

  #renderStatus(state) {
    const away = state.phase === Phase.Reconnecting;
    this.#frame.classList.toggle('frame--dimmed', away);
    byId('reconnecting').hidden = !away;
    if (away) setText(byId('reconnecting-cause'), state.notice?.text ?? '');
    byId('waiting').hidden = away || this.#picture || !this.#still.hidden;
    setText(byId('waiting-text'), waitingText(state));
  }

  #createTile(tile) {
    const chip = el('span', { class: 'tile__chip', 'aria-hidden': 'true' }, icon('pin'), el('span'));
    const button = el('button', { class: 'tile', type: 'button' }, chip);
    button.addEventListener('click', () => this.#onPin(tile.participant));
    return button;
  }
}

function updateTile(button, tile, row, canvas) {
  const place = tilePlacement(tile, canvas);
  button.hidden = place === null;
  if (place) Object.assign(button.style, place);
  button.setAttribute('aria-label', spokenLabel(row, tile.role));
  button.setAttribute('aria-pressed', String(row.pinned));
  button.classList.toggle('tile--speaking', row.speaking && tile.role === 'camera');
  setText(button.firstElementChild.lastElementChild, row.pinned ? 'Unpin' : 'Pin');
}

function waitingText(state) {
  if (state.phase === Phase.Joining) return 'Connecting…';
  if (state.room && state.room.mode !== 'mcu') return `No mixed picture in ${state.room.mode.toUpperCase()} mode`;
  return 'Waiting for the picture…';
}
