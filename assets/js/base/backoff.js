// How long to wait before a reconnection; pure.

import { BACKOFF } from './config.js';

/**
 * The delay before retry number `attempt` (from 0), ms. It doubles up to a limit and is spread
 * over its upper half, so that a room full of clients does not return at the same instant.
 *
 * @param {number} attempt
 * @param {() => number} random
 */
export function backoffDelay(attempt, random = Math.random) {
  const ceiling = Math.min(BACKOFF.most, BACKOFF.first * 2 ** Math.min(attempt, 30));
  return Math.max(BACKOFF.first, Math.round(ceiling * (0.5 + random() / 2)));
}
