// Which sound is heard while one mode takes the place of another: everybody once, nobody twice, and
// no silence between; pure. Times are ms of one clock.

/** @import {Mode, ParticipantId} from '../../../tests/client/types/protocol.d.ts' */

/**
 * What is heard: the mix, or each participant in `people` from a source of their own. While `mix`
 * is true nobody is in `people`.
 *
 * @typedef {{mix: boolean, people: {[id: ParticipantId]: 'forward' | 'mesh'}}} Heard
 */

/**
 * Another participant.
 *
 * @typedef {object} Person
 * @property {ParticipantId} id
 * @property {boolean} mesh whether their sound flows directly
 * @property {boolean} forward whether it flows in a forward slot
 * @property {boolean} slot whether it will come in one
 */

/**
 * @typedef {object} Facts
 * @property {Mode} target how this page is served from now on
 * @property {number} since when that began
 * @property {number} now
 * @property {boolean} covered whether the mesh reaches everybody
 * @property {Person[]} people
 * @property {boolean} mixFlows
 * @property {number | null} mixSince when the mix began to flow; null while it does not
 */

/** How long a sound may be missing before the others are switched without it, ms. */
const PATIENCE = 1_500;

/** The same for a forward slot, ms: the server ends the mix soon after, even if some are missing. */
const SLOT_PATIENCE = 150;

/**
 * How long the mix flows before it is heard, ms: the decoders and buffers behind it have to fill.
 * After a mesh the others have only begun to send to the server again.
 */
const FILLING = Object.freeze({ forward: 110, mesh: 300 });

/**
 * How long the mix flows before it is heard in p2p because somebody cannot be reached directly, ms.
 */
const RELUCTANCE = 300;

/** What is heard at the beginning. @type {Heard} */
export const MIX = Object.freeze({ mix: true, people: Object.freeze({}) });

/**
 * What is heard from this moment on, given `heard` before it; the same object if nothing changes.
 *
 * @param {Heard} heard
 * @param {Facts} facts
 * @returns {Heard}
 */
export function nextAudio(heard, facts) {
  const next = { mcu: towardsMix, sfu: towardsForward, p2p: towardsMesh }[facts.target](heard, facts);
  return same(heard, next) ? heard : next;
}

/** @param {Person[]} people @param {(one: Person) => 'forward' | 'mesh'} source @returns {Heard} */
const each = (people, source) => ({
  mix: false,
  people: Object.fromEntries(people.map((one) => [one.id, source(one)])),
});

/** @param {Heard} heard @param {Facts} facts @returns {Heard} */
function towardsMix(heard, { mixFlows, mixSince, people, now, since }) {
  if (heard.mix) return MIX;
  // When nothing flows there is nothing to lose.
  const flows = people.some((one) => one[heard.people[one.id]]);
  if (!mixFlows) return !flows && now - since > PATIENCE ? MIX : heard;
  const sources = Object.values(heard.people);
  const filled = now - (mixSince ?? 0) >= FILLING[sources.includes('mesh') ? 'mesh' : 'forward'];
  return filled || !flows ? MIX : heard;
}

/** @param {Heard} heard @param {Facts} facts @returns {Heard} */
function towardsForward(heard, { people, now, since }) {
  const waited = now - since;
  if (heard.mix) {
    const all = people.some((one) => one.slot) && people.every((one) => one.forward || !one.slot);
    const some = people.some((one) => one.forward) && waited > SLOT_PATIENCE;
    return all || some || waited > PATIENCE ? each(people, () => 'forward') : heard;
  }
  return each(people, (one) => (heard.people[one.id] === 'mesh' && one.mesh && !one.forward ? 'mesh' : 'forward'));
}

/** @param {Heard} heard @param {Facts} facts @returns {Heard} */
function towardsMesh(heard, { people, covered, mixFlows, mixSince, now }) {
  if (covered) return each(people, () => 'mesh');
  if (heard.mix) {
    // The server goes on as before: in a room that was forwarded that is not the mix.
    return !mixFlows && people.some((one) => one.forward) ? each(people, () => 'forward') : heard;
  }
  if (mixFlows && now - (mixSince ?? 0) > RELUCTANCE) return MIX;
  return each(people, (one) => {
    const before = heard.people[one.id] ?? 'forward';
    if (before === 'mesh') return !one.mesh && one.forward ? 'forward' : 'mesh';
    // From slots to the mesh everybody is switched together, but those without a slot are heard
    // directly at once.
    return !one.forward && one.mesh ? 'mesh' : 'forward';
  });
}

/**
 * Whether `heard` is final under these facts, so that nothing more is waited for.
 *
 * @param {Heard} heard
 * @param {Facts} facts
 */
export function isSettled(heard, { target, covered, people }) {
  if (target === 'mcu') return heard.mix;
  const source = target === 'sfu' ? 'forward' : 'mesh';
  return !heard.mix && (target !== 'p2p' || covered) && people.every((one) => heard.people[one.id] === source);
}

/** @param {Heard} a @param {Heard} b */
function same(a, b) {
  if (a.mix !== b.mix) return false;
  const ids = Object.keys(b.people);
  return ids.length === Object.keys(a.people).length && ids.every((id) => a.people[id] === b.people[id]);
}
