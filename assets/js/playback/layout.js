// The rectangles of tiles on a stage that the page draws: the same arithmetic as that of the
// composite (src/layout.rs), so that nobody moves when the mode changes; pure. Lengths are canvas
// pixels.

/** @import {LayoutKind, Size} from '../../../tests/client/types/protocol.d.ts' */

/** @typedef {{x: number, y: number, w: number, h: number}} Rect */

/** Proportions of a tile, always landscape. @typedef {{long: number, short: number}} Aspect */

/** Most tiles of a grid. */
export const MAX_GRID = 25;

/** Most tiles of the strip beside a spotlight's large tile. */
export const MAX_STRIP = 5;

/** Most tiles beside the shared screen of a grid. */
export const MAX_BESIDE_SCREEN = 20;

/** The share of the canvas's long side that the strip beside a large tile takes: a fifth. */
const STRIP_SHARE = 5;

/** @param {number} n */
const even = (n) => 2 * Math.floor(n / 2);
/** @param {number} n */
const nearestEven = (n) => 2 * Math.floor((n + 1) / 2);

/**
 * The most tiles of a layout, with a large one or without.
 *
 * @param {LayoutKind} layout
 * @param {boolean} hasLarge
 */
export function capacity(layout, hasLarge) {
  if (layout === 'spotlight') return MAX_STRIP + 1;
  return hasLarge ? MAX_BESIDE_SCREEN + 1 : MAX_GRID;
}

/**
 * The rectangle of each of `people` tiles, null where it has no room.
 *
 * @param {Size} canvas
 * @param {LayoutKind} layout
 * @param {number} people
 * @param {number} large the index of the large tile, -1 where a grid has none
 * @returns {(Rect | null)[]}
 */
export function tileRects({ width, height }, layout, people, large = -1) {
  const whole = { x: 0, y: 0, w: even(width), h: even(height) };
  const aspect = { long: Math.max(width, height, 1), short: Math.max(1, Math.min(width, height)) };
  const hasLarge = large >= 0 && large < people;
  const isGrid = layout !== 'spotlight' && !hasLarge;
  if (isGrid || people < 2) return fill(pack(whole, aspect, Math.min(people, MAX_GRID)), people);
  const star = hasLarge ? large : 0;
  const { stage, strip } = split(whole);
  const [spot] = pack(stage, aspect, 1);
  const small = pack(strip, aspect, Math.min(capacity(layout, true) - 1, people - 1));
  return Array.from({ length: people }, (_, i) => (i === star ? spot : (small[i < star ? i : i - 1] ?? null)));
}

/** @param {(Rect | null)[]} rects @param {number} count */
const fill = (rects, count) => Array.from({ length: count }, (_, i) => rects[i] ?? null);

/**
 * The size of the largest tile in a cell. One side follows from the other and is rounded to the
 * nearest even number.
 *
 * @param {Aspect} aspect
 * @param {number} cellWidth
 * @param {number} cellHeight
 */
function largestIn({ long, short }, cellWidth, cellHeight) {
  const height = even(cellHeight);
  const w = Math.min(even(cellWidth), nearestEven((height * long) / short));
  return { w, h: Math.min(height, nearestEven((w * short) / long)) };
}

/**
 * `count` equal tiles in `area`, as large as they can be. Of arrangements with tiles of one size
 * the one with most columns is taken.
 *
 * @param {Rect} area
 * @param {Aspect} aspect
 * @param {number} count
 * @returns {(Rect | null)[]}
 */
function pack(area, aspect, count) {
  let best = { pixels: 0, columns: 0, rows: 0, tile: { w: 0, h: 0 } };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const tile = largestIn(aspect, Math.floor(area.w / columns), Math.floor(area.h / rows));
    const pixels = tile.w * tile.h;
    if (pixels > 0 && pixels >= best.pixels) best = { pixels, columns, rows, tile };
  }
  if (!best.pixels) return Array(count).fill(null);
  const { columns, rows, tile } = best;
  const top = area.y + even((area.h - rows * tile.h) / 2);
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / columns);
    const inRow = Math.min(columns, count - row * columns);
    const left = area.x + even((area.w - inRow * tile.w) / 2);
    return { x: left + (i % columns) * tile.w, y: top + row * tile.h, ...tile };
  });
}

/**
 * The stage of a large tile and the strip beside it: at the right, or at the bottom of an upright canvas.
 *
 * @param {Rect} whole
 */
function split(whole) {
  if (whole.w >= whole.h) {
    const w = even(whole.w / STRIP_SHARE);
    return { stage: { ...whole, w: whole.w - w }, strip: { ...whole, x: whole.w - w, w } };
  }
  const h = even(whole.h / STRIP_SHARE);
  return { stage: { ...whole, h: whole.h - h }, strip: { ...whole, y: whole.h - h, h } };
}
