// The connections with the other members in mode p2p: which there are, whose media arrives, and
// when one is no longer needed. Negotiation itself is in peer.js.

/** @import {ClientMessage, IceServer, Mode, ParticipantId} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from '../base/config.js' */
/** @import {MeshState, State, Store} from '../base/state.js' */
/** @import {Capture} from './encodings.js' */
/** @import {LocalMedia} from './local-media.js' */
/** @import {PeerMessage} from './peer.js' */

import { MESH_FAREWELL, UPLINKS, VIDEO_UPLINKS } from '../base/config.js';
import { numberOf, sourceKey } from '../base/participant.js';
import { lastMedia } from '../base/receivers.js';
import { targetOf } from '../base/state.js';
import { FLOW_HOLD, isReceiving, meshPlan } from './negotiation.js';
import { Peer } from './peer.js';

/** Time between two looks at the media of all connections, ms. */
const TICK = 100;

/**
 * A connection and its end: `until` is when it ends at the latest, null in mode p2p; a side that
 * does not need it any more says `done`, and when both have, it ends at once.
 *
 * @typedef {{peer: Peer, until: number | null, doneSent: boolean, doneReceived: boolean}} Entry
 */

/**
 * @typedef {object} MeshEnv
 * @property {Store} store
 * @property {Pick<LocalMedia, 'tracks' | 'onChange'>} media
 * @property {(message: ClientMessage) => boolean} send
 * @property {RTCIceTransportPolicy} iceTransportPolicy
 * @property {(peer: Peer) => void} onMedia called when a member's receivers are there, or others
 * @property {(id: ParticipantId) => void} onGone called when a member's connection has ended
 * @property {(id: ParticipantId) => boolean} inUse whether media of this member is still seen or heard
 */

export class Mesh {
  #env;
  /** @type {Map<ParticipantId, Entry>} */
  #entries = new Map();
  /**
   * The newest `capture` messages by role, for connections to come.
   *
   * @type {Map<string, Capture>}
   */
  #captures = new Map();
  /** @type {IceServer[]} */
  #iceServers = [];
  /** Whether the page has joined again and has yet to offer to everybody. */
  #returning = false;
  /** The members in the last `mesh` message. @type {ParticipantId[] | null} */
  #reported = null;
  /** @type {Mode | null} */
  #mode = null;
  #timer = 0;

