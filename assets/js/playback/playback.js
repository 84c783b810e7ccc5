// What is seen and heard, and when that changes: asks the pure rules (video-switch.js,
// audio-switch.js) whenever something they depend on has changed, and often while one mode takes
// the place of another.

/** @import {Mode, ParticipantId, Role, Size} from '../../../tests/client/types/protocol.d.ts' */
/** @import {UplinkRole} from '../base/config.js' */
/** @import {Downlink, MeshMember} from '../base/receivers.js' */
/** @import {State, Store} from '../base/state.js' */
/** @import {Heard} from './audio-switch.js' */
/** @import {Picture} from './picture.js' */
/** @import {More, Tile} from './tiles.js' */
/** @import {ViewName} from './video-switch.js' */

import { VIDEO_UPLINKS } from '../base/config.js';
import { Phase, targetOf } from '../base/state.js';
import { AudioOutputs } from './audio-outputs.js';
import { isSettled, MIX, nextAudio } from './audio-switch.js';
import { GapMeter } from './gaps.js';
import { stageTiles } from './tiles.js';
import { VideoElements } from './video-elements.js';
import { choosePicture, DEAD, nextView, View } from './video-switch.js';

/** Time between two looks during a change, ms. */
const OFTEN = 20;

/** Time between two looks otherwise, ms. */
const SELDOM = 250;

/** How long to look often after a change, ms. */
const AFTERMATH = 1_500;

/** How long to look often if the change does not end, ms. */
const ENDLESS = 10_000;

/** The parts of the state that the rules depend on. @type {readonly (keyof State)[]} */
const INPUTS = ['room', 'slots', 'served', 'self', 'mesh', 'meshAudio', 'phase', 'lastSpeaker'];

/** The own tracks by role. @typedef {{[role in UplinkRole]: MediaStreamTrack | null}} Tracks */

/**
 * A tile and the picture it shows, null for its avatar.
 *
 * @typedef {Tile & {picture: Picture | null}} Shown
 */

/**
 * What the stage shows.
 *
 * @typedef {{state: State, view: ViewName, tiles: Shown[], more: More | null, pictures: Picture[]}}
 *   Scene
 */

/**
 * The part of the page that shows pictures, as ui/stage.js is.
 *
 * @typedef {object} StageLike
 * @property {HTMLVideoElement} video the element of the composite
 * @property {Element} pictures the element that the others are put into
 * @property {(scene: Scene) => void} show
 * @property {() => void} pictured there is something to see
 * @property {() => void} freeze keeps the composite's last frame
 * @property {() => void} clear
 * @property {(asked: boolean) => void} askForClick shows or hides "Tap to hear"
 * @property {(listener: () => void) => void} onHear
 */

/**
 * @typedef {object} PlaybackEnv
 * @property {Store} store
 * @property {StageLike} stage
 * @property {{tracks: Tracks, onChange: (listener: () => void) => void}} media
 * @property {(tiles: Tile[], canvas: Size) => void} onTiles called with the tiles of forwarded pictures
 */

export class Playback {
  #store;
  #onTiles;
  #stage;
  #videos;
  #audio;
  /** How the page is served from now on. @type {Mode | null} */
  #target = null;
  /** Whether the mesh reaches everybody. */
  #covered = false;
  /** When #target or #covered last changed, ms. */
  #since = 0;
  /** When the first frame of the composite after that was shown. @type {number | null} */
  #compositeFirst = null;
  /** @type {ViewName} */
  #view = View.Composite;
  /** @type {Heard} */
  #heard = MIX;
  /** Keys of the pictures shown, by keys of their tiles. @type {Map<string, string>} */
  #shown = new Map();
  /** @type {Shown[]} */
  #tiles = [];
  /** Keys of the tiles whose picture is turned off. @type {Set<string>} */
  #off = new Set();
  #timer = 0;
  #pace = 0;
  /** Whether the sound is as it will stay. */
  #settled = false;
  /** @type {Tracks} */
  #tracks = { mic: null, camera: null, screen: null };
  /** How long each participant's picture was missing. */
  pictureGaps = new GapMeter();
  /** How long each participant's sound was missing. */
  soundGaps = new GapMeter();

