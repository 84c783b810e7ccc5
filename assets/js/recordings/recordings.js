// Recordings in words and numbers, and their addresses on the server; pure.

/** @import {ClientMessage, Container, Marker, Recording} from '../../../tests/client/types/protocol.d.ts' */
/** @import {RecordingState, RoomId, TrackFile} from '../../../tests/client/types/protocol.d.ts' */

/** A choice of what to record. @typedef {Container | 'tracks'} FormatKey */

/**
 * The part of the list that is asked for: of one room, or with null of all.
 *
 * @typedef {{room: RoomId | null, offset: number}} Asked
 */

import { listOf } from '../base/state.js';

/**
 * What can be recorded, in the order of the control.
 *
 * @type {readonly {key: FormatKey, name: string, about: string}[]}
 */
export const FORMATS = Object.freeze([
  { key: 'mp4', name: 'Video, MP4', about: 'H.264 and AAC. Plays on phones, in editors and nearly everywhere.' },
  { key: 'webm', name: 'Video, WebM', about: 'VP8 and Opus, free of patents. Plays in browsers, VLC and the like.' },
  { key: 'ogg', name: 'Sound only', about: 'An Ogg file with Opus, some 20 MB an hour.' },
  {
    key: 'tracks',
    name: 'Everybody by themselves',
    about: 'A file for each microphone, camera and screen, as it came: to be cut later.',
  },
]);

/** @type {{[key in FormatKey]: string}} */
const SHORT = { mp4: 'MP4', webm: 'WebM', ogg: 'Ogg, sound only', tracks: 'Tracks' };

/** The short name of a format. @param {FormatKey} format */
export const formatName = (format) => SHORT[format] ?? format;

/**
 * What a recording is, as a key of `FORMATS`.
 *
 * @param {Pick<RecordingState, 'kind' | 'format'>} recording
 * @returns {FormatKey}
 */
export const formatOf = ({ kind, format }) => (kind === 'tracks' ? 'tracks' : format);

/** The message that asks for a recording. @param {FormatKey} key @returns {ClientMessage} */
export const startOf = (key) => ({
  type: 'record',
  action: 'start',
  ...(key === 'tracks' ? { kind: 'tracks' } : { format: key, kind: 'composite' }),
});

/** The element that plays a format. @param {Container} format */
export const playerFor = (format) => (format === 'ogg' ? 'audio' : 'video');

/** Recordings on one page. */
export const PER_PAGE = 20;

const API = '/api/v1';

/** The address of the list in the REST API. @param {Asked} asked */
export function listUrl({ room, offset }) {
  const of = room ? `/rooms/${encodeURIComponent(room)}` : '';
  return `${API}${of}/recordings?offset=${offset}&limit=${PER_PAGE}`;
}

/** The address of a recording in the REST API. @param {Pick<Recording, 'room' | 'id'>} recording */
export const recordingUrl = ({ room, id }) =>
  `${API}/rooms/${encodeURIComponent(room)}/recordings/${encodeURIComponent(id)}`;

/**
 * The address of the file for a player or a download. These cannot set headers, so a token is in
 * the query.
 *
 * @param {Recording} recording
 * @param {string} token or an empty text
 * @param {boolean} download
 */
export function fileUrl(recording, token, download = false) {
  const query = new URLSearchParams();
  if (download) query.set('download', '1');
  if (token) query.set('token', token);
  const text = query.toString();
  return recordingUrl(recording) + (text ? `?${text}` : '');
}

/** @type {{[role: string]: string}} */
const ROLES = { mic: 'microphone', camera: 'camera', screen: 'screen' };

/**
 * The files of a recording of tracks; of another kind, none.
 *
 * @param {Recording} recording
 * @param {string} token
 */
export function filesOf(recording, token) {
  if (recording.kind !== 'tracks' || recording.state === 'recording') return [];
  const query = new URLSearchParams({ download: '1', ...(token && { token }) });
  /** @param {string} file */
  const url = (file) => `${recordingUrl(recording)}/files/${encodeURIComponent(file)}?${query}`;
  /** @param {TrackFile} file */
  const track = ({ file, name, role, start_ms: start, bytes }) => ({
    name: `${name || file}, ${ROLES[role] ?? role}`,
    about: `from ${clock(start)}, ${sizeText(bytes)}`,
    url: url(file),
  });
  return [
    ...(recording.tracks ?? []).map(track),
    { name: 'Events', about: 'who came, went and spoke', url: url('events.jsonl') },
  ];
}

/**
 * What the participant does, by the type of the marker.
 *
 * @type {{[type in Marker['type']]?: string}}
 */
const MARKERS = { join: 'joins', leave: 'leaves', speaker: 'speaks' };

