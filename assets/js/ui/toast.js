// Short notes over the page; the list is a live region, so they are also spoken.

import { byId, el } from '../base/dom.js';

const STAY = { info: 4_000, error: 9_000 };
const MOST = 3;

/** Shows `text`; `tone` is `info` or `error`. */
export function toast(text, tone = 'info') {
  const list = byId('toasts');
  // What is said again is the newest, and is said aloud again.
  [...list.children].find((note) => note.textContent === text)?.remove();
  const note = el('p', { class: `toast toast--${tone}`, text });
  list.append(note);
  while (list.children.length > MOST) list.firstElementChild.remove();
  setTimeout(() => note.remove(), STAY[tone]);
}