  /** @param {PlaybackEnv} env */
  constructor({ store, stage, media, onTiles }) {
    this.#store = store;
    this.#onTiles = onTiles;
    this.#stage = stage;
    this.#videos = new VideoElements({
      host: stage.pictures,
      composite: stage.video,
      onFrame: (one, news) => this.#frame(one, news),
    });
    this.#audio = new AudioOutputs({
      video: stage.video,
      onBlocked: (blocked) => stage.askForClick(blocked),
    });
    stage.onHear(() => this.#audio.hear());
    store.subscribe((state, before) => this.#changed(state, before));
    media.onChange(() => this.#own(media.tracks));
    document.addEventListener('visibilitychange', () => this.#awake());
  }

  /** Plays the m-lines of a connection with the server. @param {Downlink[]} downlinks */
  attach(downlinks) {
    const mix = downlinks.filter(({ role }) => role === 'mix-video' || role === 'mix-audio');
    this.#videos.composite.play(new MediaStream(mix.map(({ receiver }) => receiver.track))).catch(() => {});
    this.#videos.attach(downlinks);
    this.#audio.attach(downlinks);
    this.#assign(this.#store.get());
    this.#look();
  }

  /** Keeps what is seen: the connection with the server is about to end. */
  detach() {
    if (this.#view === View.Composite) this.#stage.freeze();
    this.#videos.detach();
  }

  /** Plays the media of a member of the mesh. @param {MeshMember} peer */
  addMesh(peer) {
    this.#videos.addMesh(peer);
    this.#audio.addMesh(peer);
    this.#look();
  }

  /** Drops the media of a member whose connection has ended. @param {ParticipantId} id */
  removeMesh(id) {
    this.#videos.removeMesh(id);
    this.#audio.removeMesh(id);
    this.#look();
  }

  /**
   * Whether anything that comes directly from `id` is still seen or heard.
   *
   * @param {ParticipantId} id
   */
  usesMesh(id) {
    if (this.#heard.people[id] === 'mesh') return true;
    return (
      this.#view === View.Tiles &&
      this.#tiles.some((tile) => tile.participant === id && tile.picture?.source === 'mesh')
    );
  }

  /** @param {Tracks} tracks */
  #own(tracks) {
    this.#tracks = tracks;
    this.#look();
  }

  /** Shows the own pictures beside tiles; the composite has them already. @param {State} state */
  #showOwn({ self }) {
    const needed = this.#target !== 'mcu' || this.#view === View.Tiles;
    for (const role of VIDEO_UPLINKS) this.#videos.setOwn(self, role, needed ? this.#tracks[role] : null);
  }

  /** @param {State} state */
  #assign(state) {
    this.#videos.assign(state.slots);
    this.#audio.assign(state.slots);
  }

  /** @param {State} state @param {State} before */
  #changed(state, before) {
    if (state.phase === Phase.Idle) {
      if (before.phase !== Phase.Idle) this.#clear();
      return;
    }
    if (state.slots !== before.slots) this.#assign(state);
    if (INPUTS.some((key) => state[key] !== before[key])) this.#look();
  }

  /** @param {Picture} picture @param {boolean} news */
  #frame(picture, news) {
    const now = performance.now();
    const first = picture.source === 'composite' && this.#compositeFirst === null;
    if (first) this.#compositeFirst = now;
    if (picture.source === 'composite' && this.#view === View.Composite) {
      this.#stage.pictured();
      for (const { participant } of this.#store.get().room?.tiles ?? []) this.pictureGaps.seen(participant, now);
    }
    const tile = this.#view === View.Tiles && this.#tiles.find((one) => one.picture === picture);
    const wrong = tile && picture.source === 'forward' && picture.csrc !== null && picture.csrc !== tile.number;
    if (tile && !wrong && tile.role === 'camera') this.pictureGaps.seen(tile.participant, now);
    if (first || news || wrong) this.#look();
  }

  /** Asks all rules, and does what they say. */
  #look() {
    const state = this.#store.get();
    if (state.phase === Phase.Idle || !state.self) return;
    const now = performance.now();
    const target = this.#retarget(state, now);
    this.#picture(state, target, now);
    this.#sound(state, target, now);
    this.#schedule(now);
  }

  /** @param {State} state @param {number} now @returns {Mode} */
  #retarget(state, now) {
    const target = targetOf(state);
    const covered = target === 'p2p' && state.mesh.covered;
    if (target === this.#target && covered === this.#covered) return target;
    if (target !== this.#target) this.#compositeFirst = null;
    this.#target = target;
    this.#covered = covered;
    this.#since = now;
    return target;
  }

  /** @param {State} state @param {Mode} target @param {number} now */
  #picture(state, target, now) {
    this.#showOwn(state);
    const stage = stageTiles(state, target);
    const pictures = this.#videos.tiles;
    for (const tile of stage.tiles) {
      if (tile.off && !this.#off.has(tile.key)) this.#videos.empty(tile.participant, tile.role);
    }
    const tiles = stage.tiles.map((tile) => {
      const context = { target, now, current: this.#shown.get(tile.key) };
      return { ...tile, picture: choosePicture(tile, pictures, context) };
    });
    this.#off = new Set(tiles.filter((tile) => tile.off).map((tile) => tile.key));
    /** @param {Picture | null} picture */
    const moves = (picture) => now - (picture?.last ?? -Infinity) < DEAD;
    const view = nextView(this.#view, {
      target,
      now,
      since: this.#since,
      covered: this.#covered,
      composite: { first: this.#compositeFirst, last: this.#videos.composite.last },
      slotsHeld: pictures.some(
        (one) => one.source === 'forward' && one.participant !== null && !one.gone && moves(one),
      ),
      direct: tiles.some(({ picture }) => picture?.source === 'mesh' && moves(picture)),
      tiles: tiles.map(({ picture, expects }) => ({
        ready: picture !== null,
        expects,
        fresh: picture?.source !== 'own' && moves(picture),
      })),
    });
    if (view !== this.#view) this.#stage.pictured();
    this.#view = view;
    this.#tiles = tiles;
    this.pictureGaps.keep(tiles.filter((tile) => !tile.off).map((tile) => tile.participant));
    this.#shown = new Map(tiles.flatMap(({ key, picture }) => (picture ? [[key, picture.key]] : [])));
    this.#videos.prune(new Set(this.#shown.values()));
    this.#stage.show({ state, view, tiles, more: stage.more, pictures });
    if (target === 'sfu' && state.room) this.#onTiles(tiles, state.room.canvas);
  }

  /** @param {State} state @param {Mode} target @param {number} now */
  #sound(state, target, now) {
    const others = state.room?.participants.filter((one) => one.id !== state.self && !one.viewer) ?? [];
    const flows = this.#audio.facts(others, now);
    const facts = { ...flows, target, since: this.#since, covered: this.#covered, now };
    const heard = nextAudio(this.#heard, facts);
    if (heard !== this.#heard) {
      this.#heard = heard;
      this.#audio.apply(heard);
    }
    this.#settled = isSettled(heard, facts);
    this.soundGaps.keep(others.map((one) => one.id));
    if (this.#pace === OFTEN) for (const { id } of others) this.soundGaps.aged(id, this.#audio.age(id, now));
  }

  /** Looks often until nothing changes any more. @param {number} now */
  #schedule(now) {
    const wanted = this.#target === 'mcu' ? View.Composite : View.Tiles;
    const passed = now - this.#since;
    const calm = this.#settled && this.#view === wanted && passed > AFTERMATH;
    const pace = calm || passed > ENDLESS ? SELDOM : OFTEN;
    if (this.#timer && pace === this.#pace) return;
    clearInterval(this.#timer);
    this.#pace = pace;
    this.#timer = setInterval(() => this.#look(), pace);
  }

  /** Starts measuring over: a page in the background gets no frames, and nobody misses them. */
  #awake() {
    this.pictureGaps.reset();
    if (!document.hidden) this.#look();
  }

  #clear() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#videos.clear();
    this.#audio.clear();
    this.#view = View.Composite;
    this.#heard = MIX;
    this.#target = null;
    this.#shown.clear();
    this.#tiles = [];
    this.resetGaps();
    this.#stage.clear();
  }

  /** Starts measuring gaps over. */
  resetGaps() {
    this.pictureGaps.reset();
    this.soundGaps.reset();
  }

  /** What is shown and heard, and what was missing, for tests. */
  report() {
    const now = performance.now();
    const composite = this.#videos.composite;
    const shown =
      this.#view === View.Composite
        ? (this.#store.get().room?.tiles ?? []).map(({ participant, role }) =>
            describe({ participant, role, picture: composite }, 'composite'),
          )
        : this.#tiles.map((tile) => describe(tile));
    return {
      target: this.#target,
      view: this.#view,
      tiles: shown,
      heard: this.#heard,
      blocked: this.#audio.blocked,
      gaps: { picture: this.pictureGaps.report(now), sound: this.soundGaps.report(now) },
    };
  }
}

/**
 * One tile of `report`.
 *
 * @param {{participant: ParticipantId, role: Role, picture: Picture | null}} tile
 * @param {string} source
 */
function describe({ participant, role, picture }, source = picture?.source ?? 'avatar') {
  return {
    participant,
    role,
    source,
    width: picture?.width ?? 0,
    height: picture?.height ?? 0,
    framesSeen: picture?.frames ?? 0,
    lastFrameAt: picture?.last ?? null,
    csrc: picture?.csrc ?? null,
  };
}
