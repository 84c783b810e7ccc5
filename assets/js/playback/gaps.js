// How long the picture or sound of each participant has been missing; pure.

/** @import {ParticipantId} from '../../../tests/client/types/protocol.d.ts' */

/**
 * Of one participant, ms: when media last came, or how old it was when asked last (`since`), and
 * the longest gap so far.
 *
 * @typedef {{last: number | null, since: number, largest: number, count: number}} Gap
 */

export class GapMeter {
  /** @type {Map<ParticipantId, Gap>} */
  #seen = new Map();

  /** Media of `key` came at `at`, ms. @param {ParticipantId} key @param {number} at */
  seen(key, at) {
    const one = this.#seen.get(key);
    if (!one) {
      this.#seen.set(key, { last: at, since: 0, largest: 0, count: 1 });
    } else if (one.last === null || at > one.last) {
      one.largest = Math.max(one.largest, at - (one.last ?? 0));
      one.last = at;
      one.count += 1;
    }
  }

  /**
   * The newest media of `key` is `age` ms old now.
   *
   * @param {ParticipantId} key
   * @param {number | null} age
   */
  aged(key, age) {
    if (age === null) return;
    const { largest, count } = this.#seen.get(key) ?? { largest: 0, count: 0 };
    this.#seen.set(key, { last: null, since: age, largest: Math.max(largest, age), count: count + 1 });
  }

  /** Forgets everybody who is not in `keys`. @param {Iterable<ParticipantId>} keys */
  keep(keys) {
    const kept = new Set(keys);
    for (const key of this.#seen.keys()) if (!kept.has(key)) this.#seen.delete(key);
  }

  /** Starts over. */
  reset() {
    this.#seen.clear();
  }

  /**
   * By participant, ms: `since` media last came, the `largest` gap (the open one included), and the
   * `count` of measurements.
   *
   * @param {number} now
   */
  report(now) {
    return Object.fromEntries(
      [...this.#seen].map(([key, one]) => {
        const since = one.last === null ? one.since : Math.max(0, now - one.last);
        const largest = Math.round(Math.max(one.largest, since));
        return [key, { since: Math.round(since), largest, count: one.count }];
      }),
    );
  }
}
