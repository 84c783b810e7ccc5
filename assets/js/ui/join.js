// The screen before a call: name, room and devices.

/** @import {RoomResource} from '../../../tests/client/types/protocol.d.ts' */
/** @import {DeviceRole, UplinkRole} from '../base/config.js' */
/** @import {Notice, State} from '../base/state.js' */
/** @import {LocalMedia} from '../call/local-media.js' */

import { byId, el, setText } from '../base/dom.js';
import { wordsForToken } from '../base/errors.js';
import { levelFraction } from '../base/levels.js';
import { loadChoices, loadToken, saveChoices, saveToken } from '../base/preferences.js';
import { roomIdFrom } from '../base/room-name.js';
import { listOf } from '../base/state.js';
import { LevelMeter } from '../call/devices.js';
import { NONE } from '../call/local-media.js';
import { lookUp, NotForYou } from '../call/room-lookup.js';
import { DeviceLists } from './device-lists.js';

/** @type {readonly DeviceRole[]} */
const ROLES = ['mic', 'camera'];
const METER_TILES = 16;
/** Time between two looks at who is in the room, ms. */
const LOOKUP_INTERVAL = 5_000;

export class Join {
  #media;
  #lists;
  #onJoin;
  #meter = new LevelMeter();
  #metering = 0;
  #lookup = 0;
  /** The token with which the server does not tell who is there; null while none is known. @type {string | null} */
  #refusedToken = null;
  /** Why a device could not be opened, in words. @type {{[role in DeviceRole]: string | null}} */
  #problems = { mic: null, camera: null };

