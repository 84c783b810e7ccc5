// One RTCPeerConnection: every m-line is offered once, at join, and never renegotiated.
// Uplinks change by replaceTrack alone; downlinks by what the server feeds into their slots.

import { OFFERED_ROLES } from './config.js';
import { encodingFor } from './geometry.js';

const UPLINKS = new Set(['mic', 'camera', 'screen']);
const isAudio = (role) => role === 'mic' || role.endsWith('-audio');

/** Codecs of an m-line, the preferred first. */
const CODECS = {
  mic: ['opus'],
  camera: ['vp8', 'h264', 'vp9'],
  screen: ['vp8', 'h264', 'vp9'],
  'mix-audio': ['opus'],
  'mix-video': ['h264', 'vp8'],
  'forward-audio': ['opus'],
  'forward-video': ['vp8', 'h264', 'vp9'],
};

export class Call {
  #pc;
  #transceivers;
  #captures = new Map();
  /** Remote descriptions and candidates are applied in order, whenever they arrive. */
  #queue = Promise.resolve();

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

  #addTransceiver(role) {
    const transceiver = this.#pc.addTransceiver(isAudio(role) ? 'audio' : 'video', {
      direction: UPLINKS.has(role) ? 'sendonly' : 'recvonly',
    });
    preferCodecs(transceiver, CODECS[role]);
    return transceiver;
  }

  #transceiver(role) {
    return this.#transceivers[OFFERED_ROLES.indexOf(role)];
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
      await this.#pc.setRemoteDescription({ type: 'answer', sdp });
      for (const role of this.#captures.keys()) await this.#applyCapture(role);
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
    this.#queue = this.#queue.then(() => (this.#closed ? undefined : step())).catch((error) => {
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

  /** The composite: the tracks of mix-video and mix-audio. */
  mixStream() {
    return new MediaStream(
      ['mix-video', 'mix-audio'].map((role) => this.#transceiver(role).receiver.track),
    );
  }

  /** Sends `track` on an uplink, or nothing. */
  async setTrack(role, track) {
    try {
      await this.#transceiver(role).sender.replaceTrack(track ?? null);
      if (track) await this.#applyCapture(role);
    } catch (error) {
      if (!this.#closed) this.onError(error);
    }
  }

  /** Obeys a `capture` message, now and for every later track of that uplink. */
  async capture(message) {
    this.#captures.set(message.role, message);
    await this.#applyCapture(message.role);
  }

  async #applyCapture(role) {
    const capture = this.#captures.get(role);
    const sender = this.#transceiver(role)?.sender;
    const settings = sender?.track?.getSettings();
    if (!capture || !settings) return;
    const parameters = sender.getParameters();
    // Firefox has no encodings before the answer; answer() comes back here.
    if (!parameters.encodings?.length) return;
    Object.assign(parameters.encodings[0], encodingFor(capture, settings));
    // The server chose the size to fit a tile; a browser left to itself starts far below it
    // and takes half a minute to come back.
    parameters.degradationPreference = 'maintain-resolution';
    // A hint: a browser that refuses it sends more than it needs to, and the call goes on.
    await sender.setParameters(parameters).catch(console.warn);
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

/** Where the browser can, moves the codecs in `wanted` to the front, in that order. */
function preferCodecs(transceiver, wanted) {
  const kind = transceiver.receiver.track.kind;
  const known = RTCRtpReceiver.getCapabilities?.(kind)?.codecs ?? [];
  const rank = (codec) => {
    const at = wanted.indexOf(codec.mimeType.split('/')[1].toLowerCase());
    return at < 0 ? wanted.length : at;
  };
  try {
    // Reordered, not filtered: Firefox leaves the feedback lines of a codec left out in its
    // offer, and Chromium, for one, refuses to read that.
    transceiver.setCodecPreferences?.([...known].sort((a, b) => rank(a) - rank(b)));
  } catch (error) {
    console.warn('codec preferences refused', error);
  }
}
