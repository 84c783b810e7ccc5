// The picture: the composite with invisible buttons over its tiles, or tiles drawn here.

/** @import {ParticipantId, Role, Size} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Row, State} from '../base/state.js' */
/** @import {Rect} from '../playback/layout.js' */
/** @import {Picture} from '../playback/picture.js' */
/** @import {Scene, Shown} from '../playback/playback.js' */
/** @import {More} from '../playback/tiles.js' */

import { byId, el, icon, reconcile, setText } from '../base/dom.js';
import { sourceKey } from '../base/participant.js';
import { listOf, people, Phase, spokenLabel } from '../base/state.js';
import { View } from '../playback/video-switch.js';
import { avatarTone, initials } from './avatar.js';
import { tilePlacement } from './placement.js';

/**
 * A tile of either kind. The composite has its picture in itself.
 *
 * @typedef {Rect & {key: string, participant: ParticipantId, role: Role, row: Row, picture?:
 *   Picture | null}} Button
 */

/** The canvas before the room is known. */
const NOWHERE = { width: 16, height: 9 };

export class Stage {
  #still = byId('still');
  #frame = byId('frame');
  #stage = byId('stage');
  #onPin;
  #onMore;
  /** Whether there is something to see. */
  #picture = false;

  /**
   * @param {object} env
   * @param {(id: ParticipantId) => void} env.onPin called when a tile is chosen
   * @param {() => void} env.onMore called when the tile that counts the others is chosen
   */
  constructor({ onPin, onMore }) {
    this.#onPin = onPin;
    this.#onMore = onMore;
    byId('fullscreen').addEventListener('click', () => this.toggleFullscreen());
  }

  /** The <video> of the composite. */
  get video() {
    return byId('video');
  }

  /** The element that all tiles are in. */
  get frame() {
    return this.#frame;
  }

  /** The element that the <video>s of tiles are put into. */
  get pictures() {
    return byId('pictures');
  }

  /** Calls `listener` for a click on "Tap to hear". @param {() => void} listener */
  onHear(listener) {
    byId('unmute').addEventListener('click', listener);
  }

  /** Shows or hides "Tap to hear". @param {boolean} asked */
  askForClick(asked) {
    byId('unmute').hidden = !asked;
  }

  /** There is something to see: removes the last frame of an earlier connection. */
  pictured() {
    if (this.#picture) return;
    this.#picture = true;
    this.#still.hidden = true;
    byId('waiting').hidden = true;
  }

  /** Keeps the composite's last frame while there is no connection. */
  freeze() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!this.#picture || !width) return;
    this.#still.width = width;
    this.#still.height = height;
    this.#still.getContext('2d')?.drawImage(this.video, 0, 0, width, height);
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
    else if (this.#stage.requestFullscreen) this.#stage.requestFullscreen().catch(console.warn);
    else this.video.webkitEnterFullscreen?.();
  }

  /** @param {State} state */
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

  /**
   * Shows the tiles of the stage with their pictures, or those of the composite.
   *
   * @param {Scene} scene
   */
  show({ state, view, tiles, more, pictures }) {
    const canvas = state.room?.canvas ?? NOWHERE;
    this.#frame.style.setProperty('--ratio', String(canvas.width / canvas.height));
    const drawn = view === View.Tiles;
    this.#frame.classList.toggle('frame--tiles', drawn);
    if (drawn) placePictures(tiles, pictures, canvas);
    const others = more ? [{ ...more, key: 'more' }] : [];
    /** @type {(Button | (More & {key: string}))[]} */
    const shown = drawn ? [...tiles, ...others] : compositeTiles(state);
    reconcile(byId('tiles'), shown, {
      key: (tile) => tile.key,
      create: (tile) => ('rows' in tile ? this.#createMore() : this.#createTile(tile)),
      update: (button, tile) => ('rows' in tile ? updateMore(button, tile, canvas) : updateTile(button, tile, canvas)),
    });
  }

  /** @param {Button} tile */
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
      el('span', { class: 'tile__hand', 'aria-hidden': 'true' }, icon('hand')),
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

/**
 * The tiles of the composite, with the participants in them.
 *
 * @param {State} state
 * @returns {Button[]}
 */
function compositeTiles(state) {
  const rows = new Map(people(state).map((row) => [row.id, row]));
  return (state.room?.tiles ?? []).flatMap((tile) => {
    const row = rows.get(tile.participant);
    return row ? [{ ...tile, key: sourceKey(tile), row }] : [];
  });
}

const SIDES = /** @type {const} */ (['left', 'top', 'width', 'height']);

/** @param {HTMLElement} element @param {Rect} tile @param {Size} canvas */
function place(element, tile, canvas) {
  const where = tilePlacement(tile, canvas);
  element.hidden = where === null;
  if (!where) return;
  for (const side of SIDES) if (element.style[side] !== where[side]) element.style[side] = where[side];
}

/**
 * Puts every picture under its tile. One without a tile is hidden.
 *
 * @param {Shown[]} tiles
 * @param {Picture[]} pictures
 * @param {Size} canvas
 */
function placePictures(tiles, pictures, canvas) {
  const seen = new Map(tiles.map((tile) => [tile.picture, tile]));
  for (const picture of pictures) {
    const tile = seen.get(picture);
    picture.element.classList.toggle('shown', tile !== undefined);
    if (tile) place(picture.element, tile, canvas);
  }
}

/** @param {HTMLElement} button @param {Button} tile @param {Size} canvas */
function updateTile(button, tile, canvas) {
  const { row, role } = tile;
  const [avatar, label, hand, chip] = button.children;
  place(button, tile, canvas);
  button.setAttribute('aria-label', spokenLabel(row, role));
  button.setAttribute('aria-pressed', String(row.pinned));
  button.classList.toggle('tile--speaking', row.speaking && role === 'camera');
  hand.classList.toggle('tile__hand--raised', row.hand && role === 'camera');
  button.classList.toggle('tile--covered', !tile.picture);
  setText(avatar.children[0], initials(row.name));
  setText(label.children[1], role === 'screen' ? `${row.name}’s screen` : row.name);
  label.classList.toggle('tile__label--muted', role === 'camera' && row.mic === 'muted');
  setText(chip.children[1], row.pinned ? 'Unpin' : 'Pin');
}

/** @param {HTMLElement} button @param {More} more @param {Size} canvas */
function updateMore(button, { rows, ...tile }, canvas) {
  place(button, tile, canvas);
  button.setAttribute('aria-label', `${rows.length} more: ${listOf(rows.map((row) => row.name))}`);
  setText(button.children[0], `+${rows.length}`);
  setText(button.children[1], 'more');
}
