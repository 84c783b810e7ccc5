import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  captureProblem,
  causeForCode,
  environmentProblem,
  isFinalBye,
  KNOWN_CODES,
  passesByItself,
  wordsForBye,
  wordsForCode,
  wordsForDevice,
  wordsForLoss,
} from '../../assets/js/base/errors.js';
import { wireNames } from './wire-types.mjs';

/** Only HTTP answers carry these; a page never sends what would bring them. */
const HTTP_ONLY = [
  'unsupported_media_type',
  'ice_restart_unsupported',
  'precondition_failed',
  'precondition_required',
  'method_not_allowed',
];

test('every error code that can meet a page has words', () => {
  const codes = wireNames('ErrorCode').filter((code) => !HTTP_ONLY.includes(code));
  assert.ok(codes.length > 15);
  assert.deepEqual(
    codes.filter((code) => !KNOWN_CODES.includes(code)),
    [],
  );
});

test('an unknown code falls back to the words of the server', () => {
  assert.equal(wordsForCode('brand_new', 'no tiles left'), 'The server refused: no tiles left');
  assert.match(wordsForCode('brand_new'), /Try again/);
});

test('while the page retries by itself it gives causes, not advice', () => {
  assert.equal(causeForCode('server_busy'), 'The server has no room for more people right now.');
  assert.equal(causeForCode('internal'), 'Something went wrong in the server.');
});

test('every bye has words, and only those that pass lead to a reconnection', () => {
  const reasons = wireNames('ByeReason');
  assert.ok(reasons.length > 5);
  for (const reason of reasons) assert.notEqual(wordsForBye(reason), wordsForBye('unheard_of'), reason);
  assert.deepEqual(
    reasons.filter((reason) => !isFinalBye(reason)),
    ['server_shutdown', 'connection_failed', 'too_slow', 'internal'],
  );
});

test('a reconnecting page waits for what passes and gives up on what does not', () => {
  for (const code of ['server_busy', 'rate_limited', 'shutting_down']) assert.ok(passesByItself(code));
  for (const code of ['unauthorized', 'bad_offer', 'unsupported_version']) assert.ok(!passesByItself(code));
});

test('device failures say what to do', () => {
  const failed = (name, message = '') => ({ name, message });
  assert.match(wordsForDevice('camera', failed('NotAllowedError')), /camera is blocked.*Allow it/);
  assert.match(
    wordsForDevice('mic', failed('NotAllowedError', 'Permission denied by system')),
    /system.*microphone|microphone.*system/,
  );
  assert.match(wordsForDevice('mic', failed('NotFoundError')), /No microphone was found/);
  assert.match(wordsForDevice('camera', failed('NotReadableError')), /in use/);
  assert.equal(wordsForDevice('screen', failed('NotAllowedError')), null, 'closing the picker is no failure');
  assert.match(wordsForDevice('camera', undefined), /could not be started/);
  assert.notEqual(wordsForLoss('media'), wordsForLoss('unreachable'));
});

test('a browser that cannot call is told so', () => {
  class Peer {
    addTransceiver() {}
  }
  const good = {
    RTCPeerConnection: Peer,
    WebSocket: Peer,
    isSecureContext: true,
    navigator: { mediaDevices: { getUserMedia() {} } },
  };
  assert.equal(environmentProblem(good), null);
  assert.match(environmentProblem({ ...good, RTCPeerConnection: undefined }), /WebRTC/);
  assert.equal(captureProblem(good), null);
  assert.match(captureProblem({ ...good, isSecureContext: false, navigator: {} }), /https/);
  assert.match(captureProblem({ ...good, navigator: {} }), /listen/);
});
