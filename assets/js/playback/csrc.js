// Whose a forwarded frame is, by what the frame itself says; pure.
//
// Every packet of a forward m-line carries the number of its participant as CSRC, so that a
// picture and the name under it cannot be told apart by the race between media and signalling.
// A browser lists the CSRCs of the last ten seconds, each with the RTP timestamp of the newest
// frame that left the decoder. What that says of the frame *on the screen*, whose RTP timestamp
// requestVideoFrameCallback gives, differs:
//
// - Chromium (156) is ahead of the screen, by up to five frames on a busy machine. The frame
//   belongs to one of those whose newest frame is not older than it. Where they are several, a
//   handover is on its way, and the frame is nobody's for certain.
// - Firefox (ESR 153) is one frame behind. Then the newest entry is the best there is, and it is
//   asked again a moment later.
// - A browser that lists none (Safari, on video) leaves it to the `slots` message.

/**
 * Whether RTP timestamp `a` is not older than `b`; they wrap at 2^32.
 *
 * @param {number} a
 * @param {number} b
 */
const notOlder = (a, b) => (a - b) >>> 0 < 0x8000_0000;

/**
 * The number of the participant whose a frame is, and whether that is certain. It is null when
 * nothing is known, and 0, which is nobody's number, when it could be that of several.
 *
 * @param {Pick<RTCRtpContributingSource, 'source' | 'rtpTimestamp' | 'timestamp'>[] | undefined} sources
 *   as getContributingSources gives them
 * @param {number | undefined} rtpTimestamp of the frame
 * @returns {{number: number | null, certain: boolean}}
 */
export function csrcOf(sources, rtpTimestamp) {
  if (!sources?.length) return { number: null, certain: false };
  const newest = sources.reduce((best, one) => (one.timestamp > best.timestamp ? one : best));
  if (rtpTimestamp === undefined) return { number: newest.source, certain: false };
  const candidates = sources.filter((one) => notOlder(one.rtpTimestamp, rtpTimestamp));
  if (!candidates.length) return { number: newest.source, certain: false };
  return { number: candidates.length > 1 ? 0 : candidates[0].source, certain: candidates.length === 1 };
}
