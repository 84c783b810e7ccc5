// A stay in a room through every reconnection: one Signalling and one Call at a time.

/** @import {ByeReason, ClientMessage, IceServer} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Limits, Mode, ServerMessage} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from '../base/config.js' */
/** @import {Loss} from '../base/errors.js' */
/** @import {Store} from '../base/state.js' */
/** @import {LocalMedia} from './local-media.js' */
/** @import {Mesh} from './mesh.js' */

import {
  DISCONNECT_GRACE,
  LEVEL_HOLD,
  MEDIA_DEADLINE,
  PROTOCOL_VERSION,
  UPLINKS,
  WELCOME_DEADLINE,
} from '../base/config.js';
import { causeForCode, isFinalBye, passesByItself, wordsForBye, wordsForCode, wordsForLoss } from '../base/errors.js';
import { backoffDelay } from '../base/backoff.js';
import { Call } from './call.js';
import { Signalling } from './signalling.js';

/**
 * @typedef {{room: string, name: string, token?: string | null}} Who where to enter, and as whom
 */

/**
 * @typedef {object} SessionEnv
 * @property {string} url of the WebSocket
 * @property {LocalMedia} media
 * @property {Store} store
 * @property {Mesh} mesh
 * @property {RTCIceTransportPolicy} iceTransportPolicy
 * @property {(call: Call) => void} onConnected
 * @property {() => void} onInterrupted called just before a lost call is closed
 * @property {(text: string, code: string) => void} onRefused called for an error inside the call
 */

/** A connection: everything that is replaced together after a loss. */
class Link {
  /** @type {Call | null} */
  call = null;
  /** @type {Signalling | null} */
  socket = null;
  /** The offer, for `Call.start`. @type {RTCSessionDescriptionInit | null} */
  description = null;
  /** The deadline of the next step. */
  timer = 0;
  welcomed = false;
  connected = false;
}

export class Session {
  #env;
  /** @type {Who | null} */
  #who = null;
  /** Whether the room has welcomed this stay once: from then on losses are retried. */
  #entered = false;
  /** The connection in use. Callbacks of an older one do nothing. @type {Link | null} */
  #link = null;
  /** The secret that takes the participant over after a loss. @type {string | null} */
  #resume = null;
  /** Failed attempts in a row. */
  #attempt = 0;
  #retryTimer = 0;
  #levelTimer = 0;
  /** The mode asked for instead of the room's; kept through reconnections. @type {Mode | null} */
  #view = null;
  /** The limits of the mixed picture; kept from one stay to the next. @type {Partial<Limits>} */
  #limits = {};

