// The text chat.

/** @import {ChatLine, State} from '../base/state.js' */

import { MAX_CHAT } from '../base/config.js';
import { byId, el, setText } from '../base/dom.js';

export class Chat {
  #onSend;
  #isOpen;
  /** @type {ChatLine[]} */
  #shown = [];
  #unread = 0;

  /**
   * @param {object} env
   * @param {(text: string) => boolean} env.onSend returns whether the text was sent
   * @param {() => boolean} env.isOpen whether the panel can be read
   */
  constructor({ onSend, isOpen }) {
    this.#onSend = onSend;
    this.#isOpen = isOpen;
    const form = byId('chat-form');
    const input = byId('chat-input');
    input.maxLength = MAX_CHAT;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit(input);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit(input);
    });
  }

  /** @param {HTMLTextAreaElement} input */
  #submit(input) {
    const text = input.value.trim();
    if (text && this.#onSend(text)) input.value = '';
  }

  /** Counts everything as read. */
  read() {
    this.#unread = 0;
    this.#badge();
    const list = byId('chat-list');
    list.scrollTop = list.scrollHeight;
  }

  /** @param {State} state */
  render(state) {
    if (state.chat === this.#shown) return;
    const list = byId('chat-list');
    // Lines are only ever appended or confirmed; fewer mean another call has begun.
    if (state.chat.length < this.#shown.length) {
      list.replaceChildren();
      this.#shown = [];
      this.#unread = 0;
    }
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const fresh = state.chat.slice(this.#shown.length);
    list.append(...fresh.map((line) => row(line)));
    if (!this.#isOpen()) this.#unread += fresh.filter((line) => !line.own).length;
    this.#shown = state.chat;
    byId('chat-empty').hidden = state.chat.length > 0;
    if (atEnd) list.scrollTop = list.scrollHeight;
    this.#badge();
  }

  #badge() {
    const badge = byId('chat-count');
    setText(badge, this.#unread ? String(this.#unread) : '');
    byId('toggle-chat').setAttribute('aria-label', this.#unread ? `Chat, ${this.#unread} unread` : 'Chat');
  }
}

/** @param {ChatLine} line */
function row(line) {
  return el(
    'li',
    { class: line.own ? 'line line--own' : 'line' },
    el('span', { class: 'line__name', text: line.own ? 'You' : line.name }),
    el('p', { class: 'line__text', text: line.text }),
  );
}
