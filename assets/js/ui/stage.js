// The picture: the composite with invisible buttons over its tiles, or tiles drawn here.

import { byId, el, icon, reconcile, setText } from '../base/dom.js';
import { sourceKey } from '../base/participant.js';
import { listOf, people, Phase, spokenLabel } from '../base/state.js';
import { View } from '../playback/video-switch.js';
import { avatarTone, initials } from './avatar.js';
import { tilePlacement } from './placement.js';

const NOWHERE = { width: 16, height: 9 };

export class Stage {
  #still = byId('still');
  #frame = byId('frame');
  #onPin;
  #onMore;
  #picture = false;

  /** `onPin(id)` is called when a tile is chosen, `onMore()` for the one of those without. */
  constructor({ onPin, onMore }) {
    this.#onPin = onPin;
    this.#onMore = onMore;
    byId('fullscreen').addEventListener('click', () => this.toggleFullscreen());
  }

  /** The <video> of the composite, and where those of the tiles are put. */
  get video() {
    return byId('video');
  }

  /** The element whose size that of all tiles follows. */
  get frame() {
    return this.#frame;
  }

  get pictures() {
    return byId('pictures');
  }

  /** `listener` is called for a click on "Tap to hear". */
  onHear(listener) {
    byId('unmute').addEventListener('click', listener);
  }

  /** Shows or takes away "Tap to hear". */
  askForClick(asked) {
    byId('unmute').hidden = !asked;
  }

  /** There is something to see: the last picture of an earlier connection goes. */
  pictured() {
    if (this.#picture) return;
    this.#picture = true;
    this.#still.hidden = true;
    byId('waiting').hidden = true;
  }

  /** Keeps the composite's last picture standing while there is no connection. */
  freeze() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!this.#picture || !width) return;
    this.#still.width = width;
    this.#still.height = height;
    this.#still.getContext('2d').drawImage(this.video, 0, 0, width, height);
    this.#still.hidden = false;
    this.#picture = false;
  }

  /** Forgets the picture. */
  clear() {
    this.video.srcObject = null;
    this.#picture = false;
    this.#still.hidden = true;
    this.#frame.classList.remove('frame--tiles');
    byId('tiles').replaceChildren();
    if (document.fullscreenElement) document.exitFullscreen();
  }

  /** The picture alone on the whole screen, and back. */
  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.#frame.requestFullscreen) this.#frame.requestFullscreen().catch(console.warn);
    else this.video.webkitEnterFullscreen?.();
  }

  render(state) {
    if (state.phase === Phase.Idle) return;
    const away = state.phase === Phase.Reconnecting;
    // Between people nothing is missing while the server is: the notice leaves the picture free.
    const direct = away && state.mesh.covered;
    this.#frame.classList.toggle('frame--dimmed', away && !direct);
    byId('reconnecting').classList.toggle('cover--aside', direct);
    byId('reconnecting').hidden = !away;
    if (away) setText(byId('reconnecting-cause'), state.notice?.text ?? '');
    byId('waiting').hidden = away || this.#picture || !this.#still.hidden;
    setText(byId('waiting-text'), state.phase === Phase.Joining ? 'Connecting…' : 'Waiting for the picture…');
  }

  /** Shows `tiles` of the stage, or of the composite, with the pictures they have. */
  show({ state, view, tiles, more, pictures }) {
    const canvas = state.room?.canvas ?? NOWHERE;
    this.#frame.style.setProperty('--ratio', String(canvas.width / canvas.height));
    const drawn = view === View.Tiles;
    this.#frame.classList.toggle('frame--tiles', drawn);
    if (drawn) placePictures(tiles, pictures, canvas);
    const shown = drawn ? [...tiles, ...(more ? [{ ...more, key: 'more' }] : [])] : compositeTiles(state);
    reconcile(byId('tiles'), shown, {
      key: (tile) => tile.key,
      create: (tile) => (tile.rows ? this.#createMore() : this.#createTile(tile)),
      update: (button, tile) => (tile.rows ? updateMore(button, tile, canvas) : updateTile(button, tile, canvas)),
    });
  }

  #createTile(tile) {
    const button = el(
      'button',
      { class: 'tile', type: 'button' },
      el(
        'span',
        { class: `tile__avatar tile__avatar--${avatarTone(tile.participant)}`, 'aria-hidden': 'true' },
        el('span'),
      ),
      el('span', { class: 'tile__label', 'aria-hidden': 'true' }, icon('mic-off'), el('span')),
      el('span', { class: 'tile__chip', 'aria-hidden': 'true' }, icon('pin'), el('span')),
    );
    button.addEventListener('click', () => this.#onPin(tile.participant));
    return button;
  }

  #createMore() {
    const button = el(
      'button',
      { class: 'tile tile--more', type: 'button' },
      el('strong'),
      el('span', { 'aria-hidden': 'true' }),
    );
    button.addEventListener('click', () => this.#onMore());
    return button;
  }
}

/** The tiles of the composite, with who is in them. */
function compositeTiles(state) {
  const rows = new Map(people(state).map((row) => [row.id, row]));
  return (state.room?.tiles ?? [])
    .filter((tile) => rows.has(tile.participant))
    .map((tile) => ({ ...tile, key: sourceKey(tile), row: rows.get(tile.participant) }));
}

function place(element, tile, canvas) {
  const where = tilePlacement(tile, canvas);
  element.hidden = where === null;
  for (const [side, value] of Object.entries(where ?? {})) {
    if (element.style[side] !== value) element.style[side] = value;
  }
}

/** Every picture under its tile; what has none is not seen. */
function placePictures(tiles, pictures, canvas) {
  const seen = new Map(tiles.filter((tile) => tile.picture).map((tile) => [tile.picture, tile]));
  for (const picture of pictures) {
    const tile = seen.get(picture);
    picture.element.classList.toggle('shown', tile !== undefined);
    if (tile) place(picture.element, tile, canvas);
  }
}

function updateTile(button, tile, canvas) {
  const { row, role } = tile;
  const [avatar, label, chip] = button.children;
  place(button, tile, canvas);
  button.setAttribute('aria-label', spokenLabel(row, role));
  button.setAttribute('aria-pressed', String(row.pinned));
  button.classList.toggle('tile--speaking', row.speaking && role === 'camera');
  button.classList.toggle('tile--covered', !tile.picture);
  setText(avatar.firstElementChild, initials(row.name));
  setText(label.lastElementChild, role === 'screen' ? `${row.name}’s screen` : row.name);
  label.classList.toggle('tile__label--muted', role === 'camera' && row.mic === 'muted');
  setText(chip.lastElementChild, row.pinned ? 'Unpin' : 'Pin');
}

function updateMore(button, { rows, ...tile }, canvas) {
  place(button, tile, canvas);
  button.setAttribute('aria-label', `${rows.length} more: ${listOf(rows.map((row) => row.name))}`);
  setText(button.firstElementChild, `+${rows.length}`);
  setText(button.lastElementChild, 'more');
}
