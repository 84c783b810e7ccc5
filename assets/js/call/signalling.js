// One signalling WebSocket: JSON text in both directions, one tagged object a message.

/** @import {ClientMessage, ServerMessage} from '../../../tests/client/types/protocol.d.ts' */

/**
 * The signalling address of the page at `location`.
 *
 * @param {{protocol: string, host: string}} location
 */
export function signallingUrl(location) {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}

export class Signalling {
  /** @type {WebSocket | null} */
  #socket;

  /**
   * Connects at once.
   *
   * @param {string} url
   * @param {object} callbacks
   * @param {(message: ServerMessage) => void} callbacks.onMessage called with every object that has a `type`
   * @param {() => void} callbacks.onClose called once, unless `close` was called before
   */
  constructor(url, { onMessage, onClose }) {
    const socket = new WebSocket(url);
    this.#socket = socket;
    /** Resolves when messages can be sent; never, if the connection fails. */
    this.opened = new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
    socket.addEventListener('message', ({ data }) => {
      const message = parse(data);
      if (message && this.#socket === socket) onMessage(message);
    });
    socket.addEventListener('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      onClose();
    });
  }

  /** Sends one message; false if the connection is not open. @param {ClientMessage} message */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Closes once everything is sent; no callback follows. */
  close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}

/**
 * The message in `data`, or null if it is none. A server newer than the page may send messages of
 * types that are unknown here.
 *
 * @param {string} data
 * @returns {ServerMessage | null}
 */
function parse(data) {
  try {
    const message = JSON.parse(data);
    return typeof message?.type === 'string' ? message : null;
  } catch {
    return null;
  }
}
