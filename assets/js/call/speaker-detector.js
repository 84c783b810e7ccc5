// Who speaks, where no server says so: levels of the mesh, with a hysteresis; pure.

/** Louder than this begins to speak, softer than that for a while is silent, dBov. */
const START = -42;
const STOP = -50;
const HANGOVER = 600;

/**
 * Who speaks after levels were read at `now`: `{[id]: lastLoudAt}`, given who did `before`.
 * `levels` are dBov by participant.
 */
export function nextSpeaking(before, levels, now) {
  const after = {};
  for (const [id, dbov] of Object.entries(levels)) {
    const since = before[id];
    if (dbov > START || (since !== undefined && dbov > STOP)) after[id] = now;
    else if (since !== undefined && now - since < HANGOVER) after[id] = since;
  }
  return after;
}
