import assert from 'node:assert/strict';
import { test } from 'node:test';

import { digest as digestAll, formatBitrate, formatShare, sparkline } from '../../assets/js/call/stats.js';

const ROLES = new Map([
  ['0', 'mic'],
  ['1', 'camera'],
  ['3', 'mix-audio'],
  ['4', 'mix-video'],
  ['13', 'forward-video'],
]);

const PEOPLE = new Map([['13', 'p3']]);
const digest = (previous, report, roles) => digestAll(previous, [{ id: 'server', report, roles, people: PEOPLE }]);

/** A report as Chromium gives it, `seconds` into the call. */
function report(seconds, { pair = {}, transport = {}, video = {} } = {}) {
  const timestamp = 1_000_000 + seconds * 1000;
  const stats = [
    {
      id: 'T',
      type: 'transport',
      selectedCandidatePairId: 'P',
      bytesSent: 10_000 * seconds,
      bytesReceived: 100_000 * seconds,
      ...transport,
    },
    { id: 'P', type: 'candidate-pair', state: 'succeeded', nominated: true, currentRoundTripTime: 0.0124, ...pair },
    { id: 'C', type: 'codec', mimeType: 'video/H264' },
    {
      id: 'V',
      type: 'inbound-rtp',
      mid: '4',
      kind: 'video',
      codecId: 'C',
      bytesReceived: 90_000 * seconds,
      packetsReceived: 99 * seconds,
      packetsLost: seconds,
      frameWidth: 1280,
      frameHeight: 720,
      framesPerSecond: 30,
      framesDecoded: 30 * seconds,
      freezeCount: 1,
      totalFreezesDuration: 0.4,
      ...video,
    },
    { id: 'F', type: 'inbound-rtp', mid: '13', kind: 'video', framesDecoded: 7 },
    {
      id: 'A',
      type: 'inbound-rtp',
      mid: '3',
      kind: 'audio',
      bytesReceived: 5_000 * seconds,
      totalAudioEnergy: 2,
      audioLevel: 0.5,
      concealedSamples: 3,
    },
    {
      id: 'O',
      type: 'outbound-rtp',
      mid: '1',
      kind: 'video',
      bytesSent: 8_000 * seconds,
      frameWidth: 640,
      frameHeight: 360,
      framesPerSecond: 15,
      qualityLimitationReason: 'cpu',
      remoteId: 'R',
    },
    { id: 'R', type: 'remote-inbound-rtp', fractionLost: 0.02 },
  ].map((stat) => ({ timestamp, ...stat }));
  return new Map(stats.map((stat) => [stat.id, stat]));
}

test('bitrates and losses are those between two reports', () => {
  const first = digest(null, report(1), ROLES);
  assert.equal(first.down, null, 'one report makes no rate');
  const second = digest(first, report(3, { video: { packetsReceived: 99 + 150, packetsLost: 1 + 50 } }), ROLES);
  assert.equal(second.up, 80_000);
  assert.equal(second.down, 800_000);
  assert.equal(second.video.bitrate, 720_000);
  assert.equal(second.video.loss, 0.25);
  assert.equal(second.rtt, 12.4);
});

test('a slot through which nothing flows does not count', () => {
  const { video, audio } = digest(null, report(2), ROLES);
  assert.deepEqual([video.frameWidth, video.frameHeight, video.fps, video.codec], [1280, 720, 30, 'H264']);
  assert.equal(video.framesDecoded, 60);
  assert.equal(video.freezeCount, 1);
  assert.equal(audio.totalAudioEnergy, 2);
  assert.equal(audio.concealedSamples, 3);
});

test('decoding and waiting are those between two reports', () => {
  const at = (seconds, decode) =>
    report(seconds, {
      video: { totalDecodeTime: decode, jitterBufferDelay: 0.9 * seconds, jitterBufferEmittedCount: 30 * seconds },
    });
  const first = digest(null, at(1, 0.5), ROLES);
  assert.deepEqual([first.video.decoding, first.video.waiting], [null, null]);
  const { video, audio } = digest(first, at(3, 0.62), ROLES);
  assert.ok(Math.abs(video.decoding - 0.06) < 1e-9, 'cores');
  assert.equal(video.waiting, 32, '30 ms in the buffer, 2 in the decoder');
  assert.equal(audio.waiting, null, 'the report does not say');
});

