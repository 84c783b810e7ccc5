// Figures of a call out of RTCStatsReports, that of the connection with the server and those of
// the mesh together; pure.

/** A digest with every figure unknown. */
const EMPTY = Object.freeze({ up: null, down: null, rtt: null, video: null, audio: null, sent: [], paths: null });

const rate = (now, before, seconds) =>
  before !== undefined && now !== undefined && seconds > 0
    ? Math.max(0, Math.round((8 * (now - before)) / seconds))
    : null;

/** How much a total has grown for each of `count`; null where that is not known. */
const each = (now, before, count) =>
  before !== undefined && now !== undefined && count > 0 ? Math.max(0, now - before) / count : null;
const thousandth = (seconds) => (seconds === null ? null : 1000 * seconds);

const share = (part, rest) => (part + rest > 0 ? part / (part + rest) : 0);
const sum = (all, key) => all.reduce((total, one) => total + (one[key] ?? 0), 0);
const most = (all, key) => all.reduce((top, one) => Math.max(top, one[key] ?? 0), 0);
/** Sums what is known; null where nothing is. */
const sumKnown = (values) => values.reduce((total, value) => (value === null ? total : (total ?? 0) + value), null);

/** The mean of what is known; null where nothing is. */
const meanKnown = (values) => {
  const known = values.filter((value) => value !== null);
  return known.length ? mean(known) : null;
};

/**
 * The figures since `previous` (the last digest or null). `connections` are each `{id, report,
 * roles, people}`: `roles` maps mids to roles (`mesh` for all of a direct connection's), `people`
 * mids of forward slots to participants. Bitrates in bit/s, times in ms, losses as fractions;
 * null where unknown. `decoding` is in cores, of this page's processor; `waiting` is how long what
 * came stays in the jitter buffer and the decoder. `paths` counts what flowed since: `{up, down}` of this page.
 */
export function digest(previous, connections) {
  const since = previous?.totals;
  const parts = connections.map((one) => digestOne(one, since?.[one.id]));
  const inbound = parts.flatMap((part) => part.inbound);
  const direct = parts.filter((part) => part.direct && part.totals.rtt !== null);
  return {
    ...EMPTY,
    totals: Object.fromEntries(parts.map((part) => [part.id, part.totals])),
    up: sumKnown(parts.map((part) => part.up)),
    down: sumKnown(parts.map((part) => part.down)),
    rtt: direct.length ? mean(direct.map((part) => part.totals.rtt)) : (parts[0]?.totals.rtt ?? null),
    video: combineVideo(inbound.filter((one) => one.kind === 'video')),
    audio: combineAudio(inbound.filter((one) => one.kind === 'audio')),
    sent: combineSent(parts.flatMap((part) => part.sent)),
    paths: parts.length && since ? countPaths(parts) : null,
  };
}

const mean = (values) => Math.round((10 * values.reduce((a, b) => a + b, 0)) / values.length) / 10;

/** One way from somebody counts once, its sound and picture together. */
function countPaths(parts) {
  const sources = new Set(parts.flatMap((part) => part.inbound.map((one) => one.from)));
  return { up: parts.filter((part) => part.sent.length).length, down: sources.size };
}

function digestOne({ id, report, roles, people }, since) {
  const all = [...report.values()];
  const codecs = new Map(all.filter((s) => s.type === 'codec').map((s) => [s.id, codecName(s)]));
  const totals = { at: most(all, 'timestamp'), ...transportTotals(report, all), streams: {} };
  const seconds = since ? (totals.at - since.at) / 1000 : 0;
  const context = { report, codecs, since, totals, seconds };
  const roleOf = (stat) => (roles === 'mesh' ? 'mesh' : roles.get(stat.mid));
  const inbound = all
    .filter((stat) => stat.type === 'inbound-rtp' && roleOf(stat))
    .map((stat) => ({ ...receivedOf(stat, context), from: sourceOf(stat, roleOf(stat), id, people) }));
  const sent = all
    .filter((stat) => stat.type === 'outbound-rtp' && roleOf(stat))
    .map((stat) => sentOf(stat, roles === 'mesh' ? meshRole(stat) : roleOf(stat), context));
  const flowing = (one) => one.flows;
  return {
    id,
    direct: roles === 'mesh',
    totals,
    up: rate(totals.sent, since?.sent, seconds),
    down: rate(totals.received, since?.received, seconds),
    inbound: inbound.filter(flowing),
    sent: sent.filter(flowing),
  };
}

/** Whose way a stream came: the mix is the server's, a slot is its person's. */
function sourceOf(stat, role, id, people) {
  if (role === 'mesh') return id;
  return role.startsWith('mix') ? 'mix' : (people?.get(stat.mid) ?? stat.mid);
}

/** In the mesh the m-lines are mic, camera and screen, in this order. */
const meshRole = (stat) => (stat.kind === 'audio' ? 'mic' : stat.mid === '2' ? 'screen' : 'camera');

