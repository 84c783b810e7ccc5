import assert from 'node:assert/strict';
import { test } from 'node:test';

import { OFFERED_ROLES } from '../../assets/js/base/config.js';
import { dbovOf, levelFraction } from '../../assets/js/base/levels.js';
import { randomRoom, roomFromPath, roomIdFrom } from '../../assets/js/base/room-name.js';
import { backoffDelay } from '../../assets/js/base/backoff.js';
import { encodingFor } from '../../assets/js/call/encodings.js';
import { signallingUrl } from '../../assets/js/call/signalling.js';
import { initials } from '../../assets/js/ui/avatar.js';
import { tilePlacement } from '../../assets/js/ui/placement.js';

test('retries start soon, slow down to 8 s, and are spread', () => {
  const longest = [0, 1, 2, 3, 4, 5, 2000].map((attempt) => backoffDelay(attempt, () => 1));
  assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
  assert.deepEqual(
    [0, 2, 9].map((attempt) => backoffDelay(attempt, () => 0)),
    [500, 1000, 4000],
  );
});

test('tiles are placed in percent of the canvas and never beyond it', () => {
  const canvas = { width: 1280, height: 720 };
  assert.deepEqual(tilePlacement({ x: 640, y: 360, w: 640, h: 360 }, canvas), {
    left: '50%',
    top: '50%',
    width: '50%',
    height: '50%',
  });
  assert.deepEqual(tilePlacement({ x: 960, y: 0, w: 640, h: 900 }, canvas), {
    left: '75%',
    top: '0%',
    width: '25%',
    height: '100%',
  });
  assert.equal(tilePlacement({ x: 0, y: 0, w: 1, h: 1 }, { width: 0, height: 0 }), null);
});

test('a capture message scales down to fit the tile, never up', () => {
  const capture = { width: 320, height: 180, fps: 15, bitrate: 200_000 };
  assert.deepEqual(encodingFor(capture, { width: 1280, height: 720 }), {
    scaleResolutionDownBy: 4,
    maxFramerate: 15,
    maxBitrate: 200_000,
  });
  assert.equal(encodingFor(capture, { width: 640, height: 480 }).scaleResolutionDownBy, 480 / 180);
  assert.equal(encodingFor(capture, { width: 160, height: 90 }).scaleResolutionDownBy, 1);
  assert.deepEqual(encodingFor({ width: 0, height: 0, fps: 0, bitrate: 0 }, {}), { scaleResolutionDownBy: 1 });
});

test('levels fill their meter between -60 and -12 dBov', () => {
  assert.deepEqual([-127, -60, -36, -12, 0, NaN, undefined].map(levelFraction), [0, 0, 0.5, 1, 1, 0, 0]);
  assert.equal(dbovOf([]), -127);
  assert.equal(dbovOf(new Float32Array(8)), -127);
  assert.equal(Math.round(dbovOf([1, -1, 1, -1])), 0);
  assert.equal(Math.round(dbovOf([0.1, -0.1])), -20);
});

test('initials take whole characters', () => {
  assert.deepEqual(['Ann Bergström', 'ben', ' ', 'A B C', '𝒳avier'].map(initials), ['AB', 'B', '?', 'AC', '𝒳']);
});

test('what people type becomes a room id the server takes', () => {
  assert.equal(roomIdFrom('  Café der Künste! '), 'Cafe-der-Kunste');
  assert.equal(roomIdFrom('a/b\\c'), 'abc');
  assert.equal(roomIdFrom('日本'), '');
  assert.equal(roomIdFrom('x'.repeat(99)).length, 64);
});

test('random rooms are valid ids at both ends of chance', () => {
  for (const random of [() => 0, () => 0.999999, Math.random]) {
    const room = randomRoom(random);
    assert.match(room, /^[a-z]+-[a-z]+-\d\d$/);
    assert.equal(roomIdFrom(room), room);
  }
});

test('the room is read from the path', () => {
  assert.equal(roomFromPath('/r/team-7'), 'team-7');
  assert.equal(roomFromPath('/r/team%207/'), 'team-7');
  for (const path of ['/', '/r/', '/r/a/b', '/r/%', '/x/team']) assert.equal(roomFromPath(path), null);
});

test('the offer is mic, camera, screen, the mix, then eight slots of each kind', () => {
  assert.deepEqual(OFFERED_ROLES.slice(0, 5), ['mic', 'camera', 'screen', 'mix-audio', 'mix-video']);
  assert.deepEqual(OFFERED_ROLES.slice(5), [...Array(8).fill('forward-audio'), ...Array(8).fill('forward-video')]);
});

test('signalling is as safe as the page', () => {
  assert.equal(signallingUrl({ protocol: 'http:', host: 'h:8080' }), 'ws://h:8080/ws');
  assert.equal(signallingUrl({ protocol: 'https:', host: 'h' }), 'wss://h/ws');
});
