// Arithmetic on tiles, levels and pictures; pure.

const percent = (part, whole) => `${+((100 * Math.min(Math.max(part, 0), whole)) / whole).toFixed(3)}%`;

/** Where a tile stands over the composite, as CSS percentages that survive any scaling. */
export function tilePlacement(tile, canvas) {
  if (!(canvas.width > 0 && canvas.height > 0)) return null;
  return {
    left: percent(tile.x, canvas.width),
    top: percent(tile.y, canvas.height),
    width: percent(Math.min(tile.w, canvas.width - tile.x), canvas.width),
    height: percent(Math.min(tile.h, canvas.height - tile.y), canvas.height),
  };
}

/** A tile's identity across `room` messages: one person can fill a camera and a screen tile. */
export const tileKey = (tile) => `${tile.participant}/${tile.role}`;

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

/**
 * The sender parameters that obey a `capture` message for a track with these settings: the
 * picture fits into the tile and is never enlarged.
 */
export function encodingFor(capture, settings) {
  const over = (have, want) => (have > 0 && want > 0 ? have / want : 1);
  const encoding = {
    scaleResolutionDownBy: Math.max(
      1,
      over(settings.width, capture.width),
      over(settings.height, capture.height),
    ),
  };
  if (capture.fps > 0) encoding.maxFramerate = capture.fps;
  if (capture.bitrate > 0) encoding.maxBitrate = capture.bitrate;
  return encoding;
}

/**
 * The same for each of a camera's encodings (simulcast), called `rids`, the smallest first: those
 * that `capture.layers` asks for are active, before the first message the largest alone. A browser
 * wants their sizes to grow from each to the next, those of inactive ones too.
 */
export function encodingsFor(rids, capture, settings) {
  const layers = capture?.layers ?? [{ rid: rids.at(-1) }];
  const asked = rids.map((rid) => layers.find((one) => one.rid === rid));
  const limits = asked.map((layer) => layer && encodingFor({ fps: capture?.fps ?? 0, ...layer }, settings ?? {}));
  return rids.map((_, i) => {
    const neighbour = limits.slice(i).find(Boolean) ?? limits.findLast(Boolean);
    return { ...(limits[i] ?? { scaleResolutionDownBy: neighbour?.scaleResolutionDownBy ?? 1 }), active: Boolean(asked[i]) };
  });
}

/** Up to two initials of a name, for an avatar. */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = (word) => [...word][0] ?? '';
  const last = words.length > 1 ? first(words[words.length - 1]) : '';
  return ((first(words[0] ?? '') || '?') + last).toUpperCase();
}

/** How many grounds there are for avatars; the composite has the same (src/media/mixer/card.rs). */
export const TONES = 10;

/** The ground behind the initials of participant `id`, the one the composite gives them. */
export const avatarTone = (id) => Number(String(id).slice(1)) % TONES || 0;
