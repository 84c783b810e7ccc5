import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { meantBy, roomFromPath } from '../../assets/js/base/room-name.js';
import { isAtRest, isEmpty, noticeOf } from '../../assets/js/watch/notice.js';
import { afterRefusal, Viewing } from '../../assets/js/watch/viewing.js';
import { iceServersOf, Refusal, whepUrl } from '../../assets/js/watch/whep.js';
import { resumeTime, stopTime, tick } from './timers.mjs';

test('the page of a player knows its room, and passes on what the server understands', () => {
  assert.equal(roomFromPath('/watch/r1'), 'r1');
  const query = new URLSearchParams('token=s3cret&name=Wall&maxHeight=360&audioOnly=true&x=y');
  assert.equal(whepUrl('r1', query), '/whep/r1?name=Wall&maxHeight=360&audioOnly=true');
  assert.equal(whepUrl('r1', new URLSearchParams('token=s3cret')), '/whep/r1');
});

test('a mistyped path means the room that the form would make of it', () => {
  assert.deepEqual(meantBy('/r/foo%20bar'), { page: 'r', room: 'foo-bar' });
  assert.deepEqual(meantBy('/watch/Café/'), { page: 'watch', room: 'Cafe' });
  assert.deepEqual(meantBy(`/r/${'x'.repeat(65)}`), { page: 'r', room: 'x'.repeat(64) });
  assert.deepEqual(meantBy('/r/100%'), { page: 'r', room: '100' });
  assert.deepEqual(meantBy('/r/<script>//evil.example'), { page: 'r', room: 'scriptevilexample' });
  for (const path of ['/r/', '/watch/', '/r/%20', '/nope', '/rooms/x', '/']) assert.equal(meantBy(path), null, path);
});

test('ICE servers come from Link headers', () => {
  const header =
    '<stun:192.0.2.7:3478>; rel="ice-server", ' +
    '<turn:192.0.2.7:3478?transport=udp>; rel="ice-server"; username="1:r1/p7"; credential="a,b;c="; credential-type="password", ' +
    '</whep/r1/x/layer>; rel="urn:ietf:params:whep:ext:core:layer"';
  assert.deepEqual(iceServersOf(header), [
    { urls: ['stun:192.0.2.7:3478'] },
    { urls: ['turn:192.0.2.7:3478?transport=udp'], username: '1:r1/p7', credential: 'a,b;c=' },
  ]);
  assert.deepEqual(iceServersOf(null), []);
});

test('what is said over the picture', () => {
  const seen = { pictured: true, empty: false };
  const of = (stage, other = {}) => noticeOf({ stage, text: 'Why.' }, { ...seen, ...other });
  assert.equal(of('playing').title, '');
  assert.equal(of('playing', { pictured: false }).title, 'Waiting for the picture…');
  assert.equal(of('playing', { empty: true }).title, 'Nobody is here');
  assert.equal(of('connecting').busy, true);
  assert.deepEqual([of('again').retry, of('again').text], ['Try now', 'Why.']);
  assert.deepEqual([of('token').token, of('token').retry], [true, '']);
  assert.deepEqual([of('ended').busy, of('ended').retry], [false, 'Try again']);
});

test('a picture at rest may be one of nobody', () => {
  assert.equal(isAtRest(20, 4_000), true);
  assert.equal(isAtRest(1, 4_000), true);
  assert.equal(isAtRest(60, 4_000), false);
  assert.equal(isEmpty(null), true);
  assert.equal(isEmpty({ participants: [{ viewer: true }] }), true);
  assert.equal(isEmpty({ participants: [{ viewer: true }, { viewer: false }] }), false);
});

const refusal = (status, code, retryAfter = 0) => new Refusal(status, code, '', retryAfter);

