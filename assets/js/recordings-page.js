// The page of recordings: lists them, plays one, deletes one.

/** @import {RecordingPage, Recording} from '../../tests/client/types/protocol.d.ts' */
/** @import {Refusal} from './recordings/recordings-api.js' */

import { byId, setText } from './base/dom.js';
import { wordsForToken } from './base/errors.js';
import { loadToken, saveToken } from './base/preferences.js';
import { RecordingsApi } from './recordings/recordings-api.js';
import { askedFor, clock, pageUrl, paging, startedText } from './recordings/recordings.js';
import { Player } from './ui/player.js';
import { RecordingsList } from './ui/recordings-list.js';
import { toast } from './ui/toast.js';

/** Time between two requests for the list while a recording in it is going on, ms. */
const REFRESH = 5_000;

const KEEPS_NONE =
  'This server keeps no recordings. Whoever runs it can turn them on with --recordings and the name of a folder.';

const api = new RecordingsApi();
const player = new Player();
const list = new RecordingsList({ onPlay: (recording) => player.show(recording, api.token), onDelete: ask });
let asked = askedFor(location.search);
/** The page of the list that is shown. @type {RecordingPage | null} */
let listed = null;
/** The recording that the confirmation is about. @type {Recording | null} */
let doomed = null;
let timer = 0;

/** Asks the server for the page that is wanted, and shows it. @returns {Promise<void>} */
async function load() {
  clearTimeout(timer);
  const wanted = asked;
  try {
    const page = await api.list(wanted);
    if (wanted !== asked) return;
    // All recordings of this page were deleted meanwhile.
    if (!page.recordings.length && wanted.offset > 0) return go(0);
    show(page);
  } catch (error) {
    if (wanted === asked) refused(/** @type {Refusal} */ (error));
  }
}

/** @param {RecordingPage} page */
function show(page) {
  listed = page;
  saveToken(api.token);
  byId('token-form').hidden = true;
  notice('');
  list.show(page.recordings, api.token);
  byId('archive-empty').hidden = page.total > 0;
  const { text, newer, older } = paging({ ...page, shown: page.recordings.length });
  byId('pages').hidden = !text;
  setText(byId('pages-text'), text);
  byId('newer').disabled = newer === null;
  byId('older').disabled = older === null;
  if (page.recordings.some(({ state }) => state === 'recording')) timer = setTimeout(refresh, REFRESH);
}

/** Loads the list again. A page in the background waits until it is seen. */
function refresh() {
  if (!document.hidden) load();
}

/** @param {Refusal} error */
function refused(error) {
  if (error.code !== 'unauthorized') {
    console.warn(error);
    notice(error.code === 'recording_unavailable' ? KEEPS_NONE : error.message);
    return;
  }
  notice(wordsForToken(byId('token').value || api.token, ''));
  list.show([], '');
  for (const id of ['pages', 'archive-empty']) byId(id).hidden = true;
  byId('token-form').hidden = false;
  byId('token').focus();
}

/** @param {string} text */
function notice(text) {
  byId('archive-notice').hidden = !text;
  setText(byId('archive-notice'), text);
}

/** The pages beside the one that is shown. */
const beside = () => listed && paging({ ...listed, shown: listed.recordings.length });

/** Shows the page that begins at `offset`. @param {number} offset */
function go(offset) {
  asked = { ...asked, offset };
  history.replaceState(null, '', pageUrl(asked));
  return load();
}

/** Asks before a recording is deleted. @param {Recording} recording */
function ask(recording) {
  doomed = recording;
  setText(
    byId('confirm-text'),
    `${recording.room}, ${startedText(recording)}, ${clock(recording.duration_ms)} long. It cannot be brought back.`,
  );
  byId('confirm').showModal();
}

async function remove() {
  byId('confirm').close();
  // A second click on a dialog that is on its way out deletes nothing more.
  const recording = doomed;
  doomed = null;
  if (!recording) return;
  try {
    await api.delete(recording);
    toast('Recording deleted');
  } catch (error) {
    const { code, message } = /** @type {Refusal} */ (error);
    // Somebody else was faster: that is what was wanted.
    if (code !== 'not_found') toast(message, 'error');
  }
  byId('archive-title').focus();
  await load();
}

function start() {
  byId('archive-room').hidden = !asked.room;
  setText(byId('archive-room-name'), asked.room ?? '');
  setText(
    byId('archive-empty-text'),
    asked.room ? 'Nothing has been recorded in this room.' : 'Nothing has been recorded yet.',
  );
  api.token = new URLSearchParams(location.hash.slice(1)).get('token') ?? loadToken();
  byId('token').value = api.token;
  byId('token-form').addEventListener('submit', (event) => {
    event.preventDefault();
    api.token = byId('token').value.trim();
    load();
  });
  byId('newer').addEventListener('click', () => go(beside()?.newer ?? 0));
  byId('older').addEventListener('click', () => go(beside()?.older ?? 0));
  byId('confirm-keep').addEventListener('click', () => byId('confirm').close());
  byId('confirm-delete').addEventListener('click', remove);
  document.addEventListener('visibilitychange', refresh);
  load();
}

/** For tests and for a curious console. */
window.tessera = { state: () => ({ asked, listed }) };

start();
