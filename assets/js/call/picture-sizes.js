// Tells the server how large forwarded pictures are drawn, so that it sends none larger than that.

/** @import {ClientMessage, ParticipantId, PictureSize, Role, Size} from '../../../tests/client/types/protocol.d.ts' */

/**
 * @typedef {{participant: ParticipantId, role: Role, h: number, off: boolean, row: {own: boolean}}}
 *   Drawn a tile
 */

/** How long to wait while a window is being resized, ms. */
const CALM = 200;

/**
 * The `pictures` of a `sizes` message; pure.
 *
 * @param {Drawn[]} tiles
 * @param {Size} canvas the one that tiles are placed on
 * @param {number} height of the canvas on the screen, pixels
 * @returns {PictureSize[]}
 */
export function pictureSizes(tiles, canvas, height) {
  return tiles
    .filter((tile) => !tile.row.own && !tile.off)
    .map(({ participant, role, h }) => ({ participant, role, height: Math.round((height * h) / canvas.height) }));
}

export class PictureSizes {
  #frame;
  #send;
  /** @type {Drawn[]} */
  #tiles = [];
  /** @type {Size | null} */
  #canvas = null;
  /** What the server was told last, as JSON. */
  #told = '';
  #timer = 0;

  /**
   * @param {object} env
   * @param {HTMLElement} env.frame the element that all tiles are in
   * @param {(message: ClientMessage) => boolean} env.send false while there is no connection
   */
  constructor({ frame, send }) {
    this.#frame = frame;
    this.#send = send;
    new ResizeObserver(() => this.#soon()).observe(frame);
    document.addEventListener('visibilitychange', () => this.#tell());
  }

  /** Takes the tiles as they are placed now. @param {Drawn[]} tiles @param {Size} canvas */
  take(tiles, canvas) {
    const moved = tiles.length !== this.#tiles.length;
    this.#tiles = tiles;
    this.#canvas = canvas;
    if (moved) this.#tell();
    else this.#soon();
  }

  /** Starts over on a new connection, of which the server knows nothing yet. */
  reset() {
    this.#told = '';
    this.#soon();
  }

  #soon() {
    this.#timer ||= setTimeout(() => this.#tell(), CALM);
  }

  #tell() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#canvas) return;
    const height = document.hidden ? 0 : this.#frame.clientHeight * devicePixelRatio;
    const pictures = pictureSizes(this.#tiles, this.#canvas, height);
    const text = JSON.stringify(pictures);
    if (text !== this.#told && this.#send({ type: 'sizes', pictures })) this.#told = text;
  }
}
