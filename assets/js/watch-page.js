// The page that plays a room: no name, no camera, one picture and one sound.

import { byId, setText } from './base/dom.js';
import { VIEWING_LOOK } from './base/config.js';
import { environmentProblem } from './base/errors.js';
import { loadToken, saveToken } from './base/preferences.js';
import { roomFromPath } from './base/room-name.js';
import { lookUp } from './call/room-lookup.js';
import { Viewer } from './ui/viewer.js';
import { isAtRest, isEmpty, noticeOf } from './watch/notice.js';
import { Viewing } from './watch/viewing.js';
import { Whep, whepUrl } from './watch/whep.js';

const query = new URLSearchParams(location.search);
const room = roomFromPath(location.pathname) ?? '';
const url = whepUrl(room, query);
const iceTransportPolicy = query.get('relay') === '1' ? 'relay' : 'all';
let token = query.get('token') ?? new URLSearchParams(location.hash.slice(1)).get('token') ?? loadToken();
/** Whether nobody is in the picture. */
let empty = false;
/** Frames that had come at the last look, and when that was. */
let looked = { frames: 0, at: 0 };

const viewer = new Viewer({ onRetry: () => viewing.retry(), onToken: watchWith, onPicture: show });
const viewing = new Viewing({
  create: (secret, onState) => new Whep({ url, token: secret, iceTransportPolicy, onState }),
  onChange: ({ stage }) => {
    if (stage === 'playing') saveToken(token);
    show();
  },
  onConnected: ({ stream }) => {
    looked = { frames: 0, at: performance.now() - VIEWING_LOOK };
    viewer.play(stream);
    look();
  },
});

function show() {
  viewer.show(noticeOf(viewing.condition, { pictured: viewer.pictured, empty }));
}

/** @param {string} secret */
function watchWith(secret) {
  token = secret;
  viewing.start(token);
}

/** Finds out whether somebody is there, while so little moves that nobody may be. */
async function look() {
  const pc = viewing.connection?.pc;
  if (viewing.condition.stage !== 'playing' || !pc || document.hidden) return;
  const frames = await framesOf(pc);
  const before = looked;
  looked = { frames, at: performance.now() };
  if (!isAtRest(frames - before.frames, looked.at - before.at)) empty = false;
  // A server that does not say who is there shows it in the picture alone.
  else empty = await lookUp(room, token).then(isEmpty, () => false);
  show();
}

/** @param {RTCPeerConnection} pc */
async function framesOf(pc) {
  const video = [...(await pc.getStats()).values()].find((one) => one.type === 'inbound-rtp' && one.kind === 'video');
  return Number(video?.framesReceived ?? video?.framesDecoded ?? 0);
}

/** For tests and for a curious console. */
window.tessera = {
  state: () => ({ ...viewing.condition, empty, muted: viewer.muted, pictured: viewer.pictured }),
  get pc() {
    return viewing.connection?.pc ?? null;
  },
};

function start() {
  setText(byId('room-name'), room);
  document.title = `${room} – Tessera`;
  const fatal = environmentProblem(window);
  if (fatal) {
    viewer.show({ ...noticeOf({ stage: 'ended', text: fatal }, { pictured: false, empty }), retry: '' });
    return;
  }
  setInterval(look, VIEWING_LOOK);
  window.addEventListener('online', () => viewing.retry());
  // A page that is closed says so. One that comes back from the browser's memory begins anew.
  window.addEventListener('pagehide', () => viewing.stop());
  window.addEventListener('pageshow', ({ persisted }) => persisted && viewing.start(token));
  viewing.start(token);
}

start();
