// Statistics of a call from its RTCStatsReports, that of the connection with the server and those
// of the mesh together; pure.

/** @import {Mid, ParticipantId, Role} from '../../../tests/client/types/protocol.d.ts' */
/** @import {InboundStats, SentStats, Stats} from '../base/state.js' */

/**
 * One connection and its report.
 *
 * @typedef {object} Connection
 * @property {string} id
 * @property {{values: () => Iterable<Stat>, get: (id: string) => Stat | undefined}} report
 * @property {Map<Mid | null, Role> | 'mesh'} roles what each m-line is for; `mesh` for a direct connection
 * @property {Map<Mid, ParticipantId | null>} [people] who is in which forward slot
 */

/**
 * A member of an RTCStatsReport. Its fields depend on its type and on the browser.
 *
 * @typedef {any} Stat
 */

/**
 * Counters of one RTP stream, for the next digest.
 *
 * @typedef {{[name: string]: number | undefined}} Counters
 */

/**
 * @typedef {{at: number, sent?: number, received?: number, rtt: number | null, streams: {[id:
 *   string]: Counters}}} Totals
 */

/**
 * What the digest of one stream needs to know of its connection.
 *
 * @typedef {object} Context
 * @property {Connection['report']} report
 * @property {Map<string, string | null>} codecs names by id
 * @property {Totals | undefined} since
 * @property {Totals} totals
 * @property {number} seconds between the two
 */

/** @typedef {ReturnType<typeof receivedOf> & {from: string | null}} Inbound */
/** @typedef {ReturnType<typeof sentOf>} Sent */
/** @typedef {ReturnType<typeof digestOne>} Part */

/** A digest in which everything is unknown. @type {Stats} */
const EMPTY = Object.freeze({ up: null, down: null, rtt: null, video: null, audio: null, sent: [], paths: null });

/**
 * Bit/s between two counters of bytes; null where one is unknown.
 *
 * @param {number | undefined} now
 * @param {number | undefined} before
 * @param {number} seconds
 */
const rate = (now, before, seconds) =>
  before !== undefined && now !== undefined && seconds > 0
    ? Math.max(0, Math.round((8 * (now - before)) / seconds))
    : null;

/** @param {number | undefined} now @param {number | undefined} before */
const growth = (now, before) => (now !== undefined && before !== undefined ? now - before : 0);

/**
 * The growth of a total for each of `count`; null where it is unknown.
 *
 * @param {number | undefined} now
 * @param {number | undefined} before
 * @param {number} count
 */
const each = (now, before, count) =>
  before !== undefined && now !== undefined && count > 0 ? Math.max(0, now - before) / count : null;

/** @param {number | null} seconds */
const milliseconds = (seconds) => (seconds === null ? null : 1000 * seconds);

/** @param {number} part @param {number} rest */
const share = (part, rest) => (part + rest > 0 ? part / (part + rest) : 0);
/** @param {Stat[]} all @param {string} key @returns {number} */
const sum = (all, key) => all.reduce((total, one) => total + (one[key] ?? 0), 0);
/**
 * @template {string} Key
 * @param {Stat[]} all
 * @param {Key[]} keys
 * @returns {{[key in Key]: number}}
 */
const sums = (all, keys) => /** @type {any} */ (Object.fromEntries(keys.map((key) => [key, sum(all, key)])));
/** @param {Stat[]} all @param {string} key @returns {number} */
const most = (all, key) => all.reduce((top, one) => Math.max(top, one[key] ?? 0), 0);

/**
 * The sum of all known values; null where none is known.
 *
 * @param {(number | null)[]} values
 * @returns {number | null}
 */
const sumKnown = (values) => values.reduce((total, value) => (value === null ? total : (total ?? 0) + value), null);

/** The mean of all known values; null where none is known. @param {(number | null)[]} values */
const meanKnown = (values) => {
  const known = values.filter((value) => value !== null);
  return known.length ? mean(known) : null;
};

/**
 * The statistics since `previous`, the last digest. At the first digest rates are unknown.
 *
 * @param {Stats | null} previous
 * @param {Connection[]} connections
 * @returns {Stats}
 */
export function digest(previous, connections) {
  const since = previous?.totals;
  const parts = connections.map((one) => digestOne(one, since?.[one.id]));
  const inbound = parts.flatMap((part) => part.inbound);
  const rtts = parts.flatMap(({ direct, totals }) => (direct && totals.rtt !== null ? [totals.rtt] : []));
  return {
    ...EMPTY,
    totals: Object.fromEntries(parts.map((part) => [part.id, part.totals])),
    up: sumKnown(parts.map((part) => part.up)),
    down: sumKnown(parts.map((part) => part.down)),
    rtt: rtts.length ? mean(rtts) : (parts[0]?.totals.rtt ?? null),
    video: combineVideo(inbound.filter((one) => one.kind === 'video')),
    audio: combineAudio(inbound.filter((one) => one.kind === 'audio')),
    sent: combineSent(parts.flatMap((part) => part.sent)),
    paths: parts.length && since ? countPaths(parts) : null,
  };
}

/** To one decimal. @param {number[]} values */
const mean = (values) => Math.round((10 * values.reduce((a, b) => a + b, 0)) / values.length) / 10;

/**
 * The flows that carried anything. Sound and picture of one participant are one flow.
 *
 * @param {Part[]} parts
 */
