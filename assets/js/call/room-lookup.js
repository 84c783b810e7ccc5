// Who is in a room, asked without joining it.

/** @import {RoomResource} from '../../../tests/client/types/protocol.d.ts' */

/**
 * The room as it is now, or null where nobody is in it. Taken from the list of rooms: asked for a
 * room that is not there the server answers 404, which browsers write to the console as an error.
 *
 * @param {string} room
 * @param {string} token empty if there is none
 * @returns {Promise<RoomResource | null>}
 */
export async function lookUp(room, token) {
  const headers = token ? { authorization: `Bearer ${token}` } : undefined;
  const answer = await fetch(`/api/v1/rooms?room=${room}`, { headers });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  /** @type {RoomResource[]} */
  const rooms = await answer.json();
  // A server that knows no `room` lists all of them.
  return rooms.find(({ id }) => id === room) ?? null;
}
