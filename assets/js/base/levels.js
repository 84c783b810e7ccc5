// Sound levels in dBov (RFC 6464): 0 is the loudest, -127 silence; pure.

const QUIETEST = -60;
const LOUDEST = -12;

/** How far a level in dBov fills its meter: 0 at -60 and below, 1 at -12 and above. */
export function levelFraction(dbov) {
  if (!Number.isFinite(dbov)) return 0;
  return Math.min(1, Math.max(0, (dbov - QUIETEST) / (LOUDEST - QUIETEST)));
}

/** RMS level in dBov of samples in -1..1. */
export function dbovOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length && sum > 0 ? Math.max(-127, 10 * Math.log10(sum / samples.length)) : -127;
}

/** A level of 0..1, as browsers give it, in dBov. */
export const dbovOfLevel = (level) => (level > 0 ? Math.max(-127, 20 * Math.log10(level)) : -127);
