// What is shown while one way of being served replaces another: nothing goes before what
// replaces it is there; pure. Times are ms of one clock.

/** Where the picture on the stage comes from. */
export const View = Object.freeze({ Composite: 'composite', Tiles: 'tiles' });

/** How long a tile without its picture may hold the others up before it shows its avatar. */
export const TILE_PATIENCE = 1_500;

/** A picture that stood still for this long is no reason to wait. */
export const DEAD = 1_000;

/** A camera without a frame for this long gives way to its avatar; sooner if the server says so. */
export const STALE = 3_000;
const STALLED = 500;

/**
 * How long the composite runs before it takes the place of a mesh, ms: the others have only begun
 * to send to the server again, and are initials in it until it has decoded them.
 */
const FILLING = 600;

/** Longest the tiles wait for their slots to empty once the composite runs. */
const OVERLAP = 3_000;

/** Longest the tiles stand when neither they nor the composite move. */
const GIVE_UP = 5_000;

/**
 * The view after this moment, given `showing` now.
 *
 * `target`, and `since` when it holds (in p2p, since the mesh covers everybody, which `covered`
 * says); `composite` `{first, last}`, the times of the first frame after `since` and of the
 * newest; `slotsHeld`, whether the server still feeds slots; `direct`, whether anything comes from
 * the mesh; `tiles`, each `{ready, expects, fresh}`: has its picture, will have one, moves.
 */
export function nextView(showing, facts) {
  const wanted = facts.target === 'mcu' ? View.Composite : View.Tiles;
  if (showing === wanted) return showing;
  const go = wanted === View.Tiles ? toTiles(facts) : toComposite(facts);
  return go ? wanted : showing;
}

function toTiles({ now, since, target, covered, composite, tiles }) {
  const waited = now - since;
  const dead = now - (composite.last ?? -Infinity) > DEAD;
  // Who is not reached directly is still in the composite, so that goes on for as long as it does.
  if (target === 'p2p' && !covered) return dead && waited > TILE_PATIENCE;
  return waited > TILE_PATIENCE || tiles.every((tile) => tile.ready || !tile.expects);
}

function toComposite({ now, since, composite, tiles, slotsHeld, direct }) {
  if (composite.first === null) return now - since > GIVE_UP && !tiles.some((tile) => tile.fresh);
  const moves = now - composite.last < DEAD;
  const runs = now - composite.first;
  return moves && (!direct || runs > FILLING) && (!slotsHeld || runs > OVERLAP);
}

/**
 * Which of `pictures` a tile shows, or null for its avatar.
 *
 * `tile` is `{participant, number, role, off, stalled}`: off while the camera is, stalled when the
 * server gets nothing of it. A picture is `{key, source,
 * participant, role, csrc, frames, last, gone}`: `source` own, forward or mesh; `participant` and
 * `role` what signalling says is in it; `csrc` the number its newest frame carries, null where
 * a browser does not tell; `gone` when its connection is. `context` is `{target, now, current}`,
 * the last being the key of what is shown.
 */
export function choosePicture(tile, pictures, context) {
  if (tile.off) return null;
  const order = context.target === 'p2p' ? ['own', 'mesh', 'forward'] : ['own', 'forward', 'mesh'];
  const rank = (one) => order.indexOf(one.source) + (one.gone ? order.length : 0);
  return pictures
    .filter((one) => shows(one, tile, context))
    .reduce((best, one) => (best && rank(best) <= rank(one) ? best : one), null);
}

function shows(picture, tile, context) {
  if (picture.frames === 0) return false;
  if (isStill(picture, tile, context.now) && !holds(picture, context)) return false;
  return picture.source === 'forward'
    ? carries(picture, tile, context)
    : picture.participant === tile.participant && picture.role === tile.role;
}

/** A screen may stand still, and an own camera that does not deliver is still on. */
function isStill({ source, last }, { role, stalled }, now) {
  if (role === 'screen' || source === 'own') return false;
  return now - last > (stalled ? STALLED : STALE);
}

/** A slot is believed when what was said of it and what its newest frame says agree. */
function carries(picture, tile, { target, current }) {
  if (picture.csrc !== null && picture.csrc !== tile.number) return false;
  if (picture.participant === tile.participant && picture.role === tile.role) return true;
  // On the way out the table is empty already, and the last frame still says whose it is.
  const leaving = target !== 'sfu' || picture.gone;
  return leaving && picture.participant === null && picture.csrc === tile.number && picture.key === current;
}

const SOURCE = { mcu: null, sfu: 'forward', p2p: 'mesh' };

/** What is shown stays for a while after its last frame, when what replaces it is on the way. */
const holds = (picture, { target, now, current }) =>
  picture.key === current &&
  now - picture.last < GIVE_UP &&
  (picture.gone || (picture.source !== 'own' && picture.source !== SOURCE[target]));
