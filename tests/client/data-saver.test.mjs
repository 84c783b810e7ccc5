// How much of the picture is asked for.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { firstSaver, SAVERS, saverOf } from '../../assets/js/call/data-saver.js';

const ladder = readFileSync(fileURLToPath(new URL('../../pipelines/renditions.toml', import.meta.url)), 'utf8');
const protocol = readFileSync(fileURLToPath(new URL('../../docs/PROTOCOL.md', import.meta.url)), 'utf8');

test('what is asked for stands in the protocol and on the ladder', () => {
  for (const { limits } of SAVERS) {
    for (const name of Object.keys(limits)) assert.ok(protocol.includes(`\`${name}\``), name);
    if (limits.maxHeight) assert.match(ladder, new RegExp(`size = "\\d+x${limits.maxHeight}"`));
  }
  assert.deepEqual(SAVERS[0].limits, {}, 'nothing is limited unless somebody asks');
});

test('the choice is kept, and data that is dear is saved unasked', () => {
  assert.equal(firstSaver('sound', undefined).key, 'sound');
  assert.equal(firstSaver('off', { saveData: true }).key, 'off');
  assert.equal(firstSaver('', { saveData: true }).key, 'less');
  assert.equal(firstSaver('', { saveData: false }).key, 'off');
  assert.equal(firstSaver('gone', undefined).key, 'off');
  assert.equal(saverOf('gone').key, 'off');
});
