import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  announcements,
  createStore,
  initialState,
  listOf,
  nextPin,
  people,
  Phase,
  reduce,
  spokenLabel,
} from '../../assets/js/base/state.js';

const person = (id, name, more = {}) => ({
  id,
  name,
  speaking: false,
  hand: false,
  mic: 'live',
  camera: 'live',
  screen: 'none',
  viewer: false,
  connected: true,
  ...more,
});
const room = (participants, more = {}) => ({
  type: 'room',
  mode: 'mcu',
  layout: 'grid',
  canvas: { width: 1280, height: 720 },
  pinned: null,
  participants,
  tiles: [],
  ...more,
});
const after = (...events) => events.reduce(reduce, initialState());
const joined = [
  { type: 'local/join', room: 'r1' },
  { type: 'welcome', version: 1, participant: 'p2', resume: 's', ice_servers: [] },
];

test('a call goes from joining to in call, is interrupted, and ends', () => {
  let state = after(...joined);
  assert.equal(state.phase, Phase.Joining);
  assert.equal(state.self, 'p2');
  state = reduce(state, { type: 'local/connected' });
  assert.equal(state.phase, Phase.InCall);
  state = reduce(state, room([person('p2', 'Ann')]));
  state = reduce(state, { type: 'local/lost', text: 'gone', code: 'closed', attempt: 2, delay: 900 });
  assert.equal(state.phase, Phase.Reconnecting);
  assert.deepEqual(state.retry, { attempt: 2, delay: 900 });
  assert.ok(state.room, 'the room is still shown while the page reconnects');
  state = reduce(state, { type: 'local/connected' });
  assert.equal(state.notice, null);
  state = reduce(state, { type: 'local/ended', tone: 'info', text: 'You left.', code: 'left' });
  assert.equal(state.phase, Phase.Idle);
  assert.equal(state.room, null);
  assert.equal(state.notice.text, 'You left.');
});

test('a message of a later protocol changes nothing', () => {
  const state = after(...joined);
  assert.equal(reduce(state, { type: 'hologram', x: 1 }), state);
});

test('people stand with oneself first and carry level and pin', () => {
  const state = after(
    ...joined,
    room([person('p1', 'Ben'), person('p2', 'Ann'), person('p3', 'Cy', { mic: 'muted' })], { pinned: 'p3' }),
    {
      type: 'levels',
      levels: [
        { participant: 'p1', dbov: -12 },
        { participant: 'p3', dbov: -12 },
      ],
    },
  );
  const rows = people(state);
  assert.deepEqual(
    rows.map((row) => row.id),
    ['p2', 'p1', 'p3'],
  );
  assert.equal(rows[1].level, 1);
  assert.equal(rows[2].level, 0, 'who is muted shows no level');
  assert.equal(nextPin(state, 'p3'), null);
  assert.equal(nextPin(state, 'p1'), 'p1');
});

test('levels are forgotten when nobody speaks', () => {
  const loud = after(...joined, { type: 'levels', levels: [{ participant: 'p1', dbov: -20 }] });
  const quiet = reduce(loud, { type: 'local/levels-expired' });
  assert.deepEqual(quiet.levels, {});
  assert.equal(reduce(quiet, { type: 'local/levels-expired' }), quiet);
});

test('an own text is shown once, whether or not the server echoes it', () => {
  const sent = after(...joined, room([person('p2', 'Ann')]), { type: 'local/chat-sent', text: 'hi' });
  assert.equal(sent.chat.length, 1);
  const echoed = reduce(sent, { type: 'chat', from: 'p2', text: 'hi' });
  assert.equal(echoed.chat.length, 1);
  assert.equal(echoed.chat[0].pending, false);
  const other = reduce(echoed, { type: 'chat', from: 'p9', text: 'hi' });
  assert.deepEqual(other.chat[1], { from: 'p9', name: 'p9', text: 'hi', own: false, pending: false });
});

test('a chat line keeps the name its sender had', () => {
  const state = after(
    ...joined,
    room([person('p1', 'Ben'), person('p2', 'Ann')]),
    { type: 'chat', from: 'p1', text: 'bye' },
    room([person('p2', 'Ann')]),
  );
  assert.equal(state.chat[0].name, 'Ben');
});

test('joins, leaves and modes are announced, the own ones and the first state are not', () => {
  const none = after(...joined);
  const one = reduce(none, room([person('p2', 'Ann')]));
  assert.deepEqual(announcements(none, one), []);
  const more = reduce(one, room([person('p2', 'Ann'), person('p3', 'Cy'), person('p4', 'Di')]));
  assert.deepEqual(announcements(one, more), ['Cy and Di joined']);
  const fewer = reduce(more, room([person('p2', 'Ann'), person('p4', 'Di')], { mode: 'sfu' }));
  assert.deepEqual(announcements(more, fewer), ['Cy left', 'The server forwards now: everybody’s own picture']);
});

