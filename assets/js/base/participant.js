// The ids of participants and of their pictures; pure.

/** @import {ParticipantId, Role} from '../../../tests/client/types/protocol.d.ts' */

/** The number in a participant id: 7 of `p7`. @param {ParticipantId | null} id */
export const numberOf = (id) => Number(String(id).slice(1));

/**
 * A key of one uplink of one participant, such as `p7/screen`: a camera and a screen of the same
 * participant can have a tile each.
 *
 * @param {{participant: ParticipantId | null, role: Role}} source
 */
export const sourceKey = ({ participant, role }) => `${participant}/${role}`;
