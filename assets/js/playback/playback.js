// What is seen and heard, and when that changes: asks the pure rules (video-switch.js, audio-switch.js)
// whenever something they depend on has changed, and often while one thing replaces another.

import { Phase, targetOf } from '../base/state.js';
import { AudioOutputs } from './audio-outputs.js';
import { isSettled, MIX, nextAudio } from './audio-switch.js';
import { GapMeter } from './gaps.js';
import { stageTiles } from './tiles.js';
import { VideoElements } from './video-elements.js';
import { choosePicture, DEAD, nextView, View } from './video-switch.js';

/** How often to look while something replaces something else, and otherwise, ms. */
const OFTEN = 20;
const SELDOM = 250;

/** How long to look often after the last change: at least, and when it does not end, ms. */
const AFTERMATH = 1_500;
const ENDLESS = 10_000;

export class Playback {
  #store;
  #onTiles;
  #stage;
  #videos;
  #audio;
  #target = null;
  #covered = false;
  /** When what holds now began: the target, or the mesh covering everybody. */
  #since = 0;
  #compositeFirst = null;
  #view = View.Composite;
  #heard = MIX;
  /** Key of the picture of each tile, by key of the tile. */
  #shown = new Map();
  #tiles = [];
  #off = new Set();
  #timer = 0;
  #pace = 0;
  #settled = false;
  /** Own tracks by role. */
  #tracks = {};
  /** How long each person's picture and sound were missing. */
  pictureGaps = new GapMeter();
  soundGaps = new GapMeter();

