// One RTCRtpSender and what is wanted of it: a track, limits, and whether it sends at all. The
// server's connection and those of the mesh use it alike.

import { encodingFor, encodingsFor } from './encodings.js';

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
    this.#turn = this.#turn
      .then(() => (this.#closed ? undefined : step()))
      .catch((error) => {
        if (!this.#closed) console.warn(error);
      });
    return this.#turn;
  }

  get #closed() {
    return this.#sender.transport?.state === 'closed';
  }

  /** What is to change in each encoding. */
  #wanted(encodings) {
    const settings = this.#sender.track?.getSettings();
    if (encodings.length > 1) {
      const wanted = encodingsFor(
        encodings.map((one) => one.rid),
        this.#capture,
        settings,
      );
      return wanted.map((one) => ({ ...one, active: one.active && this.#active }));
    }
    // The first of several is left where the server takes but one: it was to be the smallest.
    const whole = !this.#capture && encodings[0].scaleResolutionDownBy > 1 ? { scaleResolutionDownBy: 1 } : {};
    const limits = this.#capture && settings ? encodingFor(this.#capture, settings) : whole;
    return [{ ...limits, active: this.#active }];
  }

  async #write() {
    const parameters = this.#sender.getParameters();
    // Firefox has no encodings before the answer; apply() is called again after it.
    if (!parameters.encodings?.length) return;
    const changed = this.#wanted(parameters.encodings);
    const same = (encoding, i) => Object.keys(changed[i]).every((key) => encoding[key] === changed[i][key]);
    if (parameters.encodings.every(same)) return;
    parameters.encodings.forEach((encoding, i) => Object.assign(encoding, changed[i]));
    // The size was chosen to fit a tile; a browser left to itself starts far below it and takes
    // half a minute to come back.
    if (this.#capture) parameters.degradationPreference = 'maintain-resolution';
    await this.#sender.setParameters(parameters);
  }
}
