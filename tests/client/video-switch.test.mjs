import assert from 'node:assert/strict';
import { test } from 'node:test';

import { numberOf } from '../../assets/js/base/participant.js';
import { targetOf } from '../../assets/js/base/state.js';
import { csrcOf } from '../../assets/js/playback/csrc.js';
import { choosePicture, nextView, TILE_PATIENCE, View } from '../../assets/js/playback/video-switch.js';

const source = (number, rtpTimestamp, timestamp = rtpTimestamp) => ({ source: number, rtpTimestamp, timestamp });

test('a frame belongs to the one whose newest frame is not older', () => {
  assert.deepEqual(csrcOf([source(7, 5000)], 5000), { number: 7, certain: true });
  assert.deepEqual(csrcOf([source(7, 9000)], 5000), { number: 7, certain: true }, 'Chromium is ahead');
  assert.deepEqual(csrcOf([source(7, 2000)], 5000), { number: 7, certain: false }, 'Firefox is behind');
  assert.deepEqual(csrcOf([source(7, 4000), source(8, 5000)], 5000), { number: 8, certain: true }, 'after a handover');
  assert.deepEqual(
    csrcOf([source(7, 4000), source(8, 5000)], 4000),
    { number: 0, certain: false },
    'around one, nobody’s',
  );
  assert.deepEqual(
    csrcOf([source(7, 0xffff_fff0, 1), source(8, 20, 2)], 10),
    { number: 8, certain: true },
    'timestamps wrap',
  );
  assert.deepEqual(csrcOf([], 5000), { number: null, certain: false });
  assert.deepEqual(csrcOf(undefined, 5000), { number: null, certain: false });
  assert.deepEqual(csrcOf([source(7, 1, 50), source(8, 2, 60)], undefined), { number: 8, certain: false });
  assert.equal(numberOf('p12'), 12);
});

test('the target is the room’s mode in p2p, else how the server serves', () => {
  const room = (mode, view = null) => ({ mode, participants: [{ id: 'p1', view }] });
  const target = (mode, served, view) => targetOf({ room: room(mode, view), served, self: 'p1' });
  assert.equal(target('p2p', 'mcu'), 'p2p');
  assert.equal(target('sfu', 'mcu', 'mcu'), 'mcu');
  assert.equal(target('mcu', 'sfu'), 'sfu', 'the server says when it changes over');
  assert.equal(target('sfu', 'p2p'), 'sfu');
  assert.equal(target('sfu', 'p2p', 'mcu'), 'mcu');
  assert.equal(targetOf({ room: null, served: null }), 'mcu');
});

const facts = (more) => ({
  target: 'sfu',
  now: 10_000,
  since: 9_900,
  covered: false,
  slotsHeld: false,
  composite: { first: 9_950, last: 9_990 },
  tiles: [],
  ...more,
});
const tile = (ready, expects = true) => ({ ready, expects, fresh: ready });

test('the composite stays until every tile has what it waits for', () => {
  assert.equal(nextView(View.Composite, facts({ tiles: [tile(true), tile(false)] })), View.Composite);
  assert.equal(nextView(View.Composite, facts({ tiles: [tile(true), tile(false, false)] })), View.Tiles);
  const late = facts({ since: 10_000 - TILE_PATIENCE - 1, tiles: [tile(false)] });
  assert.equal(nextView(View.Composite, late), View.Tiles, 'but one does not hold up all for long');
});

test('the composite stays until the mesh reaches everybody, or it has died', () => {
  const mesh = (more) => facts({ target: 'p2p', since: 1_000, tiles: [tile(true)], ...more });
  assert.equal(nextView(View.Composite, mesh()), View.Composite);
  assert.equal(nextView(View.Composite, mesh({ covered: true })), View.Tiles);
  assert.equal(nextView(View.Composite, mesh({ composite: { first: null, last: 8_000 } })), View.Tiles);
});

test('after a mesh the composite has time to fill', () => {
  const back = (first) =>
    facts({ target: 'mcu', direct: true, tiles: [tile(true)], composite: { first, last: 9_990 } });
  assert.equal(nextView(View.Tiles, back(9_800)), View.Tiles);
  assert.equal(nextView(View.Tiles, back(9_300)), View.Composite);
});

