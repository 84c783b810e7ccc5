// Short notes over the page. The list is a live region, so they are also spoken.

import { byId, el } from '../base/dom.js';

/** How long a note stays, ms. */
const STAY = { info: 4_000, error: 9_000 };
/** Most notes at a time. */
const MOST = 3;

/** Shows `text`. @param {string} text @param {'info' | 'error'} tone */
export function toast(text, tone = 'info') {
  const list = byId('toasts');
  // A note that comes again becomes the newest, and is spoken again.
  [...list.children].find((note) => note.textContent === text)?.remove();
  const note = el('p', { class: `toast toast--${tone}`, text });
  list.append(note);
  while (list.children.length > MOST) list.firstElementChild?.remove();
  setTimeout(() => note.remove(), STAY[tone]);
}
