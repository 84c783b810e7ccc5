// Every moving picture of the page: the composite, one of each forward slot that was ever used, two
// of each member of the mesh, and one's own. Which of them are seen is decided elsewhere.

import { Picture } from './picture.js';

export class VideoElements {
  #host;
  #onFrame;
  #pictures = new Map();
  /** Counts connections with the server, so that slots of two of them are told apart. */
  #epoch = 0;
  /** Receivers of the forward slots by mid. */
  #slots = new Map();

  /** New pictures are put into `host`; `composite` is the <video> of the mix. */
  constructor({ host, composite, onFrame }) {
    this.#host = host;
    this.#onFrame = onFrame;
    this.composite = new Picture({ key: 'composite', source: 'composite', element: composite, onFrame });
  }

  /** All but the composite. */
  get tiles() {
    return [...this.#pictures.values()];
  }

  #add(options, stream) {
    this.#remove(options.key);
    const picture = new Picture({ ...options, onFrame: this.#onFrame });
    this.#pictures.set(options.key, picture);
    this.#host.append(picture.element);
    // Without sound every browser plays; one that does not shows avatars.
    picture.play(stream).catch(ignoreAbort);
    return picture;
  }

  #remove(key) {
    this.#pictures.get(key)?.close();
    this.#pictures.delete(key);
  }

  /** Takes the forward slots of a connection; those of an older one keep their last frame. */
  attach(downlinks) {
    this.#epoch += 1;
    this.#slots = new Map(
      downlinks.filter(({ role }) => role === 'forward-video').map(({ mid, receiver }) => [mid, receiver]),
    );
  }

  /** The picture of a slot; in a call that is never forwarded there is none. */
  #slot(mid, participant) {
    const key = `forward/${this.#epoch}/${mid}`;
    const receiver = this.#slots.get(mid);
    if (this.#pictures.has(key) || participant === null || !receiver) return this.#pictures.get(key);
    return this.#add({ key, source: 'forward', receiver }, new MediaStream([receiver.track]));
  }

  /** The connection with the server has ended. */
  detach() {
    this.#slots.clear();
    for (const picture of this.#pictures.values()) if (picture.source === 'forward') picture.gone = true;
  }

  /** Obeys a `slots` message. */
  assign(slots) {
    for (const { mid, participant, role } of slots) {
      const picture = this.#slot(mid, participant);
      if (!picture || (picture.participant === participant && picture.role === role)) continue;
      if (participant !== null && participant !== picture.held) picture.empty();
      Object.assign(picture, { participant, role, held: participant ?? picture.held });
    }
  }

  /** Takes the camera and screen of a member of the mesh. */
  addMesh(peer) {
    for (const role of ['camera', 'screen']) {
      const receiver = peer.receiver(role);
      const key = `mesh/${peer.id}/${role}`;
      if (receiver) this.#add({ key, source: 'mesh', participant: peer.id, role }, new MediaStream([receiver.track]));
    }
  }

  /** A member's connection has ended. */
  removeMesh(id) {
    for (const role of ['camera', 'screen']) this.#remove(`mesh/${id}/${role}`);
  }

  /** Shows an own track, or none. */
  setOwn(participant, role, track) {
    const key = `own/${role}`;
    const old = this.#pictures.get(key);
    if (old && track && old.element.srcObject?.getTracks()[0] === track) old.participant = participant;
    else if (track) this.#add({ key, source: 'own', participant, role }, new MediaStream([track]));
    else this.#remove(key);
  }

  /** What `participant` showed counts no longer: they have turned it off. */
  empty(participant, role) {
    for (const one of this.#pictures.values()) {
      if (one.participant === participant && one.role === role && one.source !== 'own') one.empty();
    }
  }

  /** Forgets pictures of ended connections that are not in `kept`. */
  prune(kept) {
    for (const [key, picture] of this.#pictures) if (picture.gone && !kept.has(key)) this.#remove(key);
  }

  /** Forgets everything. */
  clear() {
    for (const key of [...this.#pictures.keys()]) this.#remove(key);
    this.composite.empty();
    this.composite.last = null;
  }
}

/** A play() that is cut short by the next one, or by the end, is nothing to tell. */
function ignoreAbort(error) {
  if (error.name !== 'AbortError') console.warn(error);
}
