// As much of a browser's RTCPeerConnection as negotiation sees: signalling states, transceivers,
// and whether two of them have each other's descriptions.

let count = 0;

class Transceiver {
  constructor(kind, direction) {
    Object.assign(this, { kind, direction, mid: null });
    this.receiver = { track: { kind } };
    const parameters = { encodings: [{ active: true }] };
    this.sender = {
      track: null,
      replaceTrack: async (track) => void (this.sender.track = track),
      setStreams() {},
      getParameters: () => structuredClone(parameters),
      setParameters: async (changed) => void Object.assign(parameters, changed),
    };
  }
}

export class FakePeerConnection extends EventTarget {
  /** All that were made, in order. */
  static all = [];

  constructor(configuration) {
    super();
    Object.assign(this, { configuration, signalingState: 'stable', connectionState: 'new', candidates: [] });
    this.localDescription = null;
    this.remoteDescription = null;
    this.fingerprint = `${(count += 1)}`;
    this.transceivers = [];
    this.generation = 0;
    FakePeerConnection.all.push(this);
  }

  addTransceiver(kind, { direction }) {
    const transceiver = new Transceiver(kind, direction);
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers() {
    return this.transceivers;
  }

  async createOffer({ iceRestart = false } = {}) {
    if (iceRestart) this.generation += 1;
    return { type: 'offer', sdp: this.#sdp(this.transceivers.map((one) => one.kind)) };
  }

  async createAnswer() {
    if (this.signalingState !== 'have-remote-offer') throw new Error(`answer in ${this.signalingState}`);
    return { type: 'answer', sdp: this.#sdp(this.transceivers.map((one) => one.kind)) };
  }

  #sdp(kinds) {
    return `v=0\r\na=fingerprint:sha-256 AB:${this.fingerprint}\r\na=generation:${this.generation}\r\n${kinds.map((kind) => `m=${kind}\r\n`).join('')}`;
  }

  async setLocalDescription(description) {
    await null;
    this.localDescription = description;
    this.signalingState = description.type === 'offer' ? 'have-local-offer' : 'stable';
    // A task of its own, after whoever waits for the description has gone on.
    setImmediate(() =>
      this.#emit('icecandidate', {
        candidate: { candidate: `c${this.fingerprint}`, sdpMid: '0', usernameFragment: 'u' },
      }),
    );
  }

  async setRemoteDescription(description) {
    await null;
    if (description.type === 'answer' && this.signalingState !== 'have-local-offer')
      throw new Error(`answer in ${this.signalingState}`);
    this.remoteDescription = description;
    if (description.type === 'answer') {
      this.signalingState = 'stable';
    } else {
      // An own offer is rolled back; transceivers that were added for it are not reused.
      this.signalingState = 'have-remote-offer';
      const kinds = [...description.sdp.matchAll(/^m=(\w+)/gm)].map((match) => match[1]);
      if (!this.transceivers.some((one) => one.mid !== null)) {
        this.transceivers.push(...kinds.map((kind) => new Transceiver(kind, 'recvonly')));
      }
    }
    this.transceivers.forEach((one, i) => (one.mid ??= String(i)));
  }

  async addIceCandidate(candidate) {
    if (!this.remoteDescription) throw new Error('no remote description');
    this.candidates.push(candidate.candidate);
  }

  /** Plays the network: the connection is in another state now. */
  become(state) {
    this.connectionState = state;
    this.#emit('connectionstatechange', {});
  }

  #emit(type, fields) {
    if (this.connectionState !== 'closed') this.dispatchEvent(Object.assign(new Event(type), fields));
  }

  close() {
    this.connectionState = 'closed';
    this.signalingState = 'closed';
  }
}

/** Puts the fakes where a browser has the real ones. */
export function install() {
  Object.assign(globalThis, {
    RTCPeerConnection: FakePeerConnection,
    RTCRtpReceiver: class {},
    MediaStream: class {},
  });
}
