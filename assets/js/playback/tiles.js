// The tiles of a stage that the page draws itself: who has one, and where; pure.

import { numberOf, sourceKey } from '../base/participant.js';
import { people } from '../base/state.js';
import { capacity } from './layout.js';
import { scene, spotlit } from './scene.js';

/**
 * `{tiles, more}`: `tiles` each `{key, participant, number, role, row, off, stalled, expects, x, y,
 * w, h}` in the order of the composite, `row` as `people` gives it, `off` when no picture is to be
 * shown, `stalled` when the server gets none, `expects` when one is to be waited for; `more` who has no tile, and the rectangle that says so:
 * `{rows, x, y, w, h}` or null. `target` is how this page is served.
 */
export function stageTiles(state, target) {
  const { room } = state;
  if (!room) return { tiles: [], more: null };
  const sources = people(state)
    .filter((row) => !row.viewer && (row.connected || row.own || state.mesh.receiving.includes(row.id)))
    .sort((a, b) => numberOf(a.id) - numberOf(b.id))
    .flatMap((row) => (row.screen === 'live' ? [tile(row, 'camera'), tile(row, 'screen')] : [tile(row, 'camera')]))
    .map((one) => ({ ...one, ...prospects(one, state, target) }));
  const choice = { pinned: room.pinned, lastSpeaker: state.lastSpeaker };
  const spot = sources[spotlit({ shown: sources, ...choice })];
  const shown = select(sources, spot, capacity(room.layout));
  const { rects } = scene({ canvas: room.canvas, layout: room.layout, shown, ...choice });
  const tiles = shown.map((one, i) => ({ ...one, ...rects[i] })).filter((one) => one.w > 0);
  const hidden = sources.filter((one) => !shown.includes(one));
  if (!hidden.length) return { tiles, more: null };
  // The last place tells of whoever has none, its own person included.
  const last = tiles.findLast((one) => one.key !== spot?.key);
  const { x, y, w, h } = last;
  const rows = [last, ...hidden].map((one) => one.row);
  return { tiles: tiles.filter((one) => one !== last), more: { rows: [...new Set(rows)], x, y, w, h } };
}

const tile = (row, role) => ({
  key: sourceKey({ participant: row.id, role }),
  participant: row.id,
  number: numberOf(row.id),
  role,
  row,
});

/** Whether a tile is to have a picture, and whether one is on its way. */
function prospects({ participant, role, row }, state, target) {
  const off = !row.own && (row[role] === 'muted' || row[role] === 'none');
  const stalled = row[role] === 'stalled' && target !== 'p2p';
  if (off || row.own) return { off, stalled, expects: false };
  if (target === 'p2p') return { off, stalled, expects: true };
  const has = state.slots.some((slot) => slot.participant === participant && slot.role === role);
  // Before the first table nobody has one yet.
  return { off, stalled, expects: has || state.slots.length === 0 };
}

/** As many as have room; where not all do, those with a picture before those without. */
function select(sources, spot, most) {
  if (sources.length <= most) return sources;
  const rank = (one) => (one === spot ? 0 : one.expects || one.row.own ? 1 : 2);
  const first = new Set([...sources].sort((a, b) => rank(a) - rank(b)).slice(0, most));
  return sources.filter((one) => first.has(one));
}
