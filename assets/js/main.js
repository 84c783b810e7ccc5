// The page of a call: wires the store, the session and the parts of the page together.
//
// The scripts stand on floors. A script imports from its own folder and from lower floors, never
// from above or beside (tests/client/page.test.mjs):
//
//   main.js and others here          one for each HTML page
//   ui/                              panels, dialogs and lists: the only floor that fills elements
//   call/  playback/                 connections and what is sent; what is seen and heard;
//   recordings/  watch/              the recordings of the server; the player of a room
//   base/                            state, words, constants, the DOM
//
// call/ and playback/ meet in the store (base/state.js) and here.

/** @import {ClientMessage, Limits, Mode, ParticipantId} from '../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from './base/config.js' */
/** @import {State} from './base/state.js' */
/** @import {Who} from './call/session.js' */
/** @import {PanelName} from './ui/panels.js' */

/**
 * A part of the page. It draws itself after every change of the state, and is told of those of the
 * own tracks.
 *
 * @typedef {object} Part
 * @property {(state: State, before: State) => void} render
 * @property {(role: UplinkRole, problem: string | null) => void} [mediaChanged]
 */

import { byId } from './base/dom.js';
import { captureProblem, environmentProblem } from './base/errors.js';
import { loadChoices } from './base/preferences.js';
import { randomRoom, roomFromPath } from './base/room-name.js';
import { announcements, createStore, nextPin, Phase } from './base/state.js';
import { onDeviceChange } from './call/devices.js';
import { LocalMedia, NONE } from './call/local-media.js';
import { MeshActiveSpeaker } from './call/mesh-active-speaker.js';
import { Mesh } from './call/mesh.js';
import { PictureSizes } from './call/picture-sizes.js';
import { Session } from './call/session.js';
import { signallingUrl } from './call/signalling.js';
import { StatsCollector } from './call/stats-collector.js';
import { Playback } from './playback/playback.js';
import { Chat } from './ui/chat.js';
import { Controls } from './ui/controls.js';
import { Join } from './ui/join.js';
import { Modes } from './ui/modes.js';
import { Panels } from './ui/panels.js';
import { People } from './ui/people.js';
import { Record } from './ui/record.js';
import { Settings } from './ui/settings.js';
import { Stage } from './ui/stage.js';
import { StatsPanel } from './ui/stats-panel.js';
import { toast } from './ui/toast.js';

const query = new URLSearchParams(location.search);
const store = createStore();
const media = new LocalMedia();
const iceTransportPolicy = query.get('relay') === '1' ? 'relay' : 'all';
const stage = new Stage({ onPin: pin, onMore: () => panels.show('people') });
const sizes = new PictureSizes({ frame: stage.frame, send: (message) => session.send(message) });
const playback = new Playback({ store, stage, media, onTiles: (tiles, canvas) => sizes.take(tiles, canvas) });
const mesh = new Mesh({
  store,
  media,
  iceTransportPolicy,
  send: (message) => session.send(message),
  onMedia: (peer) => playback.addMesh(peer),
  onGone: (id) => playback.removeMesh(id),
  inUse: (id) => playback.usesMesh(id),
});
const session = new Session({
  url: signallingUrl(location),
  media,
  store,
  mesh,
  iceTransportPolicy,
  onConnected: (call) => {
    sizes.reset();
    playback.attach(call.downlinks());
  },
  onInterrupted: () => playback.detach(),
  onRefused: refused,
});
new MeshActiveSpeaker({ store, media, mesh });
new StatsCollector({ store, session, mesh, watched: () => !byId('panel-figures').hidden });
const modes = new Modes({ session });
const record = new Record({ session });
const panels = new Panels({ onChange: panelChanged });
const settings = new Settings({ media, session });
const chat = new Chat({ onSend: (text) => session.chat(text), isOpen: () => panels.open === 'chat' });
const join = new Join({ media, onJoin: enter });
/** @type {Part[]} */
const parts = [
  join,
  stage,
  chat,
  new Controls({ media, store, session, stage, panels, modes }),
  modes,
  record,
  new StatsPanel(),
  settings,
  new People({ onPin: pin, onHand: (raised) => session.send({ type: 'hand', raised }) }),
];

