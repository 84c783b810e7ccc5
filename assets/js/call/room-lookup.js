// Who is in a room, asked without joining it.

/** @import {RoomResource} from '../../../tests/client/types/protocol.d.ts' */

/** The server tells who is there only to those who have its token. */
export class NotForYou extends Error {}

/**
 * The room as it is now, or null where nobody is in it. Taken from the list of rooms: asked for a
 * room that is not there the server answers 404, which browsers write to the console as an error.
 *
 * @param {string} room
 * @param {string} token empty if there is none
 * @returns {Promise<RoomResource | null>}
 * @throws {NotForYou} where the server asks for another token
 */
export async function lookUp(room, token) {
  const headers = token ? { authorization: `Bearer ${token}` } : undefined;
  const answer = await fetch(`/api/v1/rooms?room=${room}`, { headers });
  if (answer.status === 401) throw new NotForYou();
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  /** @type {RoomResource[]} */
  const rooms = await answer.json();
  // A server that knows no `room` lists all of them.
  return rooms.find(({ id }) => id === room) ?? null;
}