test('a refusal that passes is waited for, another is said', () => {
  assert.equal(afterRefusal(refusal(503, 'server_busy', 10_000), '').delay, 10_000);
  for (const [status, code] of [
    [503, 'server_busy'],
    [409, 'room_full'],
    [429, 'rate_limited'],
    [502, ''],
    [409, 'mode_unavailable'],
  ]) {
    assert.equal(afterRefusal(refusal(status, code), '').stage, 'again', code);
  }
  for (const [status, code] of [
    [422, 'unsupported_codec'],
    [400, 'bad_room_id'],
    [404, ''],
  ]) {
    assert.equal(afterRefusal(refusal(status, code), '').stage, 'ended', code);
  }
  const [none, wrong] = ['', 'x'].map((token) => afterRefusal(refusal(401, 'unauthorized'), token));
  assert.deepEqual([none.stage, wrong.stage], ['token', 'token']);
  assert.notEqual(none.text, wrong.text);
});

/** A connection that does what the test says. */
class FakeWhep {
  closed = false;

  constructor(token, onState) {
    this.token = token;
    this.onState = onState;
    this.started = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
  }

  start() {
    return this.started;
  }

  close() {
    this.closed = true;
  }
}

function watching() {
  const connections = [];
  const shown = [];
  const stages = [];
  const viewing = new Viewing({
    create: (token, onState) => {
      connections.push(new FakeWhep(token, onState));
      return connections.at(-1);
    },
    onChange: ({ stage }) => stages.push(stage),
    onConnected: (connection) => shown.push(connection),
  });
  return { viewing, connections, shown, stages };
}

/** Lets what was awaited go on. */
const settled = async () => {
  for (let i = 0; i < 5; i += 1) await null;
};

beforeEach(() => stopTime());
afterEach(() => resumeTime());

test('a lost connection stays on the screen until the next one is there', async () => {
  const { viewing, connections, shown, stages } = watching();
  viewing.start('s3cret');
  connections[0].resolve();
  await settled();
  connections[0].onState('connected');
  assert.deepEqual(shown, [connections[0]]);
  connections[0].onState('disconnected');
  tick(2_000);
  connections[0].onState('connected');
  tick(10_000);
  assert.equal(connections.length, 1, 'a short gap is none');
  connections[0].onState('failed');
  assert.equal(viewing.condition.stage, 'again');
  tick(1_000);
  assert.equal(connections.length, 2);
  connections[1].reject(new TypeError('no network'));
  await settled();
  assert.equal(connections[1].closed, true);
  tick(1_000);
  assert.equal(connections[2].token, 's3cret');
  connections[0].onState('closed');
  assert.equal(connections[0].closed, false, 'its last picture is still shown');
  connections[2].resolve();
  await settled();
  connections[2].onState('connected');
  assert.deepEqual([connections[0].closed, shown.at(-1)], [true, connections[2]]);
  assert.deepEqual(stages, ['connecting', 'playing', 'playing', 'again', 'again', 'playing']);
  viewing.stop();
  assert.equal(connections[2].closed, true);
  tick(60_000);
  assert.equal(connections.length, 3);
});

test('an answer without media is tried again', async () => {
  const { viewing, connections } = watching();
  viewing.start('');
  connections[0].resolve();
  await settled();
  tick(15_000);
  assert.equal(viewing.condition.stage, 'again');
  assert.match(viewing.condition.text, /Picture and sound cannot get through/);
  assert.equal(connections[0].closed, true);
});

test('without a token nothing is tried until one is given', async () => {
  const { viewing, connections } = watching();
  viewing.start('');
  connections[0].reject(refusal(401, 'unauthorized'));
  await settled();
  tick(60_000);
  viewing.retry();
  assert.deepEqual([connections.length, viewing.condition.stage], [1, 'token']);
  viewing.start('s3cret');
  assert.equal(connections[1].token, 's3cret');
});

test('who asks for it is tried at once, but not twice', async () => {
  const { viewing, connections } = watching();
  viewing.start('');
  connections[0].reject(refusal(503, 'server_busy', 10_000));
  await settled();
  tick(9_000);
  assert.equal(connections.length, 1);
  viewing.retry();
  viewing.retry();
  assert.equal(connections.length, 2);
  connections[1].reject(refusal(422, 'unsupported_codec'));
  await settled();
  tick(60_000);
  assert.equal(connections.length, 2);
  viewing.retry();
  assert.deepEqual([connections.length, viewing.condition.stage], [3, 'connecting']);
});