  /** @param {SessionEnv} env */
  constructor(env) {
    this.#env = env;
    env.media.onChange((role) => this.#uplinkChanged(role));
    window.addEventListener('online', () => this.#retryNow());
  }

  /** The Call in use, or null. */
  get call() {
    return this.#link?.call ?? null;
  }

  /** The server's token, empty if none was given. */
  get token() {
    return this.#who?.token ?? '';
  }

  /** Asks for a mode for this page, or with null for the room's. @param {Mode | null} mode */
  view(mode) {
    this.#view = mode;
    return this.send({ type: 'view', mode });
  }

  /** Asks for no more than these limits, now and at every join. @param {Partial<Limits>} limits */
  limit(limits) {
    this.#limits = limits;
    return this.send({ type: 'limits', ...limits });
  }

  /** Enters a room. @param {Who} who */
  join({ room, name, token }) {
    this.#drop();
    this.#who = { room, name, token: token || null };
    this.#entered = false;
    this.#resume = null;
    this.#view = null;
    this.#attempt = 0;
    this.#env.store.dispatch({ type: 'local/join', room });
    this.#connect(this.#who);
  }

  /** Leaves for good. */
  leave() {
    if (!this.#who) return;
    this.send({ type: 'leave' });
    this.#end('info', wordsForBye('left'), 'left');
  }

  /**
   * Sends a message in the call; false while there is no connection.
   *
   * @param {ClientMessage} message
   */
  send(message) {
    return Boolean(this.#link?.welcomed && this.#link.socket?.send(message));
  }

  /** Sends a text to everybody and shows it. @param {string} text */
  chat(text) {
    const sent = this.send({ type: 'chat', text });
    if (sent) this.#env.store.dispatch({ type: 'local/chat-sent', text });
    return sent;
  }

  /** @param {Who} who */
  async #connect({ room, name, token = null }) {
    const link = new Link();
    this.#link = link;
    this.#arm(link, WELCOME_DEADLINE, 'silent');
    try {
      const call = this.#newCall(link);
      link.call = call;
      link.socket = new Signalling(this.#env.url, {
        onMessage: (message) => this.#receive(link, call, message),
        onClose: () => this.#lost(link, this.#entered ? 'closed' : 'unreachable'),
      });
      const { description, offer, tracks } = await call.offer();
      link.description = description;
      await link.socket.opened;
      if (this.#link !== link) return;
      link.socket.send({
        type: 'join',
        version: PROTOCOL_VERSION,
        room,
        name,
        token,
        resume: this.#resume,
        view: this.#view,
        limits: this.#limits,
        offer,
        tracks,
      });
    } catch (error) {
      console.error(error);
      this.#lost(link, 'browser');
    }
  }

  /** @param {Link} link */
  #newCall(link) {
    /** @type {Call} */
    const call = new Call({
      tracks: this.#env.media.tracks,
      iceTransportPolicy: this.#env.iceTransportPolicy,
      onCandidate: (mid, candidate) => link.socket?.send({ type: 'candidate', mid, candidate }),
      onState: (state) => this.#mediaState(link, call, state),
      onError: (error) => {
        console.error(error);
        this.#lost(link, 'browser');
      },
    });
    return call;
  }

  /** @param {Link} link @param {Call} call @param {ServerMessage} message */
  #receive(link, call, message) {
    if (this.#link !== link) return;
    this.#env.store.dispatch(message);
    switch (message.type) {
      case 'welcome':
        this.#welcomed(link, call, message);
        break;
      case 'answer':
        call.answer(message.sdp);
        break;
      case 'candidate':
        call.addCandidate(message.mid, message.candidate);
        break;
      case 'capture':
        call.capture(message);
        this.#env.mesh.capture(message);
        break;
      case 'uplinks':
        call.setWanted(message.wanted);
        break;
      case 'signal':
        this.#env.mesh.signal(message);
        break;
      case 'levels':
        this.#holdLevels();
        break;
      case 'error':
        this.#refused(link, message);
        break;
      case 'bye':
        this.#bye(link, message.reason);
        break;
    }
  }

  /**
   * @param {Link} link
   * @param {Call} call
   * @param {{ice_servers: IceServer[], resume: string}} message
   */
  #welcomed(link, call, { ice_servers: iceServers, resume }) {
    link.welcomed = true;
    const returning = this.#entered;
    this.#entered = true;
    this.#resume = resume;
    call.start(/** @type {RTCSessionDescriptionInit} */ (link.description), iceServers ?? []);
    this.#env.mesh.welcome(iceServers ?? [], returning);
    this.#arm(link, MEDIA_DEADLINE, 'media');
    this.#reportUplinks(returning);
  }

  /**
   * Tells the room which uplinks are muted; after a reconnection also which are not, as that may
   * have changed meanwhile.
   *
   * @param {boolean} returning
   */
  #reportUplinks(returning) {
    const { media } = this.#env;
    for (const role of UPLINKS) {
      const on = media.isOn(role);
      const silenced = media.tracks[role] !== null && !on;
      if (returning || silenced) this.send({ type: 'mute', role, muted: !on });
    }
  }

  /** @param {UplinkRole} role */
  #uplinkChanged(role) {
    const link = this.#link;
    if (!link?.call) return;
    link.call.setTrack(role, this.#env.media.tracks[role]);
    this.send({ type: 'mute', role, muted: !this.#env.media.isOn(role) });
  }

  /** @param {Link} link @param {Call} call @param {RTCPeerConnectionState} state */
  #mediaState(link, call, state) {
    if (this.#link !== link) return;
    if (state === 'connected') {
      clearTimeout(link.timer);
      if (!link.connected) this.#env.onConnected(call);
      link.connected = true;
      this.#attempt = 0;
      this.#env.store.dispatch({ type: 'local/connected' });
    } else if (state === 'disconnected') {
      this.#arm(link, DISCONNECT_GRACE, 'network');
    } else if (state === 'failed') {
      this.#lost(link, link.connected ? 'network' : 'media');
    }
  }

  /** Lets levels expire when no others come. */
  #holdLevels() {
    clearTimeout(this.#levelTimer);
    const expire = () => this.#env.store.dispatch({ type: 'local/levels-expired' });
    this.#levelTimer = setTimeout(expire, LEVEL_HOLD);
  }

  /** @param {Link} link @param {{code: string, message: string}} error */
  #refused(link, { code, message }) {
    const text = wordsForCode(code, message);
    if (link.welcomed) {
      // Meant for somebody who has just left: the room says so by itself.
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

  /** @param {Link} link @param {ByeReason} reason */
  #bye(link, reason) {
    if (isFinalBye(reason)) this.#end(reason === 'left' ? 'info' : 'error', wordsForBye(reason), reason);
    else this.#retry(link, wordsForBye(reason), reason);
  }

  /** @param {Link} link @param {Loss} cause */
  #lost(link, cause) {
    if (this.#link !== link) return;
    if (this.#entered) this.#retry(link, wordsForLoss(cause), cause);
    else this.#end('error', wordsForLoss(cause), cause);
  }

  /** @param {Link} link @param {string} text @param {string} code */
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
    this.#connect(this.#who);
  }

  /** @param {'info' | 'error'} tone @param {string} text @param {string} code */
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

  /**
   * Sets the deadline of the next step, in place of that of the last one.
   *
   * @param {Link} link
   * @param {number} ms
   * @param {Loss} cause what to say when it passes
   */
  #arm(link, ms, cause) {
    clearTimeout(link.timer);
    link.timer = setTimeout(() => this.#lost(link, cause), ms);
  }
}
