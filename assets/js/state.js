// What the page knows: a pure reducer over the server's messages and a few local events
// (`local/...`). Nothing here touches the DOM, a socket or a clock.

import { levelFraction } from './geometry.js';

/** Where the call is in its life. */
export const Phase = Object.freeze({
  Idle: 'idle',
  Joining: 'joining',
  InCall: 'in-call',
  Reconnecting: 'reconnecting',
});

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
    /** Participant in each forward m-line, by mid. */
    slots: [],
    /** Sound levels in dBov by participant. */
    levels: {},
    /** `{from, name, text, own, pending}` in order of arrival. */
    chat: [],
    /** Why the call ended or is interrupted: `{tone: 'info'|'error', text, code}`. */
    notice: null,
    /** While reconnecting: `{attempt, delay}`. */
    retry: null,
    /** The last digest of stats.js. */
    figures: null,
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
        figures: null,
        retry: { attempt: event.attempt, delay: event.delay },
        notice: { tone: 'error', text: event.text, code: event.code ?? null },
      };
    case 'local/ended':
      return {
        ...initialState(),
        roomId: state.roomId,
        notice: { tone: event.tone, text: event.text, code: event.code ?? null },
      };
    case 'local/figures':
      return { ...state, figures: event.figures };
    case 'local/chat-sent':
      return { ...state, chat: [...state.chat, ownLine(state, event.text)] };
    case 'local/levels-expired':
      return Object.keys(state.levels).length ? { ...state, levels: {} } : state;
    default:
      return reduceServer(state, event);
  }
}

function reduceServer(state, message) {
  switch (message.type) {
    case 'welcome':
      return { ...state, self: message.participant };
    case 'room': {
      const { type: _, ...room } = message;
      return { ...state, room: { tiles: [], participants: [], pinned: null, ...room } };
    }
    case 'slots':
      return { ...state, slots: message.slots };
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

/** What the people list shows, oneself first, then in the order of joining. */
export function people(state) {
  const all = state.room?.participants ?? [];
  const rows = all.map((one) => ({
    ...one,
    own: one.id === state.self,
    pinned: state.room.pinned === one.id,
    level: one.mic === 'live' ? levelFraction(state.levels[one.id]) : 0,
  }));
  return [...rows.filter((row) => row.own), ...rows.filter((row) => !row.own)];
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

/** What changed between two states that is worth saying aloud. */
export function announcements(before, after) {
  if (!before.room || !after.room || before.self !== after.self) return [];
  const had = new Map(before.room.participants.map((one) => [one.id, one.name]));
  const has = new Map(after.room.participants.map((one) => [one.id, one.name]));
  const joined = [...has].filter(([id]) => !had.has(id) && id !== after.self).map(([, name]) => name);
  const left = [...had].filter(([id]) => !has.has(id) && id !== after.self).map(([, name]) => name);
  const said = [];
  if (joined.length) said.push(`${listOf(joined)} joined`);
  if (left.length) said.push(`${listOf(left)} left`);
  if (before.room.mode !== after.room.mode) said.push(`The room is in ${after.room.mode.toUpperCase()} mode now`);
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
