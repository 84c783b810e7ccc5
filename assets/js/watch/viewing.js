// Watching a room through every loss: one connection after the other, and what goes on meanwhile.

/** @import {Loss} from '../base/errors.js' */
/** @import {Whep} from './whep.js' */

import { DISCONNECT_GRACE, MEDIA_DEADLINE, WELCOME_DEADLINE } from '../base/config.js';
import { causeForCode, passesByItself, wordsForCode, wordsForLoss, wordsForToken } from '../base/errors.js';
import { backoffDelay } from '../base/backoff.js';
import { Refusal } from './whep.js';

/**
 * `connecting` for the first time; `playing`; `again`: it was lost or refused for now, and is tried
 * again by itself; `token`: it waits for one; `ended`: only somebody who asks for it can go on.
 *
 * @typedef {'connecting' | 'playing' | 'again' | 'token' | 'ended'} Stage
 */

/** Where it stands, and why in words. @typedef {{stage: Stage, text: string}} Condition */

/** Time between two attempts at a room that has nothing for players now, ms. */
const NOTHING_YET = 10_000;
const DIRECT = 'The people in this room are connected directly: there is nothing to watch until they change that.';
const NO_TOKEN = 'This server shows its rooms to those who have its token.';

/**
 * What follows a refusal; `delay` is the least time before the next attempt, ms.
 *
 * @param {Refusal} refusal
 * @param {string} token the token that was sent, empty if none was
 * @returns {Condition & {delay: number}}
 */
export function afterRefusal({ status, code, message, retryAfter }, token) {
  if (code === 'unauthorized') return { stage: 'token', text: wordsForToken(token, NO_TOKEN), delay: 0 };
  if (code === 'mode_unavailable') return { stage: 'again', text: DIRECT, delay: NOTHING_YET };
  // A proxy in front of a server that restarts answers with words of its own.
  const passing = passesByItself(code) || (code === '' && status >= 500);
  if (!passing) return { stage: 'ended', text: wordsForCode(code, message), delay: 0 };
  const text = code === '' ? cause('unreachable') : causeForCode(code, message);
  return { stage: 'again', text, delay: retryAfter };
}

/** The cause of a loss, without advice: the page tries again by itself. @param {Loss} loss */
const cause = (loss) => `${wordsForLoss(loss).split('. ')[0].replace(/\.$/, '')}.`;

/**
 * @typedef {object} ViewingEnv
 * @property {(token: string, onState: (state: RTCPeerConnectionState) => void) => Whep} create makes a connection
 * @property {(condition: Condition) => void} onChange
 * @property {(connection: Whep) => void} onConnected called before the one that it replaces is closed
 */

export class Viewing {
  #env;
  /** The connection in use. Callbacks of an older one do nothing. @type {Whep | null} */
  #current = null;
  /** The one whose picture is seen, kept after its loss: closed, it would show black. @type {Whep | null} */
  #shown = null;
  #token = '';
  /** Failed attempts in a row. */
  #attempt = 0;
  #timer = 0;
  /** @type {Condition} */
  #condition = { stage: 'connecting', text: '' };

  /** @param {ViewingEnv} env */
  constructor(env) {
    this.#env = env;
  }

  /** Where it stands. */
  get condition() {
    return this.#condition;
  }

  /** The connection in use, or null. */
  get connection() {
    return this.#current;
  }

  /** Begins, or begins anew with another token. @param {string} token empty if there is none */
  start(token) {
    this.#token = token;
    this.#attempt = 0;
    this.#say('connecting', '');
    this.#connect();
  }

  /** Tries at once what would be tried later, or not at all. */
  retry() {
    if (this.#condition.stage === 'ended') this.start(this.#token);
    else if (this.#condition.stage === 'again' && !this.#current) this.#connect();
  }

  /** Ends it, and tells the server. */
  stop() {
    clearTimeout(this.#timer);
    this.#replace(null);
    this.#shown?.close();
    this.#shown = null;
  }

  /** @param {Whep | null} next */
  #replace(next) {
    const last = this.#current;
    this.#current = next;
    if (last !== this.#shown) last?.close();
  }

  async #connect() {
    clearTimeout(this.#timer);
    const connection = this.#env.create(this.#token, (state) => {
      if (connection === this.#current) this.#changed(connection, state);
    });
    this.#replace(connection);
    try {
      await connection.start(AbortSignal.timeout(WELCOME_DEADLINE));
      if (connection !== this.#current || this.#condition.stage === 'playing') return;
      this.#timer = setTimeout(() => this.#lost('media'), MEDIA_DEADLINE);
    } catch (error) {
      if (connection === this.#current) this.#failed(error);
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#replace(null);
    if (!(error instanceof Refusal)) {
      // fetch fails with a TypeError where there is no answer at all.
      const { name } = /** @type {Error} */ (error);
      this.#again(cause(name === 'TypeError' ? 'unreachable' : name === 'TimeoutError' ? 'silent' : 'browser'), 0);
      return;
    }
    const { stage, text, delay } = afterRefusal(error, this.#token);
    if (stage === 'again') this.#again(text, delay);
    else this.#say(stage, text);
  }

  /** @param {Whep} connection @param {RTCPeerConnectionState} state */
  #changed(connection, state) {
    if (state === 'connecting' || state === 'new') return;
    clearTimeout(this.#timer);
    if (state === 'disconnected') this.#timer = setTimeout(() => this.#lost('closed'), DISCONNECT_GRACE);
    else if (state !== 'connected') this.#lost(this.#condition.stage === 'playing' ? 'closed' : 'media');
    else this.#connected(connection);
  }

  /** @param {Whep} connection */
  #connected(connection) {
    this.#attempt = 0;
    this.#say('playing', '');
    if (connection === this.#shown) return;
    this.#env.onConnected(connection);
    this.#shown?.close();
    this.#shown = connection;
  }

  /** @param {Loss} loss */
  #lost(loss) {
    this.#replace(null);
    this.#again(cause(loss), 0);
  }

  /** Tries again after a while. @param {string} text @param {number} least ms */
  #again(text, least) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), Math.max(least, backoffDelay(this.#attempt)));
    this.#attempt += 1;
    this.#say('again', text);
  }

  /** @param {Stage} stage @param {string} text */
  #say(stage, text) {
    this.#condition = { stage, text };
    this.#env.onChange(this.#condition);
  }
}
