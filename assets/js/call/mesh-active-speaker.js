// Who speaks in the mesh: reads the levels of the direct connections, where no server listens.

import { dbovOfLevel } from '../base/levels.js';
import { Phase, targetOf } from '../base/state.js';
import { LevelMeter } from './devices.js';
import { nextSpeaking } from './speaker-detector.js';

const PERIOD = 200;

export class MeshActiveSpeaker {
  #env;
  #meter = new LevelMeter();
  #timer = 0;
  #since = {};

  /** `env`: `store`, `media` and `mesh`. */
  constructor(env) {
    this.#env = env;
    env.store.subscribe((state) => this.#needed(state.phase !== Phase.Idle && targetOf(state) === 'p2p'));
    // Some browsers measure nothing until a click or a key.
    for (const type of ['click', 'keydown']) document.addEventListener(type, () => this.#meter.wake());
    env.media.onChange((role) => {
      if (role === 'mic' && this.#timer) this.#meter.attach(env.media.tracks.mic);
    });
  }

  #needed(needed) {
    if (needed === Boolean(this.#timer)) return;
    if (needed) {
      this.#meter.attach(this.#env.media.tracks.mic);
      this.#timer = setInterval(() => this.#listen(), PERIOD);
    } else {
      clearInterval(this.#timer);
      this.#timer = 0;
      this.#since = {};
      this.#meter.close();
      this.#env.store.dispatch({ type: 'local/mesh-audio', meshAudio: null });
    }
  }

  #listen() {
    const { store, media, mesh } = this.#env;
    const { self, meshAudio } = store.get();
    const levels = { [self]: media.isOn('mic') ? this.#meter.read() : -127 };
    for (const peer of mesh.peers) {
      const [newest] = peer.receiver('mic')?.getSynchronizationSources?.() ?? [];
      levels[peer.id] = dbovOfLevel(newest?.audioLevel ?? 0);
    }
    this.#since = nextSpeaking(this.#since, levels, performance.now());
    const heard = { levels: roundedAll(levels), speaking: Object.keys(this.#since).sort() };
    if (JSON.stringify(heard) !== JSON.stringify(meshAudio))
      store.dispatch({ type: 'local/mesh-audio', meshAudio: heard });
  }
}

/** Whole decibels: what cannot be seen need not be drawn. */
const roundedAll = (levels) => Object.fromEntries(Object.entries(levels).map(([id, dbov]) => [id, Math.round(dbov)]));
