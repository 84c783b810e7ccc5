// Collects the statistics of the call once a second, from all its connections and, while somebody
// looks at them, from the server.

/** @import {LoadReport} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Stats, Store} from '../base/state.js' */
/** @import {Call} from './call.js' */
/** @import {Mesh} from './mesh.js' */
/** @import {Session} from './session.js' */
/** @import {Connection} from './stats.js' */

import { Phase } from '../base/state.js';
import { digest } from './stats.js';

const PERIOD = 1_000;

export class StatsCollector {
  #env;
  /** @type {Stats | null} */
  #last = null;
  #busy = false;

  /**
   * @param {object} env
   * @param {Store} env.store
   * @param {Session} env.session
   * @param {Mesh} env.mesh
   * @param {() => boolean} env.watched whether somebody looks at the statistics
   */
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

  /**
   * The server's report of its load; null where it gives none.
   *
   * @returns {Promise<LoadReport | null>}
   */
  async #load() {
    if (!this.#env.watched()) return null;
    const { token } = this.#env.session;
    const headers = token ? { authorization: `Bearer ${token}` } : undefined;
    const signal = AbortSignal.timeout(PERIOD);
    const answer = await fetch('/api/v1/server', { headers, signal }).catch(() => null);
    return answer?.ok ? answer.json().catch(() => null) : null;
  }

  /** @param {Call} call @returns {Promise<Connection[]>} */
  #reports(call) {
    const people = new Map(this.#env.store.get().slots.map((slot) => [slot.mid, slot.participant]));
    return Promise.all([
      call.stats().then((report) => ({ id: 'server', report, roles: call.roles(), people })),
      ...this.#env.mesh.peers.flatMap(({ id, pc }) => (pc ? [meshReport(id, pc)] : [])),
    ]);
  }
}

/** @param {string} id @param {RTCPeerConnection} pc @returns {Promise<Connection>} */
const meshReport = async (id, pc) => ({ id, report: await pc.getStats(), roles: 'mesh' });
