// Takes the figures of the call once a second, from every connection there is and, while somebody
// looks, from the server.

import { Phase } from '../base/state.js';
import { digest } from './stats.js';

const PERIOD = 1_000;

export class StatsCollector {
  #env;
  #last = null;
  #busy = false;

  /** `env`: `store`, `session`, `mesh`, and `watched()`, whether somebody looks at the figures. */
  constructor(env) {
    this.#env = env;
    setInterval(() => this.#collect(), PERIOD);
  }

  async #collect() {
    const { store, session } = this.#env;
    const { phase } = store.get();
    if (phase === Phase.Idle) this.#last = null;
    const { call } = session;
    if (this.#busy || phase !== Phase.InCall || !call) return;
    this.#busy = true;
    try {
      const [connections, server] = await Promise.all([this.#reports(call), this.#load()]);
      if (session.call !== call) return;
      this.#last = { ...digest(this.#last, connections), server };
      store.dispatch({ type: 'local/stats', stats: this.#last });
    } finally {
      this.#busy = false;
    }
  }

  /** What the server says of its load; null where it does not. */
  async #load() {
    if (!this.#env.watched()) return null;
    const answer = await fetch('/api/v1/server', { signal: AbortSignal.timeout(PERIOD) }).catch(() => null);
    return answer?.ok ? answer.json().catch(() => null) : null;
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
