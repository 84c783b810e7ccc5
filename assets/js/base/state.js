// What the page knows: a pure reducer over the server's messages and a few local events
// (`local/...`). Nothing here touches the DOM, a socket or a clock.

/** @import {Mode, ParticipantId, ParticipantState, RecordingState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {LoadReport, RoomId, RoomState, ServerMessage, SlotState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from './config.js' */

import { levelFraction } from './levels.js';
import { MODE_WORDS } from './modes.js';
import { sourceKey } from './participant.js';

/** The phases of a call. */
export const Phase = Object.freeze(
  /** @type {const} */ ({
    Idle: 'idle',
    Joining: 'joining',
    InCall: 'in-call',
    Reconnecting: 'reconnecting',
  }),
);

/** @typedef {typeof Phase[keyof typeof Phase]} PhaseName */

/**
 * @typedef {object} State
 * @property {PhaseName} phase
 * @property {RoomId | null} roomId
 * @property {ParticipantId | null} self the own participant, once welcomed
 * @property {RoomState | null} room the last `room` message
 * @property {Mode | null} served how the server serves this page; null before it has said so
 * @property {SlotState[]} slots who is in which forward m-line
 * @property {boolean} wanted whether the server needs what is sent to it
 * @property {ParticipantId | null} lastSpeaker
 * @property {MeshState} mesh
 * @property {MeshAudio | null} meshAudio null where the server measures levels
 * @property {{[id: ParticipantId]: number}} levels sound levels in dBov
 * @property {ChatLine[]} chat in the order of arrival
 * @property {Notice | null} notice why the call has ended or is interrupted
 * @property {{attempt: number, delay: number} | null} retry set while the page reconnects
 * @property {Stats | null} stats the newest digest of call/stats.js
 */

/**
 * The mesh as far as media is concerned.
 *
 * @typedef {object} MeshState
 * @property {{[id: ParticipantId]: RTCPeerConnectionState}} links state of each connection
 * @property {ParticipantId[]} receiving the members whose media arrives directly
 * @property {string[]} pictures keys (`sourceKey`) of the pictures that arrive, and of the own ones
 * @property {boolean} covered whether media arrives from all members that can be reached
 */

/**
 * What the page measures in the mesh, where no server does.
 *
 * @typedef {object} MeshAudio
 * @property {{[id: ParticipantId]: number}} levels dBov
 * @property {ParticipantId[]} speaking
 */

/**
 * @typedef {{from: ParticipantId | null, name: string, text: string, own: boolean, pending:
 *   boolean}} ChatLine
 */

/** @typedef {{tone: 'info' | 'error', text: string, code: string | null}} Notice */

/**
 * Statistics of the whole call since the digest before. Bitrates are in bit/s, times in ms, losses
 * fractions; null is unknown.
 *
 * @typedef {object} Stats
 * @property {number | null} up bitrate of all connections, as the transports count it
 * @property {number | null} down
 * @property {number | null} rtt
 * @property {(InboundStats & VideoStats) | null} video
 * @property {(InboundStats & AudioStats) | null} audio
 * @property {SentStats[]} sent one entry for each role
 * @property {{up: number, down: number} | null} paths how many flows left this page and reached it
 * @property {LoadReport | null} [server] load of the server, while somebody looks at it
 * @property {{[id: string]: any}} [totals] counters of each connection, for the next digest
 */

/**
 * Everything received of one kind.
 *
 * @typedef {object} InboundStats
 * @property {number} streams
 * @property {string | null} codec
 * @property {number | null} bitrate
 * @property {number} jitter
 * @property {number} loss
 * @property {number | null} decoding cores of this machine that decoding takes
 * @property {number | null} waiting time in the jitter buffer and the decoder, in the mean
 */

