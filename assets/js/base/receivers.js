// What is received: the m-lines of the server, the media of a mesh member, and when it last came.

/** @import {Mid, ParticipantId, Role} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from './config.js' */

/**
 * An m-line of the connection with the server that receives.
 *
 * @typedef {{role: Role, mid: Mid | null, receiver: RTCRtpReceiver}} Downlink
 */

/**
 * A member of the mesh.
 *
 * @typedef {{id: ParticipantId, receiver: (role: UplinkRole) => RTCRtpReceiver | null}} MeshMember
 */

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
