import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MODES, MODE_WORDS, ownPaths, VIEWS } from '../../assets/js/modes.js';
import { Sender } from '../../assets/js/sender.js';

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
  assert.deepEqual(real.encodings, [{ active: false, scaleResolutionDownBy: 4, maxFramerate: 15, maxBitrate: 200_000 }]);
  assert.equal(real.degradationPreference, 'maintain-resolution');
  await sender.setTrack(track('video', 640, 360));
  assert.equal(real.encodings[0].scaleResolutionDownBy, 2, 'limits are for every later track');
  await sender.setActive(true);
  assert.equal(real.encodings[0].active, true);
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

test('modes have words, and the paths of one person', () => {
  for (const mode of MODES) for (const key of ['name', 'short', 'about', 'now']) assert.ok(MODE_WORDS[mode][key]);
  assert.deepEqual(VIEWS.map((view) => view.mode), [null, 'mcu', 'sfu']);
  assert.deepEqual(MODES.map((mode) => ownPaths(mode, 4)), [{ up: 1, down: 1 }, { up: 1, down: 3 }, { up: 3, down: 3 }]);
  assert.deepEqual(ownPaths('p2p', 0), { up: 0, down: 0 });
});
