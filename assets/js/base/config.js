// Constants of the client, in one place.

/** The only protocol version there is (docs/PROTOCOL.md). */
export const PROTOCOL_VERSION = 1;

/** Forward slots offered of each kind; people beyond them take turns. */
export const FORWARD_SLOTS = 8;

/** Longest the server may take from the first byte to `welcome`, ms. */
export const WELCOME_DEADLINE = 10_000;

/** Longest from `welcome` to a connected peer connection, ms. */
export const MEDIA_DEADLINE = 15_000;

/** How long a peer connection may be `disconnected` before it counts as lost, ms. */
export const DISCONNECT_GRACE = 3_000;

/** How long a mesh connection goes on after the room left that mode, ms (docs/PROTOCOL.md). */
export const MESH_FAREWELL = 5_000;

/** How long an offer in the mesh may go unanswered, or a connection fail, before a new start, ms. */
export const MESH_DEADLINE = 8_000;

/** Reconnection delays: exponential between these, ms. */
export const BACKOFF = Object.freeze({ first: 500, most: 8_000 });

/** A level message holds this long, ms; the server sends five a second while somebody speaks. */
export const LEVEL_HOLD = 700;

/** Limits of the protocol, in characters. */
export const MAX_NAME = 64;
export const MAX_CHAT = 2_000;

/** What a participant sends. */
export const UPLINKS = Object.freeze(['mic', 'camera', 'screen']);

/**
 * The encodings a camera is offered in, the smallest first. Which of them are sent, and how large,
 * is for the server to say.
 */
export const CAMERA_ENCODINGS = Object.freeze([
  { rid: 'q', scaleResolutionDownBy: 4, active: false },
  { rid: 'h', scaleResolutionDownBy: 2, active: false },
  { rid: 'f', scaleResolutionDownBy: 1 },
]);

/** The m-lines of the offer, in its order. */
export const OFFERED_ROLES = Object.freeze([
  ...UPLINKS,
  'mix-audio',
  'mix-video',
  ...Array(FORWARD_SLOTS).fill('forward-audio'),
  ...Array(FORWARD_SLOTS).fill('forward-video'),
]);
