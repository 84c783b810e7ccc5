// Initials and colours that stand for a person without a picture; pure.

/** @import {ParticipantId} from '../../../tests/client/types/protocol.d.ts' */

import { numberOf } from '../base/participant.js';

/** Up to two initials of a name. @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  /** @param {string} word */
  const first = (word) => [...word][0] ?? '';
  const last = words.length > 1 ? first(words[words.length - 1]) : '';
  return ((first(words[0] ?? '') || '?') + last).toUpperCase();
}

/** How many background colours avatars have. The composite draws the same ones. */
export const TONES = 10;

/**
 * The number of a participant's background colour, the same as in the composite.
 *
 * @param {ParticipantId} id
 */
export const avatarTone = (id) => numberOf(id) % TONES || 0;