function countPaths(parts) {
  const sources = new Set(parts.flatMap((part) => part.inbound.map((one) => one.from)));
  return { up: parts.filter((part) => part.sent.length).length, down: sources.size };
}

/**
 * The digest of one connection.
 *
 * @param {Connection} connection
 * @param {Totals | undefined} since its counters of the last time
 */
function digestOne({ id, report, roles, people }, since) {
  const all = [...report.values()];
  const codecs = new Map(all.filter((s) => s.type === 'codec').map((s) => [s.id, codecName(s)]));
  /** @type {Totals} */
  const totals = { at: most(all, 'timestamp'), ...transportTotals(report, all), streams: {} };
  const seconds = since ? (totals.at - since.at) / 1000 : 0;
  const context = { report, codecs, since, totals, seconds };
  /** The streams of a type that have a role. @param {string} type @returns {[Stat, string][]} */
  const streams = (type) =>
    all.flatMap((stat) => {
      const role = roles === 'mesh' ? 'mesh' : roles.get(stat.mid);
      return stat.type === type && role ? [[stat, role]] : [];
    });
  const inbound = streams('inbound-rtp').map(([stat, role]) => ({
    ...receivedOf(stat, context),
    from: sourceOf(stat, role, id, people),
  }));
  const sent = streams('outbound-rtp').map(([stat, role]) =>
    sentOf(stat, role === 'mesh' ? meshRole(stat) : role, context),
  );
  /** @param {{flows: boolean}} one */
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

/**
 * What counts as one flow: the mix, or everything from one participant.
 *
 * @param {Stat} stat
 * @param {string} role
 * @param {string} id that of the connection
 * @param {Connection['people']} people
 * @returns {string | null}
 */
function sourceOf(stat, role, id, people) {
  if (role === 'mesh') return id;
  return role.startsWith('mix') ? 'mix' : (people?.get(stat.mid) ?? stat.mid);
}

/** In the mesh the m-lines are mic, camera and screen, in this order. @param {Stat} stat */
const meshRole = (stat) => (stat.kind === 'audio' ? 'mic' : stat.mid === '2' ? 'screen' : 'camera');

/** @param {Stat} stat */
const codecName = (stat) => (stat.mimeType ?? '').replace(/^(audio|video)\//, '') || null;

/**
 * Counters of the candidate pair in use. Chromium names the pair in `transport`; Firefox marks the
 * pair itself.
 *
 * @param {Connection['report']} report
 * @param {Stat[]} all
 */
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

/**
 * Whether bytes came or went since the last digest; at the first, whether any ever did.
 *
 * @param {number | undefined} bytes
 * @param {Counters | undefined} before
 */
const hasFlowed = (bytes, before) => (bytes ?? 0) > (before?.bytes ?? 0);

/** @param {Stat} stat @param {Context} context */
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
      milliseconds(each(buffered, before?.buffered, growth(emitted, before?.emitted))),
      milliseconds(each(decoding, before?.decoding, growth(frames, before?.frames))),
    ]),
  };
}

/** @param {{codec: string | null}[]} all */
const codecsOf = (all) => [...new Set(all.map((one) => one.codec).filter(Boolean))].join(', ') || null;
/** The largest jitter, ms. @param {{stat: Stat}[]} all */
const jitterOf = (all) =>
  Math.round(
    1000 *
      most(
        all.map((one) => one.stat),
        'jitter',
      ),
  );

/** What streams of both kinds have. @param {Inbound[]} all @returns {InboundStats} */
function combine(all) {
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

/**
 * All received pictures; null where there is none.
 *
 * @param {Inbound[]} all
 * @returns {Stats['video']}
 */
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
    ...sums(stats, [
      'framesDecoded',
      'framesDropped',
      'freezeCount',
      'totalFreezesDuration',
      'keyFramesDecoded',
      'pliCount',
    ]),
  };
}

/**
 * All received sound; null where there is none.
 *
 * @param {Inbound[]} all
 * @returns {Stats['audio']}
 */
function combineAudio(all) {
  if (!all.length) return null;
  const stats = all.map((one) => one.stat);
  return {
    ...combine(all),
    audioLevel: most(stats, 'audioLevel'),
    ...sums(stats, ['totalAudioEnergy', 'totalSamplesReceived', 'concealedSamples']),
  };
}

/** @param {Stat} stat @param {string} role @param {Context} context */
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

/**
 * One entry for each role, over all connections it is sent on.
 *
 * @param {Sent[]} all
 * @returns {SentStats[]}
 */
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

/** A bitrate for people: `1.5 Mbit/s`, `320 kbit/s`. @param {number | null} [bits] */
export function formatBitrate(bits) {
  if (bits === null || bits === undefined) return '–';
  if (bits >= 999_500) return `${(bits / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bits / 1000)} kbit/s`;
}

/** A fraction for people: `0.4 %`. @param {number | null} [fraction] */
export const formatShare = (fraction) =>
  fraction === null || fraction === undefined ? '–' : `${(100 * fraction).toFixed(1)} %`;

/**
 * The `points` of a polyline for `values` in a `width` by `height` box, the newest at the right.
 *
 * @param {(number | null)[]} values
 * @param {{width: number, height: number, slots: number, most: number}} box `slots` is how many
 *   values fill it, `most` the value at its top
 */
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
