// Figures of a call out of an RTCStatsReport; pure.

/** A digest with every figure unknown. */
const EMPTY = Object.freeze({ up: null, down: null, rtt: null, video: null, audio: null, sent: [] });

const rate = (now, before, seconds) =>
  before !== undefined && now !== undefined && seconds > 0
    ? Math.max(0, Math.round((8 * (now - before)) / seconds))
    : null;

const share = (part, rest) => (part + rest > 0 ? part / (part + rest) : 0);

/**
 * The figures since `previous` (the last digest or null). `report` maps ids to stats, `roles`
 * mids to roles. Bitrates in bit/s, times in ms, losses as fractions; null where unknown.
 */
export function digest(previous, report, roles) {
  const all = [...report.values()];
  const codecs = new Map(all.filter((s) => s.type === 'codec').map((s) => [s.id, codecName(s)]));
  const totals = { at: 0, ...transportTotals(report, all), streams: {} };
  totals.at = all.reduce((latest, s) => Math.max(latest, s.timestamp ?? 0), 0);
  const since = previous?.totals;
  const seconds = since ? (totals.at - since.at) / 1000 : 0;
  const figures = {
    ...EMPTY,
    totals,
    up: rate(totals.sent, since?.sent, seconds),
    down: rate(totals.received, since?.received, seconds),
    rtt: totals.rtt,
    sent: [],
  };
  for (const stat of all) {
    const role = roles.get(stat.mid);
    if (stat.type === 'inbound-rtp' && role === 'mix-video') {
      figures.video = inboundVideo(stat, codecs, since, totals, seconds);
    } else if (stat.type === 'inbound-rtp' && role === 'mix-audio') {
      figures.audio = inboundAudio(stat, codecs, since, totals, seconds);
    } else if (stat.type === 'outbound-rtp' && role && stat.bytesSent > 0) {
      figures.sent.push(outbound(stat, role, report, codecs, since, totals, seconds));
    }
  }
  return figures;
}

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

/** Loss since the last digest, from counters of packets lost and received. */
function recentLoss(stat, since, totals) {
  const lost = Math.max(0, stat.packetsLost ?? 0);
  const received = stat.packetsReceived ?? 0;
  totals.streams[stat.id] = { lost, received, bytes: stat.bytesReceived };
  const before = since?.streams[stat.id];
  return before
    ? share(Math.max(0, lost - before.lost), Math.max(0, received - before.received))
    : share(lost, received);
}

function inboundVideo(stat, codecs, since, totals, seconds) {
  const loss = recentLoss(stat, since, totals);
  return {
    codec: codecs.get(stat.codecId) ?? null,
    bitrate: rate(stat.bytesReceived, since?.streams[stat.id]?.bytes, seconds),
    frameWidth: stat.frameWidth ?? 0,
    frameHeight: stat.frameHeight ?? 0,
    fps: stat.framesPerSecond ?? 0,
    framesDecoded: stat.framesDecoded ?? 0,
    framesDropped: stat.framesDropped ?? 0,
    freezeCount: stat.freezeCount ?? 0,
    totalFreezesDuration: stat.totalFreezesDuration ?? 0,
    keyFramesDecoded: stat.keyFramesDecoded ?? 0,
    pliCount: stat.pliCount ?? 0,
    jitter: Math.round((stat.jitter ?? 0) * 1000),
    loss,
  };
}

function inboundAudio(stat, codecs, since, totals, seconds) {
  const loss = recentLoss(stat, since, totals);
  return {
    codec: codecs.get(stat.codecId) ?? null,
    bitrate: rate(stat.bytesReceived, since?.streams[stat.id]?.bytes, seconds),
    audioLevel: stat.audioLevel ?? 0,
    totalAudioEnergy: stat.totalAudioEnergy ?? 0,
    totalSamplesReceived: stat.totalSamplesReceived ?? 0,
    concealedSamples: stat.concealedSamples ?? 0,
    jitter: Math.round((stat.jitter ?? 0) * 1000),
    loss,
  };
}

function outbound(stat, role, report, codecs, since, totals, seconds) {
  const remote = report.get(stat.remoteId);
  totals.streams[stat.id] = { bytes: stat.bytesSent };
  return {
    role,
    codec: codecs.get(stat.codecId) ?? null,
    bitrate: rate(stat.bytesSent, since?.streams[stat.id]?.bytes, seconds),
    frameWidth: stat.frameWidth ?? 0,
    frameHeight: stat.frameHeight ?? 0,
    fps: stat.framesPerSecond ?? 0,
    limitedBy: stat.qualityLimitationReason ?? 'none',
    loss: remote?.fractionLost ?? null,
  };
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
export function sparkline(values, { width, height, slots, most }) {
  const step = width / (slots - 1);
  const start = slots - values.length;
  return values
    .map((value, i) => {
      const y = height - (height * Math.min(value ?? 0, most)) / (most || 1);
      return `${((start + i) * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}
