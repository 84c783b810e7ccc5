// Takes the figures of the call once a second, from every connection there is.

import { Phase } from './state.js';
import { digest } from './stats.js';

const PERIOD = 1_000;

export class FigureTaker {
  #env;
  #last = null;
  #busy = false;

  /** `env`: `store`, `session` and `mesh`. */
  constructor(env) {
    this.#env = env;
    setInterval(() => this.#take(), PERIOD);
  }

  async #take() {
    const { store, session } = this.#env;
    const { phase } = store.get();
    if (phase === Phase.Idle) this.#last = null;
    const { call } = session;
    if (this.#busy || phase !== Phase.InCall || !call) return;
    this.#busy = true;
    try {
      const connections = await this.#reports(call);
      if (session.call !== call) return;
      this.#last = digest(this.#last, connections);
      store.dispatch({ type: 'local/figures', figures: this.#last });
    } finally {
      this.#busy = false;
    }
  }

  #reports(call) {
    const people = new Map(this.#env.store.get().slots.map((slot) => [slot.mid, slot.participant]));
    const peers = this.#env.mesh.peers.filter((peer) => peer.pc);
    return Promise.all([
      call.stats().then((report) => ({ id: 'server', report, roles: call.roles(), people })),
      ...peers.map(async (peer) => ({ id: peer.id, report: await peer.pc.getStats(), roles: 'mesh' })),
    ]);
  }
}
