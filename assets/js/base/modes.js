// The three modes of a room, in words; pure.

/** @import {Mode} from '../../../tests/client/types/protocol.d.ts' */

/** The modes in the order of the controls. */
export const MODES = Object.freeze(/** @type {const} */ (['mcu', 'sfu', 'p2p']));

/** By mode: `name` for people, `short` the technical one, `about` and `now`. */
export const MODE_WORDS = Object.freeze({
  mcu: {
    name: 'Mixed',
    short: 'MCU',
    about:
      'The server makes one picture and one sound of everybody. The least data for each person, however many there are.',
    now: 'The server mixes now: one picture for everybody',
  },
  sfu: {
    name: 'Forwarded',
    short: 'SFU',
    about: 'The server passes everybody’s own picture and sound on. Sharper and sooner; more data for each person.',
    now: 'The server forwards now: everybody’s own picture',
  },
  p2p: {
    name: 'Direct',
    short: 'P2P',
    about: 'Pictures and sound go straight from person to person, past the server. For up to six people.',
    now: 'Calls go directly from person to person now',
  },
});

/**
 * The choices of a mode for oneself: `mode` is that of the `view` message, null follows the room.
 *
 * @type {readonly {mode: Mode | null, name: string, about: string}[]}
 */
export const VIEWS = Object.freeze([
  { mode: null, name: 'As the room', about: 'Whatever is chosen above.' },
  { mode: 'mcu', name: 'Mixed for me', about: 'Saves data: one stream comes in, not one of each person.' },
  { mode: 'sfu', name: 'Forwarded for me', about: 'Everybody’s own picture, whatever the others choose.' },
]);

/**
 * The paths of one participant in a call of `people`: how many flows leave them and reach them.
 *
 * @param {Mode} mode
 * @param {number} people
 */
export function ownPaths(mode, people) {
  const others = Math.max(0, people - 1);
  return { mcu: { up: 1, down: 1 }, sfu: { up: 1, down: others }, p2p: { up: others, down: others } }[mode];
}
