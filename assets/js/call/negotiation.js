// How two members of the mesh settle who offers and who answers: "perfect negotiation" (W3C WebRTC
// section 10.7) with one addition, an offer from a member who starts over; pure.

/** @import {ParticipantId, ParticipantState} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from '../base/config.js' */
/** @import {State} from '../base/state.js' */

import { numberOf } from '../base/participant.js';

/** What to do with an offer that came. */
export const Verdict = Object.freeze(
  /** @type {const} */ ({
    /** The own offer goes first. The other one and its candidates are dropped. */
    Ignore: 'ignore',
    /** Answer on the existing connection. An own offer is rolled back. */
    Answer: 'answer',
    /** Answer on a new connection, which replaces the existing one. */
    Renew: 'renew',
  }),
);

/**
 * Judges an offer.
 *
 * @param {object} facts
 * @param {boolean} facts.polite whether this side gives way
 * @param {{offering: boolean, fingerprint: string | null} | null} facts.mine the existing connection:
 *   whether an own offer is out or being made, and the fingerprint of the other side's certificate
 *   in its last description, null before it has sent one
 * @param {string | null} facts.theirs the fingerprint in the offer
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

/**
 * The certificate's fingerprint in an SDP, or null. All m-lines are bundled and have the same one.
 *
 * @param {string | undefined} sdp
 */
export function fingerprintOf(sdp) {
  const found = /^a=fingerprint:(\S+ \S+)/m.exec(sdp ?? '');
  return found ? found[1].toLowerCase() : null;
}

/**
 * The connections to have in mode p2p, and which side offers. `returning` is true after this page
 * has joined again: then it offers to everybody who was there before.
 *
 * @param {Pick<State, 'room' | 'self'>} state
 * @param {{returning?: boolean}} how
 * @returns {{id: ParticipantId, polite: boolean, offers: boolean}[]}
 */
export function meshPlan({ room, self }, { returning = false } = {}) {
  if (room?.mode !== 'p2p') return [];
  /** @param {ParticipantState} one */
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

/** How long a sound or a picture may be silent and still count as flowing, ms. */
export const FLOW_HOLD = 2_000;

/** How long one uplink of a member may be missing while another one arrives, ms. */
export const FLOW_PATIENCE = 1_500;

/**
 * What is known of the connection with a member: its state, when it came up, and when the media of
 * each uplink last arrived, ms or null.
 *
 * @typedef {{state: RTCPeerConnectionState, since: number | null} & {[role in UplinkRole]?: number | null}} Link
 */

/**
 * Whether media arrives from a member. All uplinks that are on have to arrive, or after a while any
 * of them; a member without any is reached as soon as the connection is up.
 *
 * @param {ParticipantState} person
 * @param {Link} link
 * @param {number} now
 */
export function isReceiving(person, link, now) {
  if (link.state !== 'connected') return false;
  const roles = /** @type {const} */ (['mic', 'camera']);
  const expected = roles.filter((role) => ['live', 'stalled'].includes(person[role]));
  /** @param {UplinkRole} role */
  const flows = (role) => now - (link[role] ?? -Infinity) < FLOW_HOLD;
  if (expected.every(flows)) return true;
  return expected.some(flows) && now - (link.since ?? 0) > FLOW_PATIENCE;
}
