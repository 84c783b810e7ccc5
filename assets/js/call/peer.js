// The connection with one other member of the mesh. Messages of the other side are handled in the
// order in which they came, one after the other.

/** @import {MeshCandidate, MeshDescription, ParticipantId} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from '../base/config.js' */
/** @import {Capture} from './encodings.js' */

import { MESH_DEADLINE, UPLINKS } from '../base/config.js';
import { preferCodecs } from '../base/codecs.js';
import { fingerprintOf, judgeOffer, Verdict } from './negotiation.js';
import { Sender } from './sender.js';

const KINDS = { mic: 'audio', camera: 'video', screen: 'video' };

/**
 * What members send each other: a description or a candidate, null after the last one.
 *
 * @typedef {{description?: MeshDescription, candidate?: MeshCandidate | null}} PeerMessage
 */

/**
 * @typedef {object} PeerEnv
 * @property {ParticipantId} id of the other side
 * @property {boolean} polite whether this side gives way when offers cross
 * @property {RTCConfiguration} configuration
 * @property {() => {[role in UplinkRole]: MediaStreamTrack | null}} tracks the own tracks
 * @property {() => Map<string, Capture>} captures the newest `capture` messages by role
 * @property {(message: PeerMessage) => void} send
 * @property {(peer: Peer) => void} onMedia called when the receivers are there, or others
 * @property {(peer: Peer) => void} onState called when the state of the connection has changed
 */

export class Peer {
  #env;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Map<UplinkRole, {receiver: RTCRtpReceiver, sender: Sender}>} */
  #media = new Map();
  #queue = Promise.resolve();
  /** Whether an own offer is out or being made. */
  #offering = false;
  /** Candidates that came before the description they belong to. @type {MeshCandidate[]} */
  #early = [];
  /** Whether the last offer was ignored; its candidates are ignored, too. */
  #ignoring = false;
  #timer = 0;
  /** @type {number | null} */
  #since = null;
  /** Whether ICE was restarted since the connection was last up. */
  #restarted = false;
  #closed = false;

  /** @param {PeerEnv} env @param {boolean} offers whether this side makes the offer */
  constructor(env, offers) {
    this.#env = env;
    this.offers = offers;
    if (offers) this.begin();
    else this.#arm(2 * MESH_DEADLINE);
  }

  get id() {
    return this.#env.id;
  }

  /** The RTCPeerConnection, or null before there is one. */
  get pc() {
    return this.#pc;
  }

  get state() {
    return this.#pc?.connectionState ?? 'new';
  }

  /** When the connection came up, ms of performance.now(), or null. */
  get since() {
    return this.#since;
  }

  /** The receiver of an uplink of the other side, or null. @param {UplinkRole} role */
  receiver(role) {
    return this.#media.get(role)?.receiver ?? null;
  }

