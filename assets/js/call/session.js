// A stay in a room through every reconnection: one Signalling and one Call at a time.

import { DISCONNECT_GRACE, LEVEL_HOLD, MEDIA_DEADLINE, PROTOCOL_VERSION, WELCOME_DEADLINE } from '../base/config.js';
import { causeForCode, isFinalBye, passesByItself, wordsForBye, wordsForCode, wordsForLoss } from '../base/errors.js';
import { backoffDelay } from './backoff.js';
import { Call } from './call.js';
import { Signalling } from './signalling.js';

export class Session {
  #env;
  #who = null;
  /** Whether the room has welcomed this stay once: from then on losses are retried. */
  #entered = false;
  /** The connection in use; callbacks of an older one find it replaced and do nothing. */
  #link = null;
  #resume = null;
  #attempt = 0;
  #retryTimer = 0;
  #levelTimer = 0;
  /** The mode asked for instead of the room's, or null; kept through reconnections. */
  #view = null;
  /** What is wanted at most of the mixed picture; kept from one stay to the next. */
  #limits = {};

  /**
   * `env`: `url` of the WebSocket, `media` (LocalMedia), `store`, `iceTransportPolicy`,
   * `mesh` (Mesh), `onConnected(call)`, `onInterrupted()` just before a lost call is closed,
   * `onRefused(text, code)` for an error inside the call.
   */
  constructor(env) {
    this.#env = env;
    env.media.onChange((role) => this.#uplinkChanged(role));
    window.addEventListener('online', () => this.#retryNow());
  }

  /** The Call in use, or null. */
  get call() {
    return this.#link?.call ?? null;
  }

  /** Asks for a mode of one's own, or with null for the room's. */
  view(mode) {
    this.#view = mode;
    return this.send({ type: 'view', mode });
  }

  /** Asks for no more than these `limits` of the protocol, now and whenever it joins. */
  limit(limits) {
    this.#limits = limits;
    return this.send({ type: 'limits', ...limits });
  }

  /** Enters `room` as `name`. */
  join({ room, name, token }) {
    this.#drop();
    this.#who = { room, name, token: token || null };
    this.#entered = false;
    this.#resume = null;
    this.#view = null;
    this.#attempt = 0;
    this.#env.store.dispatch({ type: 'local/join', room });
    this.#connect();
  }

  /** Leaves for good. */
  leave() {
    if (!this.#who) return;
    this.send({ type: 'leave' });
    this.#end('info', wordsForBye('left'), 'left');
  }

  /** Sends a message in the call; false while there is no connection. */
  send(message) {
    return Boolean(this.#link?.welcomed && this.#link.socket.send(message));
  }

  /** Sends a text to everybody and shows it. */
  chat(text) {
    const sent = this.send({ type: 'chat', text });
    if (sent) this.#env.store.dispatch({ type: 'local/chat-sent', text });
    return sent;
  }

  async #connect() {
    const link = { call: null, socket: null, description: null, timer: 0 };
    Object.assign(link, { welcomed: false, connected: false });
    this.#link = link;
    this.#arm(link, WELCOME_DEADLINE, 'silent');
    try {
      link.call = this.#newCall(link);
      link.socket = new Signalling(this.#env.url, {
        onMessage: (message) => this.#receive(link, message),
        onClose: () => this.#lost(link, this.#entered ? 'closed' : 'unreachable'),
      });
      const { description, ...media } = await link.call.offer();
      link.description = description;
      await link.socket.opened;
      if (this.#link !== link) return;
      link.socket.send({
        type: 'join',
        version: PROTOCOL_VERSION,
        ...this.#who,
        resume: this.#resume,
        view: this.#view,
        limits: this.#limits,
        ...media,
      });
    } catch (error) {
      console.error(error);
      this.#lost(link, 'browser');
    }
  }

  #newCall(link) {
    return new Call({
      tracks: this.#env.media.tracks,
      iceTransportPolicy: this.#env.iceTransportPolicy,
      onCandidate: (mid, candidate) => link.socket?.send({ type: 'candidate', mid, candidate }),
      onState: (state) => this.#mediaState(link, state),
      onError: (error) => {
        console.error(error);
        this.#lost(link, 'browser');
      },
    });
  }

  #receive(link, message) {
    if (this.#link !== link) return;
    this.#env.store.dispatch(message);
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(link, message);
      case 'answer':
        return link.call.answer(message.sdp);
      case 'candidate':
        return link.call.addCandidate(message.mid, message.candidate);
      case 'capture':
        link.call.capture(message);
        return this.#env.mesh.capture(message);
      case 'uplinks':
        return link.call.setWanted(message.wanted);
      case 'signal':
        return this.#env.mesh.signal(message);
      case 'levels':
        return this.#holdLevels();
      case 'error':
        return this.#refused(link, message);
      case 'bye':
        return this.#bye(link, message.reason);
      default:
        return undefined;
    }
  }

  #welcomed(link, { ice_servers: iceServers, resume }) {
    link.welcomed = true;
    const returning = this.#entered;
    this.#entered = true;
    this.#resume = resume;
    link.call.start(link.description, iceServers ?? []);
    this.#env.mesh.welcome(iceServers ?? [], returning);
    this.#arm(link, MEDIA_DEADLINE, 'media');
    this.#reportUplinks(returning);
  }

