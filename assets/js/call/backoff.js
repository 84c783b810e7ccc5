// How long to wait before reconnecting; pure.

import { BACKOFF } from '../base/config.js';

/**
 * The delay before retry number `attempt` (from 0), ms. Doubles up to the most, and is spread
 * over its upper half so that a room full of clients does not return in one instant.
 */
export function backoffDelay(attempt, random = Math.random) {
  const ceiling = Math.min(BACKOFF.most, BACKOFF.first * 2 ** Math.min(attempt, 30));
  return Math.max(BACKOFF.first, Math.round(ceiling * (0.5 + random() / 2)));
}
