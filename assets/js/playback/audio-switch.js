// Which sound is heard while one way of being served replaces another: everybody once, nobody
// twice, and no silence between; pure. Times are ms of one clock.

/** How long a sound that everybody waits for may be missing before the others go ahead. */
const PATIENCE = 1_500;

/** The same for a slot, ms: the server ends the mix soon after, whoever is missing. */
const SLOT_PATIENCE = 150;

/**
 * How long the mix flows before it is heard, ms: the decoders and buffers behind it have to fill.
 * After a mesh the others have only begun to send to the server again.
 */
const FILLING = Object.freeze({ forward: 110, mesh: 300 });

/** How long the mix goes before one who cannot be reached directly is heard through it. */
const RELUCTANCE = 300;

/** What is heard at the beginning: the mix, and nobody by themselves. */
export const MIX = Object.freeze({ mix: true, people: Object.freeze({}) });

/**
 * What is heard after this moment, given `heard` now: `{mix, people}`, `people` naming the
 * source of each person who is heard by themselves, `forward` or `mesh`. While `mix` is true
 * nobody is.
 *
 * `target` mcu, sfu or p2p, `since` when it holds; `covered` whether the mesh covers everybody;
 * `people` the others, each `{id, mesh, forward, slot}`: whether their sound flows directly,
 * whether it flows in a slot, whether it is to come in one; `mixFlows` and `mixSince`.
 */
export function nextAudio(heard, facts) {
  const next = { mcu: towardsMix, sfu: towardsForward, p2p: towardsMesh }[facts.target](heard, facts);
  return same(heard, next) ? heard : next;
}

const each = (people, source) => ({
  mix: false,
  people: Object.fromEntries(people.map((one) => [one.id, source(one)])),
});

function towardsMix(heard, { mixFlows, mixSince, people, now, since }) {
  if (heard.mix) return MIX;
  // When nothing flows there is nothing to lose.
  const flows = people.some((one) => one[heard.people[one.id]]);
  if (!mixFlows) return !flows && now - since > PATIENCE ? MIX : heard;
  const sources = Object.values(heard.people);
  const filled = now - mixSince >= FILLING[sources.includes('mesh') ? 'mesh' : 'forward'];
  return filled || !flows ? MIX : heard;
}

function towardsForward(heard, { people, now, since }) {
  const waited = now - since;
  if (heard.mix) {
    const all = people.some((one) => one.slot) && people.every((one) => one.forward || !one.slot);
    const some = people.some((one) => one.forward) && waited > SLOT_PATIENCE;
    return all || some || waited > PATIENCE ? each(people, () => 'forward') : heard;
  }
  return each(people, (one) => (heard.people[one.id] === 'mesh' && one.mesh && !one.forward ? 'mesh' : 'forward'));
}

function towardsMesh(heard, { people, covered, mixFlows, mixSince, now }) {
  if (covered) return each(people, () => 'mesh');
  if (heard.mix) {
    // The server goes on as before: in a room that was forwarded that is not the mix.
    return !mixFlows && people.some((one) => one.forward) ? each(people, () => 'forward') : heard;
  }
  if (mixFlows && now - mixSince > RELUCTANCE) return MIX;
  return each(people, (one) => {
    const before = heard.people[one.id] ?? 'forward';
    if (before === 'mesh') return !one.mesh && one.forward ? 'forward' : 'mesh';
    // In a slot nobody goes over by themselves, but whoever has none is better heard directly.
    return !one.forward && one.mesh ? 'mesh' : 'forward';
  });
}

/** Whether `heard` is what `facts` lead to: nothing more is to be waited for. */
export function isSettled(heard, { target, covered, people }) {
  if (target === 'mcu') return heard.mix;
  const source = target === 'sfu' ? 'forward' : 'mesh';
  return !heard.mix && (target !== 'p2p' || covered) && people.every((one) => heard.people[one.id] === source);
}

function same(a, b) {
  if (a.mix !== b.mix) return false;
  const ids = Object.keys(b.people);
  return ids.length === Object.keys(a.people).length && ids.every((id) => a.people[id] === b.people[id]);
}
