// Recordings in words and numbers, and where the server has them; pure.

import { listOf } from '../base/state.js';

/** What can be kept, in the order of the control. */
export const FORMATS = Object.freeze([
  { key: 'mp4', name: 'Video, MP4', about: 'H.264 and Opus. Plays in most browsers and players.' },
  { key: 'webm', name: 'Video, WebM', about: 'VP8 and Opus, free of patents. Plays in browsers, VLC and the like.' },
  { key: 'ogg', name: 'Sound only', about: 'An Ogg file with Opus, some 20 MB an hour.' },
  {
    key: 'tracks',
    name: 'Everybody by themselves',
    about: 'A file for each microphone, camera and screen, as it came: to be cut later.',
  },
]);

const SHORT = { mp4: 'MP4', webm: 'WebM', ogg: 'Ogg, sound only', tracks: 'Tracks' };

/** The format's name, short. */
export const formatName = (format) => SHORT[format] ?? format;

/** What a recording is, as a key of `FORMATS`. */
export const formatOf = ({ kind, format }) => (kind === 'tracks' ? 'tracks' : format);

/** What asks for a recording of a key of `FORMATS`. */
export const startOf = (key) => ({
  type: 'record',
  action: 'start',
  ...(key === 'tracks' ? { kind: 'tracks' } : { format: key, kind: 'composite' }),
});

/** The element that plays a format. */
export const playerFor = (format) => (format === 'ogg' ? 'audio' : 'video');

/** Recordings on one page. */
export const PER_PAGE = 20;

const API = '/api/v1';

/** The list's address: of one room, or with null of all. */
export function listUrl({ room, offset }) {
  const of = room ? `/rooms/${encodeURIComponent(room)}` : '';
  return `${API}${of}/recordings?offset=${offset}&limit=${PER_PAGE}`;
}

/** A recording in the REST API. */
export const recordingUrl = ({ room, id }) =>
  `${API}/rooms/${encodeURIComponent(room)}/recordings/${encodeURIComponent(id)}`;

/** Where a player or a download finds the file; these cannot set headers, so a token is in the query. */
export function fileUrl(recording, token, download = false) {
  const query = new URLSearchParams();
  if (download) query.set('download', '1');
  if (token) query.set('token', token);
  const text = query.toString();
  return recordingUrl(recording) + (text ? `?${text}` : '');
}

const ROLES = { mic: 'microphone', camera: 'camera', screen: 'screen' };

/** The files of a recording of tracks, `{name, about, url}` each; of another, none. */
export function filesOf(recording, token) {
  if (recording.kind !== 'tracks' || recording.state === 'recording') return [];
  const query = new URLSearchParams({ download: '1', ...(token && { token }) });
  const url = (file) => `${recordingUrl(recording)}/files/${encodeURIComponent(file)}?${query}`;
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

const MARKERS = { join: 'joins', leave: 'leaves', speaker: 'speaks' };

/** The moments to play a recording from, `{at, name}` each, `at` in seconds; not who was there when it began. */
export function markersOf({ markers }) {
  const known = (markers ?? []).filter(({ type, at_ms: at }) => MARKERS[type] && (at > 0 || type !== 'join'));
  return known.map(({ at_ms: at, type, name }) => ({ at: at / 1000, name: `${clock(at)} ${name} ${MARKERS[type]}` }));
}

/** `h:mm:ss`, or `m:ss` under an hour. */
export function clock(ms) {
  const seconds = Math.round(ms / 1000);
  const two = (number) => String(number).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Bytes in the largest unit that leaves a whole number, in powers of ten as disks are sold. */
export function sizeText(bytes) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let amount = bytes;
  for (; amount >= 999.5 && at < units.length - 1; at += 1) amount /= 1000;
  const digits = at > 0 && amount < 9.95 ? 1 : 0;
  return `${amount.toFixed(digits)} ${units[at]}`;
}

/** When it began, as the reader writes dates. */
export function startedText(recording, locale, timeZone) {
  const options = { dateStyle: 'medium', timeStyle: 'short', timeZone };
  return new Intl.DateTimeFormat(locale, options).format(new Date(recording.started));
}

const STATES = {
  recording: { tone: 'live', name: 'Recording now' },
  finished: { tone: 'none', name: '' },
  recovered: { tone: 'warn', name: 'Recovered' },
  failed: { tone: 'bad', name: 'Ended by an error' },
};

/** How it stands: `{tone, name, reason}`; nothing is said of one that ended as it should. */
export function statusOf({ state, reason }) {
  const { tone, name } = STATES[state] ?? { tone: 'warn', name: state };
  return { tone, name: name || (reason ? 'Ended by itself' : ''), reason: reason ? sentence(reason) : '' };
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Whether there is something to play: a file that holds more than its head. */
export const isPlayable = ({ kind, state, bytes, duration_ms: length }) =>
  kind !== 'tracks' && state !== 'recording' && bytes > 0 && length > 0;

/** What is said of it in one line. */
export function factsOf(recording) {
  const { state, size, bytes, duration_ms: length } = recording;
  const facts = state === 'recording' ? [] : [clock(length), sizeText(bytes)];
  facts.push(formatName(formatOf(recording)));
  if (size) facts.push(`${size.width} × ${size.height}`);
  return facts;
}

/** Who was there, in words. */
export const whoText = ({ participants }) => (participants.length ? `With ${listOf(participants)}` : '');

/** Where a page of `shown` entries stands among `total`: words, and the offsets beside it or null. */
export function paging({ total, offset, shown }) {
  return {
    text: total > shown ? `${offset + 1} to ${offset + shown} of ${total}` : '',
    newer: offset > 0 ? Math.max(0, offset - PER_PAGE) : null,
    older: offset + shown < total ? offset + PER_PAGE : null,
  };
}

/** What the address of the page of recordings asks for: `{room, offset}`. */
export function askedFor(search) {
  const query = new URLSearchParams(search);
  const offset = Number(query.get('offset') ?? 0);
  return { room: query.get('room') || null, offset: Number.isInteger(offset) && offset > 0 ? offset : 0 };
}

/** The page's own address for the same. */
export function pageUrl({ room, offset }) {
  const query = new URLSearchParams();
  if (room) query.set('room', room);
  if (offset) query.set('offset', String(offset));
  const text = query.toString();
  return text ? `/recordings?${text}` : '/recordings';
}

/** Why a file does not play; `code` of the element's MediaError. */
export function wordsForPlayback(code) {
  if (code === 2) return 'The file could not be fetched to its end. Check your network connection and try again.';
  return 'This browser cannot play this file: a Firefox without H.264 cannot play MP4, for one. Download it, or open this page in another browser.';
}
