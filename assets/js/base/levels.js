// Sound levels in dBov (RFC 6464): 0 is the loudest, -127 silence; pure.

const QUIETEST = -60;
const LOUDEST = -12;

/**
 * How far a level fills its meter: 0 at -60 dBov and below, 1 at -12 dBov and above.
 *
 * @param {number | undefined} dbov
 */
export function levelFraction(dbov) {
  if (dbov === undefined || !Number.isFinite(dbov)) return 0;
  return Math.min(1, Math.max(0, (dbov - QUIETEST) / (LOUDEST - QUIETEST)));
}

/** RMS level in dBov of samples in -1..1. @param {ArrayLike<number> & Iterable<number>} samples */
export function dbovOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length && sum > 0 ? Math.max(-127, 10 * Math.log10(sum / samples.length)) : -127;
}

/** A linear level of 0..1, as browsers report it, in dBov. @param {number} level */
export const dbovOfLevel = (level) => (level > 0 ? Math.max(-127, 20 * Math.log10(level)) : -127);
