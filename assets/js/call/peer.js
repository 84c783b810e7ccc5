// A connection with one other member. It is negotiated through `send`; what came first is
// handled first, whatever the browser is busy with.

import { MESH_DEADLINE, UPLINKS } from '../base/config.js';
import { preferCodecs } from './codecs.js';
import { fingerprintOf, judgeOffer, Verdict } from './negotiation.js';
import { Sender } from './sender.js';

const KINDS = { mic: 'audio', camera: 'video', screen: 'video' };

export class Peer {
  #env;
  #pc = null;
  /** By role: `{receiver, sender}`. */
  #media = {};
  #queue = Promise.resolve();
  #offering = false;
  /** Candidates that came before the description they belong to. */
  #early = [];
  #ignoring = false;
  #timer = 0;
  #since = null;
  #restarted = false;
  #closed = false;
  offers;

  /**
   * `env`: `id`, `polite`, `configuration` of the RTCPeerConnection, `tracks()` and `captures()`
   * by role, `send(data)`, `onMedia(peer)` when the receivers are there or others, `onState(peer)`.
   * `offers` says which side begins.
   */
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

  /** When the connection came up, ms, or null. */
  get since() {
    return this.#since;
  }

  /** The RTCRtpReceiver of an uplink of the other side, or null. */
  receiver(role) {
    return this.#media[role]?.receiver ?? null;
  }

  /** Makes a new connection and offers it. */
  begin() {
    this.#enqueue(async () => {
      this.#renew();
      const stream = new MediaStream();
      const transceivers = UPLINKS.map((role) => {
        const transceiver = this.#pc.addTransceiver(KINDS[role], {
          direction: 'sendrecv',
          streams: role === 'screen' ? [] : [stream],
        });
        preferCodecs(transceiver, role);
        return transceiver;
      });
      await this.#adopt(transceivers);
      await this.#offer();
    });
  }

  #renew() {
    this.#pc?.close();
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', ...this.#env.configuration });
    const pc = this.#pc;
    this.#media = {};
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
  }

  async #adopt(transceivers) {
    transceivers.forEach((transceiver, i) => {
      const role = UPLINKS[i];
      if (!role || transceiver.receiver.track.kind !== KINDS[role]) return;
      this.#media[role] = { receiver: transceiver.receiver, sender: new Sender(transceiver.sender) };
    });
    const captures = this.#env.captures();
    for (const [role, { sender }] of Object.entries(this.#media)) {
      if (captures.has(role)) sender.setCapture(captures.get(role));
      await sender.setTrack(this.#env.tracks()[role]);
    }
    this.#env.onMedia(this);
  }

  async #offer(options) {
    const pc = this.#pc;
    this.#offering = true;
    await pc.setLocalDescription(await pc.createOffer(options));
    this.#describe();
  }

  #describe() {
    const { type, sdp } = this.#pc.localDescription;
    this.#env.send({ description: { type, sdp } });
  }

  /** Takes in what the other side sent. */
  receive({ description, candidate }) {
    if (description?.type === 'offer') this.#enqueue(() => this.#offered(description));
    else if (description?.type === 'answer') this.#enqueue(() => this.#answered(description));
    else if (candidate) this.#enqueue(() => this.#candidate(candidate));
  }

  async #offered(description) {
    const mine = this.#pc && { offering: this.#offering, fingerprint: fingerprintOf(this.#pc.remoteDescription?.sdp) };
    const verdict = judgeOffer({ polite: this.#env.polite, mine, theirs: fingerprintOf(description.sdp) });
    this.#ignoring = verdict === Verdict.Ignore;
    if (this.#ignoring) return;
    if (verdict === Verdict.Renew) this.#renew();
    this.#offering = false;
    const pc = this.#pc;
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

  async #answered(description) {
    // An answer to an offer that was taken back, or to a connection that was replaced.
    if (this.#pc?.signalingState !== 'have-local-offer') return;
    await this.#pc.setRemoteDescription(description);
    this.#offering = false;
    // What is ignored is an offer and its candidates; those that come now are of the answer.
    this.#ignoring = false;
    await this.#described();
  }

  /** Both descriptions stand: limits can be set, and early candidates added. */
  async #described() {
    for (const { sender } of Object.values(this.#media)) sender.apply();
    for (const candidate of this.#early.splice(0)) await this.#candidate(candidate);
  }

  async #candidate(candidate) {
    if (this.#ignoring || !this.#pc) return;
    if (!this.#pc.remoteDescription) this.#early.push(candidate);
    // One bad candidate must not end a connection that others can carry.
    else await this.#pc.addIceCandidate(candidate).catch(console.warn);
  }

  #enqueue(step) {
    this.#queue = this.#queue
      .then(() => (this.#closed ? undefined : step()))
      .catch((error) => {
        if (!this.#closed) console.warn(`mesh with ${this.id}`, error);
      });
  }

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

  /** The offering side restarts ICE, once; whatever does not come up by that is begun anew. */
  #failed() {
    this.#arm(this.offers ? MESH_DEADLINE : 2 * MESH_DEADLINE);
    if (!this.offers || this.#restarted) return;
    this.#restarted = true;
    this.#enqueue(() => this.#offer({ iceRestart: true }));
  }

  #arm(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.begin(), ms);
  }

  /** Sends `track` on an uplink, or nothing. */
  setTrack(role, track) {
    this.#media[role]?.sender.setTrack(track).catch(console.warn);
  }

  /** Obeys a `capture` message. */
  capture(message) {
    this.#media[message.role]?.sender.setCapture(message);
  }

  /** Whether to send at all. */
  setActive(active) {
    for (const { sender } of Object.values(this.#media)) sender.setActive(active);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#pc?.close();
  }
}

/** A candidate as the protocol has it; the fragment lets the other side drop those of an older offer. */
const plain = ({ candidate, sdpMid, usernameFragment }) => ({ candidate, sdpMid, usernameFragment });
