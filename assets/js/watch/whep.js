// A player's connection: WHEP, one offer and one answer.

/** @import {ErrorBody, IceServer} from '../../../tests/client/types/protocol.d.ts' */

import { preferCodecs } from '../base/codecs.js';

/** What the address of the page passes on to the server. */
const PASSED_ON = ['name', 'maxBitrate', 'maxHeight', 'audioOnly'];

/**
 * The address to play `room` from, with what the page's own query says of the player.
 *
 * @param {string} room
 * @param {URLSearchParams} query
 */
export function whepUrl(room, query) {
  const wanted = new URLSearchParams([...query].filter(([name]) => PASSED_ON.includes(name)));
  return `/whep/${room}${wanted.size ? `?${wanted}` : ''}`;
}

/**
 * The ICE servers that a `Link` header names (RFC 9725 section 4.6).
 *
 * @param {string | null} header
 * @returns {IceServer[]}
 */
export function iceServersOf(header) {
  return [...(header ?? '').matchAll(/<([^>]+)>((?:\s*;\s*[\w-]+="[^"]*")*)/g)].flatMap(([, url, rest]) => {
    const parameters = new Map([...rest.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    if (parameters.get('rel') !== 'ice-server') return [];
    const [username, credential] = [parameters.get('username'), parameters.get('credential')];
    return [{ urls: [url], ...(username && { username }), ...(credential && { credential }) }];
  });
}

/** The server's answer to a player that it does not take. */
export class Refusal extends Error {
  /**
   * @param {number} status of HTTP
   * @param {string} code
   * @param {string} message
   * @param {number} retryAfter how long to stay away, ms; 0 if the server does not say
   */
  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** @param {Response} answer */
async function refusalOf(answer) {
  /** @type {Partial<ErrorBody>} */
  const { error } = await answer.json().catch(() => ({}));
  const retryAfter = Number(answer.headers.get('retry-after') ?? 0) * 1000 || 0;
  return new Refusal(answer.status, error?.code ?? '', error?.message ?? '', retryAfter);
}

export class Whep {
  #pc;
  #url;
  #token;
  /** Where the session can be ended, once there is one. @type {string | null} */
  #location = null;
  #closed = false;
  /** Picture and sound. */
  stream = new MediaStream();

  /**
   * @param {object} env
   * @param {string} env.url
   * @param {string} env.token empty if there is none
   * @param {RTCIceTransportPolicy} env.iceTransportPolicy
   * @param {(state: RTCPeerConnectionState) => void} env.onState called when the connection changes
   */
  constructor({ url, token, iceTransportPolicy, onState }) {
    this.#url = url;
    this.#token = token;
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceTransportPolicy });
    this.#pc.addEventListener('connectionstatechange', () => onState(this.#pc.connectionState));
    for (const role of /** @type {const} */ (['mix-audio', 'mix-video'])) {
      const kind = role === 'mix-audio' ? 'audio' : 'video';
      const transceiver = this.#pc.addTransceiver(kind, { direction: 'recvonly' });
      preferCodecs(transceiver, role);
      this.stream.addTrack(transceiver.receiver.track);
    }
  }

  /** The peer connection. */
  get pc() {
    return this.#pc;
  }

  /**
   * Asks for the media; resolves when the answer is applied.
   *
   * @param {AbortSignal} signal
   * @throws {Refusal} if the server does not want this player
   */
  async start(signal) {
    const offer = await this.#pc.createOffer();
    const answer = await fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', ...this.#authorization },
      body: offer.sdp,
      signal,
    });
    if (!answer.ok) throw await refusalOf(answer);
    this.#location = answer.headers.get('location');
    if (this.#closed) return this.#end();
    const sdp = await answer.text();
    if (this.#closed) return undefined;
    // Gathering begins with the local description, and has the server's STUN and TURN by then. No
    // candidate is sent: the server learns those from the checks.
    const iceServers = iceServersOf(answer.headers.get('link'));
    this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
    await this.#pc.setLocalDescription(offer);
    await this.#pc.setRemoteDescription({ type: 'answer', sdp });
    return undefined;
  }

  get #authorization() {
    return this.#token ? { authorization: `Bearer ${this.#token}` } : undefined;
  }

  /** Closes the connection. The server is told, unless it is what was lost. */
  close() {
    const lost = ['disconnected', 'failed', 'closed'].includes(this.#pc.connectionState);
    this.#closed = true;
    this.#pc.close();
    if (!lost) this.#end();
  }

  #end() {
    const location = this.#location;
    this.#location = null;
    // A page that is closed still gets this out; a session that is gone already is none to end.
    if (location) fetch(location, { method: 'DELETE', headers: this.#authorization, keepalive: true }).catch(() => {});
  }
}
