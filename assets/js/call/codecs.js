// The codecs of each m-line, the preferred first.

const CODECS = {
  mic: ['opus'],
  camera: ['vp8', 'h264', 'vp9'],
  screen: ['vp8', 'h264', 'vp9'],
  'mix-audio': ['opus'],
  'mix-video': ['h264', 'vp8'],
  'forward-audio': ['opus'],
  'forward-video': ['vp8', 'h264', 'vp9'],
};

/** Whether an m-line of this role carries sound. */
export const isAudio = (role) => role === 'mic' || role.endsWith('-audio');

/** Where the browser can, moves the codecs wanted for `role` to the front. */
export function preferCodecs(transceiver, role) {
  const wanted = CODECS[role];
  const known = RTCRtpReceiver.getCapabilities?.(transceiver.receiver.track.kind)?.codecs ?? [];
  const rank = (codec) => {
    const at = wanted.indexOf(codec.mimeType.split('/')[1].toLowerCase());
    return at < 0 ? wanted.length : at;
  };
  try {
    // Reordered, not filtered: Firefox leaves the feedback lines of a codec left out in its
    // offer, and Chromium, for one, refuses to read that.
    transceiver.setCodecPreferences?.([...known].sort((a, b) => rank(a) - rank(b)));
  } catch (error) {
    console.warn('codec preferences refused', error);
  }
}
