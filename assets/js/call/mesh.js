// The connections with the other members in mode p2p: whom to have one with, from whom media
// arrives, and when one is done with. Negotiation itself is in peer.js.

import { MESH_FAREWELL, UPLINKS } from '../base/config.js';
import { numberOf, sourceKey } from '../base/participant.js';
import { lastMedia } from '../base/receivers.js';
import { targetOf } from '../base/state.js';
import { FLOW_HOLD, isReceiving, meshPlan } from './negotiation.js';
import { Peer } from './peer.js';

const TICK = 100;

export class Mesh {
  #env;
  /** By participant: `{peer, until, doneSent, doneReceived}`. */
  #entries = new Map();
  #captures = new Map();
  #iceServers = [];
  #returning = false;
  #reported = null;
  #mode = null;
  #timer = 0;

  /**
   * `env`: `store`, `media`, `send(message)`, `iceTransportPolicy`, `onMedia(peer)` when a
   * member's receivers are there or others, `onGone(id)`, `inUse(id)` whether anything of them
   * is still seen or heard.
   */
  constructor(env) {
    this.#env = env;
    env.store.subscribe((state, before) => this.#update(state, before));
    env.media.onChange((role) => {
      for (const { peer } of this.#entries.values()) peer.setTrack(role, env.media.tracks[role]);
    });
  }

  /** The page is in the room, for the first time or again. */
  welcome(iceServers, returning) {
    this.#iceServers = iceServers;
    this.#returning = returning;
    this.#reported = null;
  }

  /** Obeys a `capture` message, also for connections to come. */
  capture(message) {
    this.#captures.set(message.role, message);
    for (const { peer } of this.#entries.values()) peer.capture(message);
  }

  /** The connections, for figures and tests. */
  get peers() {
    return [...this.#entries.values()].map(({ peer }) => peer);
  }

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

  #modeChanged(mode) {
    this.#mode = mode;
    this.#reported = null;
    const until = mode === 'p2p' ? null : performance.now() + MESH_FAREWELL;
    for (const entry of this.#entries.values()) {
      Object.assign(entry, { until, doneSent: false, doneReceived: false });
      entry.peer.setActive(true);
    }
  }

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

  /** Takes in a `signal` message. */
  signal({ from, data }) {
    if (!data || typeof data !== 'object') return;
    const { room } = this.#env.store.get();
    const entry = this.#entries.get(from);
    if (data.done === true) this.#done(from, entry);
    else if (entry) entry.peer.receive(data);
    else if (data.description?.type === 'offer' && room?.mode === 'p2p') this.#open(from, false).receive(data);
  }

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

  #report(now) {
    const { store } = this.#env;
    const state = store.get();
    const people = new Map(state.room?.participants.map((one) => [one.id, one]));
    const links = {};
    const receiving = [];
    const own = this.#env.media.tracks;
    const pictures = ['camera', 'screen']
      .filter((role) => own[role])
      .map((role) => sourceKey({ participant: state.self, role }));
    for (const [id, { peer }] of this.#entries) {
      const at = Object.fromEntries(UPLINKS.map((role) => [role, lastMedia(peer.receiver(role))]));
      links[id] = peer.state;
      if (people.has(id) && isReceiving(people.get(id), { state: peer.state, since: peer.since, ...at }, now))
        receiving.push(id);
      for (const role of ['camera', 'screen'])
        if (at[role] !== null && now - at[role] < FLOW_HOLD) pictures.push(sourceKey({ participant: id, role }));
    }
    receiving.sort((a, b) => numberOf(a) - numberOf(b));
    const able = [...people.values()].filter((one) => one.id !== state.self && one.connected && !one.viewer);
    const covered = targetOf(state) === 'p2p' && able.every((one) => receiving.includes(one.id));
    // In one step: what the server is told, and what is heard from now on.
    if (this.#mode === 'p2p' && String(receiving) !== String(this.#reported ?? [])) {
      if (this.#env.send({ type: 'mesh', receiving })) this.#reported = receiving;
    }
    const mesh = { links, receiving, pictures, covered };
    if (JSON.stringify(mesh) === JSON.stringify(state.mesh)) return;
    store.dispatch({ type: 'local/mesh', mesh });
  }

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
