// What an RTCRtpReceiver tells of the media that comes in.

/** When a frame or sound of this receiver was last delivered, ms of performance.now, or null. */
export function lastMedia(receiver) {
  const newest = receiver?.getSynchronizationSources?.().reduce((at, one) => Math.max(at, one.timestamp), 0);
  return newest ? newest - performance.timeOrigin : null;
}