  /** `onTiles(tiles, canvas)` is called with those that forwarded pictures are drawn in. */
  constructor({ store, stage, media, onTiles }) {
    this.#store = store;
    this.#onTiles = onTiles;
    this.#stage = stage;
    this.#videos = new VideoElements({
      host: stage.pictures,
      composite: stage.video,
      onFrame: (one, news) => this.#frame(one, news),
    });
    this.#audio = new AudioOutputs({ video: stage.video, onBlocked: (blocked) => stage.askForClick(blocked) });
    stage.onHear(() => this.#audio.hear());
    store.subscribe((state, before) => this.#changed(state, before));
    media.onChange(() => this.#own(media.tracks));
    document.addEventListener('visibilitychange', () => this.#awake());
  }

  /** Plays what a connection with the server brings. */
  attach(downlinks) {
    const track = (wanted) => downlinks.find(({ role }) => role === wanted).receiver.track;
    this.#videos.composite.play(new MediaStream([track('mix-video'), track('mix-audio')])).catch(() => {});
    this.#videos.attach(downlinks);
    this.#audio.attach(downlinks);
    this.#assign(this.#store.get());
    this.#look();
  }

  /** The connection with the server is about to end: what is seen stays. */
  detach() {
    if (this.#view === View.Composite) this.#stage.freeze();
    this.#videos.detach();
  }

  /** Takes the media of a member of the mesh. */
  addMesh(peer) {
    this.#videos.addMesh(peer);
    this.#audio.addMesh(peer);
    this.#look();
  }

  /** A member's connection has ended. */
  removeMesh(id) {
    this.#videos.removeMesh(id);
    this.#audio.removeMesh(id);
    this.#look();
  }

  /** Whether anything that comes directly from `id` is still seen or heard. */
  usesMesh(id) {
    if (this.#heard.people[id] === 'mesh') return true;
    return (
      this.#view === View.Tiles &&
      this.#tiles.some((tile) => tile.participant === id && tile.picture?.source === 'mesh')
    );
  }

  #own(tracks) {
    this.#tracks = tracks;
    this.#look();
  }

  /** One's own picture is in the composite; only beside tiles it is needed here. */
  #showOwn({ self }) {
    const needed = this.#target !== 'mcu' || this.#view === View.Tiles;
    for (const role of ['camera', 'screen']) this.#videos.setOwn(self, role, needed ? this.#tracks[role] : null);
  }

  #assign(state) {
    this.#videos.assign(state.slots);
    this.#audio.assign(state.slots);
  }

  #changed(state, before) {
    if (state.phase === Phase.Idle) {
      if (before.phase !== Phase.Idle) this.#clear();
      return;
    }
    if (state.slots !== before.slots) this.#assign(state);
    const same = ['room', 'slots', 'served', 'self', 'mesh', 'meshAudio', 'phase', 'lastSpeaker'].every(
      (key) => state[key] === before[key],
    );
    if (!same) this.#look();
  }

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

  /** Looks at everything, and changes what is to be changed. */
  #look() {
    const state = this.#store.get();
    if (state.phase === Phase.Idle || !state.self) return;
    const now = performance.now();
    this.#retarget(state, now);
    this.#picture(state, now);
    this.#sound(state, now);
    this.#schedule(now);
  }

  #retarget(state, now) {
    const target = targetOf(state);
    const covered = target === 'p2p' && state.mesh.covered;
    if (target === this.#target && covered === this.#covered) return;
    if (target !== this.#target) this.#compositeFirst = null;
    this.#target = target;
    this.#covered = covered;
    this.#since = now;
  }

  #picture(state, now) {
    this.#showOwn(state);
    const { tiles, more } = stageTiles(state, this.#target);
    const pictures = this.#videos.tiles;
    for (const tile of tiles) {
      const current = this.#shown.get(tile.key);
      if (tile.off && !this.#off.has(tile.key)) this.#videos.empty(tile.participant, tile.role);
      tile.picture = choosePicture(tile, pictures, { target: this.#target, now, current });
    }
    this.#off = new Set(tiles.filter((tile) => tile.off).map((tile) => tile.key));
    const view = nextView(this.#view, {
      target: this.#target,
      now,
      since: this.#since,
      covered: this.#covered,
      composite: { first: this.#compositeFirst, last: this.#videos.composite.last },
      slotsHeld: pictures.some(
        (one) =>
          one.source === 'forward' && one.participant !== null && !one.gone && now - (one.last ?? -Infinity) < DEAD,
      ),
      direct: tiles.some(({ picture }) => picture?.source === 'mesh' && now - picture.last < DEAD),
      tiles: tiles.map(({ picture, expects }) => ({
        ready: picture !== null,
        expects,
        fresh: Boolean(picture) && picture.source !== 'own' && now - picture.last < DEAD,
      })),
    });
    if (view !== this.#view) this.#stage.pictured();
    this.#view = view;
    this.#tiles = tiles;
    this.pictureGaps.keep(tiles.filter((tile) => !tile.off).map((tile) => tile.participant));
    this.#shown = new Map(tiles.filter((tile) => tile.picture).map((tile) => [tile.key, tile.picture.key]));
    this.#videos.prune(new Set(this.#shown.values()));
    this.#stage.show({ state, view, tiles, more, pictures });
    if (this.#target === 'sfu') this.#onTiles(tiles, state.room.canvas);
  }

  #sound(state, now) {
    const others = state.room?.participants.filter((one) => one.id !== state.self && !one.viewer) ?? [];
    const facts = {
      ...this.#audio.facts(others, now),
      target: this.#target,
      since: this.#since,
      covered: this.#covered,
      now,
    };
    const heard = nextAudio(this.#heard, facts);
    if (heard !== this.#heard) {
      this.#heard = heard;
      this.#audio.apply(heard);
    }
    this.#settled = isSettled(heard, facts);
    this.soundGaps.keep(others.map((one) => one.id));
    if (this.#pace === OFTEN) for (const { id } of others) this.soundGaps.aged(id, this.#audio.age(id, now));
  }

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

  /** Pages in the background get no frames: what is missing then is missed by nobody. */
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

  /** Begins measuring anew. */
  resetGaps() {
    this.pictureGaps.reset();
    this.soundGaps.reset();
  }

  /** For tests and figures: what is shown and heard, and what was missing. */
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
