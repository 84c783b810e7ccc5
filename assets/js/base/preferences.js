// What the page remembers between visits. Where the browser refuses storage nothing is remembered.

/** @typedef {{name: string, mic: string, camera: string, saver: string}} Choices */

const KEY = 'tessera.choices';
const TOKEN = 'tessera.token';

/** @template T @param {() => T} action @returns {T | null} */
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

/**
 * The stored name, devices and data saver; an empty text for each that is not stored.
 *
 * @returns {Choices}
 */
export function loadChoices() {
  const stored = attempt(() => JSON.parse(localStorage.getItem(KEY) ?? 'null'));
  /** @param {unknown} value */
  const text = (value) => (typeof value === 'string' ? value : '');
  return {
    name: text(stored?.name),
    mic: text(stored?.mic),
    camera: text(stored?.camera),
    saver: text(stored?.saver),
  };
}

/** Stores what `loadChoices` gives back. @param {Choices} choices */
export const saveChoices = (choices) => attempt(() => localStorage.setItem(KEY, JSON.stringify(choices)));

/**
 * The server's token, stored for this tab only, as it is a secret; an empty text if there is none.
 */
export const loadToken = () => attempt(() => sessionStorage.getItem(TOKEN)) ?? '';

/** Stores the server's token for this tab. @param {string} token */
export const saveToken = (token) => attempt(() => sessionStorage.setItem(TOKEN, token));
