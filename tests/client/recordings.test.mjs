import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RecordingsApi } from '../../assets/js/recordings/recordings-api.js';
import {
  askedFor,
  clock,
  factsOf,
  filesOf,
  fileUrl,
  FORMATS,
  formatName,
  formatOf,
  isPlayable,
  listUrl,
  markersOf,
  pageUrl,
  paging,
  PER_PAGE,
  playerFor,
  sizeText,
  statusOf,
  startedText,
  startOf,
  whoText,
  wordsForPlayback,
} from '../../assets/js/recordings/recordings.js';
import { wireNamesOf } from './wire-types.mjs';

const recording = {
  id: 'r1-20261121T101500Z-3f9a',
  room: 'r1',
  kind: 'composite',
  format: 'mp4',
  state: 'finished',
  file: 'r1-20261121T101500Z-3f9a.mp4',
  started: '2026-11-21T10:15:00.120Z',
  ended: '2026-11-21T11:02:31.480Z',
  duration_ms: 2_850_940,
  bytes: 541_237_842,
  size: { width: 1280, height: 720 },
  video: 'h264',
  participants: ['Ann', 'Bob'],
  reason: null,
};

test('the formats offered are those of the server, and each has a short name', () => {
  const server = wireNamesOf('Recording', 'format');
  assert.deepEqual(FORMATS.map(({ key }) => key).sort(), [...server, 'tracks'].sort());
  for (const { key } of FORMATS) assert.notEqual(formatName(key), key);
  assert.deepEqual(['mp4', 'webm', 'ogg'].map(playerFor), ['video', 'video', 'audio']);
});

test('lengths and sizes read as people write them', () => {
  assert.deepEqual([0, 3_400, 61_000, 3_599_600, 36_061_000].map(clock), [
    '0:00',
    '0:03',
    '1:01',
    '1:00:00',
    '10:01:01',
  ]);
  assert.deepEqual([0, 999, 1_000, 1_500, 9_960, 12_345_678, 999_600, 5e12, 7e15].map(sizeText), [
    '0 bytes',
    '999 bytes',
    '1.0 kB',
    '1.5 kB',
    '10 kB',
    '12 MB',
    '1.0 MB',
    '5.0 TB',
    '7000 TB',
  ]);
});

test('a recording is told in one line', () => {
  assert.deepEqual(factsOf(recording), ['47:31', '541 MB', 'MP4', '1280 × 720']);
  assert.deepEqual(
    factsOf({ ...recording, state: 'recording', duration_ms: 0, bytes: 0 }),
    ['MP4', '1280 × 720'],
    'no length while it goes on',
  );
  assert.deepEqual(factsOf({ ...recording, format: 'ogg', size: null }), ['47:31', '541 MB', 'Ogg, sound only']);
  assert.equal(startedText(recording, 'en-GB', 'UTC'), '21 Nov 2026, 10:15');
  assert.equal(whoText(recording), 'With Ann and Bob');
  assert.equal(whoText({ participants: [] }), '');
});

test('the moments of a recording say when and what', () => {
  const marker = (at_ms, type, name) => ({ at_ms, type, participant: 'p1', name });
  const markers = [
    marker(0, 'join', 'Ann'),
    marker(0, 'speaker', 'Ann'),
    marker(61_500, 'join', 'Bob'),
    marker(62_000, 'later', 'Bob'),
    marker(3_599_600, 'leave', 'Ann'),
  ];
  assert.deepEqual(markersOf({ ...recording, markers }), [
    { at: 0, name: '0:00 Ann speaks' },
    { at: 61.5, name: '1:02 Bob joins' },
    { at: 3_599.6, name: '1:00:00 Ann leaves' },
  ]);
  assert.deepEqual(markersOf(recording), []);
  const server = wireNamesOf('Marker', 'type');
  assert.equal(server.length, 3);
  for (const type of server) assert.equal(markersOf({ markers: [marker(1, type, 'Ann')] }).length, 1);
});

test('what did not end as it should says so and why', () => {
  assert.deepEqual(statusOf(recording), { tone: 'none', name: '', reason: '' });
  assert.deepEqual(statusOf({ state: 'recovered', reason: 'the server ended without stopping it' }), {
    tone: 'warn',
    name: 'Recovered',
    reason: 'The server ended without stopping it.',
  });
  assert.equal(statusOf({ state: 'finished', reason: 'it is as long as a recording may be' }).name, 'Ended by itself');
  assert.equal(statusOf({ state: 'later', reason: null }).name, 'later');
  const states = wireNamesOf('Recording', 'state');
  assert.equal(states.length, 4);
  for (const state of states) assert.notEqual(statusOf({ state, reason: 'x' }).name, state);
});

