// The scene of a stage: which tile is the large one, and where all of them are. The composite of
// the server follows the same rule, and both are tested with tests/data/scenes.json; pure.

/** @import {LayoutKind, ParticipantId, Role, Size} from '../../../tests/client/types/protocol.d.ts' */

import { tileRects } from './layout.js';

/**
 * What the choice of the large tile depends on.
 *
 * @typedef {object} Choice
 * @property {readonly {participant: ParticipantId, role: Role}[]} shown the tiles in their order
 * @property {ParticipantId | null} pinned
 * @property {ParticipantId | null} lastSpeaker
 */

/**
 * The index of the large tile. In a grid that is the first shared screen, -1 without one. In a spotlight
 * it is the camera of the pinned participant, else the first shared screen, else the camera of the last
 * speaker, else the first tile; -1 where there are no tiles.
 *
 * @param {LayoutKind} layout
 * @param {Choice} choice
 */
export function largeTile(layout, { shown, pinned, lastSpeaker }) {
  /** @param {ParticipantId | null} id */
  const camera = (id) => shown.findIndex((one) => one.participant === id && one.role === 'camera');
  const screen = shown.findIndex((one) => one.role === 'screen');
  if (layout !== 'spotlight') return screen;
  const found = [camera(pinned), screen, camera(lastSpeaker)].find((at) => at >= 0);
  return found ?? (shown.length ? 0 : -1);
}

/**
 * A scene: `large` is the index that `largeTile` gives, `rects` the rectangle of each tile, null
 * where it has no room.
 *
 * @param {Choice & {canvas: Size, layout: LayoutKind}} stage
 */
export function scene({ canvas, layout, ...choice }) {
  const large = largeTile(layout, choice);
  return { large, rects: tileRects(canvas, layout, choice.shown.length, large) };
}
