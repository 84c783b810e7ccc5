// Where a tile is over the picture; pure.

/** @import {Size} from '../../../tests/client/types/protocol.d.ts' */

/** @param {number} part @param {number} whole */
const percent = (part, whole) => `${+((100 * Math.min(Math.max(part, 0), whole)) / whole).toFixed(3)}%`;

/**
 * The place of a tile over the composite, as CSS percentages that survive any scaling; null for a
 * canvas without a size. A tile never reaches beyond the canvas.
 *
 * @param {{x: number, y: number, w: number, h: number}} tile
 * @param {Size} canvas
 */
export function tilePlacement(tile, canvas) {
  if (!(canvas.width > 0 && canvas.height > 0)) return null;
  return {
    left: percent(tile.x, canvas.width),
    top: percent(tile.y, canvas.height),
    width: percent(Math.min(tile.w, canvas.width - tile.x), canvas.width),
    height: percent(Math.min(tile.h, canvas.height - tile.y), canvas.height),
  };
}