  /** Makes a new connection and offers it. */
  begin() {
    this.#enqueue(async () => {
      const pc = this.#renew();
      const stream = new MediaStream();
      const transceivers = UPLINKS.map((role) => {
        const streams = role === 'screen' ? [] : [stream];
        const transceiver = pc.addTransceiver(KINDS[role], { direction: 'sendrecv', streams });
        preferCodecs(transceiver, role);
        return transceiver;
      });
      await this.#adopt(transceivers);
      await this.#offer();
    });
  }

  /** Replaces the connection with a new one. */
  #renew() {
    this.#pc?.close();
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', ...this.#env.configuration });
    this.#pc = pc;
    this.#media.clear();
    this.#early = [];
    this.#offering = false;
    this.#since = null;
    this.#restarted = false;
    this.#arm(MESH_DEADLINE);
    pc.addEventListener('icecandidate', ({ candidate }) => {
      if (pc === this.#pc) this.#env.send({ candidate: candidate?.candidate ? plain(candidate) : null });
    });
    pc.addEventListener('connectionstatechange', () => {
      if (pc === this.#pc) this.#stateChanged(pc.connectionState);
    });
    return pc;
  }

  /**
   * Takes the transceivers of a negotiated connection, in the order of UPLINKS.
   *
   * @param {RTCRtpTransceiver[]} transceivers
   */
  async #adopt(transceivers) {
    transceivers.forEach(({ receiver, sender }, i) => {
      const role = UPLINKS[i];
      if (!role || receiver.track.kind !== KINDS[role]) return;
      this.#media.set(role, { receiver, sender: new Sender(sender) });
    });
    const captures = this.#env.captures();
    for (const [role, { sender }] of this.#media) {
      const capture = captures.get(role);
      if (capture) sender.setCapture(capture);
      await sender.setTrack(this.#env.tracks()[role]);
    }
    this.#env.onMedia(this);
  }

  /** @param {RTCOfferOptions} [options] */
  async #offer(options) {
    const pc = /** @type {RTCPeerConnection} */ (this.#pc);
    this.#offering = true;
    await pc.setLocalDescription(await pc.createOffer(options));
    this.#describe();
  }

  /** Sends the local description. */
  #describe() {
    const { type, sdp } = /** @type {MeshDescription} */ (this.#pc?.localDescription);
    this.#env.send({ description: { type, sdp } });
  }

  /** Takes a message of the other side. @param {PeerMessage} message */
  receive({ description, candidate }) {
    if (description?.type === 'offer') this.#enqueue(() => this.#offered(description));
    else if (description?.type === 'answer') this.#enqueue(() => this.#answered(description));
    else if (candidate) this.#enqueue(() => this.#candidate(candidate));
  }

  /** @param {MeshDescription} description */
  async #offered(description) {
    const last = this.#pc?.remoteDescription?.sdp;
    const mine = this.#pc && { offering: this.#offering, fingerprint: fingerprintOf(last) };
    const verdict = judgeOffer({ polite: this.#env.polite, mine, theirs: fingerprintOf(description.sdp) });
    this.#ignoring = verdict === Verdict.Ignore;
    if (this.#ignoring) return;
    const pc = !this.#pc || verdict === Verdict.Renew ? this.#renew() : this.#pc;
    this.#offering = false;
    const first = pc.remoteDescription === null;
    await pc.setRemoteDescription(description);
    if (first) {
      const stream = new MediaStream();
      for (const [i, transceiver] of pc.getTransceivers().entries()) {
        transceiver.direction = 'sendrecv';
        if (UPLINKS[i] !== 'screen') transceiver.sender.setStreams?.(stream);
      }
      await this.#adopt(pc.getTransceivers());
    }
    await pc.setLocalDescription(await pc.createAnswer());
    this.#describe();
    await this.#described();
  }

  /** @param {MeshDescription} description */
  async #answered(description) {
    // An answer to an offer that was taken back, or to a connection that was replaced.
    if (this.#pc?.signalingState !== 'have-local-offer') return;
    await this.#pc.setRemoteDescription(description);
    this.#offering = false;
    // What is ignored is an offer and its candidates; those that come now are of the answer.
    this.#ignoring = false;
    await this.#described();
  }

  /** Both descriptions are set: limits can be set, and early candidates added. */
  async #described() {
    for (const { sender } of this.#media.values()) sender.apply();
    for (const candidate of this.#early.splice(0)) await this.#candidate(candidate);
  }

  /** @param {MeshCandidate} candidate */
  async #candidate(candidate) {
    if (this.#ignoring || !this.#pc) return;
    if (!this.#pc.remoteDescription) this.#early.push(candidate);
    // One bad candidate must not end a connection that others can carry.
    else await this.#pc.addIceCandidate(candidate).catch(console.warn);
  }

  /** @param {() => Promise<void>} step */
  #enqueue(step) {
    this.#queue = this.#queue
      .then(() => (this.#closed ? undefined : step()))
      .catch((error) => {
        if (!this.#closed) console.warn(`mesh with ${this.id}`, error);
      });
  }

  /** @param {RTCPeerConnectionState} state */
  #stateChanged(state) {
    if (state === 'connected') {
      clearTimeout(this.#timer);
      this.#since ??= performance.now();
      this.#restarted = false;
    } else if (state === 'failed') {
      this.#failed();
    }
    this.#env.onState(this);
  }

  /** The side that offers restarts ICE once. If that does not help the connection is made anew. */
  #failed() {
    this.#arm(this.offers ? MESH_DEADLINE : 2 * MESH_DEADLINE);
    if (!this.offers || this.#restarted) return;
    this.#restarted = true;
    this.#enqueue(() => this.#offer({ iceRestart: true }));
  }

  /** Makes the connection anew after `ms`, unless it comes up before. @param {number} ms */
  #arm(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.begin(), ms);
  }

  /**
   * Sends `track` on an uplink, or nothing.
   *
   * @param {UplinkRole} role
   * @param {MediaStreamTrack | null} track
   */
  setTrack(role, track) {
    this.#media.get(role)?.sender.setTrack(track).catch(console.warn);
  }

  /** Obeys a `capture` message. @param {Capture} message */
  capture(message) {
    for (const [role, { sender }] of this.#media) if (role === message.role) sender.setCapture(message);
  }

  /** Sends, or stops sending altogether. @param {boolean} active */
  setActive(active) {
    for (const { sender } of this.#media.values()) sender.setActive(active);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#pc?.close();
  }
}

/**
 * A candidate as the protocol has it. With its fragment the other side can drop those of an older
 * offer.
 *
 * @param {RTCIceCandidate} candidate
 */
const plain = ({ candidate, sdpMid, usernameFragment }) => ({ candidate, sdpMid, usernameFragment });
