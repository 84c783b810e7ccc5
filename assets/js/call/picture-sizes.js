// Tells the server how large forwarded pictures are drawn, so that it sends none larger than that.

/** How long a window that is being resized is waited for, ms. */
const CALM = 200;

/**
 * The `pictures` of a `sizes` message for `tiles`, as they stand on a `canvas` that is drawn
 * `height` pixels of the screen high; pure.
 */
export function pictureSizes(tiles, canvas, height) {
  return tiles
    .filter((tile) => !tile.row.own && !tile.off)
    .map(({ participant, role, h }) => ({ participant, role, height: Math.round((height * h) / canvas.height) }));
}

export class PictureSizes {
  #frame;
  #send;
  #tiles = [];
  #canvas = null;
  #told = '';
  #timer = 0;

  /** `frame` is the element all tiles stand in; `send(message)` is false while nobody listens. */
  constructor({ frame, send }) {
    this.#frame = frame;
    this.#send = send;
    new ResizeObserver(() => this.#soon()).observe(frame);
    document.addEventListener('visibilitychange', () => this.#tell());
  }

  /** The tiles stand like this now. */
  take(tiles, canvas) {
    const moved = tiles.length !== this.#tiles.length;
    this.#tiles = tiles;
    this.#canvas = canvas;
    if (moved) this.#tell();
    else this.#soon();
  }

  /** Another connection: the server knows nothing yet. */
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
