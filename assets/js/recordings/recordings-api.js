// The recordings of the REST API, for a page.

import { wordsForCode, wordsForLoss } from '../base/errors.js';
import { listUrl, recordingUrl } from './recordings.js';

/** A refusal: its `code` of the protocol, or `unreachable`; its message is for people. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class RecordingsApi {
  /** The server's token, or an empty text. */
  token = '';

  /** One page: `{recordings, total, offset}`. */
  async list(asked) {
    return (await this.#ask('GET', listUrl(asked))).json();
  }

  /** Deletes a recording that has ended. */
  async delete(recording) {
    await this.#ask('DELETE', recordingUrl(recording));
  }

  async #ask(method, url) {
    const headers = this.token ? { authorization: `Bearer ${this.token}` } : {};
    const answer = await fetch(url, { method, headers }).catch(() => {
      throw new Refusal('unreachable', wordsForLoss('unreachable'));
    });
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({}));
    throw new Refusal(error?.code ?? 'internal', wordsForCode(error?.code ?? 'internal', error?.message));
  }
}
