// Every sound of the page: the mix in the composite's <video>, one <audio> for each forward slot
// that was ever used and each member of the mesh. All play all the time, and what is not to be heard is muted: so a
// change from one to another takes no time, and what flows can be known without being heard
// (Chromium stops reporting on a track that is disabled instead).

import { lastMedia } from '../base/receivers.js';

/** Sound that came within this time flows, ms: packets of 20 ms, and a busy page. */
const FLOWS = 120;

export class AudioOutputs {
  #outputs = new Map();
  #blocked = false;
  #heard = null;
  #onBlocked;
  #mixSince = null;
  /** Receivers of the forward slots by mid. */
  #slots = new Map();

  /** `video` plays the mix; `onBlocked(blocked)` is told when the browser wants a click first. */
  constructor({ video, onBlocked }) {
    this.#onBlocked = onBlocked;
    this.#outputs.set('mix', { kind: 'mix', element: video, receiver: null });
  }

  /** Takes what a connection with the server brings, and plays the mix. */
  attach(downlinks) {
    this.#drop('forward');
    const mix = this.#outputs.get('mix');
    mix.receiver = downlinks.find(({ role }) => role === 'mix-audio').receiver;
    this.#slots = new Map(
      downlinks.filter(({ role }) => role === 'forward-audio').map(({ mid, receiver }) => [mid, receiver]),
    );
    this.#unblock(false);
    this.#play(mix);
  }

  async #play(output) {
    try {
      await output.element.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError') return;
      // Without a click on the page browsers play only what makes no sound.
      this.#unblock(true);
      output.element.play().catch(console.warn);
    }
  }

  #unblock(blocked) {
    this.#blocked = blocked;
    this.#onBlocked(blocked);
    this.#gate();
  }

  /** After a click: everything is heard that should be. */
  hear() {
    this.#unblock(false);
    for (const { element } of this.#outputs.values()) element.play().catch(console.warn);
  }

  /** Whether the browser waits for a click. */
  get blocked() {
    return this.#blocked;
  }

  #add(key, output) {
    this.#remove(key);
    const element = document.createElement('audio');
    element.muted = true;
    element.srcObject = new MediaStream([output.receiver.track]);
    this.#outputs.set(key, { ...output, element });
    element.play().catch(() => {});
    this.#gate();
  }

  #remove(key) {
    const output = this.#outputs.get(key);
    if (!output || output.kind === 'mix') return;
    output.element.pause();
    output.element.srcObject = null;
    this.#outputs.delete(key);
  }

  #drop(kind) {
    for (const [key, output] of this.#outputs) if (output.kind === kind) this.#remove(key);
  }

  /** Obeys a `slots` message. */
  assign(slots) {
    for (const { mid, participant } of slots) {
      const key = `forward/${mid}`;
      const receiver = this.#slots.get(mid);
      // In a call that is never forwarded they cost nothing.
      if (!this.#outputs.has(key) && participant !== null && receiver) this.#add(key, { kind: 'forward', receiver });
      const output = this.#outputs.get(key);
      if (output) output.participant = participant;
    }
    this.#gate();
  }

  /** Takes the microphone of a member of the mesh. */
  addMesh(peer) {
    const receiver = peer.receiver('mic');
    if (receiver) this.#add(`mesh/${peer.id}`, { kind: 'mesh', participant: peer.id, receiver });
  }

  /** A member's connection has ended. */
  removeMesh(id) {
    this.#remove(`mesh/${id}`);
  }

  /** What flows, for audio-switch.js: `{people, mixFlows, mixSince}`; `others` as in `room`. */
  facts(others, now) {
    const mixFlows = flows(this.#outputs.get('mix'), now);
    if (!mixFlows) this.#mixSince = null;
    else this.#mixSince ??= now;
    const people = others.map(({ id, mic }) => {
      const slot = this.#slotOf(id);
      return {
        id,
        mesh: flows(this.#outputs.get(`mesh/${id}`), now),
        forward: flows(slot, now),
        slot: slot !== undefined && mic === 'live',
      };
    });
    return { people, mixFlows, mixSince: this.#mixSince };
  }

  #slotOf(id) {
    return [...this.#outputs.values()].find((one) => one.kind === 'forward' && one.participant === id);
  }

  /** How long the sound of `id`, as it is heard now, has been missing, ms; null if never there. */
  age(id, now) {
    const output = this.#heard?.mix
      ? this.#outputs.get('mix')
      : this.#heard?.people[id] === 'mesh'
        ? this.#outputs.get(`mesh/${id}`)
        : this.#slotOf(id);
    const last = lastMedia(output?.receiver);
    return last === null ? null : Math.max(0, now - last);
  }

  /** Lets hear what `heard` of audio-switch.js says, all in one step. */
  apply(heard) {
    this.#heard = heard;
    this.#gate();
  }

  #gate() {
    const { mix = true, people = {} } = this.#heard ?? {};
    for (const { kind, participant, element } of this.#outputs.values()) {
      const audible = kind === 'mix' ? mix : !mix && participant !== null && people[participant] === kind;
      const muted = this.#blocked || !audible;
      if (element.muted !== muted) element.muted = muted;
    }
  }

  /** Forgets everything. */
  clear() {
    this.#drop('forward');
    this.#drop('mesh');
    this.#slots.clear();
    this.#heard = null;
    this.#outputs.get('mix').receiver = null;
    this.#unblock(false);
  }
}

function flows(output, now) {
  const last = lastMedia(output?.receiver);
  return last !== null && now - last < FLOWS;
}