/**
 * Sums over all video streams, as in RTCInboundRtpStreamStats; size and rate are those of the
 * largest stream and of the mean one.
 *
 * @typedef {object} VideoStats
 * @property {number} frameWidth
 * @property {number} frameHeight
 * @property {number} sizes how many different sizes there are
 * @property {number} fps
 * @property {number} framesDecoded
 * @property {number} framesDropped
 * @property {number} freezeCount
 * @property {number} totalFreezesDuration seconds
 * @property {number} keyFramesDecoded
 * @property {number} pliCount
 */

/**
 * @typedef {{audioLevel: number, totalAudioEnergy: number, totalSamplesReceived: number,
 *   concealedSamples: number}} AudioStats
 */

/**
 * Everything sent on one uplink.
 *
 * @typedef {object} SentStats
 * @property {string} role
 * @property {number} streams
 * @property {string | null} codec
 * @property {number | null} bitrate
 * @property {number} frameWidth
 * @property {number} frameHeight
 * @property {number} fps
 * @property {string} limitedBy RTCQualityLimitationReason
 * @property {number | null} loss
 */

/**
 * @typedef {{type: 'local/join', room: RoomId}
 *   | {type: 'local/connected'}
 *   | {type: 'local/lost', text: string, code?: string | null, attempt: number, delay: number}
 *   | {type: 'local/ended', tone: 'info' | 'error', text: string, code?: string | null}
 *   | {type: 'local/stats', stats: Stats}
 *   | {type: 'local/chat-sent', text: string}
 *   | {type: 'local/mesh', mesh: MeshState}
 *   | {type: 'local/mesh-audio', meshAudio: MeshAudio | null}
 *   | {type: 'local/levels-expired'}} LocalEvent
 */

/**
 * A participant as lists and tiles show them.
 *
 * @typedef {ParticipantState & {own: boolean, pinned: boolean, level: number}} Row
 */

/** @typedef {ReturnType<typeof createStore>} Store */

/** @type {MeshState} */
const NO_MESH = { links: {}, receiving: [], pictures: [], covered: false };

/** The state of a page that has not joined. @returns {State} */
export const initialState = () => ({
  phase: Phase.Idle,
  roomId: null,
  self: null,
  room: null,
  served: null,
  slots: [],
  wanted: true,
  lastSpeaker: null,
  mesh: NO_MESH,
  meshAudio: null,
  levels: {},
  chat: [],
  notice: null,
  retry: null,
  stats: null,
});

/**
 * The state after `event`; the same object if nothing has changed.
 *
 * @param {State} state
 * @param {LocalEvent | ServerMessage} event
 * @returns {State}
 */
export function reduce(state, event) {
  switch (event.type) {
    case 'local/join':
      return { ...initialState(), phase: Phase.Joining, roomId: event.room };
    case 'local/connected':
      return { ...state, phase: Phase.InCall, notice: null, retry: null };
    case 'local/lost':
      return {
        ...state,
        phase: Phase.Reconnecting,
        levels: {},
        stats: null,
        retry: { attempt: event.attempt, delay: event.delay },
        notice: { tone: 'error', text: event.text, code: event.code ?? null },
      };
    case 'local/ended':
      return {
        ...initialState(),
        roomId: state.roomId,
        notice: { tone: event.tone, text: event.text, code: event.code ?? null },
      };
    case 'local/stats':
      return { ...state, stats: event.stats };
    case 'local/chat-sent':
      return { ...state, chat: [...state.chat, ownLine(state, event.text)] };
    case 'local/mesh':
      return { ...state, mesh: event.mesh };
    case 'local/mesh-audio':
      return withSpeaker({ ...state, meshAudio: event.meshAudio }, event.meshAudio?.speaking ?? []);
    case 'local/levels-expired':
      return Object.keys(state.levels).length ? { ...state, levels: {} } : state;
    default:
      return reduceServer(state, event);
  }
}

