// The tiles of a stage that the page draws: who has one, and where; pure.

/** @import {Mode, ParticipantId} from '../../../tests/client/types/protocol.d.ts' */
/** @import {VideoRole} from '../base/config.js' */
/** @import {Row, State} from '../base/state.js' */
/** @import {Rect} from './layout.js' */

import { numberOf, sourceKey } from '../base/participant.js';
import { people } from '../base/state.js';
import { capacity } from './layout.js';
import { largeTile, scene } from './scene.js';

/**
 * Something that can have a tile.
 *
 * @typedef {object} Source
 * @property {string} key
 * @property {ParticipantId} participant
 * @property {number} number of the participant, as CSRCs carry it
 * @property {VideoRole} role
 * @property {Row} row
 * @property {boolean} off no picture is shown, for the participant has turned it off
 * @property {boolean} stalled the server gets no picture
 * @property {boolean} expects a picture will come
 */

/** @typedef {Source & Rect} Tile */

/**
 * The tile that stands for everybody without one; `rows` are those people.
 *
 * @typedef {{rows: Row[]} & Rect} More
 */

/**
 * The tiles of the stage in the order of the composite, and where there are too many people one
 * more tile that counts the others.
 *
 * @param {State} state
 * @param {Mode} target how this page is served
 * @returns {{tiles: Tile[], more: More | null}}
 */
export function stageTiles(state, target) {
  const { room } = state;
  if (!room) return { tiles: [], more: null };
  const sources = people(state)
    .filter((row) => !row.viewer && (row.connected || row.own || state.mesh.receiving.includes(row.id)))
    .sort((a, b) => numberOf(a.id) - numberOf(b.id))
    .flatMap((row) => {
      const camera = source(row, 'camera', state, target);
      return row.screen === 'live' ? [camera, source(row, 'screen', state, target)] : [camera];
    });
  const choice = { pinned: room.pinned, lastSpeaker: state.lastSpeaker };
  const spot = sources[largeTile(room.layout, { shown: sources, ...choice })];
  const shown = select(sources, spot, capacity(room.layout, spot !== undefined));
  const { rects } = scene({ canvas: room.canvas, layout: room.layout, shown, ...choice });
  const tiles = shown.flatMap((one, i) => {
    const rect = rects[i];
    return rect ? [{ ...one, ...rect }] : [];
  });
  const hidden = sources.filter((one) => !shown.includes(one));
  // The last place counts those without a tile, and the one whose place it was.
  const last = tiles.findLast((one) => one.key !== spot?.key);
  if (!hidden.length || !last) return { tiles, more: null };
  const { x, y, w, h } = last;
  const rows = [last, ...hidden].map((one) => one.row);
  return { tiles: tiles.filter((one) => one !== last), more: { rows: [...new Set(rows)], x, y, w, h } };
}

/**
 * @param {Row} row
 * @param {VideoRole} role
 * @param {State} state
 * @param {Mode} target
 * @returns {Source}
 */
const source = (row, role, state, target) => ({
  key: sourceKey({ participant: row.id, role }),
  participant: row.id,
  number: numberOf(row.id),
  role,
  row,
  ...prospects(row, role, state, target),
});

/**
 * Whether a picture is shown at all, and whether one will come.
 *
 * @param {Row} row
 * @param {VideoRole} role
 * @param {State} state
 * @param {Mode} target
 */
function prospects(row, role, state, target) {
  const off = !row.own && (row[role] === 'muted' || row[role] === 'none');
  const stalled = row[role] === 'stalled' && target !== 'p2p';
  if (off || row.own) return { off, stalled, expects: false };
  if (target === 'p2p') return { off, stalled, expects: true };
  const has = state.slots.some((slot) => slot.participant === row.id && slot.role === role);
  // Before the first `slots` message nobody has one yet.
  return { off, stalled, expects: has || state.slots.length === 0 };
}

/**
 * As many sources as there is room for. If that is not all, those with a picture go before those
 * without, and the large one before all others.
 *
 * @param {Source[]} sources
 * @param {Source | undefined} spot
 * @param {number} most
 */
function select(sources, spot, most) {
  if (sources.length <= most) return sources;
  /** @param {Source} one */
  const rank = (one) => (one === spot ? 0 : one.expects || one.row.own ? 1 : 2);
  const first = new Set([...sources].sort((a, b) => rank(a) - rank(b)).slice(0, most));
  return sources.filter((one) => first.has(one));
}
