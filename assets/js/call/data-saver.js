// The data saver: how much of the mixed picture to ask for; pure.

/** @import {Limits} from '../../../tests/client/types/protocol.d.ts' */

/**
 * @typedef {{key: string, name: string, limits: Partial<Limits>}} DataSaver `limits` is for the
 *   server
 */

/** The data savers in the order of the control. @type {readonly DataSaver[]} */
export const SAVERS = Object.freeze([
  { key: 'off', name: 'Off: as good as the connection allows', limits: {} },
  { key: 'less', name: 'Save data: a smaller picture', limits: { maxHeight: 360 } },
  { key: 'least', name: 'Save most: a thumbnail', limits: { maxHeight: 180 } },
  { key: 'sound', name: 'Sound only: a still picture now and then', limits: { audioOnly: true } },
]);

/** The data saver called `key`, or the one that is off. @param {string} key */
export const saverOf = (key) => SAVERS.find((saver) => saver.key === key) ?? SAVERS[0];

/**
 * The data saver to begin with: the one that was chosen, else a smaller picture where the browser
 * says that data is dear.
 *
 * @param {string} chosen
 * @param {{saveData?: boolean} | undefined} connection navigator.connection
 */
export function firstSaver(chosen, connection) {
  if (SAVERS.some((saver) => saver.key === chosen)) return saverOf(chosen);
  return saverOf(connection?.saveData ? 'less' : 'off');
}