/** A direct connection on which `n` times as much flows as on another. */
function direct(seconds, n) {
  const timestamp = 1_000_000 + seconds * 1000;
  const stats = [
    {
      id: 'T',
      type: 'transport',
      selectedCandidatePairId: 'P',
      bytesSent: 1_000 * n * seconds,
      bytesReceived: 2_000 * n * seconds,
    },
    { id: 'P', type: 'candidate-pair', currentRoundTripTime: 0.01 * n },
    { id: 'C', type: 'codec', mimeType: 'video/VP8' },
    {
      id: 'V',
      type: 'inbound-rtp',
      mid: '1',
      kind: 'video',
      codecId: 'C',
      bytesReceived: 1_500 * n * seconds,
      packetsReceived: 100 * seconds,
      packetsLost: 0,
      frameWidth: 320 * n,
      frameHeight: 180 * n,
      framesPerSecond: 10 * n,
      framesDecoded: 5,
    },
    { id: 'A', type: 'inbound-rtp', mid: '0', kind: 'audio', bytesReceived: 500 * n * seconds, totalAudioEnergy: n },
    {
      id: 'O',
      type: 'outbound-rtp',
      mid: '1',
      kind: 'video',
      bytesSent: 900 * n * seconds,
      frameWidth: 320,
      frameHeight: 180,
    },
    { id: 'S', type: 'outbound-rtp', mid: '2', kind: 'video', bytesSent: 0 },
  ].map((stat) => ({ timestamp, ...stat }));
  return new Map(stats.map((stat) => [stat.id, stat]));
}

test('the connections of a mesh are summed, and each is a path of its own', () => {
  const server = (seconds) => ({ id: 'server', report: report(7), roles: ROLES, people: PEOPLE, seconds });
  const at = (seconds) => [
    server(seconds),
    { id: 'p2', report: direct(seconds, 1), roles: 'mesh' },
    { id: 'p3', report: direct(seconds, 2), roles: 'mesh' },
  ];
  const figures = digestAll(digestAll(null, at(1)), at(2));
  assert.equal(figures.up, 24_000);
  assert.equal(figures.down, 48_000);
  assert.equal(figures.rtt, 15, 'of the direct ones, in the mean');
  assert.deepEqual(figures.paths, { up: 2, down: 2 }, 'through the server nothing flows');
  assert.deepEqual(
    [figures.video.streams, figures.video.frameWidth, figures.video.fps, figures.video.bitrate],
    [2, 640, 15, 36_000],
  );
  assert.equal(figures.audio.totalAudioEnergy, 3);
  assert.deepEqual(
    figures.sent.map(({ role, streams, bitrate }) => [role, streams, bitrate]),
    [['camera', 2, 21_600]],
  );
});

test('forwarded, the sound and the picture of a person are one path', () => {
  const at = (seconds) => {
    const stat = (id, mid, kind) => [
      id,
      { id, type: 'inbound-rtp', mid, kind, timestamp: seconds * 1000, bytesReceived: 100 * seconds },
    ];
    return [
      {
        id: 'server',
        report: new Map([stat('a', '5', 'audio'), stat('b', '13', 'video'), stat('c', '14', 'video')]),
        roles: new Map([
          ['5', 'forward-audio'],
          ['13', 'forward-video'],
          ['14', 'forward-video'],
        ]),
        people: new Map([
          ['5', 'p2'],
          ['13', 'p2'],
          ['14', 'p3'],
        ]),
      },
    ];
  };
  assert.deepEqual(digestAll(digestAll(null, at(1)), at(2)).paths, { up: 0, down: 2 });
});

test('what is sent carries its role and what the other side lost', () => {
  const { sent } = digest(null, report(1), ROLES);
  assert.equal(sent.length, 1);
  assert.deepEqual([sent[0].role, sent[0].limitedBy, sent[0].loss], ['camera', 'cpu', 0.02]);
});

test('without transport stats the selected pair is used, as in Firefox', () => {
  const pair = (bytes) => ({
    pair: { selected: true, bytesSent: bytes, bytesReceived: bytes },
    transport: { type: 'other' },
  });
  const first = digest(null, report(1, pair(0)), ROLES);
  const second = digest(first, report(2, pair(1_000)), ROLES);
  assert.equal(second.up, 8_000);
});

test('a new connection whose counters start again gives no negative rate', () => {
  const first = digest(null, report(9), ROLES);
  const second = digest(first, report(10, { transport: { bytesSent: 0, bytesReceived: 0 } }), ROLES);
  assert.equal(second.up, 0);
});

test('an empty report gives unknown figures', () => {
  const figures = digest(null, new Map(), ROLES);
  assert.deepEqual(
    [figures.up, figures.down, figures.rtt, figures.video, figures.paths],
    [null, null, null, null, null],
  );
});

test('figures are written for people', () => {
  assert.deepEqual([null, 0, 320_400, 999_600, 1_540_000].map(formatBitrate), [
    '–',
    '0 kbit/s',
    '320 kbit/s',
    '1.0 Mbit/s',
    '1.5 Mbit/s',
  ]);
  assert.equal(formatShare(0.0042), '0.4 %');
});

test('a sparkline ends at the right edge and stays in its box', () => {
  const points = sparkline([0, 50, 900], { width: 20, height: 10, slots: 5, most: 100 });
  assert.equal(points, '10.0,10.0 15.0,5.0 20.0,0.0');
});