/** @param {State} state @param {ServerMessage} message @returns {State} */
function reduceServer(state, message) {
  switch (message.type) {
    case 'welcome':
      return { ...state, self: message.participant, slots: [], wanted: true };
    case 'room': {
      const { type: _, ...told } = message;
      /** @type {Pick<RoomState, 'tiles' | 'participants' | 'pinned'>} */
      const defaults = { tiles: [], participants: [], pinned: null };
      const room = { ...defaults, ...told };
      const speaking = room.participants.filter((one) => one.speaking).map((one) => one.id);
      return withSpeaker({ ...state, room }, speaking);
    }
    case 'slots':
      return { ...state, slots: message.slots, served: message.mode ?? state.served };
    case 'uplinks':
      return { ...state, wanted: message.wanted };
    case 'levels':
      return {
        ...state,
        levels: Object.fromEntries(message.levels.map(({ participant, dbov }) => [participant, dbov])),
      };
    case 'chat':
      return { ...state, chat: withChat(state, message) };
    default:
      return state;
  }
}

/**
 * The last speaker stays the same until they are silent and somebody else speaks.
 *
 * @param {State} state
 * @param {ParticipantId[]} speaking
 */
const withSpeaker = (state, speaking) =>
  !speaking.length || (state.lastSpeaker !== null && speaking.includes(state.lastSpeaker))
    ? state
    : { ...state, lastSpeaker: speaking[0] };

/** @param {State} state @param {string} text @returns {ChatLine} */
const ownLine = (state, text) => ({
  from: state.self,
  name: nameOf(state, state.self),
  text,
  own: true,
  pending: true,
});

/**
 * An own text is shown when it is sent. Its echo from the server only confirms it.
 *
 * @param {State} state
 * @param {{from: ParticipantId, text: string}} message
 * @returns {ChatLine[]}
 */
function withChat(state, { from, text }) {
  if (from === state.self) {
    const echoed = state.chat.findIndex((line) => line.pending && line.text === text);
    if (echoed >= 0) {
      return state.chat.map((line, i) => (i === echoed ? { ...line, pending: false } : line));
    }
  }
  const own = from === state.self;
  return [...state.chat, { from, name: nameOf(state, from), text, own, pending: false }];
}

/**
 * The participant `id` of the room, or null.
 *
 * @param {State} state
 * @param {ParticipantId | null} id
 */
export function participant(state, id) {
  return state.room?.participants.find((one) => one.id === id) ?? null;
}

/**
 * The name of participant `id`, or the id itself where the room does not know it.
 *
 * @param {State} state
 * @param {ParticipantId | null} id
 */
export const nameOf = (state, id) => participant(state, id)?.name ?? id ?? '';

/**
 * A participant as the mesh shows them. The server gets nothing of them then, and only knows what
 * they have muted.
 *
 * @param {State} state
 * @param {ParticipantState} one
 * @returns {ParticipantState}
 */
function direct(state, one) {
  const { mesh, meshAudio } = state;
  const reached = one.id === state.self || mesh.receiving.includes(one.id);
  if (!meshAudio || !reached) return one;
  /** @param {UplinkRole} role */
  const comes = (role) => mesh.pictures.includes(sourceKey({ participant: one.id, role }));
  /** @param {UplinkRole} role */
  const flowing = (role) => (one[role] === 'stalled' || (one[role] === 'none' && comes(role)) ? 'live' : one[role]);
  const mic = flowing('mic');
  return {
    ...one,
    mic,
    camera: flowing('camera'),
    screen: flowing('screen'),
    speaking: mic === 'live' && meshAudio.speaking.includes(one.id),
  };
}

/**
 * The rows of the list of people: oneself first, then the others in the order of joining.
 *
 * @param {State} state
 * @returns {Row[]}
 */
export function people(state) {
  const { room } = state;
  const rows = (room?.participants ?? []).map((one) => {
    const seen = direct(state, one);
    return {
      ...seen,
      own: one.id === state.self,
      pinned: room?.pinned === one.id,
      level: seen.mic === 'live' ? levelFraction((state.meshAudio ?? state).levels[one.id]) : 0,
    };
  });
  return [...rows.filter((row) => row.own), ...rows.filter((row) => !row.own)];
}

