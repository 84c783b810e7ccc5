import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dbovOfLevel } from '../../assets/js/base/levels.js';
import { nextSpeaking } from '../../assets/js/call/speaker-detector.js';
import { isSettled, MIX, nextAudio } from '../../assets/js/playback/audio-switch.js';
import { GapMeter } from '../../assets/js/playback/gaps.js';

const one = (id, flows = '', slot = flows.includes('f')) => ({
  id,
  mesh: flows.includes('m'),
  forward: flows.includes('f'),
  slot,
});
const facts = (target, people, more = {}) => ({
  target,
  people,
  covered: false,
  mixFlows: false,
  mixSince: null,
  now: 10_000,
  since: 9_900,
  ...more,
});
const by = (source, ...ids) => ({ mix: false, people: Object.fromEntries(ids.map((id) => [id, source])) });

test('from the mix to slots when all that are assigned flow, in one step', () => {
  const mix = { mixFlows: true };
  assert.equal(nextAudio(MIX, facts('sfu', [one('p2', 'f'), one('p3', '', true)], mix)), MIX);
  assert.deepEqual(nextAudio(MIX, facts('sfu', [one('p2', 'f'), one('p3', 'f')], mix)), by('forward', 'p2', 'p3'));
  assert.deepEqual(
    nextAudio(MIX, facts('sfu', [one('p2', 'f'), one('p3', '')], mix)),
    by('forward', 'p2', 'p3'),
    'who has no slot is not waited for',
  );
  assert.equal(nextAudio(MIX, facts('sfu', [one('p2')], mix)), MIX, 'before the table there is nothing');
  assert.deepEqual(
    nextAudio(MIX, facts('sfu', [one('p2', '', true)], { ...mix, since: 0 })),
    by('forward', 'p2'),
    'nobody holds up all for long',
  );
  assert.deepEqual(
    nextAudio(MIX, facts('sfu', [one('p2', 'f'), one('p3', '', true)], { ...mix, since: 9_800 })),
    by('forward', 'p2', 'p3'),
    'and hardly at all where somebody is heard',
  );
});

test('back to the mix when it flows, and has had time to fill', () => {
  const heard = by('forward', 'p2');
  const mix = (since) => ({ mixFlows: true, mixSince: 10_000 - since });
  assert.equal(nextAudio(heard, facts('mcu', [one('p2', 'f')])), heard);
  assert.equal(nextAudio(heard, facts('mcu', [one('p2', 'f')], mix(50))), heard);
  assert.equal(nextAudio(heard, facts('mcu', [one('p2', 'f')], mix(150))), MIX);
  assert.equal(nextAudio(heard, facts('mcu', [one('p2')], mix(50))), MIX, 'but not in silence');
  const direct = by('mesh', 'p2');
  assert.equal(nextAudio(direct, facts('mcu', [one('p2', 'm')], mix(150))), direct, 'after a mesh it takes longer');
  assert.equal(nextAudio(direct, facts('mcu', [one('p2', 'm')], mix(400))), MIX);
  assert.equal(nextAudio(heard, facts('mcu', [one('p2', 'f')], { since: 0 })), heard);
  assert.equal(nextAudio(heard, facts('mcu', [one('p2')], { since: 0 })), MIX, 'in silence nothing is lost');
});

test('to the mesh when it covers everybody, whatever was heard before', () => {
  const people = [one('p2', 'm'), one('p3', 'm')];
  const before = [
    [MIX, people, true],
    [by('forward', 'p2', 'p3'), [one('p2', 'mf'), one('p3', 'mf')], false],
  ];
  for (const [heard, flows, mixFlows] of before) {
    const mix = { mixFlows, mixSince: mixFlows ? 0 : null };
    assert.equal(nextAudio(heard, facts('p2p', flows, mix)), heard);
    assert.deepEqual(nextAudio(heard, facts('p2p', flows, { ...mix, covered: true })), by('mesh', 'p2', 'p3'));
  }
});

