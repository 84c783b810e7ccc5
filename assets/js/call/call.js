// The connection with the server: every m-line is offered once, at join, and never renegotiated.
// Uplinks change by replaceTrack alone; downlinks by what the server feeds into their slots.

/** @import {IceServer, Mid, Role, Track} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from '../base/config.js' */
/** @import {Downlink} from '../base/receivers.js' */
/** @import {Capture} from './encodings.js' */

import { CAMERA_ENCODINGS, isUplink, OFFERED_ROLES, UPLINKS } from '../base/config.js';
import { isAudio, preferCodecs } from '../base/codecs.js';
import { Sender } from './sender.js';

export class Call {
  #pc;
  /** In the order of OFFERED_ROLES. */
  #transceivers;
  /** @type {Map<UplinkRole, Sender>} */
  #senders = new Map();
  /** Remote descriptions and candidates are applied in order, whenever they arrive. */
  #queue = Promise.resolve();
  #descriptions = 0;

  /**
   * @param {object} env
   * @param {{[role in UplinkRole]: MediaStreamTrack | null}} env.tracks what is sent first
   * @param {RTCIceTransportPolicy} env.iceTransportPolicy
   * @param {(mid: Mid, line: string | null) => void} env.onCandidate called with local candidates,
   *   null after the last one
   * @param {(state: RTCPeerConnectionState) => void} env.onState
   * @param {(error: unknown) => void} env.onError called when the browser refuses a step
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

  /** How many remote descriptions were applied: one, however often the mode has changed. */
  get descriptions() {
    return this.#descriptions;
  }

  /** @param {Role} role */
  #addTransceiver(role) {
    const transceiver = this.#pc.addTransceiver(isAudio(role) ? 'audio' : 'video', {
      direction: isUplink(role) ? 'sendonly' : 'recvonly',
      ...(role === 'camera' ? { sendEncodings: CAMERA_ENCODINGS.map((one) => ({ ...one })) } : {}),
    });
    preferCodecs(transceiver, role);
    if (isUplink(role)) this.#senders.set(role, new Sender(transceiver.sender));
    return transceiver;
  }

  /**
   * The offer and the role of each of its m-lines, as `join` carries them; `description` is for
   * `start`.
   *
   * @returns {Promise<{offer: string, tracks: Track[], description: RTCSessionDescriptionInit}>}
   */
  async offer() {
    const description = await this.#pc.createOffer();
    const offer = description.sdp ?? '';
    // Transceivers get their mid with the local description, which has to wait for the ICE
    // servers in `welcome`; a first offer has its m-lines in the transceivers' order (RFC 8829
    // section 5.2.1).
    const mids = [...offer.matchAll(/^a=mid:(\S+)/gm)].map((match) => match[1]);
    return { offer, tracks: mids.map((mid, i) => ({ mid, role: OFFERED_ROLES[i] })), description };
  }

  /**
   * Applies the offer with the servers of `welcome`. Gathering starts here.
   *
   * @param {RTCSessionDescriptionInit} description
   * @param {IceServer[]} iceServers
   */
  start(description, iceServers) {
    this.#enqueue(async () => {
      this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
      await this.#pc.setLocalDescription(description);
    });
  }

  /** Applies the server's answer. @param {string} sdp */
  answer(sdp) {
    this.#enqueue(async () => {
      this.#descriptions += 1;
      await this.#pc.setRemoteDescription({ type: 'answer', sdp });
      for (const sender of this.#senders.values()) sender.apply();
    });
  }

  /**
   * Adds a candidate of the server; null says there are no more.
   *
   * @param {Mid} mid
   * @param {string | null} candidate
   */
  addCandidate(mid, candidate) {
    this.#enqueue(async () => {
      if (candidate === null) return;
      // One bad candidate must not end a call that others can carry.
      await this.#pc.addIceCandidate({ sdpMid: mid, candidate }).catch(console.warn);
    });
  }

  /** @param {() => Promise<void>} step */
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

  /**
   * @param {RTCIceCandidate | null} candidate
   * @param {(mid: Mid, line: string | null) => void} onCandidate
   */
  #local(candidate, onCandidate) {
    if (candidate === null) {
      onCandidate(this.#transceivers[0].mid ?? '0', null);
    } else if (candidate.candidate) {
      onCandidate(/** @type {string} */ (candidate.sdpMid), candidate.candidate);
    }
  }

  /** The m-lines that receive. @returns {Downlink[]} */
  downlinks() {
    return this.#transceivers
      .map(({ mid, receiver }, i) => ({ role: OFFERED_ROLES[i], mid, receiver }))
      .filter(({ role }) => !isUplink(role));
  }

  /**
   * Sends `track` on an uplink, or nothing.
   *
   * @param {UplinkRole} role
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(role, track) {
    try {
      await this.#senders.get(role)?.setTrack(track);
    } catch (error) {
      if (!this.#closed) this.onError(error);
    }
  }

  /** Obeys a `capture` message. @param {Capture} message */
  capture(message) {
    if (isUplink(message.role)) this.#senders.get(message.role)?.setCapture(message);
  }

  /** Obeys an `uplinks` message: sends only while the server needs it. @param {boolean} wanted */
  setWanted(wanted) {
    for (const sender of this.#senders.values()) sender.setActive(wanted);
  }

  /** Roles by mid, once the local description is set. @returns {Map<Mid | null, Role>} */
  roles() {
    return new Map(this.#transceivers.map((t, i) => [t.mid, OFFERED_ROLES[i]]));
  }

  /** The RTCStatsReport of the whole connection. */
  stats() {
    return this.#pc.getStats();
  }

  /** Closes the connection. The tracks sent go on, they belong to the page. */
  close() {
    this.#pc.close();
  }
}
