// The <video> elements of the page: one for the composite, one for each forward slot that was ever
// used, two for each member of the mesh, and the own ones. Which of them are seen is decided in
// playback.js.

/** @import {Mid, ParticipantId, SlotState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {VideoRole} from '../base/config.js' */
/** @import {Downlink, MeshMember} from '../base/receivers.js' */
/** @import {OnFrame, PictureOptions} from './picture.js' */

import { VIDEO_UPLINKS } from '../base/config.js';
import { Picture } from './picture.js';

export class VideoElements {
  #host;
  #onFrame;
  /** All but the composite, by key. @type {Map<string, Picture>} */
  #pictures = new Map();
  /** Counts connections with the server, so that slots of two of them are told apart. */
  #epoch = 0;
  /** Receivers of the forward slots. @type {Map<Mid | null, RTCRtpReceiver>} */
  #slots = new Map();

  /**
   * @param {object} env
   * @param {Element} env.host the element that new ones are put into
   * @param {HTMLVideoElement} env.composite the element of the mix
   * @param {OnFrame} env.onFrame
   */
  constructor({ host, composite, onFrame }) {
    this.#host = host;
    this.#onFrame = onFrame;
    this.composite = new Picture({ key: 'composite', source: 'composite', element: composite, onFrame });
  }

  /** The pictures of tiles: all but the composite. */
  get tiles() {
    return [...this.#pictures.values()];
  }

  /** @param {PictureOptions} options @param {MediaStreamTrack} track */
  #add(options, track) {
    this.#remove(options.key);
    const picture = new Picture({ ...options, onFrame: this.#onFrame });
    this.#pictures.set(options.key, picture);
    this.#host.append(picture.element);
    // Without sound every browser plays; one that does not shows avatars.
    picture.play(new MediaStream([track])).catch(ignoreAbort);
    return picture;
  }

  /** @param {string} key */
  #remove(key) {
    this.#pictures.get(key)?.close();
    this.#pictures.delete(key);
  }

  /**
   * Takes the forward slots of a connection. Those of an older one keep their last frame.
   *
   * @param {Downlink[]} downlinks
   */
  attach(downlinks) {
    this.#epoch += 1;
    const slots = downlinks.filter(({ role }) => role === 'forward-video');
    this.#slots = new Map(slots.map(({ mid, receiver }) => [mid, receiver]));
  }

  /**
   * The picture of a slot; none in a call that is never forwarded.
   *
   * @param {Mid} mid
   * @param {ParticipantId | null} participant
   */
  #slot(mid, participant) {
    const key = `forward/${this.#epoch}/${mid}`;
    const receiver = this.#slots.get(mid);
    if (this.#pictures.has(key) || participant === null || !receiver) return this.#pictures.get(key);
    return this.#add({ key, source: 'forward', receiver }, receiver.track);
  }

  /** Keeps the last frames of the forward slots: the connection with the server has ended. */
  detach() {
    this.#slots.clear();
    for (const picture of this.#pictures.values()) if (picture.source === 'forward') picture.gone = true;
  }

  /** Obeys a `slots` message. @param {SlotState[]} slots */
  assign(slots) {
    for (const { mid, participant, role } of slots) {
      const picture = this.#slot(mid, participant);
      if (!picture || (picture.participant === participant && picture.role === role)) continue;
      if (participant !== null && participant !== picture.held) picture.empty();
      Object.assign(picture, { participant, role, held: participant ?? picture.held });
    }
  }

  /** Takes the camera and screen of a member of the mesh. @param {MeshMember} peer */
  addMesh(peer) {
    for (const role of VIDEO_UPLINKS) {
      const receiver = peer.receiver(role);
      const key = `mesh/${peer.id}/${role}`;
      if (receiver) this.#add({ key, source: 'mesh', participant: peer.id, role }, receiver.track);
    }
  }

  /** Drops the pictures of a member whose connection has ended. @param {ParticipantId} id */
  removeMesh(id) {
    for (const role of VIDEO_UPLINKS) this.#remove(`mesh/${id}/${role}`);
  }

  /**
   * Shows an own track, or none.
   *
   * @param {ParticipantId | null} participant
   * @param {VideoRole} role
   * @param {MediaStreamTrack | null} track
   */
  setOwn(participant, role, track) {
    const key = `own/${role}`;
    const old = this.#pictures.get(key);
    const [shown] = /** @type {MediaStream | null} */ (old?.element.srcObject ?? null)?.getTracks() ?? [];
    if (old && track && shown === track) old.participant = participant;
    else if (track) this.#add({ key, source: 'own', participant, role }, track);
    else this.#remove(key);
  }

  /**
   * Forgets the frames of an uplink that was turned off.
   *
   * @param {ParticipantId} participant
   * @param {VideoRole} role
   */
  empty(participant, role) {
    for (const one of this.#pictures.values()) {
      if (one.participant === participant && one.role === role && one.source !== 'own') one.empty();
    }
  }

  /**
   * Removes pictures of ended connections whose keys are not in `kept`.
   *
   * @param {Set<string>} kept
   */
  prune(kept) {
    for (const [key, picture] of this.#pictures) if (picture.gone && !kept.has(key)) this.#remove(key);
  }

  /** Removes all pictures. */
  clear() {
    for (const key of [...this.#pictures.keys()]) this.#remove(key);
    this.composite.empty();
    this.composite.last = null;
  }
}

/** A play() that is cut short by the next one, or by the end, is no error. @param {Error} error */
function ignoreAbort(error) {
  if (error.name !== 'AbortError') console.warn(error);
}
