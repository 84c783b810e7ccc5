// One RTCRtpSender and what is wanted of it: a track, limits, and whether it sends at all. The
// connection with the server and those of the mesh use it alike.

/** @import {Capture} from './encodings.js' */

import { encodingFor, encodingsFor } from './encodings.js';

export class Sender {
  #sender;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  /** @type {Capture | null} */
  #capture = null;
  #active = true;
  /** Parameters are read, changed and written back: two changes at once would lose one. */
  #turn = Promise.resolve();

  /** @param {RTCRtpSender} sender */
  constructor(sender) {
    this.#sender = sender;
  }

  /** Sends `track`, or nothing with null. @param {MediaStreamTrack | null} [track] */
  async setTrack(track) {
    this.#track = track ?? null;
    await this.#replace();
    await this.apply();
  }

  /** Firefox sends the sound of an encoding that is not active, but never without a track. */
  #replace() {
    const silent = !this.#active && this.#track?.kind === 'audio';
    return this.#sender.replaceTrack(silent ? null : this.#track);
  }

  /** Obeys a `capture` message, now and for every later track. @param {Capture} capture */
  setCapture(capture) {
    this.#capture = capture;
    return this.apply();
  }

  /** Stops sending, whatever the track is, or goes on. @param {boolean} active */
  setActive(active) {
    if (this.#active === active) return this.#turn;
    this.#active = active;
    this.#enqueue(() => this.#replace());
    return this.apply();
  }

  /** Writes the parameters wanted. A browser takes them only once the connection is negotiated. */
  apply() {
    return this.#enqueue(() => this.#write());
  }

  /** @param {() => Promise<void>} step */
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

  /**
   * The parameters that are to change in each encoding.
   *
   * @param {RTCRtpEncodingParameters[]} encodings
   * @returns {RTCRtpEncodingParameters[]}
   */
  #wanted(encodings) {
    const settings = this.#sender.track?.getSettings();
    if (encodings.length > 1) {
      const rids = encodings.map((one) => one.rid);
      const wanted = encodingsFor(rids, this.#capture, settings);
      return wanted.map((one) => ({ ...one, active: one.active && this.#active }));
    }
    // A server that takes one encoding takes the first of those offered, which was meant to be
    // the smallest: its scale is undone.
    const scaled = (encodings[0].scaleResolutionDownBy ?? 1) > 1;
    const whole = !this.#capture && scaled ? { scaleResolutionDownBy: 1 } : {};
    const limits = this.#capture && settings ? encodingFor(this.#capture, settings) : whole;
    return [{ ...limits, active: this.#active }];
  }

  async #write() {
    const parameters = this.#sender.getParameters();
    // Firefox has no encodings before the answer; apply() is called again after it.
    if (!parameters.encodings?.length) return;
    const changed = this.#wanted(parameters.encodings);
    /** @param {object} encoding @param {number} i */
    const same = (encoding, i) => {
      const now = new Map(Object.entries(encoding));
      return Object.entries(changed[i]).every(([key, value]) => now.get(key) === value);
    };
    if (parameters.encodings.every(same)) return;
    parameters.encodings.forEach((encoding, i) => Object.assign(encoding, changed[i]));
    // The size was chosen to fit a tile; a browser left to itself starts far below it and takes
    // half a minute to come back.
    if (this.#capture) parameters.degradationPreference = 'maintain-resolution';
    await this.#sender.setParameters(parameters);
  }
}