/**
 * The markers to play a recording from, `at` in seconds. Those who were there when it began have
 * none.
 *
 * @param {Pick<Recording, 'markers'>} recording
 */
export function markersOf({ markers }) {
  const known = (markers ?? []).filter(({ type, at_ms: at }) => MARKERS[type] && (at > 0 || type !== 'join'));
  return known.map(({ at_ms: at, type, name }) => ({ at: at / 1000, name: `${clock(at)} ${name} ${MARKERS[type]}` }));
}

/** A time as `h:mm:ss`, or `m:ss` under an hour. @param {number} ms */
export function clock(ms) {
  const seconds = Math.round(ms / 1000);
  /** @param {number} number */
  const two = (number) => String(number).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * Bytes in the largest unit that leaves a whole number, in powers of ten as disks are sold.
 *
 * @param {number} bytes
 */
export function sizeText(bytes) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let amount = bytes;
  for (; amount >= 999.5 && at < units.length - 1; at += 1) amount /= 1000;
  const digits = at > 0 && amount < 9.95 ? 1 : 0;
  return `${amount.toFixed(digits)} ${units[at]}`;
}

/**
 * When a recording began, as the reader writes dates.
 *
 * @param {Recording} recording
 * @param {string} [locale]
 * @param {string} [timeZone]
 */
export function startedText(recording, locale, timeZone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { dateStyle: 'medium', timeStyle: 'short', timeZone };
  return new Intl.DateTimeFormat(locale, options).format(new Date(recording.started));
}

/** @type {{[state in Recording['state']]?: {tone: string, name: string}}} */
const STATES = {
  recording: { tone: 'live', name: 'Recording now' },
  finished: { tone: 'none', name: '' },
  recovered: { tone: 'warn', name: 'Recovered' },
  failed: { tone: 'bad', name: 'Ended by an error' },
};

/**
 * The status of a recording in words; `name` and `reason` are empty for one that was stopped as it
 * should be. `tone` is how it is shown.
 *
 * @param {Pick<Recording, 'state' | 'reason'>} recording
 */
export function statusOf({ state, reason }) {
  const { tone, name } = STATES[state] ?? { tone: 'warn', name: state };
  return { tone, name: name || (reason ? 'Ended by itself' : ''), reason: reason ? sentence(reason) : '' };
}

/** @param {string} text */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/**
 * Whether there is something to play: one file, with something in it.
 *
 * @param {Recording} recording
 */
export const isPlayable = ({ kind, state, bytes, duration_ms: length }) =>
  kind !== 'tracks' && state !== 'recording' && bytes > 0 && length > 0;

/** Length, size and format in words. @param {Recording} recording */
export function factsOf(recording) {
  const { state, size, bytes, duration_ms: length } = recording;
  const facts = state === 'recording' ? [] : [clock(length), sizeText(bytes)];
  facts.push(formatName(formatOf(recording)));
  if (size) facts.push(`${size.width} × ${size.height}`);
  return facts;
}

/** The participants in words. @param {Pick<Recording, 'participants'>} recording */
export const whoText = ({ participants }) => (participants.length ? `With ${listOf(participants)}` : '');

/**
 * The position of a page of `shown` entries in the whole list, in words, and the offsets of the
 * pages beside it or null.
 *
 * @param {{total: number, offset: number, shown: number}} page
 */
export function paging({ total, offset, shown }) {
  return {
    text: total > shown ? `${offset + 1} to ${offset + shown} of ${total}` : '',
    newer: offset > 0 ? Math.max(0, offset - PER_PAGE) : null,
    older: offset + shown < total ? offset + PER_PAGE : null,
  };
}

/**
 * The part of the list that an address of the page asks for.
 *
 * @param {string} search
 * @returns {Asked}
 */
export function askedFor(search) {
  const query = new URLSearchParams(search);
  const offset = Number(query.get('offset') ?? 0);
  return { room: query.get('room') || null, offset: Number.isInteger(offset) && offset > 0 ? offset : 0 };
}

/** The page's address that asks for a part of the list. @param {Asked} asked */
export function pageUrl({ room, offset }) {
  const query = new URLSearchParams();
  if (room) query.set('room', room);
  if (offset) query.set('offset', String(offset));
  const text = query.toString();
  return text ? `/recordings?${text}` : '/recordings';
}

/** Why a file does not play. @param {number | undefined} code of the element's MediaError */
export function wordsForPlayback(code) {
  if (code === 2) return 'The file could not be fetched to its end. Check your network connection and try again.';
  return 'This browser cannot play this file: a Firefox without H.264 cannot play MP4, for one. Download it, or open this page in another browser.';
}
