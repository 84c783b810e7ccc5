// One RTCRtpSender and what is wanted of it: a track, limits, and whether it sends at all. The
// server's connection and those of the mesh use it alike.

import { encodingFor } from './geometry.js';

export class Sender {
  #sender;
  #track = null;
  #capture = null;
  #active = true;
  /** Parameters are read, changed and written back: two changes at once would lose one. */
  #turn = Promise.resolve();

  constructor(sender) {
    this.#sender = sender;
  }

  /** Sends `track`, or nothing with null. */
  async setTrack(track) {
    this.#track = track ?? null;
    await this.#replace();
    await this.apply();
  }

  /** Firefox sends sound of an encoding that is not active; without a track nothing does. */
  #replace() {
    const silent = !this.#active && this.#track?.kind === 'audio';
    return this.#sender.replaceTrack(silent ? null : this.#track);
  }

  /** Obeys a `capture` message, now and for every later track. */
  setCapture(capture) {
    this.#capture = capture;
    return this.apply();
  }

  /** Stops sending, whatever the track, and goes on. */
  setActive(active) {
    if (this.#active === active) return this.#turn;
    this.#active = active;
    this.#enqueue(() => this.#replace());
    return this.apply();
  }

  /** Writes what is wanted; a browser takes it only once the connection is negotiated. */
  apply() {
    return this.#enqueue(() => this.#write());
  }

  #enqueue(step) {
    // Hints: a browser that refuses one sends more than it needs to, and the call goes on.
    this.#turn = this.#turn.then(() => (this.#closed ? undefined : step())).catch((error) => {
      if (!this.#closed) console.warn(error);
    });
    return this.#turn;
  }

  get #closed() {
    return this.#sender.transport?.state === 'closed';
  }

  async #write() {
    const parameters = this.#sender.getParameters();
    // Firefox has no encodings before the answer; apply() is called again after it.
    if (!parameters.encodings?.length) return;
    const [encoding] = parameters.encodings;
    const settings = this.#sender.track?.getSettings();
    const limits = this.#capture && settings ? encodingFor(this.#capture, settings) : {};
    const changed = { ...limits, active: this.#active };
    if (Object.keys(changed).every((key) => encoding[key] === changed[key])) return;
    Object.assign(encoding, changed);
    // The size was chosen to fit a tile; a browser left to itself starts far below it and takes
    // half a minute to come back.
    if (this.#capture) parameters.degradationPreference = 'maintain-resolution';
    await this.#sender.setParameters(parameters);
  }
}
