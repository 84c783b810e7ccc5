// What the page knows: a pure reducer over the server's messages and a few local events
// (`local/...`). Nothing here touches the DOM, a socket or a clock.

import { levelFraction } from './levels.js';
import { MODE_WORDS } from './modes.js';
import { sourceKey } from './participant.js';

/** Where the call is in its life. */
export const Phase = Object.freeze({
  Idle: 'idle',
  Joining: 'joining',
  InCall: 'in-call',
  Reconnecting: 'reconnecting',
});

const NO_MESH = Object.freeze({ links: {}, receiving: [], pictures: [], covered: false });

/** @returns the state of a page that has not joined */
export function initialState() {
  return {
    phase: Phase.Idle,
    /** The room's id. */
    roomId: null,
    /** The own participant id, once welcomed. */
    self: null,
    /** The last `room` message. */
    room: null,
    /** How the server serves this page: `mcu`, `sfu` or `p2p`; null before it has said so. */
    served: null,
    /** `{mid, participant, role}` of each forward m-line. */
    slots: [],
    /** Whether the server has any use for what is sent to it. */
    wanted: true,
    /** Who spoke last: the spotlight's choice when nobody is pinned. */
    lastSpeaker: null,
    /** The mesh: `links` (states) by participant, `receiving` from whom, `pictures` (as
     *  `p2/camera`) that come, `covered` whether they are everybody. */
    mesh: NO_MESH,
    /** In the mesh, where no server listens: `{levels, speaking}`, else null. */
    meshAudio: null,
    /** Sound levels in dBov by participant. */
    levels: {},
    /** `{from, name, text, own, pending}` in order of arrival. */
    chat: [],
    /** Why the call ended or is interrupted: `{tone: 'info'|'error', text, code}`. */
    notice: null,
    /** While reconnecting: `{attempt, delay}`. */
    retry: null,
    /** The last digest of stats.js. */
    stats: null,
  };
}

/** The state after `event`; the same object if nothing changed. */
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

function reduceServer(state, message) {
  switch (message.type) {
    case 'welcome':
      return { ...state, self: message.participant, slots: [], wanted: true };
    case 'room': {
      const { type: _, ...room } = message;
      const after = { ...state, room: { tiles: [], participants: [], pinned: null, ...room } };
      return withSpeaker(
        after,
        after.room.participants.filter((one) => one.speaking).map((one) => one.id),
      );
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

/** The last speaker stays who it is while they speak, and after, until somebody else does. */
const withSpeaker = (state, speaking) =>
  !speaking.length || speaking.includes(state.lastSpeaker) ? state : { ...state, lastSpeaker: speaking[0] };

const ownLine = (state, text) => ({
  from: state.self,
  name: nameOf(state, state.self),
  text,
  own: true,
  pending: true,
});

/** Own texts are shown when sent; their echo from the server only confirms them. */
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

/** The participant `id` of the room, or null. */
export function participant(state, id) {
  return state.room?.participants.find((one) => one.id === id) ?? null;
}

/** The name of participant `id`, or its id where the room does not know it. */
export const nameOf = (state, id) => participant(state, id)?.name ?? id ?? '';

/**
 * A participant as the mesh shows them. The server, which gets nothing of them then, can only
 * say what they have muted.
 */
function direct(state, one) {
  const { mesh, meshAudio } = state;
  const reached = one.id === state.self || mesh.receiving.includes(one.id);
  if (!meshAudio || !reached) return one;
  const comes = (role) => mesh.pictures.includes(sourceKey({ participant: one.id, role }));
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

/** What the people list shows, oneself first, then in the order of joining. */
export function people(state) {
  const all = state.room?.participants ?? [];
  const rows = all.map((one) => {
    const seen = direct(state, one);
    return {
      ...seen,
      own: one.id === state.self,
      pinned: state.room.pinned === one.id,
      level: seen.mic === 'live' ? levelFraction((state.meshAudio ?? state).levels[one.id]) : 0,
    };
  });
  return [...rows.filter((row) => row.own), ...rows.filter((row) => !row.own)];
}

/** What serves this page from now on: `mcu`, `sfu` or `p2p`. */
export function targetOf({ room, served, self }) {
  if (!room) return served ?? 'mcu';
  if (room.mode === 'p2p') return 'p2p';
  if (served && served !== 'p2p') return served;
  // The server has yet to say what takes the place of the mesh.
  return room.participants.find((one) => one.id === self)?.view ?? room.mode;
}

/** What the pin message should name after a click on `id`: null takes the pin away. */
export const nextPin = (state, id) => (state.room?.pinned === id ? null : id);

/** The text a screen reader hears for a person or their tile. */
export function spokenLabel(row, role = 'camera') {
  const parts = [row.own ? `${row.name} (you)` : row.name];
  if (role === 'screen') parts.push('shared screen');
  if (row.speaking) parts.push('speaking');
  if (row.mic === 'muted') parts.push('microphone muted');
  if (row.camera === 'muted') parts.push('camera off');
  if (row.camera === 'stalled') parts.push('picture interrupted');
  if (!row.connected) parts.push('connecting');
  if (row.pinned) parts.push('pinned');
  return parts.join(', ');
}

/** Names as a phrase; more than three are counted. */
export function listOf(names) {
  if (names.length > 3) return `${names[0]}, ${names[1]} and ${names.length - 2} others`;
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** The recordings of the room that go on: `{id, format}`. */
export const recordings = (state) => state.room?.recordings ?? [];

/** What is said of being recorded; also to somebody who has just come in. */
function recordingSaid(before, after) {
  const [was, is] = [before, after].map((state) => recordings(state).length > 0);
  if (was === is || !after.room) return [];
  return [is ? 'This call is being recorded' : 'This call is no longer recorded'];
}

/** What changed between two states that is worth saying aloud. */
export function announcements(before, after) {
  return [...recordingSaid(before, after), ...othersSaid(before, after)];
}

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

/** A store: the state, and who wants to hear of its changes. */
export function createStore() {
  let state = initialState();
  const listeners = new Set();
  return {
    get: () => state,
    subscribe: (listener) => listeners.add(listener),
    dispatch(event) {
      const before = state;
      state = reduce(state, event);
      if (state !== before) for (const listener of listeners) listener(state, before);
    },
  };
}