  /**
   * @param {object} env
   * @param {LocalMedia} env.media
   * @param {(who: {name: string, room: string, token: string}) => void} env.onJoin enters a room
   */
  constructor({ media, onJoin }) {
    this.#media = media;
    this.#onJoin = onJoin;
    byId('meter').append(...Array.from({ length: METER_TILES }, () => el('span')));
    byId('join-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#meter.wake();
      this.submit({ name: byId('name').value.trim(), room: roomIdFrom(byId('room').value) });
    });
    byId('room').addEventListener('input', () => this.#lookupSoon());
    this.#lists = new DeviceLists({
      media,
      selects: { camera: byId('choose-camera'), mic: byId('choose-mic') },
      onChoose: (role, id) => media.choose(role, id),
    });
    document.addEventListener('pointerdown', () => this.#meter.wake());
  }

  /**
   * Shows the screen with these values, and opens the devices; resolves when they are open.
   *
   * @param {object} values
   * @param {string} values.name
   * @param {string} values.room
   * @param {{[role in DeviceRole]?: string}} values.choice device ids
   * @param {string | null} values.problem why no device can be opened at all
   */
  async open({ name, room, choice, problem }) {
    byId('name').value = name;
    byId('room').value = room;
    byId('token').value = new URLSearchParams(location.hash.slice(1)).get('token') ?? loadToken();
    this.enter();
    if (problem) {
      this.#lists.disable();
      this.#problems.camera = problem;
      this.#showProblems();
      await this.#media.choose('mic', NONE);
      await this.#media.choose('camera', NONE);
      return;
    }
    await this.#media.open(choice);
    await this.listDevices();
  }

  /**
   * Prepares the screen, which comes into view.
   *
   * @param {string | null} [code] why a call has ended, if there was one
   */
  enter(code = null) {
    document.title = 'Tessera';
    this.#preview();
    this.#lookupSoon(0);
    byId(this.#firstField(code)).focus({ preventScroll: true });
  }

  /** The id of the element that gets the focus. @param {string | null} code */
  #firstField(code) {
    if (code === 'unauthorized') return 'token';
    return byId('name').value ? 'join-button' : 'name';
  }

  /** Ends the preview: the screen goes out of view, and the tracks go on into the call. */
  exit() {
    clearInterval(this.#metering);
    this.#meter.close();
    byId('preview').srcObject = null;
  }

  /** Joins, if name and room are given. @param {{name: string, room: string}} typed */
  submit({ name, room }) {
    if (!name) return this.#invalid('name', 'Please give a name; the others see it on your tile.');
    if (!room) return this.#invalid('room', 'Please name a room: letters, digits, “-” and “_”.');
    const token = byId('token').value.trim();
    saveToken(token);
    saveChoices({ ...loadChoices(), name });
    byId('name').value = name;
    byId('room').value = room;
    this.#notice(null);
    this.#onJoin({ name, room, token });
    return undefined;
  }

  /** @param {string} field @param {string} text */
  #invalid(field, text) {
    this.#notice({ tone: 'error', text });
    byId(field).focus();
  }

  /** Says why no call can be made at all. @param {string} text */
  refuse(text) {
    byId('join-fields').disabled = true;
    this.#notice({ tone: 'error', text });
  }

  /** @param {State} state @param {State} before */
  render(state, before) {
    if (state.notice === before.notice || state.phase !== 'idle') return;
    const wanted = state.notice?.code === 'unauthorized';
    this.#notice(wanted ? { tone: 'error', text: wordsForToken(byId('token').value.trim()) } : state.notice);
    if (wanted) byId('token-row').hidden = false;
  }

  /** @param {Pick<Notice, 'tone' | 'text'> | null} notice */
  #notice(notice) {
    const box = byId('join-notice');
    box.hidden = !notice;
    if (!notice) return;
    box.className = `notice notice--${notice.tone}`;
    setText(box, notice.text);
  }

  /** Fills the device lists. */
  listDevices() {
    return this.#lists.refresh();
  }

  /** Why devices could not be opened, in words, each reason once. */
  get problems() {
    return [...new Set(ROLES.map((role) => this.#problems[role]).filter((problem) => problem !== null))];
  }

  /** The own tracks have changed. @param {UplinkRole} role @param {string | null} problem */
  mediaChanged(role, problem) {
    if (byId('join').hidden || role === 'screen') return;
    this.#problems[role] = problem;
    this.#showProblems();
    this.#preview();
  }

  #showProblems() {
    const texts = this.problems;
    byId('device-problem').hidden = texts.length === 0;
    setText(byId('device-problem'), texts.join(' '));
  }

  #preview() {
    const { mic, camera } = this.#media.tracks;
    const video = byId('preview');
    video.srcObject = camera ? new MediaStream([camera]) : null;
    video.hidden = !camera;
    setText(byId('preview-empty-text'), this.#problems.camera ? 'No picture from your camera' : 'Your camera is off');
    this.#meter.attach(mic);
    clearInterval(this.#metering);
    this.#metering = setInterval(() => this.#showLevel(), 80);
    byId('meter').classList.toggle('meter--off', !mic);
    byId('meter').setAttribute('aria-label', mic ? 'Microphone level' : 'Microphone off');
  }

  #showLevel() {
    const lit = Math.round(levelFraction(this.#meter.read()) * METER_TILES);
    [...byId('meter').children].forEach((tile, i) => tile.classList.toggle('lit', i < lit));
  }

  /** Asks who is in the room, a moment after the last key. */
  #lookupSoon(delay = 400) {
    clearTimeout(this.#lookup);
    setText(byId('room-hint'), '');
    this.#lookup = setTimeout(() => this.#showWhoIsThere(), delay);
  }

  /** Says who is in the room, and again after a while for as long as the screen is shown. */
  async #showWhoIsThere() {
    const timer = this.#lookup;
    const room = roomIdFrom(byId('room').value);
    if (byId('join').hidden) return;
    let text = '';
    // A page that nobody looks at keeps what it says.
    const token = byId('token').value.trim();
    // A token that is being typed is none yet.
    const typing = document.activeElement === byId('token');
    if (room && !document.hidden && !typing && token !== this.#refusedToken) {
      // A courtesy only; joining tells whether the server is there.
      text = await lookUp(room, token).then(hint, (error) => {
        // Asked again and again, it would take this for guessing.
        if (error instanceof NotForYou) this.#refusedToken = token;
        return '';
      });
    }
    // Another key was pressed meanwhile, or the screen was left and entered again.
    if (timer !== this.#lookup) return;
    if (!document.hidden) setText(byId('room-hint'), text);
    this.#lookup = setTimeout(() => this.#showWhoIsThere(), LOOKUP_INTERVAL);
  }
}

/** @param {RoomResource | null} room null where nobody has been */
function hint(room) {
  const { participants = [], recordings = [] } = room ?? {};
  const names = participants.map((one) => one.name);
  if (!names.length) return 'Nobody is here yet.';
  const recorded = recordings.length ? ' The call is being recorded.' : '';
  return `${listOf(names)} ${names.length > 1 ? 'are' : 'is'} here.${recorded}`;
}