test('everybody hears that they are recorded, also who comes later, and when it ends', () => {
  const said = 'This call is being recorded';
  const take = { id: 'r1-x', format: 'mp4' };
  const none = after(...joined);
  const one = reduce(none, room([person('p2', 'Ann')], { recordings: [take] }));
  assert.deepEqual(announcements(none, one), [said]);
  const two = reduce(one, room([person('p2', 'Ann')], { recordings: [take, { id: 'r1-y', format: 'ogg' }] }));
  assert.deepEqual(announcements(one, two), []);
  const ended = reduce(two, room([person('p2', 'Ann')], { recordings: [] }));
  assert.deepEqual(announcements(two, ended), ['This call is no longer recorded']);
  const again = reduce(ended, room([person('p2', 'Ann'), person('p3', 'Cy')], { recordings: [take] }));
  assert.deepEqual(announcements(ended, again), [said, 'Cy joined']);
  const left = reduce(again, { type: 'local/ended', tone: 'info', text: 'You left.', code: 'left' });
  assert.deepEqual(announcements(again, left), [], 'who has left is told nothing');
});

test('how this page is served, what it may stop sending, and who spoke last', () => {
  let state = after(
    ...joined,
    { type: 'slots', mode: 'sfu', slots: [{ mid: '5', participant: 'p1', role: 'mic' }] },
    { type: 'uplinks', wanted: false },
  );
  assert.deepEqual([state.served, state.slots.length, state.wanted], ['sfu', 1, false]);
  state = reduce(state, room([person('p1', 'Ben', { speaking: true }), person('p2', 'Ann', { speaking: true })]));
  assert.equal(state.lastSpeaker, 'p1');
  state = reduce(state, room([person('p1', 'Ben'), person('p2', 'Ann')]));
  assert.equal(state.lastSpeaker, 'p1', 'in silence it stays who spoke last');
  state = reduce(state, room([person('p1', 'Ben', { speaking: true }), person('p2', 'Ann', { speaking: true })]));
  assert.equal(state.lastSpeaker, 'p1', 'and who joins in does not take over');
  state = reduce(state, { type: 'welcome', participant: 'p2', resume: 's' });
  assert.deepEqual([state.slots, state.wanted], [[], true], 'a new connection begins anew');
});

test('in the mesh, people are as they come directly', () => {
  const state = after(
    ...joined,
    room(
      [
        person('p1', 'Ben', { mic: 'stalled', camera: 'stalled', screen: 'none' }),
        person('p2', 'Ann', { camera: 'stalled' }),
        person('p3', 'Cy', { mic: 'muted', camera: 'muted' }),
        person('p4', 'Di', { camera: 'stalled' }),
      ],
      { mode: 'p2p' },
    ),
    { type: 'local/mesh', mesh: { links: {}, receiving: ['p1', 'p3'], pictures: ['p1/screen'], covered: false } },
    { type: 'local/mesh-audio', meshAudio: { levels: { p1: -36, p3: -12 }, speaking: ['p1', 'p3'] } },
  );
  const rows = Object.fromEntries(people(state).map((row) => [row.id, row]));
  assert.deepEqual(
    [rows.p1.mic, rows.p1.camera, rows.p1.screen, rows.p1.speaking, rows.p1.level],
    ['live', 'live', 'live', true, 0.5],
  );
  assert.equal(rows.p2.camera, 'live', 'one’s own is what one sends directly');
  assert.deepEqual(
    [rows.p3.mic, rows.p3.camera, rows.p3.speaking],
    ['muted', 'muted', false],
    'who is muted is not heard',
  );
  assert.equal(rows.p4.camera, 'stalled', 'who is not reached is what the server says');
  assert.equal(state.lastSpeaker, 'p1');
});

test('names become phrases', () => {
  assert.deepEqual([[], ['A'], ['A', 'B'], ['A', 'B', 'C'], ['A', 'B', 'C', 'D']].map(listOf), [
    '',
    'A',
    'A and B',
    'A, B and C',
    'A, B and 2 others',
  ]);
});

test('a tile says aloud what the eye sees', () => {
  const row = { ...person('p1', 'Ben', { speaking: true, camera: 'muted' }), own: true, pinned: true };
  assert.equal(spokenLabel(row), 'Ben (you), speaking, camera off, pinned');
  assert.equal(spokenLabel(person('p1', 'Ben'), 'screen'), 'Ben, shared screen');
  assert.equal(spokenLabel(person('p1', 'Ben', { hand: true })), 'Ben, hand raised');
});

test('a store tells its listeners of changes only', () => {
  const store = createStore();
  const seen = [];
  store.subscribe((now, before) => seen.push([before.phase, now.phase]));
  store.dispatch({ type: 'hologram' });
  store.dispatch({ type: 'local/join', room: 'r' });
  assert.deepEqual(seen, [['idle', 'joining']]);
});