const codecName = (stat) => (stat.mimeType ?? '').replace(/^(audio|video)\//, '') || null;

/** Chromium names the pair in use in `transport`; Firefox marks the pair itself. */
function transportTotals(report, all) {
  const transport = all.find((s) => s.type === 'transport' && s.selectedCandidatePairId);
  const pairs = all.filter((s) => s.type === 'candidate-pair');
  const pair =
    (transport && report.get(transport.selectedCandidatePairId)) ??
    pairs.find((s) => s.selected) ??
    pairs.find((s) => s.nominated && s.state === 'succeeded');
  const rtt = pair?.currentRoundTripTime;
  return {
    sent: transport?.bytesSent ?? pair?.bytesSent,
    received: transport?.bytesReceived ?? pair?.bytesReceived,
    rtt: rtt === undefined ? null : Math.round(rtt * 10_000) / 10,
  };
}

/** Whether bytes came or went since the last digest; at the first, whether any ever did. */
const hasFlowed = (bytes, before) => (bytes ?? 0) > (before?.bytes ?? 0);

function receivedOf(stat, { codecs, since, totals, seconds }) {
  const before = since?.streams[stat.id];
  const { totalDecodeTime: decoding, framesDecoded: frames } = stat;
  const { jitterBufferDelay: buffered, jitterBufferEmittedCount: emitted } = stat;
  const lost = Math.max(0, stat.packetsLost ?? 0);
  const received = stat.packetsReceived ?? 0;
  totals.streams[stat.id] = { lost, received, bytes: stat.bytesReceived, decoding, frames, buffered, emitted };
  return {
    kind: stat.kind,
    stat,
    flows: hasFlowed(stat.bytesReceived, before),
    codec: codecs.get(stat.codecId) ?? null,
    bitrate: rate(stat.bytesReceived, before?.bytes, seconds),
    lost: Math.max(0, lost - (before?.lost ?? 0)),
    received: Math.max(0, received - (before?.received ?? 0)),
    decoding: each(decoding, before?.decoding, seconds),
    waiting: sumKnown([
      thousandth(each(buffered, before?.buffered, emitted - before?.emitted)),
      thousandth(each(decoding, before?.decoding, frames - before?.frames)),
    ]),
  };
}

const codecsOf = (all) => [...new Set(all.map((one) => one.codec).filter(Boolean))].join(', ') || null;
const jitterOf = (all) =>
  Math.round(
    1000 *
      most(
        all.map((one) => one.stat),
        'jitter',
      ),
  );

/** What several streams of one kind have in common; null where there is none. */
function combine(all) {
  if (!all.length) return null;
  return {
    streams: all.length,
    codec: codecsOf(all),
    bitrate: sumKnown(all.map((one) => one.bitrate)),
    jitter: jitterOf(all),
    loss: share(sum(all, 'lost'), sum(all, 'received')),
    decoding: sumKnown(all.map((one) => one.decoding)),
    waiting: meanKnown(all.map((one) => one.waiting)),
  };
}

function combineVideo(all) {
  if (!all.length) return null;
  const stats = all.map((one) => one.stat);
  const largest = stats.reduce((a, b) => ((b.frameWidth ?? 0) > (a.frameWidth ?? 0) ? b : a));
  return {
    ...combine(all),
    frameWidth: largest.frameWidth ?? 0,
    frameHeight: largest.frameHeight ?? 0,
    sizes: new Set(stats.map((stat) => `${stat.frameWidth}x${stat.frameHeight}`)).size,
    fps: sum(stats, 'framesPerSecond') / stats.length,
    ...Object.fromEntries(
      ['framesDecoded', 'framesDropped', 'freezeCount', 'totalFreezesDuration', 'keyFramesDecoded', 'pliCount'].map(
        (key) => [key, sum(stats, key)],
      ),
    ),
  };
}

function combineAudio(all) {
  if (!all.length) return null;
  const stats = all.map((one) => one.stat);
  return {
    ...combine(all),
    audioLevel: most(stats, 'audioLevel'),
    ...Object.fromEntries(
      ['totalAudioEnergy', 'totalSamplesReceived', 'concealedSamples'].map((key) => [key, sum(stats, key)]),
    ),
  };
}

function sentOf(stat, role, { report, codecs, since, totals, seconds }) {
  const before = since?.streams[stat.id];
  totals.streams[stat.id] = { bytes: stat.bytesSent };
  return {
    role,
    flows: hasFlowed(stat.bytesSent, before),
    codec: codecs.get(stat.codecId) ?? null,
    bitrate: rate(stat.bytesSent, before?.bytes, seconds),
    frameWidth: stat.frameWidth ?? 0,
    frameHeight: stat.frameHeight ?? 0,
    fps: stat.framesPerSecond ?? 0,
    limitedBy: stat.qualityLimitationReason ?? 'none',
    loss: report.get(stat.remoteId)?.fractionLost ?? null,
  };
}

/** One entry for each role, over all connections it is sent on. */
function combineSent(all) {
  return [...new Set(all.map((one) => one.role))].map((role) => {
    const same = all.filter((one) => one.role === role);
    const largest = same.reduce((a, b) => (b.frameWidth > a.frameWidth ? b : a));
    const worst = same.reduce((a, b) => ((b.loss ?? 0) > (a.loss ?? 0) ? b : a));
    return {
      ...largest,
      streams: same.length,
      codec: codecsOf(same),
      bitrate: sumKnown(same.map((one) => one.bitrate)),
      loss: worst.loss,
      limitedBy: same.find((one) => one.limitedBy !== 'none')?.limitedBy ?? 'none',
    };
  });
}

/** A bitrate for people: `1.5 Mbit/s`, `320 kbit/s`. */
export function formatBitrate(bits) {
  if (bits === null || bits === undefined) return '–';
  if (bits >= 999_500) return `${(bits / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bits / 1000)} kbit/s`;
}

/** A fraction for people: `0.4 %`. */
export const formatShare = (fraction) =>
  fraction === null || fraction === undefined ? '–' : `${(100 * fraction).toFixed(1)} %`;

/** The `points` of a polyline for `values` in a `width` by `height` box, newest at the right. */
export function sparkline(values, { width, height, slots, most: top }) {
  const step = width / (slots - 1);
  const start = slots - values.length;
  return values
    .map((value, i) => {
      const y = height - (height * Math.min(value ?? 0, top)) / (top || 1);
      return `${((start + i) * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}
