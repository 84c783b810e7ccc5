// The codecs of each m-line, the preferred one first.

/** @import {Role} from '../../../tests/client/types/protocol.d.ts' */

/** @type {{[role in Role]: string[]}} */
const CODECS = {
  mic: ['opus'],
  camera: ['vp8', 'h264', 'vp9'],
  screen: ['vp8', 'h264', 'vp9'],
  'mix-audio': ['opus'],
  'mix-video': ['h264', 'vp8'],
  'forward-audio': ['opus'],
  'forward-video': ['vp8', 'h264', 'vp9'],
};

/** Whether an m-line of this role carries sound. @param {Role} role */
export const isAudio = (role) => role === 'mic' || role.endsWith('-audio');

/**
 * Moves the codecs wanted for `role` to the front, where the browser can.
 *
 * @param {RTCRtpTransceiver} transceiver
 * @param {Role} role
 */
export function preferCodecs(transceiver, role) {
  const wanted = CODECS[role];
  const known = RTCRtpReceiver.getCapabilities?.(transceiver.receiver.track.kind)?.codecs ?? [];
  /** @param {RTCRtpCodec} codec */
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