test('only what has something in it can be played', () => {
  assert.ok(isPlayable(recording));
  assert.ok(isPlayable({ ...recording, state: 'failed' }));
  assert.ok(!isPlayable({ ...recording, state: 'recording' }));
  assert.ok(!isPlayable({ ...recording, state: 'failed', bytes: 0 }));
});

test('a player gets the token in the address, and nothing where there is none', () => {
  const path = '/api/v1/rooms/r1/recordings/r1-20261121T101500Z-3f9a';
  assert.equal(fileUrl(recording, ''), path);
  assert.equal(fileUrl(recording, 'a&b c'), `${path}?token=a%26b+c`);
  assert.equal(fileUrl(recording, 's', true), `${path}?download=1&token=s`);
});

test('tracks are asked for by their kind, and each is a file to fetch', () => {
  assert.deepEqual(startOf('mp4'), { type: 'record', action: 'start', format: 'mp4', kind: 'composite' });
  assert.deepEqual(startOf('tracks'), { type: 'record', action: 'start', kind: 'tracks' });
  const mic = {
    file: 'p1-mic-1.webm',
    participant: 'p1',
    name: 'Ann',
    role: 'mic',
    codec: 'opus',
    start_ms: 61_000,
    bytes: 1_500,
  };
  const tracks = {
    ...recording,
    kind: 'tracks',
    format: 'webm',
    file: recording.id,
    size: null,
    video: null,
    tracks: [mic],
  };
  assert.equal(formatOf(tracks), 'tracks');
  assert.deepEqual(factsOf(tracks), ['47:31', '541 MB', 'Tracks']);
  assert.ok(!isPlayable(tracks), 'there is no one file to play');
  const path = '/api/v1/rooms/r1/recordings/r1-20261121T101500Z-3f9a/files';
  assert.deepEqual(filesOf(tracks, 's'), [
    { name: 'Ann, microphone', about: 'from 1:01, 1.5 kB', url: `${path}/p1-mic-1.webm?download=1&token=s` },
    { name: 'Events', about: 'who came, went and spoke', url: `${path}/events.jsonl?download=1&token=s` },
  ]);
  assert.deepEqual(filesOf({ ...tracks, state: 'recording' }, ''), []);
  assert.deepEqual(filesOf(recording, ''), []);
});

test('pages of the list lead to each other', () => {
  assert.deepEqual(paging({ total: 7, offset: 0, shown: 7 }), { text: '', newer: null, older: null });
  assert.deepEqual(paging({ total: 45, offset: 0, shown: 20 }), { text: '1 to 20 of 45', newer: null, older: 20 });
  assert.deepEqual(paging({ total: 45, offset: 40, shown: 5 }), { text: '41 to 45 of 45', newer: 20, older: null });
  assert.equal(paging({ total: 45, offset: 10, shown: 20 }).newer, 0);
  assert.equal(listUrl({ room: null, offset: 20 }), `/api/v1/recordings?offset=20&limit=${PER_PAGE}`);
  assert.equal(listUrl({ room: 'r1', offset: 0 }), `/api/v1/rooms/r1/recordings?offset=0&limit=${PER_PAGE}`);
});

test('the address says which page, whatever stands in it', () => {
  for (const asked of [
    { room: null, offset: 0 },
    { room: 'r1', offset: 40 },
  ]) {
    assert.deepEqual(askedFor(new URL(pageUrl(asked), 'http://h').search), asked);
  }
  for (const bad of ['-5', '1.5', 'x', '']) assert.equal(askedFor(`?offset=${bad}`).offset, 0);
});

test('a file that does not play says what to do', () => {
  assert.match(wordsForPlayback(4), /Download it/);
  assert.match(wordsForPlayback(2), /network/);
});

test('the API sends its token, and turns refusals into words', async (t) => {
  const seen = [];
  const answers = [
    Response.json({ recordings: [recording], total: 1, offset: 0 }),
    Response.json({ error: { code: 'recording_goes_on', message: 'x' } }, { status: 409 }),
    new Response('<html>', { status: 502 }),
  ];
  t.mock.method(globalThis, 'fetch', async (url, { method, headers }) => {
    seen.push([method, url, headers.authorization]);
    if (!answers.length) throw new TypeError('offline');
    return answers.shift();
  });
  const api = new RecordingsApi();
  assert.equal((await api.list({ room: null, offset: 0 })).total, 1);
  api.token = 's';
  await assert.rejects(api.delete(recording), { code: 'recording_goes_on', message: /Stop it/ });
  await assert.rejects(api.list({ room: 'r1', offset: 0 }), { code: 'internal' });
  await assert.rejects(api.list({ room: 'r1', offset: 0 }), { code: 'unreachable' });
  assert.deepEqual(seen.slice(0, 2), [
    ['GET', `/api/v1/recordings?offset=0&limit=${PER_PAGE}`, undefined],
    ['DELETE', '/api/v1/rooms/r1/recordings/r1-20261121T101500Z-3f9a', 'Bearer s'],
  ]);
});
