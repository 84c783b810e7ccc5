// Every failure that a page can meet, in words a person can act on; pure.

/** @import {UplinkRole} from './config.js' */

/**
 * @typedef {'unreachable' | 'silent' | 'closed' | 'network' | 'media' | 'browser'} Loss Why a
 *   connection was lost.
 */

/** @type {{[code: string]: string}} */
const CODES = {
  bad_message: 'The server did not understand this page. Reload it to get the current version.',
  unsupported_version: 'This page and the server speak different versions. Reload the page.',
  bad_room_id: 'That room name cannot be used. Take letters, digits, “-” and “_”, at most 64 of them.',
  bad_name: 'Please give a name of 1 to 64 characters that can all be seen.',
  unauthorized: 'This server asks for a token. Enter the one you were given and join again.',
  forbidden: 'The token you gave does not allow that. Ask whoever runs the server for the other one.',
  host_not_allowed: 'This server does not go by that name. Open its address, or ask whoever runs it to allow the name.',
  origin_not_allowed: 'This server takes calls only from its own pages. Open its address directly.',
  not_joined: 'You are not in the room yet. Reload the page and join again.',
  already_joined: 'This page has joined already. Reload it if the call does not appear.',
  room_full: 'This room is full. Wait for somebody to leave, or choose another room.',
  server_busy: 'The server has no room for more people right now. Try again in a few minutes.',
  shutting_down: 'The server is restarting. Try again in a minute.',
  rate_limited: 'Too many requests from your network. Wait a few seconds and try again.',
  too_large: 'That was too long for the server. Shorten it and try again.',
  bad_offer: 'The server could not read what this browser offered. Try a current Chrome, Edge, Firefox or Safari.',
  too_many_mlines: 'This page asks for more streams than the server allows. Tell whoever runs the server.',
  bad_tracks: 'The server could not match this browser’s streams. Reload the page and try again.',
  unsupported_codec:
    'This browser and the server share no video or audio format. Try a current Chrome, Edge, Firefox or Safari.',
  not_found: 'That is no longer there. The person or the room may have gone.',
  room_exists: 'A room of that name exists already. Choose another name or join it.',
  mode_unavailable:
    'This room cannot change to that. Direct calls take up to six people, all of them in a page like this one, and cannot be recorded: stop recording first.',
  recording_unavailable:
    'Nothing can be recorded here. In a direct call there is nothing at the server: change to Mixed or Forwarded. In any other, this server keeps no recordings; whoever runs it can turn them on with --recordings.',
  too_many_recordings: 'This room is being recorded as often as it may be. Stop one of its recordings first.',
  recording_goes_on: 'That recording still goes on. Stop it, then delete it.',
  storage_full:
    'The server’s disk is too full to record. Delete recordings nobody needs, or tell whoever runs the server.',
  storage_unusable: 'The server cannot write to its folder of recordings. Tell whoever runs it.',
  internal: 'Something went wrong in the server. Try again; if it stays, tell whoever runs it.',
};

/**
 * What to say for an `error` message of the server: words for its `code` or, for an unknown one,
 * its own `message`.
 *
 * @param {string} code
 * @param {string} [message]
 */
export function wordsForCode(code, message) {
  return CODES[code] ?? (message ? `The server refused: ${message}` : 'The server refused the request. Try again.');
}

/**
 * The cause alone of an `error` message, without advice, for a page that tries again by itself.
 *
 * @param {string} code
 * @param {string} [message]
 */
export const causeForCode = (code, message) => `${wordsForCode(code, message).split('. ')[0].replace(/\.$/, '')}.`;

/**
 * What to say when the server wants its token, which is another thing to somebody who gave one.
 *
 * @param {string} given the token that was sent, empty if none was
 * @param {string} otherwise what to say where none was given
 */
export const wordsForToken = (given, otherwise = CODES.unauthorized) =>
  given ? 'That is not this server’s token. Check it and try again.' : otherwise;

/** The codes this page has words for. */
export const KNOWN_CODES = Object.freeze(Object.keys(CODES));

const PASSING = new Set(['server_busy', 'room_full', 'shutting_down', 'rate_limited', 'internal']);

/** Whether a join that was refused with `code` may succeed later. @param {string} code */
export const passesByItself = (code) => PASSING.has(code);

