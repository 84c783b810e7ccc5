// The recordings of the REST API.

/** @import {ErrorBody, RecordingPage, Recording} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Asked} from './recordings.js' */

import { wordsForCode, wordsForLoss } from '../base/errors.js';
import { listUrl, recordingUrl } from './recordings.js';

/**
 * A request that has failed. Its code is that of the protocol or `unreachable`, its message for
 * people.
 */
export class Refusal extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class RecordingsApi {
  /** The server's token, or an empty text. */
  token = '';

  /** One page of the list. @param {Asked} asked @returns {Promise<RecordingPage>} */
  async list(asked) {
    return (await this.#ask('GET', listUrl(asked))).json();
  }

  /** Deletes a recording that has ended. @param {Recording} recording */
  async delete(recording) {
    await this.#ask('DELETE', recordingUrl(recording));
  }

  /** @param {string} method @param {string} url */
  async #ask(method, url) {
    /** @type {{[name: string]: string}} */
    const headers = this.token ? { authorization: `Bearer ${this.token}` } : {};
    const answer = await fetch(url, { method, headers }).catch(() => {
      throw new Refusal('unreachable', wordsForLoss('unreachable'));
    });
    if (answer.ok) return answer;
    const { error } = /** @type {Partial<ErrorBody>} */ (await answer.json().catch(() => ({})));
    throw new Refusal(error?.code ?? 'internal', wordsForCode(error?.code ?? 'internal', error?.message));
  }
}