test('tiles stay until the composite moves and the slots are empty', () => {
  const back = (more) => facts({ target: 'mcu', tiles: [tile(true)], ...more });
  assert.equal(nextView(View.Tiles, back()), View.Composite);
  assert.equal(nextView(View.Tiles, back({ slotsHeld: true })), View.Tiles);
  assert.equal(
    nextView(View.Tiles, back({ slotsHeld: true, composite: { first: 6_000, last: 9_990 } })),
    View.Composite,
    'not for ever',
  );
  assert.equal(nextView(View.Tiles, back({ composite: { first: null, last: null } })), View.Tiles);
  assert.equal(
    nextView(View.Tiles, back({ composite: { first: null, last: null }, since: 0, tiles: [tile(false)] })),
    View.Composite,
    'when nothing moves it says so',
  );
});

const picture = (key, more = {}) => ({
  key,
  source: 'forward',
  participant: 'p2',
  role: 'camera',
  csrc: 2,
  frames: 5,
  last: 9_990,
  gone: false,
  ...more,
});
const ben = { participant: 'p2', number: 2, role: 'camera', off: false, stalled: false };
const choose = (pictures, context = {}, tileOf = ben) =>
  choosePicture(tileOf, pictures, { target: 'sfu', now: 10_000, current: undefined, ...context })?.key ?? null;

test('a slot is shown when table and frames agree on whose it is', () => {
  assert.equal(choose([picture('a')]), 'a');
  assert.equal(choose([picture('a', { frames: 0 })]), null, 'not before its first frame');
  assert.equal(choose([picture('a', { csrc: 3 })]), null, 'the frame is somebody else’s');
  assert.equal(choose([picture('a', { csrc: 0 })]), null, 'or could be');
  assert.equal(choose([picture('a', { participant: 'p3' })]), null, 'the slot is somebody else’s');
  assert.equal(choose([picture('a', { csrc: null })]), 'a', 'a browser that does not tell trusts the table');
  assert.equal(choose([picture('a', { role: 'screen' })]), null, 'a screen is no camera');
  assert.equal(choose([picture('a')], {}, { ...ben, off: true }), null);
});

test('on the way out an emptied slot keeps its last picture, under the name the frame bears', () => {
  const emptied = picture('a', { participant: null, role: null });
  assert.equal(choose([emptied], { target: 'mcu', current: 'a' }), 'a');
  assert.equal(choose([emptied], { target: 'sfu', current: 'a' }), null, 'but not while forwarding goes on');
  assert.equal(choose([emptied], { target: 'mcu', current: 'b' }), null);
  assert.equal(choose([{ ...emptied, csrc: 3 }], { target: 'mcu', current: 'a' }), null);
  assert.equal(choose([{ ...emptied, csrc: null }], { target: 'mcu', current: 'a' }), null);
});

test('of mesh and slot the wanted one is shown, and the other until it is there', () => {
  const mesh = picture('m', { source: 'mesh', csrc: null });
  assert.equal(choose([picture('a'), mesh], { target: 'p2p' }), 'm');
  assert.equal(choose([picture('a'), mesh]), 'a');
  assert.equal(choose([picture('a'), { ...mesh, frames: 0 }], { target: 'p2p' }), 'a');
  assert.equal(choose([picture('a', { frames: 0 }), mesh]), 'm');
});

test('a picture that stands still gives way, unless its replacement is on the way', () => {
  const old = { last: 6_500 };
  assert.equal(choose([picture('a', old)]), null);
  assert.equal(choose([picture('a', old)], { current: 'a' }), null);
  assert.equal(choose([picture('a', old)], { current: 'a', target: 'p2p' }), 'a');
  assert.equal(choose([picture('a', { last: 4_000 })], { current: 'a', target: 'p2p' }), null, 'for a while');
  assert.equal(
    choose([picture('a', { last: 9_400 })], {}, { ...ben, stalled: true }),
    null,
    'at once when the server says so',
  );
  assert.equal(
    choose([picture('a', { ...old, role: 'screen' })], {}, { ...ben, role: 'screen' }),
    'a',
    'a screen may stand still',
  );
  assert.equal(choose([picture('o', { ...old, source: 'own' })]), 'o');
});

test('a lost connection’s last picture stays until the new one’s is there', () => {
  const gone = picture('a', { gone: true, last: 8_000 });
  assert.equal(choose([gone], { current: 'a' }), 'a');
  assert.equal(choose([gone, picture('b')], { current: 'a' }), 'b');
});
