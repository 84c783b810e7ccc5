// What a sender is told of its encodings, from `capture` messages; pure.

/**
 * The sender parameters that obey a `capture` message for a track with these settings: the
 * picture fits into the tile and is never enlarged.
 */
export function encodingFor(capture, settings) {
  const over = (have, want) => (have > 0 && want > 0 ? have / want : 1);
  const encoding = {
    scaleResolutionDownBy: Math.max(1, over(settings.width, capture.width), over(settings.height, capture.height)),
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
    return {
      ...(limits[i] ?? { scaleResolutionDownBy: neighbour?.scaleResolutionDownBy ?? 1 }),
      active: Boolean(asked[i]),
    };
  });
}
