import assert from 'node:assert/strict';
import { test } from 'node:test';

import { initialState, reduce } from '../../assets/js/base/state.js';
import { tileRects } from '../../assets/js/playback/layout.js';
import { stageTiles } from '../../assets/js/playback/tiles.js';

const HD = { width: 1280, height: 720 };
const at = ({ x, y, w, h }) => [x, y, w, h];

test('tiles stand where the composite puts them (the examples of src/layout.rs)', () => {
  assert.deepEqual(tileRects(HD, 'grid', 1).map(at), [[0, 0, 1280, 720]]);
  assert.deepEqual(tileRects(HD, 'grid', 2).map(at), [
    [0, 180, 640, 360],
    [640, 180, 640, 360],
  ]);
  assert.deepEqual(at(tileRects(HD, 'grid', 3)[2]), [320, 360, 640, 360]);
  for (const [people, w, h] of [
    [4, 640, 360],
    [5, 426, 240],
    [9, 426, 240],
    [10, 320, 180],
  ]) {
    assert.deepEqual(at(tileRects(HD, 'grid', people)[0]).slice(2), [w, h], `${people} people`);
  }
  const many = tileRects(HD, 'grid', 27);
  assert.deepEqual(at(many[24]), [1024, 576, 256, 144]);
  assert.deepEqual(many.slice(25), [null, null]);
  const phone = { width: 720, height: 1280 };
  assert.deepEqual(tileRects(phone, 'grid', 2).map(at), [
    [0, 234, 720, 406],
    [0, 640, 720, 406],
  ]);
  const upright = tileRects(phone, 'spotlight', 3, 2);
  assert.deepEqual(
    [at(upright[2]), at(upright[0])],
    [
      [0, 308, 720, 406],
      [0, 1050, 360, 202],
    ],
  );
  const spot = tileRects(HD, 'spotlight', 8, 1);
  assert.deepEqual([spot[1], spot[0], spot[5]].map(at), [
    [0, 72, 1024, 576],
    [1024, 0, 256, 144],
    [1024, 576, 256, 144],
  ]);
  assert.deepEqual(spot.slice(6), [null, null]);
});

test('tiles never overlap and never leave the canvas', () => {
  for (let people = 1; people <= 30; people += 1) {
    for (const layout of ['grid', 'spotlight']) {
      const rects = tileRects(HD, layout, people, people % 4).filter(Boolean);
      rects.forEach((a, i) => {
        assert.ok(a.x >= 0 && a.y >= 0 && a.x + a.w <= HD.width && a.y + a.h <= HD.height, `${layout} ${people}`);
        for (const b of rects.slice(i + 1)) {
          assert.ok(
            a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y,
            `${layout} ${people}`,
          );
        }
      });
    }
  }
});

const person = (id, more = {}) => ({
  id,
  name: `Name ${id}`,
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
const slot = (participant, role = 'camera') => ({ mid: participant, participant, role });

/** The state of page p1 in a room with these people. */
function stateOf(participants, { slots = [], served = 'sfu', ...room } = {}) {
  return [
    { type: 'local/join', room: 'r' },
    { type: 'welcome', participant: 'p1', resume: 's' },
    { type: 'slots', mode: served, slots },
    { type: 'room', mode: 'sfu', layout: 'grid', canvas: HD, pinned: null, participants, tiles: [], ...room },
  ].reduce(reduce, initialState());
}

const keys = ({ tiles }) => tiles.map((tile) => tile.key);

test('everybody present has a tile, and every shared screen, by number', () => {
  const state = stateOf([
    person('p10'),
    person('p2', { screen: 'live' }),
    person('p1'),
    person('p3', { viewer: true }),
    person('p4', { connected: false }),
  ]);
  assert.deepEqual(keys(stageTiles(state, 'sfu')), ['p1/camera', 'p2/camera', 'p2/screen', 'p10/camera']);
});

test('a picture is waited for where one can come', () => {
  const state = stateOf(
    [person('p1'), person('p2'), person('p3'), person('p4', { camera: 'muted' }), person('p5', { camera: 'stalled' })],
    { slots: [slot('p2'), slot('p5')] },
  );
  const of = (target) => Object.fromEntries(stageTiles(state, target).tiles.map((tile) => [tile.participant, tile]));
  const forwarded = of('sfu');
  assert.deepEqual(
    Object.values(forwarded).map((tile) => tile.expects),
    [false, true, false, false, true],
  );
  assert.deepEqual(
    Object.values(forwarded).map((tile) => tile.off),
    [false, false, false, true, false],
  );
  assert.ok(forwarded.p5.stalled);
  const direct = of('p2p');
  assert.deepEqual(
    Object.values(direct).map((tile) => tile.expects),
    [false, true, true, false, true],
  );
  assert.ok(!direct.p5.stalled, 'what the server gets does not matter between people');
  assert.ok(stageTiles({ ...state, slots: [] }, 'sfu').tiles[2].expects, 'before the first table anything can come');
});

test('the spotlight is the pinned one’s, else a screen’s, else the last speaker’s', () => {
  const large = (people, more) => {
    const { tiles } = stageTiles(stateOf(people, { layout: 'spotlight', ...more }), 'sfu');
    return tiles.find((tile) => tile.w === 1024).key;
  };
  const people = [person('p1'), person('p2', { screen: 'live' }), person('p3', { speaking: true })];
  assert.equal(large(people, { pinned: 'p2' }), 'p2/camera');
  assert.equal(large(people), 'p2/screen');
  assert.equal(large([person('p1'), person('p2'), person('p3', { speaking: true })]), 'p3/camera');
  assert.equal(large([person('p1'), person('p2')]), 'p1/camera');
});

test('who has no place is counted on the last one, and who has a picture goes first', () => {
  const people = Array.from({ length: 9 }, (_, i) => person(`p${i + 1}`));
  const { tiles, more } = stageTiles(stateOf(people, { layout: 'spotlight', slots: [slot('p8'), slot('p9')] }), 'sfu');
  assert.equal(tiles.length, 5);
  assert.deepEqual(new Set(tiles.map((tile) => tile.participant)), new Set(['p1', 'p2', 'p3', 'p4', 'p8']));
  assert.deepEqual(
    more.rows.map((row) => row.id),
    ['p9', 'p5', 'p6', 'p7'],
  );
  assert.ok(more.w > 0);
  const all = stageTiles(stateOf(people.slice(0, 6), { layout: 'spotlight' }), 'sfu');
  assert.deepEqual([all.tiles.length, all.more], [6, null]);
});
