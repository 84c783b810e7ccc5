// What the page remembers between visits. A browser that refuses storage forgets, no more.

const KEY = 'tessera.choices';
const TOKEN = 'tessera.token';

function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

/** `{name, mic, camera, saver}`, with what was stored. */
export function loadChoices() {
  const stored = attempt(() => JSON.parse(localStorage.getItem(KEY)));
  const text = (value) => (typeof value === 'string' ? value : '');
  return { name: text(stored?.name), mic: text(stored?.mic), camera: text(stored?.camera), saver: text(stored?.saver) };
}

/** Stores what `loadChoices` gives back. */
export const saveChoices = (choices) => attempt(() => localStorage.setItem(KEY, JSON.stringify(choices)));

/** The server's token; kept for this tab only, as it is a secret. */
export const loadToken = () => attempt(() => sessionStorage.getItem(TOKEN)) ?? '';
export const saveToken = (token) => attempt(() => sessionStorage.setItem(TOKEN, token));