/** @param {ParticipantId} id */
function pin(id) {
  session.send({ type: 'pin', participant: nextPin(store.get(), id) });
}

/** @param {string} text @param {string} code */
function refused(text, code) {
  toast(text, 'error');
  modes.sync(store.get());
  record.refused(code, store.get());
}

/** @param {PanelName | null} name */
function panelChanged(name) {
  if (name === 'chat') chat.read();
  if (name === 'settings') settings.refresh();
}

/** @param {Who} who */
function enter(who) {
  history.replaceState(null, '', `/r/${who.room}${location.search}`);
  document.title = `${who.room} – Tessera`;
  session.join(who);
}

store.subscribe((state, before) => {
  const inCall = state.phase !== Phase.Idle;
  byId('join').hidden = inCall;
  byId('call').hidden = !inCall;
  for (const part of parts) part.render(state, before);
  if (before.phase !== state.phase) phaseChanged(state, before);
  for (const text of announcements(before, state)) toast(text);
});

/** @param {State} state @param {State} before */
function phaseChanged(state, before) {
  if (state.phase === Phase.Idle) {
    panels.close();
    media.settle().then(() => join.listDevices());
    join.enter(state.notice?.code);
  } else if (before.phase === Phase.Idle) {
    // A page that joins by its address has not shown these yet.
    for (const text of join.problems) toast(text, 'error');
    join.exit();
    byId('call').focus();
    if (query.get('stats') === '1') panels.show('figures');
  } else if (before.phase === Phase.Reconnecting && state.phase === Phase.InCall) {
    toast('You are back in the room');
  }
}

media.onChange((role, problem) => {
  const inCall = store.get().phase !== Phase.Idle;
  if (problem && inCall) toast(problem, 'error');
  for (const part of parts) part.mediaChanged?.(role, problem);
});
onDeviceChange(() => {
  join.listDevices();
  settings.refresh();
});
// A page that is closed says so, and its tile goes at once.
window.addEventListener('pagehide', () => session.leave());

/** For tests and for a curious console. */
window.tessera = {
  state: () => {
    const { stats, ...state } = store.get();
    const { totals: _, ...shown } = stats ?? {};
    /** @param {UplinkRole} role */
    const on = (role) => media.isOn(role);
    return JSON.parse(
      JSON.stringify({
        ...state,
        connection: session.call?.pc.connectionState ?? 'none',
        descriptions: session.call?.descriptions ?? 0,
        local: { mic: on('mic'), camera: on('camera'), screen: on('screen') },
        muted: byId('video').muted,
        playback: playback.report(),
        stats: stats ? shown : null,
      }),
    );
  },
  join: enter,
  leave: () => session.leave(),
  /** @param {ClientMessage} message */
  send: (message) => session.send(message),
  /** @param {Mode | null} mode */
  view: (mode) => session.view(mode),
  /** @param {Partial<Limits>} limits */
  limit: (limits) => session.limit(limits),
  resetGaps: () => playback.resetGaps(),
  get pc() {
    return session.call?.pc ?? null;
  },
  /** The connections of the mesh: `{id, pc}`. */
  get mesh() {
    return mesh.peers.map(({ id, pc }) => ({ id, pc }));
  },
};

/** Fills the join screen, and joins at once where the address says so. */
async function start() {
  const fatal = environmentProblem(window);
  if (fatal) {
    join.refuse(fatal);
    return;
  }
  const stored = loadChoices();
  const choice = {
    mic: query.get('audio') === '0' ? NONE : stored.mic,
    camera: query.get('video') === '0' ? NONE : stored.camera,
  };
  const name = query.get('name') ?? stored.name;
  const room = roomFromPath(location.pathname) ?? randomRoom();
  const opened = join.open({ name, room, choice, problem: captureProblem(window) });
  if (query.get('autojoin') !== '1') return;
  await opened;
  join.submit({ name: name || 'Guest', room });
}

start();
