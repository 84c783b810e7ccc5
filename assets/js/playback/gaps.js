// How long picture or sound of each person has been missing; pure.

export class GapMeter {
  #seen = new Map();

  /** Something of `key` was there at `at`, ms. */
  seen(key, at) {
    const one = this.#seen.get(key);
    if (!one) {
      this.#seen.set(key, { first: at, last: at, largest: 0, count: 1 });
    } else if (at > one.last) {
      one.largest = Math.max(one.largest, at - one.last);
      one.last = at;
      one.count += 1;
    }
  }

  /** What `key` shows, or the sound it makes, is `age` ms old now. */
  aged(key, age) {
    if (age === null) return;
    const one = this.#seen.get(key) ?? { largest: 0, count: 0 };
    this.#seen.set(key, { ...one, last: null, since: age, largest: Math.max(one.largest, age), count: one.count + 1 });
  }

  /** Forgets whoever is not in `keys`. */
  keep(keys) {
    const kept = new Set(keys);
    for (const key of this.#seen.keys()) if (!kept.has(key)) this.#seen.delete(key);
  }

  /** What was measured so far no longer counts. */
  reset() {
    this.#seen.clear();
  }

  /** By key, ms: `since` the last time, `largest` gap so far (the open one included), `count`. */
  report(now) {
    return Object.fromEntries(
      [...this.#seen].map(([key, one]) => {
        const since = one.last === null ? one.since : Math.max(0, now - one.last);
        return [key, { since: Math.round(since), largest: Math.round(Math.max(one.largest, since)), count: one.count }];
      }),
    );
  }
}
