// Looking a room up before joining it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { NotForYou, lookUp } from '../../assets/js/call/room-lookup.js';

test('a room is looked up with the token, and a refusal is told from a failure', async (t) => {
  const asked = [];
  let status = 200;
  t.mock.method(globalThis, 'fetch', async (url, { headers }) => {
    asked.push([url, headers?.authorization]);
    return { ok: status === 200, status, json: async () => [{ id: 'r2' }, { id: 'r1' }] };
  });
  assert.deepEqual(await lookUp('r1', ''), { id: 'r1' });
  assert.equal(await lookUp('r3', 's3cret'), null);
  assert.deepEqual(asked, [
    ['/api/v1/rooms?room=r1', undefined],
    ['/api/v1/rooms?room=r3', 'Bearer s3cret'],
  ]);
  status = 401;
  await assert.rejects(lookUp('r1', 'stale'), NotForYou);
  status = 503;
  await assert.rejects(lookUp('r1', ''), (error) => !(error instanceof NotForYou));
});
