// The connection with the server: every m-line is offered once, at join, and never renegotiated.
// Uplinks change by replaceTrack alone; downlinks by what the server feeds into their slots.

import { CAMERA_ENCODINGS, OFFERED_ROLES, UPLINKS } from '../base/config.js';
import { isAudio, preferCodecs } from './codecs.js';
import { Sender } from './sender.js';

export class Call {
  #pc;
  #transceivers;
  /** By role. */
  #senders = new Map();
  /** Remote descriptions and candidates are applied in order, whenever they arrive. */
  #queue = Promise.resolve();
  #descriptions = 0;

  /**
   * `tracks` maps mic, camera and screen to a MediaStreamTrack or null. `onCandidate(mid, line)`
   * gets local candidates, `onState(connectionState)` every change of the connection.
   */
  constructor({ tracks, iceTransportPolicy, onCandidate, onState, onError }) {
    this.onError = onError;
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceTransportPolicy });
    this.#pc.addEventListener('icecandidate', ({ candidate }) => this.#local(candidate, onCandidate));
    this.#pc.addEventListener('connectionstatechange', () => onState(this.#pc.connectionState));
    this.#transceivers = OFFERED_ROLES.map((role) => this.#addTransceiver(role));
    for (const role of UPLINKS) this.setTrack(role, tracks[role]);
  }

  /** The RTCPeerConnection. */
  get pc() {
    return this.#pc;
  }

  /** How many remote descriptions were applied: one, however often the mode changed. */
  get descriptions() {
    return this.#descriptions;
  }

  #addTransceiver(role) {
    const transceiver = this.#pc.addTransceiver(isAudio(role) ? 'audio' : 'video', {
      direction: UPLINKS.includes(role) ? 'sendonly' : 'recvonly',
      ...(role === 'camera' ? { sendEncodings: CAMERA_ENCODINGS.map((one) => ({ ...one })) } : {}),
    });
    preferCodecs(transceiver, role);
    if (UPLINKS.includes(role)) this.#senders.set(role, new Sender(transceiver.sender));
    return transceiver;
  }

  /** The offer and the role of each of its m-lines, as `join` carries them. */
  async offer() {
    const offer = await this.#pc.createOffer();
    // Transceivers get their mid with the local description, which has to wait for the ICE
    // servers in `welcome`; a first offer has its m-lines in the transceivers' order (RFC 8829
    // section 5.2.1).
    const mids = [...offer.sdp.matchAll(/^a=mid:(\S+)/gm)].map((match) => match[1]);
    return {
      offer: offer.sdp,
      tracks: mids.map((mid, i) => ({ mid, role: OFFERED_ROLES[i] })),
      description: offer,
    };
  }

  /** Applies the offer with the servers of `welcome`: gathering starts here. */
  start(description, iceServers) {
    this.#enqueue(async () => {
      this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
      await this.#pc.setLocalDescription(description);
    });
  }

  /** Applies the server's answer. */
  answer(sdp) {
    this.#enqueue(async () => {
      this.#descriptions += 1;
      await this.#pc.setRemoteDescription({ type: 'answer', sdp });
      for (const sender of this.#senders.values()) sender.apply();
    });
  }

  /** Adds a candidate of the server; null says there are no more. */
  addCandidate(mid, candidate) {
    this.#enqueue(async () => {
      if (candidate === null) return;
      // One bad candidate must not end a call that others can carry.
      await this.#pc.addIceCandidate({ sdpMid: mid, candidate }).catch(console.warn);
    });
  }

  #enqueue(step) {
    this.#queue = this.#queue
      .then(() => (this.#closed ? undefined : step()))
      .catch((error) => {
        if (!this.#closed) this.onError(error);
      });
  }

  get #closed() {
    return this.#pc.connectionState === 'closed';
  }

  #local(candidate, onCandidate) {
    if (candidate === null) {
      onCandidate(this.#transceivers[0].mid ?? '0', null);
    } else if (candidate.candidate) {
      onCandidate(candidate.sdpMid, candidate.candidate);
    }
  }

  /** What is received: `{role, mid, receiver}` of each m-line that receives. */
  downlinks() {
    return this.#transceivers
      .map(({ mid, receiver }, i) => ({ role: OFFERED_ROLES[i], mid, receiver }))
      .filter(({ role }) => !UPLINKS.includes(role));
  }

  /** Sends `track` on an uplink, or nothing. */
  async setTrack(role, track) {
    try {
      await this.#senders.get(role).setTrack(track);
    } catch (error) {
      if (!this.#closed) this.onError(error);
    }
  }

  /** Obeys a `capture` message. */
  capture(message) {
    this.#senders.get(message.role)?.setCapture(message);
  }

  /** Obeys an `uplinks` message: whether the server has any use for what is sent. */
  setWanted(wanted) {
    for (const sender of this.#senders.values()) sender.setActive(wanted);
  }

  /** Roles by mid, once the local description stands. */
  roles() {
    return new Map(this.#transceivers.map((t, i) => [t.mid, OFFERED_ROLES[i]]));
  }

  /** The RTCStatsReport of the whole connection. */
  stats() {
    return this.#pc.getStats();
  }

  /** Closes the connection; the tracks sent go on, they belong to the page. */
  close() {
    this.#pc.close();
  }
}
