// A detector of active speakers in the mesh, where no server names them: levels with a hysteresis;
// pure.

/** @import {ParticipantId} from '../../../tests/client/types/protocol.d.ts' */

/** Somebody begins to speak above the first level and goes on above the second, dBov. */
const START = -42;
const STOP = -50;
/** How long somebody still counts as speaking below that, ms. */
const HANGOVER = 600;

/**
 * The speakers after levels were read at `now`, as `{[id]: lastLoudAt}`; `before` are those of the
 * last time, `levels` dBov by participant.
 *
 * @param {{[id: ParticipantId]: number}} before
 * @param {{[id: ParticipantId]: number}} levels
 * @param {number} now
 */
export function nextSpeaking(before, levels, now) {
  /** @type {{[id: ParticipantId]: number}} */
  const after = {};
  for (const [id, dbov] of Object.entries(levels)) {
    /** @type {number | undefined} */
    const since = before[id];
    if (dbov > START || (since !== undefined && dbov > STOP)) after[id] = now;
    else if (since !== undefined && now - since < HANGOVER) after[id] = since;
  }
  return after;
}