test('from the mesh each person goes over by themselves', () => {
  const heard = by('mesh', 'p2', 'p3');
  assert.deepEqual(nextAudio(heard, facts('sfu', [one('p2', 'mf'), one('p3', 'm', true)])), {
    mix: false,
    people: { p2: 'forward', p3: 'mesh' },
  });
  assert.equal(nextAudio(heard, facts('mcu', [one('p2', 'm'), one('p3', 'm')])), heard);
  assert.equal(nextAudio(heard, facts('mcu', [one('p2', 'm'), one('p3', 'm')], { mixFlows: true, mixSince: 0 })), MIX);
});

test('who cannot be reached directly is heard through the server', () => {
  const heard = by('mesh', 'p2');
  const joined = [one('p2', 'm'), one('p3', '')];
  assert.deepEqual(nextAudio(heard, facts('p2p', joined)), { mix: false, people: { p2: 'mesh', p3: 'forward' } });
  assert.deepEqual(nextAudio(heard, facts('p2p', [one('p2', 'm'), one('p3', 'm')])), by('mesh', 'p2', 'p3'));
  assert.equal(nextAudio(heard, facts('p2p', joined, { mixFlows: true, mixSince: 9_000 })), MIX);
});

test('whatever flows whenever, nobody is heard twice and it comes to an end', () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 48_271) % 2_147_483_647) % n;
  const ids = ['p2', 'p3', 'p4'];
  for (let run = 0; run < 300; run += 1) {
    let heard = MIX;
    let now = 0;
    let since = 0;
    let target = 'mcu';
    for (let step = 0; step < 40; step += 1, now += random(400)) {
      if (random(6) === 0) {
        target = ['mcu', 'sfu', 'p2p'][random(3)];
        since = now;
      }
      const people = ids.slice(0, 1 + random(3)).map((id) => one(id, ['', 'm', 'f', 'mf'][random(4)], random(2) === 1));
      heard = nextAudio(
        heard,
        facts(target, people, {
          now,
          since,
          covered: random(4) === 0,
          mixFlows: random(2) === 1,
          mixSince: now - random(900),
        }),
      );
      if (heard.mix) assert.deepEqual(heard.people, {}, 'the mix has everybody already');
      else assert.ok(Object.values(heard.people).every((source) => ['forward', 'mesh'].includes(source)));
    }
    const calm = { now: now + 9_000, since: now, covered: target === 'p2p', mixFlows: target === 'mcu', mixSince: 0 };
    const flows = { mcu: '', sfu: 'f', p2p: 'm' }[target];
    const people = ids.map((id) => one(id, flows));
    heard = nextAudio(heard, facts(target, people, calm));
    assert.ok(isSettled(heard, facts(target, people, calm)), `${target}: ${JSON.stringify(heard)}`);
    assert.equal(nextAudio(heard, facts(target, people, calm)), heard, 'and stays there');
  }
});

test('speaking begins loud, goes on softer, and lingers', () => {
  const steps = [-60, -45, -40, -45, -60, -60, -60, -60];
  let speaking = {};
  const seen = steps.map((dbov, i) => 'p2' in (speaking = nextSpeaking(speaking, { p2: dbov }, i * 200)));
  assert.deepEqual(seen, [false, false, true, true, true, true, false, false]);
  assert.deepEqual([dbovOfLevel(1), dbovOfLevel(0), Math.round(dbovOfLevel(0.1))], [0, -127, -20]);
});

test('gaps are the longest time without, the open one included', () => {
  const gaps = new GapMeter();
  for (const at of [0, 30, 200, 230]) gaps.seen('p2', at);
  gaps.aged('p3', 20);
  gaps.aged('p3', 90);
  gaps.aged('p3', 10);
  assert.deepEqual(gaps.report(250), {
    p2: { since: 20, largest: 170, count: 4 },
    p3: { since: 10, largest: 90, count: 3 },
  });
  assert.equal(gaps.report(1_000).p2.largest, 770);
  gaps.keep(['p3']);
  assert.deepEqual(Object.keys(gaps.report(1_000)), ['p3']);
});
