// What is seen while one mode takes the place of another: nothing goes before its replacement is
// there; pure. Times are ms of one clock.

/** @import {Mode, ParticipantId, Role} from '../../../tests/client/types/protocol.d.ts' */

/** Where the picture on the stage comes from. */
export const View = Object.freeze(/** @type {const} */ ({ Composite: 'composite', Tiles: 'tiles' }));

/** @typedef {typeof View[keyof typeof View]} ViewName */

/**
 * @typedef {object} Facts
 * @property {Mode} target how this page is served from now on
 * @property {number} since when that began; in p2p, when `covered` last changed, if that was later
 * @property {number} now
 * @property {boolean} covered whether the mesh reaches everybody
 * @property {{first: number | null, last: number | null}} composite when its first frame after
 *   `since` was shown, and its newest
 * @property {boolean} slotsHeld whether the server still feeds forward slots
 * @property {boolean} direct whether any picture comes from the mesh
 * @property {{ready: boolean, expects: boolean, fresh: boolean}[]} tiles whether each has its
 *   picture, will have one, and moves
 */

/**
 * A picture that a tile could show.
 *
 * @typedef {object} Candidate
 * @property {string} key
 * @property {string} source own, forward or mesh
 * @property {ParticipantId | null} participant who is in it, as signalling says
 * @property {Role | null} role
 * @property {number | null} csrc number of the participant in its newest frame; 0 if it could be
 *   that of several, null where the browser does not tell
 * @property {number} frames shown so far
 * @property {number | null} last when the newest was shown
 * @property {boolean} gone whether its connection has ended
 */

/**
 * A tile that needs a picture. `off` and `stalled` are as in `Source` of tiles.js.
 *
 * @typedef {{participant: ParticipantId, number: number, role: Role, off: boolean, stalled: boolean}} Wanting
 */

/**
 * `current` is the key of the picture that is shown now.
 *
 * @typedef {{target: Mode, now: number, current: string | undefined}} Context
 */

/** How long a tile without its picture may hold up the others before it shows its avatar. */
export const TILE_PATIENCE = 1_500;

/** How long a picture may stand still and yet be waited for. */
export const DEAD = 1_000;

/** How long a camera may show no new frame before its tile shows the avatar. */
export const STALE = 3_000;

/** The same where the server says that it gets nothing of the camera either. */
const STALLED = 500;

/**
 * How long the composite runs before it takes the place of a mesh: the others have only begun to
 * send to the server again, and are initials in it until it has decoded them.
 */
const FILLING = 600;

/** Longest the tiles wait for their slots to be emptied once the composite runs. */
const OVERLAP = 3_000;

/** Longest the tiles stay when neither they nor the composite move. */
const GIVE_UP = 5_000;

/**
 * The view from this moment on, given the one that is `showing`.
 *
 * @param {ViewName} showing
 * @param {Facts} facts
 * @returns {ViewName}
 */
export function nextView(showing, facts) {
  const wanted = facts.target === 'mcu' ? View.Composite : View.Tiles;
  if (showing === wanted) return showing;
  const go = wanted === View.Tiles ? toTiles(facts) : toComposite(facts);
  return go ? wanted : showing;
}

/** @param {Facts} facts */
function toTiles({ now, since, target, covered, composite, tiles }) {
  const waited = now - since;
  const dead = now - (composite.last ?? -Infinity) > DEAD;
  // Those who are not reached directly are still in the composite: it stays while it moves.
  if (target === 'p2p' && !covered) return dead && waited > TILE_PATIENCE;
  return waited > TILE_PATIENCE || tiles.every((tile) => tile.ready || !tile.expects);
}

/** @param {Facts} facts */
function toComposite({ now, since, composite, tiles, slotsHeld, direct }) {
  if (composite.first === null) return now - since > GIVE_UP && !tiles.some((tile) => tile.fresh);
  const moves = now - (composite.last ?? 0) < DEAD;
  const runs = now - composite.first;
  return moves && (!direct || runs > FILLING) && (!slotsHeld || runs > OVERLAP);
}

/**
 * The one of `pictures` that a tile shows, or null for its avatar.
 *
 * @template {Candidate} P
 * @param {Wanting} tile
 * @param {P[]} pictures
 * @param {Context} context
 * @returns {P | null}
 */
export function choosePicture(tile, pictures, context) {
  if (tile.off) return null;
  const order = context.target === 'p2p' ? ['own', 'mesh', 'forward'] : ['own', 'forward', 'mesh'];
  /** @param {P} one */
  const rank = (one) => order.indexOf(one.source) + (one.gone ? order.length : 0);
  return pictures
    .filter((one) => shows(one, tile, context))
    .reduce((best, one) => (best && rank(best) <= rank(one) ? best : one), /** @type {P | null} */ (null));
}

/** @param {Candidate} picture @param {Wanting} tile @param {Context} context */
function shows(picture, tile, context) {
  if (picture.frames === 0) return false;
  if (isStill(picture, tile, context.now) && !holds(picture, context)) return false;
  return picture.source === 'forward'
    ? carries(picture, tile, context)
    : picture.participant === tile.participant && picture.role === tile.role;
}

/**
 * Whether a picture stands still that should not: a screen may, and an own camera without frames is
 * still on.
 *
 * @param {Candidate} picture
 * @param {Wanting} tile
 * @param {number} now
 */
function isStill({ source, last }, { role, stalled }, now) {
  if (role === 'screen' || source === 'own') return false;
  return now - (last ?? 0) > (stalled ? STALLED : STALE);
}

/**
 * Whether a forward slot shows the tile's participant: the `slots` message and the newest frame
 * have to agree.
 *
 * @param {Candidate} picture
 * @param {Wanting} tile
 * @param {Context} context
 */
function carries(picture, tile, { target, current }) {
  if (picture.csrc !== null && picture.csrc !== tile.number) return false;
  if (picture.participant === tile.participant && picture.role === tile.role) return true;
  // On the way out of forwarding the slot is empty already, and its last frame says whose it is.
  const leaving = target !== 'sfu' || picture.gone;
  return leaving && picture.participant === null && picture.csrc === tile.number && picture.key === current;
}

/** The source of pictures in each mode. */
const SOURCE = { mcu: null, sfu: 'forward', p2p: 'mesh' };

/**
 * Whether a picture stays for a while after its last frame, as its replacement is on the way.
 *
 * @param {Candidate} picture
 * @param {Context} context
 */
const holds = (picture, { target, now, current }) =>
  picture.key === current &&
  now - (picture.last ?? 0) < GIVE_UP &&
  (picture.gone || (picture.source !== 'own' && picture.source !== SOURCE[target]));
