import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MESH_DEADLINE } from '../../assets/js/base/config.js';
import { fingerprintOf, isReceiving, judgeOffer, meshPlan, Verdict } from '../../assets/js/call/negotiation.js';
import { Peer } from '../../assets/js/call/peer.js';
import { FakePeerConnection, install } from './fake-peer-connection.mjs';
import { resumeTime, stopTime, tick } from './timers.mjs';

install();
/** Long enough for all promises and for the candidates. */
async function settle() {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
const track = (kind) => ({ kind, getSettings: () => ({ width: 640, height: 360 }) });
const TRACKS = { mic: track('audio'), camera: track('video'), screen: null };

/** Two members whose messages wait until they are delivered. */
class Pair {
  wires = { p1: [], p2: [] };

  /** `offers` names who begins. */
  constructor(...offers) {
    this.make('p1', offers.includes('p1'));
    this.make('p2', offers.includes('p2'));
  }

  make(id, offers) {
    this[id]?.close();
    const other = id === 'p1' ? 'p2' : 'p1';
    this[id] = new Peer(
      {
        id: other,
        polite: id === 'p2',
        configuration: { iceServers: [{ urls: ['stun:x'] }] },
        tracks: () => TRACKS,
        captures: () => new Map([['camera', { width: 320, height: 180, fps: 15, bitrate: 1 }]]),
        send: (data) => this.wires[other].push(JSON.parse(JSON.stringify(data))),
        onMedia() {},
        onState() {},
      },
      offers,
    );
  }

  /** Delivers the next message to `id`; false if there is none. */
  async deliver(id) {
    await settle();
    const message = this.wires[id].shift();
    if (message) this[id].receive(message);
    await settle();
    return message !== undefined;
  }

  /** Delivers everything, whose turn it is being told by `next`. */
  async flow(next = () => 'p1') {
    await settle();
    while (this.wires.p1.length + this.wires.p2.length) {
      const id = next();
      await this.deliver(this.wires[id].length ? id : id === 'p1' ? 'p2' : 'p1');
    }
  }

  assertConnected() {
    const [a, b] = [this.p1.pc, this.p2.pc];
    for (const [one, other] of [
      [a, b],
      [b, a],
    ]) {
      assert.equal(one.signalingState, 'stable');
      assert.equal(fingerprintOf(one.remoteDescription.sdp), `sha-256 ab:${other.fingerprint}`);
      assert.equal(one.remoteDescription.sdp, other.localDescription.sdp, 'each has the other’s last word');
      assert.deepEqual(
        one.transceivers.map(({ kind, direction }) => [kind, direction]),
        [
          ['audio', 'sendrecv'],
          ['video', 'sendrecv'],
          ['video', 'sendrecv'],
        ],
      );
      assert.deepEqual(
        one.transceivers.map(({ sender }) => sender.track),
        [TRACKS.mic, TRACKS.camera, null],
      );
      assert.ok(one.candidates.includes(`c${other.fingerprint}`), 'candidates arrived');
    }
  }

  close() {
    this.p1.close();
    this.p2.close();
  }
}

test('one offers, the other answers, and both send and receive three m-lines', async () => {
  const pair = new Pair('p2');
  await pair.flow();
  pair.assertConnected();
  assert.ok(pair.p1.receiver('mic') && pair.p1.receiver('screen') && pair.p2.receiver('camera'));
  assert.deepEqual(pair.p1.pc.configuration.iceServers, [{ urls: ['stun:x'] }]);
  pair.close();
});

test('offers that cross are settled, in whatever order they arrive', async () => {
  for (let order = 0; order < 64; order += 1) {
    const pair = new Pair('p1', 'p2');
    let turn = 0;
    await pair.flow(() => ((order >> (turn++ % 6)) & 1 ? 'p1' : 'p2'));
    pair.assertConnected();
    pair.close();
  }
});

test('whoever begins anew replaces the connection, and its candidates are not mixed up', async () => {
  for (const id of ['p1', 'p2']) {
    const pair = new Pair('p2');
    await pair.flow();
    const before = [pair.p1.pc, pair.p2.pc];
    pair.make(id, true);
    await pair.flow();
    pair.assertConnected();
    assert.ok(
      before.every((pc) => pc.signalingState === 'closed'),
      'nothing of the old one is left',
    );
    pair.close();
  }
});

test('both begin anew at once', async () => {
  const pair = new Pair('p2');
  await pair.flow();
  pair.p1.begin();
  pair.p2.begin();
  await pair.flow();
  pair.assertConnected();
  pair.close();
});

test('a failed connection is restarted by the side that offered, with the same certificate', async () => {
  const pair = new Pair('p2');
  await pair.flow();
  const before = [pair.p1.pc, pair.p2.pc];
  for (const pc of before) pc.become('failed');
  await pair.flow();
  pair.assertConnected();
  assert.deepEqual([pair.p1.pc, pair.p2.pc], before);
  assert.equal(pair.p2.pc.generation, 1);
  assert.equal(pair.p1.pc.generation, 0);
  pair.close();
});

test('what does not come up is begun anew, first by the side that offers', async () => {
  stopTime();
  const pair = new Pair('p2');
  await settle();
  pair.wires.p1.length = 0;
  tick(MESH_DEADLINE + 1);
  await pair.flow();
  pair.assertConnected();
  for (const id of ['p1', 'p2']) pair[id].pc.become('connected');
  const made = FakePeerConnection.all.length;
  tick(10 * MESH_DEADLINE);
  await settle();
  assert.equal(FakePeerConnection.all.length, made, 'what is up stays');
  pair.close();

  const silent = new Pair();
  await settle();
  assert.equal(silent.p1.pc, null);
  tick(2 * MESH_DEADLINE + 1);
  await silent.flow();
  silent.assertConnected();
  silent.close();
  resumeTime();
});

test('an answer to an offer that is no more is dropped', async () => {
  const pair = new Pair('p2');
  await pair.deliver('p1');
  const late = pair.wires.p2.find((message) => message.description);
  await pair.flow();
  pair.p2.receive(late);
  await settle();
  pair.assertConnected();
  pair.close();
});

test('offers are judged by politeness and by whose certificate they name', () => {
  const judge = (polite, mine) => judgeOffer({ polite, mine, theirs: 'x' });
  for (const polite of [true, false]) {
    assert.equal(judge(polite, null), Verdict.Renew);
    assert.equal(judge(polite, { offering: false, fingerprint: 'x' }), Verdict.Answer);
    assert.equal(judge(polite, { offering: true, fingerprint: 'y' }), Verdict.Renew);
  }
  assert.equal(judge(true, { offering: true, fingerprint: null }), Verdict.Renew);
  assert.equal(judge(false, { offering: true, fingerprint: null }), Verdict.Ignore);
  assert.equal(judge(true, { offering: true, fingerprint: 'x' }), Verdict.Answer);
  assert.equal(judge(false, { offering: true, fingerprint: 'x' }), Verdict.Ignore);
});

test('the plan: everybody connected who is no viewer, the larger number offers', () => {
  const person = (id, more) => ({ id, connected: true, viewer: false, ...more });
  const people = [
    person('p2'),
    person('p9'),
    person('p10'),
    person('p11', { viewer: true }),
    person('p12', { connected: false }),
  ];
  const room = { mode: 'p2p', participants: people };
  assert.deepEqual(meshPlan({ room, self: 'p9' }), [
    { id: 'p2', polite: true, offers: true },
    { id: 'p10', polite: false, offers: false },
  ]);
  assert.ok(
    meshPlan({ room, self: 'p2' }, { returning: true }).every((one) => one.offers),
    'who returns offers to all',
  );
  assert.deepEqual(meshPlan({ room: { ...room, mode: 'sfu' }, self: 'p9' }), []);
  assert.deepEqual(meshPlan({ room, self: 'p12' }), [], 'not before the own connection is up');
});

test('media arrives from somebody when what they have on arrives', () => {
  const on = { mic: 'live', camera: 'live' };
  const link = (more) => ({ state: 'connected', since: 9_000, mic: 9_990, camera: 9_990, ...more });
  const receiving = (person, more) => isReceiving(person, link(more), 10_000);
  assert.ok(receiving(on));
  assert.ok(!receiving(on, { state: 'disconnected' }));
  assert.ok(!receiving(on, { camera: null }), 'the picture is waited for');
  assert.ok(receiving(on, { camera: null, since: 8_000 }), 'but not for ever');
  assert.ok(!receiving(on, { mic: null, camera: 5_000, since: 0 }), 'nothing comes any more');
  assert.ok(receiving({ mic: 'muted', camera: 'muted' }, { mic: null, camera: null }), 'who has nothing on is reached');
  assert.ok(receiving({ mic: 'stalled', camera: 'none' }), 'the server gets nothing, and need not');
});
