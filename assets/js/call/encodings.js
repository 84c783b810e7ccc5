// The encoding parameters of a sender, from `capture` messages; pure.

/** @import {LayerCapture, ServerMessage} from '../../../tests/client/types/protocol.d.ts' */

/** @typedef {Omit<Extract<ServerMessage, {type: 'capture'}>, 'type'>} Capture */

/** @param {number | undefined} have @param {number | undefined} want */
const over = (have, want) => (have && want && have > 0 && want > 0 ? have / want : 1);

/**
 * The encoding parameters that obey a `capture` message for a track with these settings. The
 * picture is scaled down until it fits into the tile, and never up.
 *
 * @param {{width?: number, height?: number, fps?: number, bitrate?: number}} capture
 * @param {MediaTrackSettings} settings
 */
export function encodingFor(capture, settings) {
  /** @type {RTCRtpEncodingParameters} */
  const encoding = {
    scaleResolutionDownBy: Math.max(1, over(settings.width, capture.width), over(settings.height, capture.height)),
  };
  if (capture.fps && capture.fps > 0) encoding.maxFramerate = capture.fps;
  if (capture.bitrate && capture.bitrate > 0) encoding.maxBitrate = capture.bitrate;
  return encoding;
}

/**
 * The parameters of each of a camera's simulcast encodings, called `rids`, the smallest first.
 * Those that `capture.layers` names are active; before the first message the largest alone is. A
 * browser wants their sizes to grow from each to the next, those of inactive ones too.
 *
 * @param {(string | undefined)[]} rids
 * @param {Capture | null} capture
 * @param {MediaTrackSettings | undefined} settings
 * @returns {RTCRtpEncodingParameters[]}
 */
export function encodingsFor(rids, capture, settings) {
  /** @type {Partial<LayerCapture>[]} */
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
