// The ids of participants, and of what they send; pure.

/** The number in a participant id: 7 of `p7`. */
export const numberOf = (id) => Number(String(id).slice(1));

/** What tells one picture of a person from another: one person can fill a camera and a screen tile. */
export const sourceKey = ({ participant, role }) => `${participant}/${role}`;
