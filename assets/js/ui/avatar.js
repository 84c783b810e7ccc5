// Initials and colours that stand for a person without a picture; pure.

import { numberOf } from '../base/participant.js';

/** Up to two initials of a name, for an avatar. */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = (word) => [...word][0] ?? '';
  const last = words.length > 1 ? first(words[words.length - 1]) : '';
  return ((first(words[0] ?? '') || '?') + last).toUpperCase();
}

/** How many background colours avatars have. The composite draws the same ones. */
export const TONES = 10;

/** The number of the background colour of participant `id`, the same as in the composite. */
export const avatarTone = (id) => numberOf(id) % TONES || 0;
