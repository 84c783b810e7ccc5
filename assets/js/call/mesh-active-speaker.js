// Who speaks in the mesh: reads the levels of the direct connections, as no server does.

/** @import {Store} from '../base/state.js' */
/** @import {LocalMedia} from './local-media.js' */
/** @import {Mesh} from './mesh.js' */

import { dbovOfLevel } from '../base/levels.js';
import { Phase, targetOf } from '../base/state.js';
import { LevelMeter } from './devices.js';
import { nextSpeaking } from './speaker-detector.js';

/** Time between two readings, ms. */
const PERIOD = 200;

export class MeshActiveSpeaker {
  #env;
  #meter = new LevelMeter();
  #timer = 0;
  /** @type {ReturnType<typeof nextSpeaking>} */
  #speaking = {};

  /** @param {{store: Store, media: LocalMedia, mesh: Mesh}} env */
  constructor(env) {
    this.#env = env;
    env.store.subscribe((state) => this.#needed(state.phase !== Phase.Idle && targetOf(state) === 'p2p'));
    // Some browsers measure nothing until a click or a key.
    for (const type of ['click', 'keydown']) document.addEventListener(type, () => this.#meter.wake());
    env.media.onChange((role) => {
      if (role === 'mic' && this.#timer) this.#meter.attach(env.media.tracks.mic);
    });
  }

  /** @param {boolean} needed */
  #needed(needed) {
    if (needed === Boolean(this.#timer)) return;
    if (needed) {
      this.#meter.attach(this.#env.media.tracks.mic);
      this.#timer = setInterval(() => this.#measure(), PERIOD);
    } else {
      clearInterval(this.#timer);
      this.#timer = 0;
      this.#speaking = {};
      this.#meter.close();
      this.#env.store.dispatch({ type: 'local/mesh-audio', meshAudio: null });
    }
  }

  #measure() {
    const { store, media, mesh } = this.#env;
    const { self, meshAudio } = store.get();
    /** @type {{[id: string]: number}} */
    const levels = { [String(self)]: media.isOn('mic') ? this.#meter.read() : -127 };
    for (const peer of mesh.peers) {
      const [newest] = peer.receiver('mic')?.getSynchronizationSources?.() ?? [];
      levels[peer.id] = dbovOfLevel(newest?.audioLevel ?? 0);
    }
    this.#speaking = nextSpeaking(this.#speaking, levels, performance.now());
    const measured = { levels: roundedAll(levels), speaking: Object.keys(this.#speaking).sort() };
    if (JSON.stringify(measured) === JSON.stringify(meshAudio)) return;
    store.dispatch({ type: 'local/mesh-audio', meshAudio: measured });
  }
}

/**
 * Whole decibels: a smaller change cannot be seen and need not be drawn.
 *
 * @param {{[id: string]: number}} levels
 */
const roundedAll = (levels) => Object.fromEntries(Object.entries(levels).map(([id, dbov]) => [id, Math.round(dbov)]));
