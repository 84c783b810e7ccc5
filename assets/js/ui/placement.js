// Where a tile stands over the picture; pure.

const percent = (part, whole) => `${+((100 * Math.min(Math.max(part, 0), whole)) / whole).toFixed(3)}%`;

/** Where a tile stands over the composite, as CSS percentages that survive any scaling. */
export function tilePlacement(tile, canvas) {
  if (!(canvas.width > 0 && canvas.height > 0)) return null;
  return {
    left: percent(tile.x, canvas.width),
    top: percent(tile.y, canvas.height),
    width: percent(Math.min(tile.w, canvas.width - tile.x), canvas.width),
    height: percent(Math.min(tile.h, canvas.height - tile.y), canvas.height),
  };
}
