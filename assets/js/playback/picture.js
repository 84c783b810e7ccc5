// One moving picture on the stage: a <video> whose frames are counted, and whose they are.

/** @import {ParticipantId, Role} from '../../../tests/client/types/protocol.d.ts' */

import { csrcOf } from './csrc.js';

/** How long after a frame of uncertain CSRC the browser is asked again, ms. */
const ASK_AGAIN = 30;

/** After how long without frames the next one is news, ms. */
const BREAK = 1_000;

/**
 * How long frames of the previous participant may still come after a slot has changed hands, ms.
 */
const HANDOVER = 300;

/** @typedef {'composite' | 'own' | 'forward' | 'mesh'} PictureSource */

/**
 * @typedef {object} PictureOptions
 * @property {string} key unique on the page
 * @property {PictureSource} source
 * @property {ParticipantId | null} [participant]
 * @property {Role | null} [role]
 * @property {RTCRtpReceiver | null} [receiver] of a forward slot; it is asked whose each frame is
 * @property {HTMLVideoElement} [element] an existing one, else a new one is made
 */

/**
 * Called after every frame shown. `news` is true for the first frame, the first after a break, and
 * one of somebody else.
 *
 * @typedef {(picture: Picture, news: boolean) => void} OnFrame
 */

export class Picture {
  #onFrame;
  #handle = 0;
  #handover = -Infinity;

  /** @param {PictureOptions & {onFrame: OnFrame}} options */
  constructor({ key, source, participant = null, role = null, receiver = null, element, onFrame }) {
    this.key = key;
    this.source = source;
    this.participant = participant;
    this.role = role;
    this.receiver = receiver;
    this.#onFrame = onFrame;
    this.element = element ?? newVideo();
    /** The last participant of a forward slot. @type {ParticipantId | null} */
    this.held = null;
    /** Frames since it was last emptied. */
    this.frames = 0;
    /** When the newest frame was shown, ms of performance.now(). @type {number | null} */
    this.last = null;
    /** The CSRC of the newest frame; 0 if uncertain, null if it has none. @type {number | null} */
    this.csrc = null;
    /** Its connection has ended; the last frame stays. */
    this.gone = false;
  }

  get width() {
    return this.element.videoWidth;
  }

  get height() {
    return this.element.videoHeight;
  }

  /** Plays `stream`; rejects where the browser does not allow it. @param {MediaStream} stream */
  play(stream) {
    this.element.srcObject = stream;
    this.#watch();
    return this.element.play();
  }

  #watch() {
    const { element } = this;
    if (!('requestVideoFrameCallback' in element)) {
      /** @type {HTMLVideoElement} */ (element).ontimeupdate = () => this.#frame(performance.now(), {});
      return;
    }
    element.cancelVideoFrameCallback(this.#handle);
    /** @type {VideoFrameRequestCallback} */
    const next = (now, metadata) => {
      this.#handle = element.requestVideoFrameCallback(next);
      this.#frame(now, metadata);
    };
    this.#handle = element.requestVideoFrameCallback(next);
  }

  /** @param {number} now @param {{rtpTimestamp?: number}} metadata */
  #frame(now, { rtpTimestamp }) {
    const before = this.csrc;
    const news = this.frames === 0 || now - (this.last ?? 0) > BREAK;
    this.frames += 1;
    this.last = now;
    if (this.#ask(rtpTimestamp)) setTimeout(() => this.#askAgain(rtpTimestamp), ASK_AGAIN);
    // Where frames do not say whose they are, those just after a handover could be anybody's.
    if (this.receiver && this.csrc === null && now < this.#handover + HANDOVER) this.frames = 0;
    this.#onFrame(this, news || this.csrc !== before);
  }

  /** @param {number | undefined} rtpTimestamp */
  #askAgain(rtpTimestamp) {
    const before = this.csrc;
    this.#ask(rtpTimestamp);
    if (this.csrc !== before) this.#onFrame(this, true);
  }

  /**
   * Finds out whose the newest frame is; true if that may still change.
   *
   * @param {number | undefined} rtpTimestamp
   */
  #ask(rtpTimestamp) {
    if (!this.receiver) return false;
    const { number, certain } = csrcOf(this.receiver.getContributingSources?.(), rtpTimestamp);
    this.csrc = number;
    return number !== null && !certain;
  }

  /** Forgets the frames so far: they are of somebody else, or of before a break. */
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
