import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MODES, MODE_WORDS, ownPaths, VIEWS } from '../../assets/js/base/modes.js';
import { pictureSizes } from '../../assets/js/call/picture-sizes.js';
import { Sender } from '../../assets/js/call/sender.js';

/** An RTCRtpSender that, like a browser's, refuses parameters that are not the newest it gave. */
class FakeSender {
  track = null;
  encodings = [{ active: true }];
  degradationPreference = undefined;
  transport = { state: 'connected' };
  writes = 0;
  #given = null;

  async replaceTrack(track) {
    await null;
    this.track = track;
  }

  getParameters() {
    this.#given = structuredClone({ encodings: this.encodings });
    return this.#given;
  }

  async setParameters(parameters) {
    assert.equal(parameters, this.#given, 'parameters are of the last getParameters');
    await null;
    this.writes += 1;
    this.#given = null;
    Object.assign(this, structuredClone(parameters));
  }
}

const track = (kind, width = 1280, height = 720) => ({ kind, getSettings: () => ({ width, height }) });
const CAPTURE = { role: 'camera', width: 320, height: 180, fps: 15, bitrate: 200_000 };

test('limits, activity and tracks can be changed at once, and all take effect', async () => {
  const real = new FakeSender();
  const sender = new Sender(real);
  await Promise.all([sender.setTrack(track('video')), sender.setCapture(CAPTURE), sender.setActive(false)]);
  assert.deepEqual(real.encodings, [
    { active: false, scaleResolutionDownBy: 4, maxFramerate: 15, maxBitrate: 200_000 },
  ]);
  assert.equal(real.degradationPreference, 'maintain-resolution');
  await sender.setTrack(track('video', 640, 360));
  assert.equal(real.encodings[0].scaleResolutionDownBy, 2, 'limits are for every later track');
  await sender.setActive(true);
  assert.equal(real.encodings[0].active, true);
});

const ENCODINGS = [
  { rid: 'q', scaleResolutionDownBy: 4, active: false },
  { rid: 'h', scaleResolutionDownBy: 2, active: false },
  { rid: 'f', scaleResolutionDownBy: 1, active: true },
];
const of = (real, key) => real.encodings.map((one) => one[key]);

test('of several encodings those are sent that somebody gets', async () => {
  const real = new FakeSender();
  real.encodings = structuredClone(ENCODINGS);
  const sender = new Sender(real);
  await sender.setTrack(track('video'));
  assert.deepEqual(of(real, 'active'), [false, false, true], 'the largest, until something is asked for');

  const small = { rid: 'q', width: 320, height: 180, bitrate: 150_000 };
  const large = { rid: 'f', width: 1280, height: 720, bitrate: 2_500_000 };
  await sender.setCapture({ ...CAPTURE, layers: [small, large] });
  assert.deepEqual(of(real, 'active'), [true, false, true]);
  assert.deepEqual(of(real, 'scaleResolutionDownBy'), [4, 1, 1]);
  assert.deepEqual([real.encodings[0].maxBitrate, real.encodings[2].maxBitrate], [150_000, 2_500_000]);
  assert.deepEqual([real.encodings[0].maxFramerate, real.encodings[2].maxFramerate], [15, 15]);

  await sender.setCapture({ ...CAPTURE, layers: [{ ...large, width: 427, height: 240 }] });
  assert.deepEqual(of(real, 'active'), [false, false, true]);
  assert.deepEqual(of(real, 'scaleResolutionDownBy'), [3, 3, 3], 'none is larger than the next');
  await sender.setActive(false);
  assert.deepEqual(of(real, 'active'), [false, false, false]);
  await sender.setTrack(track('video', 640, 480));
  await sender.setActive(true);
  assert.deepEqual(of(real, 'scaleResolutionDownBy'), [2, 2, 2]);
});

test('where the server takes one encoding, the smallest becomes it', async () => {
  const real = new FakeSender();
  real.encodings = structuredClone(ENCODINGS.slice(0, 1));
  const sender = new Sender(real);
  await sender.setTrack(track('video'));
  assert.deepEqual(real.encodings, [{ rid: 'q', scaleResolutionDownBy: 1, active: true }]);
  await sender.setCapture(CAPTURE);
  assert.equal(real.encodings[0].scaleResolutionDownBy, 4);
  await sender.setCapture({ ...CAPTURE });
  assert.equal(real.writes, 2);
});

test('what is so already is not written again', async () => {
  const real = new FakeSender();
  const sender = new Sender(real);
  await sender.setTrack(track('video'));
  await sender.setActive(true);
  assert.equal(real.writes, 0);
  await sender.setCapture(CAPTURE);
  await sender.setCapture({ ...CAPTURE });
  assert.equal(real.writes, 1);
});

test('sound that is not wanted has no track, and the newest one when it is', async () => {
  const real = new FakeSender();
  const sender = new Sender(real);
  const [first, second] = [track('audio'), track('audio')];
  await sender.setTrack(first);
  await sender.setActive(false);
  assert.equal(real.track, null);
  await sender.setTrack(second);
  assert.equal(real.track, null);
  await sender.setActive(true);
  assert.equal(real.track, second);
});

test('before the answer there is nothing to write, and after the end nothing to say', async () => {
  const real = new FakeSender();
  const sender = new Sender(real);
  const { encodings } = real;
  real.encodings = [];
  await sender.setCapture(CAPTURE);
  assert.equal(real.writes, 0);
  real.encodings = encodings;
  await sender.setTrack(track('video'));
  assert.equal(real.encodings[0].maxBitrate, 200_000);
  real.transport.state = 'closed';
  await sender.setActive(false);
  assert.equal(real.encodings[0].active, true);
});

test('pictures are told as high as they are drawn', () => {
  const tile = (id, h, more) => ({
    participant: id,
    role: 'camera',
    h,
    row: { own: id === 'p1' },
    off: false,
    ...more,
  });
  const tiles = [tile('p1', 360), tile('p2', 360), tile('p3', 240), tile('p4', 240, { off: true })];
  assert.deepEqual(pictureSizes(tiles, { width: 1280, height: 720 }, 1080), [
    { participant: 'p2', role: 'camera', height: 540 },
    { participant: 'p3', role: 'camera', height: 360 },
  ]);
  assert.equal(pictureSizes(tiles, { width: 1280, height: 720 }, 0)[0].height, 0);
});

test('modes have words, and the paths of one person', () => {
  for (const mode of MODES) for (const key of ['name', 'short', 'about', 'now']) assert.ok(MODE_WORDS[mode][key]);
  assert.deepEqual(
    VIEWS.map((view) => view.mode),
    [null, 'mcu', 'sfu'],
  );
  assert.deepEqual(
    MODES.map((mode) => ownPaths(mode, 4)),
    [
      { up: 1, down: 1 },
      { up: 1, down: 3 },
      { up: 3, down: 3 },
    ],
  );
  assert.deepEqual(ownPaths('p2p', 0), { up: 0, down: 0 });
});