  /** @param {MeshEnv} env */
  constructor(env) {
    this.#env = env;
    env.store.subscribe((state, before) => this.#update(state, before));
    env.media.onChange((role) => {
      for (const { peer } of this.#entries.values()) peer.setTrack(role, env.media.tracks[role]);
    });
  }

  /**
   * Takes the ICE servers of `welcome`; `returning` is true after a reconnection.
   *
   * @param {IceServer[]} iceServers
   * @param {boolean} returning
   */
  welcome(iceServers, returning) {
    this.#iceServers = iceServers;
    this.#returning = returning;
    this.#reported = null;
  }

  /** Obeys a `capture` message, now and on connections to come. @param {Capture} message */
  capture(message) {
    this.#captures.set(message.role, message);
    for (const { peer } of this.#entries.values()) peer.capture(message);
  }

  /** The connections. */
  get peers() {
    return [...this.#entries.values()].map(({ peer }) => peer);
  }

  /** @param {State} state @param {State} before */
  #update(state, before) {
    if (state.room === before.room && state.self === before.self && state.phase === before.phase) return;
    if (state.phase === 'idle') {
      this.#clear();
      return;
    }
    // While the page reconnects the room it knows is an old one, and the mesh goes on.
    if (!state.room || state.phase === 'reconnecting') return;
    if (state.room.mode !== this.#mode) this.#modeChanged(state.room.mode);
    const present = new Set(state.room.participants.map((one) => one.id));
    for (const id of this.#entries.keys()) if (!present.has(id)) this.#close(id);
    this.#connect(state);
    if (this.#entries.size || this.#mode === 'p2p') this.#timer ||= setInterval(() => this.#tick(), TICK);
    this.#tick();
  }

  /** @param {Mode} mode */
  #modeChanged(mode) {
    this.#mode = mode;
    this.#reported = null;
    const until = mode === 'p2p' ? null : performance.now() + MESH_FAREWELL;
    for (const entry of this.#entries.values()) {
      Object.assign(entry, { until, doneSent: false, doneReceived: false });
      entry.peer.setActive(true);
    }
  }

  /** Makes the connections that are missing. @param {State} state */
  #connect(state) {
    const plan = meshPlan(state, { returning: this.#returning });
    for (const { id, offers } of plan) {
      const entry = this.#entries.get(id);
      if (!entry) {
        this.#open(id, offers);
      } else if (this.#returning) {
        entry.peer.offers = true;
        entry.peer.begin();
      }
    }
    if (plan.length || this.#mode !== 'p2p') this.#returning = false;
  }

  /** @param {ParticipantId} id @param {boolean} offers whether this side makes the offer */
  #open(id, offers) {
    const { self } = this.#env.store.get();
    const peer = new Peer(
      {
        id,
        polite: numberOf(self) > numberOf(id),
        configuration: { iceServers: this.#iceServers, iceTransportPolicy: this.#env.iceTransportPolicy },
        tracks: () => this.#env.media.tracks,
        captures: () => this.#captures,
        send: (data) => this.#env.send({ type: 'signal', to: id, data }),
        onMedia: (one) => this.#env.onMedia(one),
        onState: () => this.#tick(),
      },
      offers,
    );
    this.#entries.set(id, { peer, until: null, doneSent: false, doneReceived: false });
    return peer;
  }

  /** Takes a `signal` message. @param {{from: ParticipantId, data: unknown}} message */
  signal({ from, data }) {
    if (!data || typeof data !== 'object') return;
    const message = /** @type {PeerMessage & {done?: boolean}} */ (data);
    const { room } = this.#env.store.get();
    const entry = this.#entries.get(from);
    if (message.done === true) this.#done(from, entry);
    else if (entry) entry.peer.receive(message);
    else if (message.description?.type === 'offer' && room?.mode === 'p2p') this.#open(from, false).receive(message);
  }

  /**
   * The other side does not need the connection any more.
   *
   * @param {ParticipantId} id
   * @param {Entry | undefined} entry
   */
  #done(id, entry) {
    if (!entry) return;
    if (this.#mode === 'p2p') {
      // They had closed it before they heard that the room is back in this mode.
      this.#close(id);
      this.#connect(this.#env.store.get());
      return;
    }
    entry.doneReceived = true;
    entry.peer.setActive(false);
    this.#tick();
  }

  /** Ends connections that are no longer needed, and reports the others. */
  #tick() {
    const now = performance.now();
    for (const [id, entry] of this.#entries) {
      if (entry.until === null) continue;
      if (!entry.doneSent && !this.#env.inUse(id)) {
        entry.doneSent = true;
        this.#env.send({ type: 'signal', to: id, data: { done: true } });
      }
      if ((entry.doneSent && entry.doneReceived) || now > entry.until) this.#close(id);
    }
    if (!this.#entries.size && this.#mode !== 'p2p') {
      clearInterval(this.#timer);
      this.#timer = 0;
    }
    this.#report(now);
  }

  /** Tells the server and the store whose media arrives. @param {number} now */
  #report(now) {
    const { store } = this.#env;
    const state = store.get();
    const mesh = this.#observe(state, now);
    const { receiving } = mesh;
    // In one step: what the server is told, and what is heard from now on.
    if (this.#mode === 'p2p' && String(receiving) !== String(this.#reported ?? [])) {
      if (this.#env.send({ type: 'mesh', receiving })) this.#reported = receiving;
    }
    if (JSON.stringify(mesh) === JSON.stringify(state.mesh)) return;
    store.dispatch({ type: 'local/mesh', mesh });
  }

  /** @param {State} state @param {number} now @returns {MeshState} */
  #observe(state, now) {
    const people = new Map(state.room?.participants.map((one) => [one.id, one]));
    /** @type {MeshState['links']} */
    const links = {};
    /** @type {ParticipantId[]} */
    const receiving = [];
    const own = this.#env.media.tracks;
    const pictures = VIDEO_UPLINKS.filter((role) => own[role]).map((role) =>
      sourceKey({ participant: state.self, role }),
    );
    for (const [id, { peer }] of this.#entries) {
      const at = /** @type {{[role in UplinkRole]: number | null}} */ (
        Object.fromEntries(UPLINKS.map((role) => [role, lastMedia(peer.receiver(role))]))
      );
      links[id] = peer.state;
      const person = people.get(id);
      if (person && isReceiving(person, { state: peer.state, since: peer.since, ...at }, now)) receiving.push(id);
      const flowing = VIDEO_UPLINKS.filter((role) => now - (at[role] ?? -Infinity) < FLOW_HOLD);
      pictures.push(...flowing.map((role) => sourceKey({ participant: id, role })));
    }
    receiving.sort((a, b) => numberOf(a) - numberOf(b));
    const able = [...people.values()].filter((one) => one.id !== state.self && one.connected && !one.viewer);
    const covered = targetOf(state) === 'p2p' && able.every((one) => receiving.includes(one.id));
    return { links, receiving, pictures, covered };
  }

  /** @param {ParticipantId} id */
  #close(id) {
    this.#entries.get(id)?.peer.close();
    this.#entries.delete(id);
    this.#env.onGone(id);
  }

  #clear() {
    for (const id of [...this.#entries.keys()]) this.#close(id);
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#mode = null;
    this.#returning = false;
    this.#captures.clear();
  }
}
