import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { MESH_FAREWELL } from '../../assets/js/base/config.js';
import { createStore } from '../../assets/js/base/state.js';
import { Mesh } from '../../assets/js/call/mesh.js';
import { FakePeerConnection, install } from './fake-peer-connection.mjs';
import { resumeTime, stopTime, tick } from './timers.mjs';

install();

const FRESH = 100;
let clock = 0;

beforeEach(() => {
  stopTime();
  clock = 50_000;
  mock.method(performance, 'now', () => clock);
});
afterEach(() => {
  resumeTime();
  mock.restoreAll();
});

async function settle() {
  for (let i = 0; i < 4; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets time pass, a tick of the mesh at a time. */
async function pass(ms) {
  for (let gone = 0; gone < ms; gone += FRESH) {
    clock += FRESH;
    tick(FRESH);
    await settle();
  }
}

const person = (id, more) => ({
  id,
  name: id,
  speaking: false,
  hand: false,
  mic: 'live',
  camera: 'live',
  screen: 'none',
  viewer: false,
  connected: true,
  view: null,
  ...more,
});

/** A page: its store and mesh. What it sends goes to `room`. */
class Page {
  sent = [];
  used = new Set();
  gone = [];

  constructor(id, room) {
    this.id = id;
    this.store = createStore();
    this.mesh = new Mesh({
      store: this.store,
      media: { tracks: { mic: null, camera: null, screen: null }, onChange() {} },
      iceTransportPolicy: 'all',
      send: (message) => room.take(this, message),
      onMedia: (peer) => this.#receive(peer),
      onGone: (who) => this.gone.push(who),
      inUse: (who) => this.used.has(who),
    });
    this.enter(false);
  }

  enter(returning) {
    this.store.dispatch({ type: 'local/join', room: 'r' });
    this.store.dispatch({ type: 'welcome', participant: this.id, resume: 's' });
    this.mesh.welcome([], returning);
    this.store.dispatch({ type: 'local/connected' });
  }

  /** Media comes from a peer as soon as it is connected. */
  #receive(peer) {
    for (const role of ['mic', 'camera']) {
      peer.receiver(role).getSynchronizationSources = () =>
        peer.state === 'connected' ? [{ timestamp: performance.timeOrigin + clock }] : [];
    }
  }

  reports() {
    return this.sent.filter((message) => message.type === 'mesh').map((message) => message.receiving);
  }

  dones() {
    return this.sent.filter((message) => message.data?.done).map((message) => message.to);
  }
}

/** A server that passes signals on and tells everybody of the room. */
class Room {
  mode = 'p2p';
  pages = [];

  join(id) {
    const page = new Page(id, this);
    this.pages.push(page);
    return page;
  }

  take(page, message) {
    page.sent.push(message);
    if (message.type !== 'signal') return true;
    const to = this.pages.find((one) => one.id === message.to);
    setImmediate(() => to?.mesh.signal({ from: page.id, data: JSON.parse(JSON.stringify(message.data)) }));
    return true;
  }

  async publish(mode = this.mode) {
    this.mode = mode;
    const participants = this.pages.map((page) => person(page.id));
    for (const { store } of this.pages) {
      store.dispatch({ type: 'slots', mode, slots: [] });
      store.dispatch({ type: 'room', mode, layout: 'grid', canvas: { width: 1280, height: 720 }, participants });
    }
    await settle();
  }

  /** The network: every negotiated connection comes up. */
  async connect() {
    await settle();
    for (const pc of FakePeerConnection.all) {
      if (pc.connectionState === 'new' && pc.remoteDescription && pc.signalingState === 'stable')
        pc.become('connected');
    }
    await pass(FRESH);
  }
}

async function three() {
  FakePeerConnection.all.length = 0;
  const room = new Room();
  const pages = ['p1', 'p2', 'p3'].map((id) => room.join(id));
  await room.publish();
  await room.connect();
  return { room, pages };
}

const open = () => FakePeerConnection.all.filter((pc) => pc.connectionState !== 'closed');

test('everybody has a connection with everybody, and says when media comes on all', async () => {
  const { pages } = await three();
  assert.equal(open().length, 6);
  for (const page of pages) {
    const { mesh } = page.store.get();
    assert.ok(mesh.covered, `${page.id}: ${JSON.stringify(mesh)}`);
    assert.deepEqual(
      page.reports().at(-1),
      ['p1', 'p2', 'p3'].filter((id) => id !== page.id),
    );
  }
});

test('a connection that is lost is reported, and one that stays is not again', async () => {
  const {
    pages: [ann],
  } = await three();
  const before = ann.reports().length;
  await pass(2_000);
  assert.equal(ann.reports().length, before);
  ann.mesh.peers.find((peer) => peer.id === 'p3').pc.become('disconnected');
  await pass(FRESH);
  assert.deepEqual(ann.reports().at(-1), ['p2']);
  assert.ok(!ann.store.get().mesh.covered);
});

test('after the mode, a connection ends when both sides are done with it', async () => {
  const {
    room,
    pages: [ann, ben],
  } = await three();
  ann.used.add('p2');
  await room.publish('sfu');
  await pass(500);
  assert.deepEqual(ann.dones(), ['p3']);
  assert.deepEqual(ben.dones(), ['p1', 'p3']);
  assert.deepEqual(
    ann.mesh.peers.map((peer) => peer.id),
    ['p2'],
    'Ann still shows Ben',
  );
  assert.deepEqual(
    ben.mesh.peers.map((peer) => peer.id),
    ['p1'],
  );
  assert.ok(!ann.store.get().mesh.covered);
  ann.used.clear();
  await pass(500);
  assert.equal(open().length, 0);
  assert.deepEqual(ann.gone, ['p3', 'p2']);
});

test('nobody can keep a connection for longer than five seconds', async () => {
  const { room, pages } = await three();
  for (const page of pages) for (const other of pages) page.used.add(other.id);
  await room.publish('mcu');
  await pass(MESH_FAREWELL - 500);
  assert.equal(open().length, 6);
  await pass(1_000);
  assert.equal(open().length, 0);
});

test('a room that comes back to the mode at once keeps its connections', async () => {
  const {
    room,
    pages: [ann, ben],
  } = await three();
  for (const page of [ann, ben]) page.used.add('p1').add('p2');
  const before = ann.mesh.peers.find((peer) => peer.id === 'p2').pc;
  await room.publish('sfu');
  await pass(500);
  await room.publish('p2p');
  await room.connect();
  await pass(500);
  assert.equal(ann.mesh.peers.find((peer) => peer.id === 'p2').pc, before);
  for (const page of room.pages) assert.ok(page.store.get().mesh.covered, page.id);
  await pass(2 * MESH_FAREWELL);
  assert.equal(open().length, 6, 'the old farewell is forgotten');
});

test('whoever leaves is let go of, and whoever joins is reached', async () => {
  const {
    room,
    pages: [ann],
  } = await three();
  room.pages.pop().store.dispatch({ type: 'local/ended', tone: 'info', text: '' });
  await room.publish();
  assert.equal(open().length, 2);
  assert.ok(ann.gone.includes('p3'));
  const dan = room.join('p4');
  await room.publish();
  assert.ok(!ann.store.get().mesh.covered, 'not before they are heard');
  await room.connect();
  assert.ok(ann.store.get().mesh.covered && dan.store.get().mesh.covered);
  assert.deepEqual(ann.reports().at(-1), ['p2', 'p4']);
});

test('whoever comes back begins anew with everybody', async () => {
  const {
    room,
    pages: [ann, ben],
  } = await three();
  const old = ben.mesh.peers.map((peer) => peer.pc);
  ben.store.dispatch({ type: 'local/lost', text: '', attempt: 1, delay: 500 });
  await pass(500);
  assert.ok(
    old.every((pc) => pc.connectionState === 'connected'),
    'while the server is away the mesh goes on',
  );
  ben.store.dispatch({ type: 'welcome', participant: 'p2', resume: 's' });
  ben.mesh.welcome([], true);
  ben.store.dispatch({ type: 'local/connected' });
  const reported = ben.reports().length;
  await room.publish();
  await room.connect();
  await pass(500);
  assert.ok(old.every((pc) => pc.connectionState === 'closed'));
  assert.equal(open().length, 6);
  for (const page of room.pages) assert.ok(page.store.get().mesh.covered, page.id);
  assert.ok(ben.reports().length > reported, 'the server has forgotten what it was told');
  assert.deepEqual(ann.reports().at(-1), ['p2', 'p3']);
});
