// Every sound of the page: the mix in the composite's <video>, and one <audio> for each forward
// slot that was ever used and each member of the mesh. All play all the time, and those that are
// not to be heard are muted: so a switch takes no time, and what flows is known without being
// heard (Chromium stops reporting on a track that is disabled instead).

/** @import {Mid, ParticipantId, ParticipantState, SlotState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Downlink, MeshMember} from '../base/receivers.js' */
/** @import {Facts, Heard} from './audio-switch.js' */

import { lastMedia } from '../base/receivers.js';

/** Sound that came within this time flows, ms: packets of 20 ms, and a busy page. */
const FLOWS = 120;

/**
 * @typedef {object} Output
 * @property {'mix' | 'forward' | 'mesh'} kind
 * @property {HTMLMediaElement} element
 * @property {RTCRtpReceiver | null} receiver
 * @property {ParticipantId | null} participant null for the mix and an empty slot
 */

export class AudioOutputs {
  /** @type {Output} */
  #mix;
  /** All but the mix, by key. @type {Map<string, Output>} */
  #outputs = new Map();
  #blocked = false;
  /** @type {Heard | null} */
  #heard = null;
  #onBlocked;
  /** When the mix began to flow; null while it does not. @type {number | null} */
  #mixSince = null;
  /** Receivers of the forward slots. @type {Map<Mid | null, RTCRtpReceiver>} */
  #slots = new Map();

  /**
   * @param {object} env
   * @param {HTMLVideoElement} env.video the element that plays the mix
   * @param {(blocked: boolean) => void} env.onBlocked told whether the browser wants a click first
   */
  constructor({ video, onBlocked }) {
    this.#onBlocked = onBlocked;
    this.#mix = { kind: 'mix', element: video, receiver: null, participant: null };
  }

  get #all() {
    return [this.#mix, ...this.#outputs.values()];
  }

  /**
   * Takes the m-lines of a connection with the server, and plays the mix.
   *
   * @param {Downlink[]} downlinks
   */
  attach(downlinks) {
    this.#drop('forward');
    this.#mix.receiver = downlinks.find(({ role }) => role === 'mix-audio')?.receiver ?? null;
    const slots = downlinks.filter(({ role }) => role === 'forward-audio');
    this.#slots = new Map(slots.map(({ mid, receiver }) => [mid, receiver]));
    this.#unblock(false);
    this.#play(this.#mix);
  }

  /** @param {Output} output */
  async #play({ element }) {
    try {
      await element.play();
    } catch (error) {
      if (/** @type {Error} */ (error).name !== 'NotAllowedError') return;
      // Without a click on the page browsers play only what makes no sound.
      this.#unblock(true);
      element.play().catch(console.warn);
    }
  }

  /** @param {boolean} blocked */
  #unblock(blocked) {
    this.#blocked = blocked;
    this.#onBlocked(blocked);
    this.#mute();
  }

  /** Plays everything, after the click that the browser wanted. */
  hear() {
    this.#unblock(false);
    for (const { element } of this.#all) element.play().catch(console.warn);
  }

  /** Whether the browser waits for a click. */
  get blocked() {
    return this.#blocked;
  }

  /**
   * @param {string} key
   * @param {'forward' | 'mesh'} kind
   * @param {RTCRtpReceiver} receiver
   * @param {ParticipantId | null} participant
   */
  #add(key, kind, receiver, participant) {
    this.#remove(key);
    const element = document.createElement('audio');
    element.muted = true;
    element.srcObject = new MediaStream([receiver.track]);
    this.#outputs.set(key, { kind, element, receiver, participant });
    element.play().catch(() => {});
    this.#mute();
  }

  /** @param {string} key */
  #remove(key) {
    const output = this.#outputs.get(key);
    if (!output) return;
    output.element.pause();
    output.element.srcObject = null;
    this.#outputs.delete(key);
  }

  /** @param {'forward' | 'mesh'} kind */
  #drop(kind) {
    for (const [key, output] of this.#outputs) if (output.kind === kind) this.#remove(key);
  }

  /** Obeys a `slots` message. @param {SlotState[]} slots */
  assign(slots) {
    for (const { mid, participant } of slots) {
      const key = `forward/${mid}`;
      const receiver = this.#slots.get(mid);
      const output = this.#outputs.get(key);
      if (output) output.participant = participant;
      // In a call that is never forwarded slots cost nothing.
      else if (participant !== null && receiver) this.#add(key, 'forward', receiver, participant);
    }
    this.#mute();
  }

  /** Takes the microphone of a member of the mesh. @param {MeshMember} peer */
  addMesh(peer) {
    const receiver = peer.receiver('mic');
    if (receiver) this.#add(`mesh/${peer.id}`, 'mesh', receiver, peer.id);
  }

  /** Drops the sound of a member whose connection has ended. @param {ParticipantId} id */
  removeMesh(id) {
    this.#remove(`mesh/${id}`);
  }

  /**
   * Which sounds flow, for audio-switch.js.
   *
   * @param {ParticipantState[]} others
   * @param {number} now
   * @returns {Pick<Facts, 'people' | 'mixFlows' | 'mixSince'>}
   */
  facts(others, now) {
    const mixFlows = flows(this.#mix, now);
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

  /** @param {ParticipantId} id */
  #slotOf(id) {
    return [...this.#outputs.values()].find((one) => one.kind === 'forward' && one.participant === id);
  }

  /**
   * How old the newest sound of a participant is, from the source that is heard now, ms; null if
   * there never was any.
   *
   * @param {ParticipantId} id
   * @param {number} now
   */
  age(id, now) {
    const direct = this.#heard?.people[id] === 'mesh';
    const own = direct ? this.#outputs.get(`mesh/${id}`) : this.#slotOf(id);
    const last = lastMedia((this.#heard?.mix ? this.#mix : own)?.receiver);
    return last === null ? null : Math.max(0, now - last);
  }

  /** Switches to what `heard` says, all in one step. @param {Heard} heard */
  apply(heard) {
    this.#heard = heard;
    this.#mute();
  }

  #mute() {
    const { mix, people } = this.#heard ?? { mix: true, people: {} };
    for (const { kind, participant, element } of this.#all) {
      const audible = kind === 'mix' ? mix : !mix && participant !== null && people[participant] === kind;
      const muted = this.#blocked || !audible;
      if (element.muted !== muted) element.muted = muted;
    }
  }

  /** Drops everything but the mix, which has no receiver then. */
  clear() {
    this.#drop('forward');
    this.#drop('mesh');
    this.#slots.clear();
    this.#heard = null;
    this.#mix.receiver = null;
    this.#unblock(false);
  }
}

/** @param {Output | undefined} output @param {number} now */
function flows(output, now) {
  const last = lastMedia(output?.receiver);
  return last !== null && now - last < FLOWS;
}