/**
 * The mode in which this page is served from now on. It is ahead of what is seen and heard while
 * one mode takes the place of another.
 *
 * @param {Pick<State, 'room' | 'served' | 'self'>} state
 * @returns {Mode}
 */
export function targetOf({ room, served, self }) {
  if (!room) return served ?? 'mcu';
  if (room.mode === 'p2p') return 'p2p';
  if (served && served !== 'p2p') return served;
  // The server has yet to say what takes the place of the mesh.
  return room.participants.find((one) => one.id === self)?.view ?? room.mode;
}

/**
 * The participant of the `pin` message for a click on `id`: null where that participant is
 * pinned already, which unpins them.
 *
 * @param {State} state
 * @param {ParticipantId} id
 */
export const nextPin = (state, id) => (state.room?.pinned === id ? null : id);

/**
 * The text a screen reader speaks for a person or their tile.
 *
 * @param {Row} row
 * @param {string} role that of the tile
 */
export function spokenLabel(row, role = 'camera') {
  const parts = [row.own ? `${row.name} (you)` : row.name];
  if (role === 'screen') parts.push('shared screen');
  if (row.speaking) parts.push('speaking');
  if (row.hand) parts.push('hand raised');
  if (row.mic === 'muted') parts.push('microphone muted');
  if (row.camera === 'muted') parts.push('camera off');
  if (row.camera === 'stalled') parts.push('picture interrupted');
  if (!row.connected) parts.push('connecting');
  if (row.pinned) parts.push('pinned');
  return parts.join(', ');
}

/**
 * Names as a phrase. Of more than three, two are named and the others counted.
 *
 * @param {string[]} names
 */
export function listOf(names) {
  if (names.length > 3) return `${names[0]}, ${names[1]} and ${names.length - 2} others`;
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/**
 * The recordings of the room that are going on.
 *
 * @param {State} state
 * @returns {RecordingState[]}
 */
export const recordings = (state) => state.room?.recordings ?? [];

/**
 * What is announced when recording begins or ends; it is announced to somebody who has just
 * joined, too.
 *
 * @param {State} before
 * @param {State} after
 */
function recordingSaid(before, after) {
  const [was, is] = [before, after].map((state) => recordings(state).length > 0);
  if (was === is || !after.room) return [];
  return [is ? 'This call is being recorded' : 'This call is no longer recorded'];
}

/**
 * The changes between two states that are announced, as sentences: recording, joins and leaves,
 * the mode.
 *
 * @param {State} before
 * @param {State} after
 */
export function announcements(before, after) {
  return [...recordingSaid(before, after), ...othersSaid(before, after)];
}

/** @param {State} before @param {State} after */
function othersSaid(before, after) {
  if (!before.room || !after.room || before.self !== after.self) return [];
  const had = new Map(before.room.participants.map((one) => [one.id, one.name]));
  const has = new Map(after.room.participants.map((one) => [one.id, one.name]));
  const joined = [...has].filter(([id]) => !had.has(id) && id !== after.self).map(([, name]) => name);
  const left = [...had].filter(([id]) => !has.has(id) && id !== after.self).map(([, name]) => name);
  const said = [];
  if (joined.length) said.push(`${listOf(joined)} joined`);
  if (left.length) said.push(`${listOf(left)} left`);
  if (before.room.mode !== after.room.mode) said.push(MODE_WORDS[after.room.mode].now);
  return said;
}

/** Holds the state, and calls its listeners with the new and the old state after every change. */
export function createStore() {
  let state = initialState();
  /** @type {Set<(state: State, before: State) => void>} */
  const listeners = new Set();
  return {
    get: () => state,
    /** @param {(state: State, before: State) => void} listener */
    subscribe: (listener) => listeners.add(listener),
    /** @param {LocalEvent | ServerMessage} event */
    dispatch(event) {
      const before = state;
      state = reduce(state, event);
      if (state !== before) for (const listener of listeners) listener(state, before);
    },
  };
}