  /** Tells the room what is off; on return also what is on, as it may have changed meanwhile. */
  #reportUplinks(returning) {
    const { media } = this.#env;
    for (const role of ['mic', 'camera', 'screen']) {
      const on = media.isOn(role);
      const silenced = media.tracks[role] !== null && !on;
      if (returning || silenced) this.send({ type: 'mute', role, muted: !on });
    }
  }

  #uplinkChanged(role) {
    const link = this.#link;
    if (!link?.call) return;
    link.call.setTrack(role, this.#env.media.tracks[role]);
    this.send({ type: 'mute', role, muted: !this.#env.media.isOn(role) });
  }

  #mediaState(link, state) {
    if (this.#link !== link) return;
    if (state === 'connected') {
      clearTimeout(link.timer);
      if (!link.connected) this.#env.onConnected(link.call);
      link.connected = true;
      this.#attempt = 0;
      this.#env.store.dispatch({ type: 'local/connected' });
    } else if (state === 'disconnected') {
      this.#arm(link, DISCONNECT_GRACE, 'network');
    } else if (state === 'failed') {
      this.#lost(link, link.connected ? 'network' : 'media');
    }
  }

  #holdLevels() {
    clearTimeout(this.#levelTimer);
    const expire = () => this.#env.store.dispatch({ type: 'local/levels-expired' });
    this.#levelTimer = setTimeout(expire, LEVEL_HOLD);
  }

  #refused(link, { code, message }) {
    const text = wordsForCode(code, message);
    if (link.welcomed) {
      // What was meant for somebody who has just left: the room says so by itself.
      if (code !== 'not_found') this.#env.onRefused(text, code);
    } else if (this.#entered && code === 'not_found') {
      // The participant this page was is forgotten: come back as a new one.
      this.#resume = null;
      this.#lost(link, 'closed');
    } else if (this.#entered && passesByItself(code)) {
      this.#retry(link, causeForCode(code, message), code);
    } else {
      this.#end('error', text, code);
    }
  }

  #bye(link, reason) {
    if (isFinalBye(reason)) this.#end(reason === 'left' ? 'info' : 'error', wordsForBye(reason), reason);
    else this.#retry(link, wordsForBye(reason), reason);
  }

  #lost(link, cause) {
    if (this.#link !== link) return;
    if (this.#entered) this.#retry(link, wordsForLoss(cause), cause);
    else this.#end('error', wordsForLoss(cause), cause);
  }

  #retry(link, text, code) {
    if (this.#link !== link) return;
    this.#env.onInterrupted();
    this.#drop();
    const delay = backoffDelay(this.#attempt);
    this.#attempt += 1;
    this.#env.store.dispatch({ type: 'local/lost', text, code, attempt: this.#attempt, delay });
    this.#retryTimer = setTimeout(() => this.#retryNow(), delay);
  }

  #retryNow() {
    if (this.#link || !this.#who) return;
    clearTimeout(this.#retryTimer);
    this.#connect();
  }

  #end(tone, text, code) {
    this.#drop();
    this.#who = null;
    this.#env.store.dispatch({ type: 'local/ended', tone, text, code });
  }

  #drop() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#levelTimer);
    const link = this.#link;
    this.#link = null;
    if (!link) return;
    clearTimeout(link.timer);
    link.socket?.close();
    link.call?.close();
  }

  /** One deadline at a time: the next step of a connection replaces the last one's. */
  #arm(link, ms, cause) {
    clearTimeout(link.timer);
    link.timer = setTimeout(() => this.#lost(link, cause), ms);
  }
}
