// Where tiles stand when the page draws them itself: the arithmetic of the composite
// (src/layout.rs), so that a change of mode moves nobody; pure. Lengths are canvas pixels.

/** Most tiles of a grid, and of the strip beside a spotlight's large tile. */
export const MAX_GRID = 25;
export const MAX_STRIP = 5;

/** The share of the canvas's long side that the strip takes: a fifth. */
const STRIP_SHARE = 5;

const even = (n) => 2 * Math.floor(n / 2);
const nearestEven = (n) => 2 * Math.floor((n + 1) / 2);

/** How many of `people` have a tile; the others are counted on one of them. */
export const capacity = (layout) => (layout === 'spotlight' ? MAX_STRIP + 1 : MAX_GRID);

/**
 * A rectangle `{x, y, w, h}` for each of `people` tiles, null where there is no room. `spotlit`
 * is the index of the spotlight's large tile.
 */
export function tileRects({ width, height }, layout, people, spotlit = 0) {
  const whole = { x: 0, y: 0, w: even(width), h: even(height) };
  const aspect = { long: Math.max(width, height, 1), short: Math.max(1, Math.min(width, height)) };
  if (layout !== 'spotlight' || people < 2) return fill(pack(whole, aspect, Math.min(people, MAX_GRID)), people);
  const star = spotlit >= 0 && spotlit < people ? spotlit : 0;
  const { stage, strip } = split(whole);
  const [large] = pack(stage, aspect, 1);
  const small = pack(strip, aspect, Math.min(MAX_STRIP, people - 1));
  return Array.from({ length: people }, (_, i) => (i === star ? large : (small[i < star ? i : i - 1] ?? null)));
}

const fill = (rects, count) => Array.from({ length: count }, (_, i) => rects[i] ?? null);

/** The largest landscape tile in a cell; the other side is rounded, not cut, to an even number. */
function largestIn({ long, short }, cellWidth, cellHeight) {
  const height = even(cellHeight);
  const w = Math.min(even(cellWidth), nearestEven((height * long) / short));
  return { w, h: Math.min(height, nearestEven((w * short) / long)) };
}

/** `count` equal tiles in `area`, as large as they can be; of equal sizes the widest group. */
function pack(area, aspect, count) {
  let best = { pixels: 0 };
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

/** The spotlight's stage and its strip: at the right, or at the bottom of an upright canvas. */
function split(whole) {
  if (whole.w >= whole.h) {
    const w = even(whole.w / STRIP_SHARE);
    return { stage: { ...whole, w: whole.w - w }, strip: { ...whole, x: whole.w - w, w } };
  }
  const h = even(whole.h / STRIP_SHARE);
  return { stage: { ...whole, h: whole.h - h }, strip: { ...whole, y: whole.h - h, h } };
}
