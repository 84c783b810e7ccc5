// How two members settle who offers and who answers: "perfect negotiation" (W3C WebRTC section
// 10.7) with one addition, an offer from somebody who begins anew; pure.

import { numberOf } from '../base/participant.js';

/** What to do with an offer that came. */
export const Verdict = Object.freeze({
  /** Ours goes first; what came, and its candidates, are dropped. */
  Ignore: 'ignore',
  /** Answer it with the connection there is, which takes back an offer of its own. */
  Answer: 'answer',
  /** Answer it with a new connection, in place of the one there is. */
  Renew: 'renew',
});

/**
 * Judges an offer. `polite` whether we give way; `mine` the connection there is or null:
 * `{offering, fingerprint}`, whether an offer of ours is out or being made, and the fingerprint of
 * the other side's certificate as it last described it, null before it has; `theirs` the offer's.
 */
export function judgeOffer({ polite, mine, theirs }) {
  if (!mine) return Verdict.Renew;
  if (mine.fingerprint === null) {
    // Two first offers that crossed. Transceivers made for an offer that was taken back cannot
    // take the place of those in the other's (RFC 9429 section 5.10): so a new connection.
    if (!mine.offering || polite) return Verdict.Renew;
    return Verdict.Ignore;
  }
  if (mine.fingerprint !== theirs) return Verdict.Renew;
  return mine.offering && !polite ? Verdict.Ignore : Verdict.Answer;
}

/** The certificate's fingerprint in an SDP; all m-lines are bundled and have one. */
export function fingerprintOf(sdp) {
  const found = /^a=fingerprint:(\S+ \S+)/m.exec(sdp ?? '');
  return found ? found[1].toLowerCase() : null;
}

/**
 * Whom to have a connection with, and who makes the offer: `{id, polite, offers}`. `returning`
 * is true after this page has joined again: then it offers to everybody who was there.
 */
export function meshPlan({ room, self }, { returning = false } = {}) {
  if (room?.mode !== 'p2p') return [];
  const able = (one) => one.connected && !one.viewer;
  const own = room.participants.find((one) => one.id === self);
  if (!own || !able(own)) return [];
  return room.participants
    .filter((one) => one.id !== self && able(one))
    .map(({ id }) => {
      const larger = numberOf(self) > numberOf(id);
      return { id, polite: larger, offers: larger || returning };
    });
}

/** How long a sound or picture may be silent and still count as flowing, ms. */
export const FLOW_HOLD = 2_000;

/** How long one uplink of somebody may be missing when another one is there, ms. */
export const FLOW_PATIENCE = 1_500;

/**
 * Whether media arrives from a member. `person` as in `room`; `link` `{state, since, mic,
 * camera}`: the connection's state and when it came up, and when sound and picture last came, all
 * ms or null. Whoever has nothing to send is reached when the connection is up.
 */
export function isReceiving(person, link, now) {
  if (link.state !== 'connected') return false;
  const expected = ['mic', 'camera'].filter((role) => ['live', 'stalled'].includes(person[role]));
  const flows = (role) => link[role] !== null && now - link[role] < FLOW_HOLD;
  if (expected.every(flows)) return true;
  return expected.some(flows) && now - link.since > FLOW_PATIENCE;
}
