// The data saver: how much of the mixed picture to ask for; pure.

/** In the order of the control: `name` for people, `limits` for the server. */
export const SAVERS = Object.freeze([
  { key: 'off', name: 'Off: as good as the connection allows', limits: {} },
  { key: 'less', name: 'Save data: a smaller picture', limits: { maxHeight: 360 } },
  { key: 'least', name: 'Save most: a thumbnail', limits: { maxHeight: 180 } },
  { key: 'sound', name: 'Sound only: a still picture now and then', limits: { audioOnly: true } },
]);

/** The saver of that key, or that which saves nothing. */
export const saverOf = (key) => SAVERS.find((saver) => saver.key === key) ?? SAVERS[0];

/** What to begin with: what was chosen, else less where the browser says that data is dear. */
export function firstSaver(chosen, connection) {
  if (SAVERS.some((saver) => saver.key === chosen)) return saverOf(chosen);
  return saverOf(connection?.saveData ? 'less' : 'off');
}
