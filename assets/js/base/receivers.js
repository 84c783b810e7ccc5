// What an RTCRtpReceiver tells of the media that comes in.

/**
 * When a frame or a sound of this receiver was last delivered, ms of performance.now(); null
 * before the first.
 *
 * @param {RTCRtpReceiver | null | undefined} receiver
 */
export function lastMedia(receiver) {
  const sources = receiver?.getSynchronizationSources?.();
  const newest = sources?.reduce((at, one) => Math.max(at, one.timestamp), 0);
  return newest ? newest - performance.timeOrigin : null;
}
