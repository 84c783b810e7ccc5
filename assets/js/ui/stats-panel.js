// The panel of live statistics.

/** @import {LoadReport} from '../../../tests/client/types/protocol.d.ts' */
/** @import {InboundStats, SentStats, State, Stats} from '../base/state.js' */

import { byId, setText } from '../base/dom.js';
import { ownPaths } from '../base/modes.js';
import { targetOf } from '../base/state.js';
import { formatBitrate, formatShare, sparkline } from '../call/stats.js';

/** How many digests the chart shows. */
const SAMPLES = 60;
const CHART = { width: 240, height: 48, slots: SAMPLES };

export class StatsPanel {
  /** @type {Stats[]} */
  #history = [];

  /** @param {State} state @param {State} before */
  render(state, before) {
    if (state.stats === before.stats && state.room === before.room) return;
    const stats = state.stats;
    if (!stats) this.#history = [];
    else if (stats !== before.stats) this.#history = [...this.#history, stats].slice(-SAMPLES);
    if (byId('panel-figures').hidden && before.stats) return;
    for (const [id, text] of Object.entries({ ...texts(stats), ...paths(state) }))
      setText(byId(`fig-${id}`), unbroken(text));
    const most = Math.max(100_000, ...this.#history.flatMap((one) => [one.up ?? 0, one.down ?? 0]));
    for (const side of /** @type {const} */ (['up', 'down'])) {
      const values = this.#history.map((one) => one[side]);
      byId(`chart-${side}`).setAttribute('points', sparkline(values, { ...CHART, most: most * 1.1 }));
    }
  }
}

/** Keeps a number and its unit on one line. @param {string} text */
const unbroken = (text) => text.replaceAll(/(\d) (?=[a-zA-Z×%])|× /g, (space) => space.replace(' ', '\u00a0'));

/**
 * @param {{frameWidth: number, frameHeight: number, streams: number, sizes?: number} | null |
 *   undefined} one
 */
const size = (one) => {
  if (!one?.frameWidth) return '–';
  const many = one.streams > 1 ? `${one.streams}${(one.sizes ?? 0) > 1 ? ', up to ' : ' of '}` : '';
  return `${many}${one.frameWidth} × ${one.frameHeight}`;
};
/** @param {number | null | undefined} value @param {string} unit */
const number = (value, unit) => (value === null || value === undefined ? '–' : `${Math.round(value)} ${unit}`);

/**
 * Flows between machines: how many the mode needs, and how many were counted.
 *
 * @param {State} state
 */
function paths({ room, stats, ...state }) {
  const people = room?.participants.filter((one) => !one.viewer).length ?? 0;
  const own = room ? ownPaths(targetOf({ room, ...state }), people) : null;
  const { expected, measured } = room?.paths ?? {};
  /** @param {number | null | undefined} value */
  const count = (value) => (value === null || value === undefined ? '–' : String(value));
  return {
    'paths-expected': count(expected?.outside),
    'paths-measured': count(measured?.outside),
    'own-up-expected': count(own?.up),
    'own-up-measured': count(stats?.paths?.up),
    'own-down-expected': count(own?.down),
    'own-down-measured': count(stats?.paths?.down),
  };
}

/** @param {Stats | null} stats @returns {{[id: string]: string}} */
function texts(stats) {
  const { video, audio, sent = [] } = stats ?? {};
  const camera = sent.find((one) => one.role === 'camera');
  const screen = sent.find((one) => one.role === 'screen');
  const mic = sent.find((one) => one.role === 'mic');
  return {
    up: formatBitrate(stats?.up),
    down: formatBitrate(stats?.down),
    rtt: stats?.rtt === null || stats?.rtt === undefined ? '–' : `${stats.rtt.toFixed(stats.rtt < 10 ? 1 : 0)} ms`,
    'in-size': size(video),
    'in-fps': number(video?.fps, 'fps'),
    'in-loss': formatShare(video?.loss),
    'in-freezes': video ? `${video.freezeCount} (${video.totalFreezesDuration.toFixed(1)} s)` : '–',
    'in-delay': delays(stats),
    'in-decoding':
      video?.decoding === null || video?.decoding === undefined ? '–' : `${video.decoding.toFixed(3)} cores`,
    'in-jitter': number(video?.jitter, 'ms'),
    'in-bitrate': video || audio ? formatBitrate((video?.bitrate ?? 0) + (audio?.bitrate ?? 0)) : '–',
    'in-codec': [video?.codec, audio?.codec].filter(Boolean).join(' + ') || '–',
    ...server(stats?.server),
    'out-camera': describe(camera),
    'out-screen': describe(screen),
    'out-mic': mic ? `${mic.codec ?? ''} ${formatBitrate(mic.bitrate)}`.trim() : 'off',
    'out-loss': formatShare(camera?.loss ?? mic?.loss),
    'out-limit': LIMITS[camera?.limitedBy ?? ''] ?? '–',
  };
}

/** The load of the server's process on its machine. @param {LoadReport | null | undefined} load */
function server(load) {
  const limit = load?.cores_limit ? ` of ${Number(load.cores_limit.toFixed(2))}` : '';
  return {
    'server-cpu': load ? `${load.cores_used.toFixed(2)}${limit} cores` : '–',
    'server-memory': load?.memory_bytes ? `${Math.round(load.memory_bytes / 1e6)} MB` : '–',
  };
}

/**
 * Delays of picture and sound, from the sender of the stream to being played.
 *
 * @param {Stats | null} stats
 */
function delays(stats) {
  const { rtt, video, audio } = stats ?? {};
  /** @param {InboundStats | null | undefined} kind */
  const one = (kind) =>
    kind?.waiting === null || kind?.waiting === undefined ? '–' : `${Math.round((rtt ?? 0) / 2 + kind.waiting)}`;
  return video || audio ? `${one(video)} / ${one(audio)} ms` : '–';
}

/** @type {{[reason: string]: string}} */
const LIMITS = { none: 'nothing', cpu: 'this computer', bandwidth: 'the network', other: 'the browser' };

/** @param {SentStats | undefined} stream */
const describe = (stream) =>
  stream?.frameWidth
    ? `${size(stream)}, ${number(stream.fps, 'fps')}, ${stream.codec ?? ''} ${formatBitrate(stream.bitrate)}`
    : 'off';
