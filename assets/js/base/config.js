// Constants of the client, in one place.

/** @import {Role} from '../../../tests/client/types/protocol.d.ts' */

/** @typedef {'mic' | 'camera' | 'screen'} UplinkRole What a participant sends. */
/** @typedef {'camera' | 'screen'} VideoRole What a participant shows. */
/** @typedef {'mic' | 'camera'} DeviceRole What a device is opened for. */

/** The only protocol version there is (docs/PROTOCOL.md). */
export const PROTOCOL_VERSION = 1;

/**
 * Forward slots offered of each kind. With more participants than slots the server rotates them.
 */
export const FORWARD_SLOTS = 8;

/** Longest time from opening the WebSocket to `welcome`, ms. */
export const WELCOME_DEADLINE = 10_000;

/** Longest time from `welcome` to a connected peer connection, ms. */
export const MEDIA_DEADLINE = 15_000;

/** Time between two looks of a player at its picture, and at who is there while it rests, ms. */
export const VIEWING_LOOK = 4_000;

/** How long a peer connection may be `disconnected` before it counts as lost, ms. */
export const DISCONNECT_GRACE = 3_000;

/** How long a mesh connection goes on after the room has left mode p2p, ms (docs/PROTOCOL.md). */
export const MESH_FAREWELL = 5_000;

/**
 * How long an offer in the mesh may go unanswered, or a connection stay failed, before the
 * connection is made anew, ms.
 */
export const MESH_DEADLINE = 8_000;

/** The first and the longest delay of the exponential backoff between reconnections, ms. */
export const BACKOFF = Object.freeze({ first: 500, most: 8_000 });

/** How long a `levels` message holds, ms. The server sends five a second while anyone speaks. */
export const LEVEL_HOLD = 700;

/** Limits of the protocol, in characters. */
export const MAX_NAME = 64;
export const MAX_CHAT = 2_000;

/** The uplinks, in the order of their m-lines. */
export const UPLINKS = Object.freeze(/** @type {const} */ (['mic', 'camera', 'screen']));

/** The uplinks that are pictures. */
export const VIDEO_UPLINKS = Object.freeze(/** @type {const} */ (['camera', 'screen']));

/** Whether `role` is an uplink. @param {Role} role @returns {role is UplinkRole} */
export const isUplink = (role) => UPLINKS.some((uplink) => uplink === role);

/**
 * The simulcast encodings a camera is offered in, the smallest first. The server says which of
 * them to send, and how large (`capture`).
 */
export const CAMERA_ENCODINGS = Object.freeze([
  { rid: 'q', scaleResolutionDownBy: 4, active: false },
  { rid: 'h', scaleResolutionDownBy: 2, active: false },
  { rid: 'f', scaleResolutionDownBy: 1 },
]);

/** The m-lines of the offer, in its order. @type {readonly Role[]} */
export const OFFERED_ROLES = Object.freeze([
  ...UPLINKS,
  'mix-audio',
  'mix-video',
  ...Array(FORWARD_SLOTS).fill('forward-audio'),
  ...Array(FORWARD_SLOTS).fill('forward-video'),
]);
