// Room ids that can be said aloud, and room ids made of what people type.

const STONES = [
  'amber',
  'basalt',
  'cobalt',
  'coral',
  'flint',
  'garnet',
  'granite',
  'indigo',
  'jade',
  'lapis',
  'marble',
  'ochre',
  'onyx',
  'opal',
  'pearl',
  'quartz',
  'slate',
  'topaz',
  'umber',
  'verdant',
];
const PLACES = [
  'arcade',
  'atrium',
  'bridge',
  'cloister',
  'court',
  'dome',
  'fountain',
  'gallery',
  'garden',
  'gate',
  'harbour',
  'library',
  'loggia',
  'market',
  'orchard',
  'pavilion',
  'portico',
  'terrace',
  'theatre',
  'villa',
];

/** @param {string[]} list @param {() => number} random */
const pick = (list, random) => list[Math.floor(random() * list.length)];

/** A friendly random room id, such as `lapis-arcade-42`. */
export function randomRoom(random = Math.random) {
  return `${pick(STONES, random)}-${pick(PLACES, random)}-${10 + Math.floor(random() * 90)}`;
}

/**
 * `text` as a room id (`[A-Za-z0-9_-]{1,64}`), or an empty string if nothing of it can stay.
 *
 * @param {string} text
 */
export function roomIdFrom(text) {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .trim()
    .replace(/\s+/g, '-')
    .replace(/[^A-Za-z0-9_-]/g, '')
    .slice(0, 64);
}

/** The room named by a path `/r/{room}` or `/watch/{room}`, or null. @param {string} pathname */
export function roomFromPath(pathname) {
  const match = /^\/(?:r|watch)\/([^/]+)\/?$/.exec(pathname);
  return (match && roomIdFrom(decoded(match[1]))) || null;
}

/** `text` without percent-encoding; as it is where that is broken. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Where a mistyped path was meant to lead: the page of a room with a name that can be used, or null
 * if the path means no room or nothing of its name can stay.
 *
 * @param {string} pathname
 * @returns {{page: 'r' | 'watch', room: string} | null}
 */
export function meantBy(pathname) {
  const match = /^\/(r|watch)\/(.*)$/.exec(pathname);
  const room = match && roomIdFrom(decoded(match[2]));
  return room ? { page: match[1] === 'r' ? 'r' : 'watch', room } : null;
}
