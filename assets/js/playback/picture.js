// One moving picture on the stage: a <video>, whose frames are counted, and whose they are.

import { csrcOf } from './csrc.js';

/** How long after a frame that could not be told apart it is asked again whose it is, ms. */
const ASK_AGAIN = 30;

/** A frame after nothing for this long is news, ms. */
const BREAK = 1_000;

/** How long frames of the one before may still come after a slot has changed hands, ms. */
const HANDOVER = 300;

export class Picture {
  #onFrame;
  #handle = 0;
  #handover = -Infinity;

  /**
   * `key` is unique on the page; `source` composite, own, forward or mesh; `receiver` that of a
   * forward slot, which is asked whose each frame is. `onFrame(picture, news)` follows every frame
   * shown, `news` true for the first, the first after a break, and one of somebody else. `element` is an existing <video> or none.
   */
  constructor({ key, source, participant = null, role = null, receiver = null, element, onFrame }) {
    Object.assign(this, { key, source, participant, role, receiver });
    this.#onFrame = onFrame;
    this.element = element ?? newVideo();
    /** Frames since it was last taken for empty, and when the newest was shown, ms. */
    this.frames = 0;
    this.last = null;
    /** Whose the newest frame is by its CSRC; 0 nobody's for certain, null if it does not say. */
    this.csrc = null;
    /** Its connection has ended; the last frame stands. */
    this.gone = false;
  }

  get width() {
    return this.element.videoWidth;
  }

  get height() {
    return this.element.videoHeight;
  }

  /** Plays `stream`; rejects where the browser does not let it. */
  play(stream) {
    this.element.srcObject = stream;
    this.#watch();
    return this.element.play();
  }

  #watch() {
    const { element } = this;
    if (!element.requestVideoFrameCallback) {
      element.ontimeupdate = () => this.#frame(performance.now(), {});
      return;
    }
    element.cancelVideoFrameCallback(this.#handle);
    const next = (now, metadata) => {
      this.#handle = element.requestVideoFrameCallback(next);
      this.#frame(now, metadata);
    };
    this.#handle = element.requestVideoFrameCallback(next);
  }

  #frame(now, { rtpTimestamp }) {
    const before = this.csrc;
    const news = this.frames === 0 || now - this.last > BREAK;
    this.frames += 1;
    this.last = now;
    if (this.#ask(rtpTimestamp)) setTimeout(() => this.#askAgain(rtpTimestamp), ASK_AGAIN);
    // Where frames do not say whose they are, those just after a handover could be anybody's.
    if (this.receiver && this.csrc === null && now < this.#handover + HANDOVER) this.frames = 0;
    this.#onFrame(this, news || this.csrc !== before);
  }

  #askAgain(rtpTimestamp) {
    const before = this.csrc;
    this.#ask(rtpTimestamp);
    if (this.csrc !== before) this.#onFrame(this, true);
  }

  /** Finds out whose the newest frame is; true if that may still change. */
  #ask(rtpTimestamp) {
    if (!this.receiver) return false;
    const { number, certain } = csrcOf(this.receiver.getContributingSources?.(), rtpTimestamp);
    this.csrc = number;
    return number !== null && !certain;
  }

  /** What was shown so far counts no longer: something else comes, or the same after a break. */
  empty() {
    this.frames = 0;
    this.csrc = null;
    this.#handover = performance.now();
  }

  close() {
    this.element.ontimeupdate = null;
    this.element.cancelVideoFrameCallback?.(this.#handle);
    this.element.srcObject = null;
    this.element.remove();
  }
}

function newVideo() {
  const video = document.createElement('video');
  video.playsInline = true;
  video.muted = true;
  video.disablePictureInPicture = true;
  return video;
}