/** @type {{[reason: string]: string}} */
const BYES = {
  left: 'You left the room.',
  server_shutdown: 'The server is restarting.',
  room_closed: 'The room was closed by its operator.',
  removed: 'You were removed from the room by its operator.',
  replaced: 'You are in this room from another window or device now.',
  connection_failed: 'The connection for picture and sound was lost.',
  fingerprint_mismatch:
    'The media connection was not encrypted for this page, so the server closed it. A device on your network may be interfering; try another network.',
  too_slow: 'Your connection was too slow for the server.',
  protocol_error: 'This page and the server do not understand each other. Reload the page.',
  internal: 'Something went wrong in the server.',
};

/** What to say for a `bye` message of the server. @param {string} reason */
export const wordsForBye = (reason) => BYES[reason] ?? 'The server ended the connection.';

const FINAL_BYES = new Set(['left', 'room_closed', 'removed', 'replaced', 'fingerprint_mismatch', 'protocol_error']);

/**
 * Whether the page stays away after a `bye` with `reason`. After all others it comes back by
 * itself.
 *
 * @param {string} reason
 */
export const isFinalBye = (reason) => FINAL_BYES.has(reason);

/** @type {{[cause in Loss]: string}} */
const LOSSES = {
  unreachable: 'The server cannot be reached. Check your network connection and the address, then try again.',
  silent: 'The server did not answer in time.',
  closed: 'The connection to the server was lost.',
  network: 'The network connection was lost.',
  media:
    'Picture and sound cannot get through. A firewall may block UDP; another network or a VPN switched off may help.',
  browser: 'This browser could not set up the call. Reload the page, or try another browser.',
};

/** What to say when the connection could not be made or was lost. @param {Loss} cause */
export const wordsForLoss = (cause) => LOSSES[cause] ?? LOSSES.closed;

/**
 * What is still possible without a device, before a call and in it.
 *
 * @type {{[role in UplinkRole]?: string}}
 */
const WITHOUT = {
  camera: 'Without it the others see your initials.',
  mic: 'Without it you can listen and watch.',
};

const DEVICE = { camera: 'camera', mic: 'microphone', screen: 'screen' };

/** What to say when camera and microphone were refused together. */
export const BOTH_REFUSED =
  'Camera and microphone are blocked for this page. Allow them with the icon beside the address, then choose them again. Without them you can listen and watch.';

/**
 * What to say when a device could not be opened; `error` is that of getUserMedia or
 * getDisplayMedia. Null where there is nothing to say: closing the screen picker is no failure.
 *
 * @param {UplinkRole} role
 * @param {{name?: string, message?: string} | undefined} error
 */
export function wordsForDevice(role, error) {
  const device = DEVICE[role];
  const bySystem = /system/i.test(error?.message ?? '');
  switch (error?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      if (role === 'screen') {
        return bySystem
          ? 'Your system does not let this browser record the screen. Allow it in the system’s privacy settings.'
          : null;
      }
      return bySystem
        ? `Your system does not let this browser use the ${device}. Allow it in the system’s privacy settings, then choose it again.`
        : `The ${device} is blocked for this page. Allow it with the icon beside the address, then choose it again. ${WITHOUT[role]}`;
    case 'NotFoundError':
      return `No ${device} was found. Plug one in and choose it. ${WITHOUT[role] ?? ''}`.trim();
    case 'OverconstrainedError':
      return `The chosen ${device} is not there any more. Choose another one.`;
    case 'NotReadableError':
    case 'AbortError':
      return `The ${device} is in use by another program, or does not respond. Close that program and choose it again.`;
    default:
      return `The ${device} could not be started. Choose another one. ${WITHOUT[role] ?? ''}`.trim();
  }
}

/**
 * Why this browser cannot make a call at all, or null.
 *
 * @param {Window & typeof globalThis} scope
 */
export function environmentProblem(scope) {
  if (!scope.RTCPeerConnection || !scope.RTCPeerConnection.prototype?.addTransceiver) {
    return 'This browser has no WebRTC, which calls need. Use a current Chrome, Edge, Firefox or Safari, and check that no extension turns WebRTC off.';
  }
  if (!scope.WebSocket) return 'This browser has no WebSocket, which calls need. Use a current browser.';
  return null;
}

/** Why camera and microphone cannot be used on this page, or null. @param {Window} scope */
export function captureProblem(scope) {
  if (scope.navigator.mediaDevices?.getUserMedia !== undefined) return null;
  return scope.isSecureContext === false
    ? 'Browsers give camera and microphone only to secure pages. Open this page over https:// (or on localhost) to be seen and heard; listening works here.'
    : 'This browser gives no access to camera and microphone. You can listen and watch.';
}
