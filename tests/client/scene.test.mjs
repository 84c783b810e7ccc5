// The server's composite is tested with the same scenes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { scene } from '../../assets/js/playback/scene.js';

const { cases } = JSON.parse(readFileSync(new URL('../data/scenes.json', import.meta.url), 'utf8'));

for (const { name, large, tiles, last_speaker: lastSpeaker, ...given } of cases) {
  test(`scene: ${name}`, () => {
    const { large: found, rects } = scene({ ...given, lastSpeaker });
    assert.equal(found, large ?? -1);
    assert.deepEqual(
      rects.map((rect) => rect && [rect.x, rect.y, rect.w, rect.h]),
      tiles,
    );
  });
}
