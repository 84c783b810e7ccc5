// What a player says over its picture; pure.

/** @import {RoomResource} from '../../../tests/client/types/protocol.d.ts' */
/** @import {Condition} from './viewing.js' */

/**
 * @typedef {object} Notice
 * @property {string} title empty if there is nothing to say
 * @property {string} text
 * @property {boolean} busy whether something is on its way
 * @property {string} retry the name of the button that tries again, empty for none
 * @property {boolean} token whether a token is asked for
 * @property {boolean} dimmed whether the picture is an old one
 */

/**
 * @param {Condition} condition
 * @param {{pictured: boolean, empty: boolean}} seen whether there is a picture, and whether nobody is
 *   in it
 * @returns {Notice}
 */
export function noticeOf({ stage, text }, { pictured, empty }) {
  const nothing = { title: '', text: '', busy: false, retry: '', token: false, dimmed: false };
  switch (stage) {
    case 'connecting':
      return { ...nothing, title: 'Connecting…', busy: true, dimmed: true };
    case 'again':
      return { ...nothing, title: 'Trying again…', text, busy: true, retry: 'Try now', dimmed: true };
    case 'token':
      return { ...nothing, title: 'A token is needed', text, token: true, dimmed: true };
    case 'ended':
      return { ...nothing, title: 'This room cannot be watched', text, retry: 'Try again', dimmed: true };
    default:
      if (empty) {
        return { ...nothing, title: 'Nobody is here', text: 'It starts by itself when somebody comes.' };
      }
      return pictured ? nothing : { ...nothing, title: 'Waiting for the picture…', busy: true };
  }
}

/**
 * Whether so few frames came in `ms` that nobody may be in the picture. One in which nothing moves
 * comes five times a second, a still every five seconds.
 *
 * @param {number} frames
 * @param {number} ms
 */
export const isAtRest = (frames, ms) => frames * 1000 < 8 * ms;

/** Whether nobody but players is in a room. @param {RoomResource | null} room null if there is none */
export const isEmpty = (room) => !room?.participants.some(({ viewer }) => !viewer);
