// The scene of a stage: which tile is the large one, and where all of them are. The composite of
// the server follows the same rule, and both are tested with tests/data/scenes.json; pure.

import { tileRects } from './layout.js';

/**
 * The index of the tile that a spotlight makes the large one: the camera of the pinned
 * participant, else the first shared screen, else the camera of the last speaker, else the first
 * tile. `shown` are the tiles in their order, each `{participant, role}`. With no tiles it is -1.
 */
export function spotlit({ shown, pinned, lastSpeaker }) {
  const camera = (id) => shown.findIndex((one) => one.participant === id && one.role === 'camera');
  const candidates = [camera(pinned), shown.findIndex((one) => one.role === 'screen'), camera(lastSpeaker), 0];
  return shown.length ? candidates.find((at) => at >= 0) : -1;
}

/**
 * The scene of the tiles `shown`: `{large, rects}`, the index that `spotlit` gives and the
 * rectangle of each tile, null where it has no room. `layout` is `grid` or `spotlight`; only the
 * latter has a large tile.
 */
export function scene({ canvas, layout, shown, pinned, lastSpeaker }) {
  const large = spotlit({ shown, pinned, lastSpeaker });
  return { large, rects: tileRects(canvas, layout, shown.length, large) };
}
