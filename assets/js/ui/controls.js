// The bars above and below the picture, and the keyboard.

/** @import {LayoutKind} from '../../../tests/client/types/protocol.d.ts' */
/** @import {DeviceRole} from '../base/config.js' */
/** @import {State, Store} from '../base/state.js' */
/** @import {LocalMedia} from '../call/local-media.js' */
/** @import {Session} from '../call/session.js' */
/** @import {Modes} from './modes.js' */
/** @import {Panels} from './panels.js' */
/** @import {Stage} from './stage.js' */

import { byId, setIcon, setLabel, setText } from '../base/dom.js';
import { MODES } from '../base/modes.js';
import { participant, Phase } from '../base/state.js';
import { toast } from './toast.js';

/** How long after an own change the room's view of it is not yet believed, ms. */
const SETTLE = 1_000;

const HELD = {
  mic: 'Your microphone was muted by an operator',
  camera: 'Your camera was turned off by an operator',
};

/** @type {readonly DeviceRole[]} */
const HOLDABLE = ['mic', 'camera'];

export class Controls {
  #media;
  #store;
  #session;
  #stage;
  #panels;
  #modes;
  /** Uplinks that are on here, and that an operator has muted for the others. */
  #held = { mic: false, camera: false };
  #settling = 0;

  /**
   * @param {object} env
   * @param {LocalMedia} env.media
   * @param {Store} env.store
   * @param {Session} env.session
   * @param {Stage} env.stage
   * @param {Panels} env.panels
   * @param {Modes} env.modes
   */
  constructor({ media, store, session, stage, panels, modes }) {
    this.#media = media;
    this.#store = store;
    this.#session = session;
    this.#stage = stage;
    this.#panels = panels;
    this.#modes = modes;
    this.#onClick('toggle-mic', () => this.#toggleMic());
    this.#onClick('toggle-camera', () => this.#toggleCamera());
    this.#onClick('toggle-screen', () => media.setScreen(!media.isOn('screen')));
    this.#onClick('leave', () => session.leave());
    this.#onClick('copy-link', () => copyLink());
    this.#onClick('invite', () => copyLink());
    this.#onClick('help', () => byId('shortcuts').showModal());
    this.#onClick('layout-grid', () => this.#layout('grid'));
    this.#onClick('layout-spotlight', () => this.#layout('spotlight'));
    byId('toggle-screen').hidden = !navigator.mediaDevices?.getDisplayMedia;
    byId('fullscreen').hidden = !document.fullscreenEnabled && !byId('video').webkitEnterFullscreen;
    document.addEventListener('keydown', (event) => this.#key(event));
  }

  /** @param {string} id @param {() => void} action */
  #onClick(id, action) {
    byId(id).addEventListener('click', action);
  }

  #toggleMic() {
    this.#media.setMic(!this.#media.isOn('mic'));
  }

  #toggleCamera() {
    this.#media.setCamera(!this.#media.isOn('camera'));
  }

  /** @param {LayoutKind} layout */
  #layout(layout) {
    this.#session.send({ type: 'layout', layout });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (this.#store.get().phase === Phase.Idle || byId('shortcuts').open) return;
    if (event.key === 'Escape') {
      if (this.#panels.open) this.#panels.close(true);
      return;
    }
    const typing = /** @type {Element} */ (event.target).closest?.('input:not([type="radio"]), textarea, select');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const action = this.#shortcut(event.key.toLowerCase());
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** The action of a key. @param {string} key @returns {(() => void) | undefined} */
  #shortcut(key) {
    const other = this.#store.get().room?.layout === 'grid' ? 'spotlight' : 'grid';
    /** @type {{[key: string]: () => void}} */
    const actions = {
      m: () => this.#toggleMic(),
      v: () => this.#toggleCamera(),
      l: () => this.#layout(other),
      f: () => this.#stage.toggleFullscreen(),
      p: () => this.#panels.toggle('people'),
      c: () => this.#panels.toggle('chat'),
      i: () => this.#panels.toggle('figures'),
      s: () => this.#panels.toggle('settings'),
      t: () => this.#panels.toggle('modes'),
      r: () => this.#panels.toggle('record'),
      ...Object.fromEntries(MODES.map((mode, i) => [String(i + 1), () => this.#modes.ask(mode)])),
      '?': () => byId('shortcuts').showModal(),
    };
    return actions[key];
  }

  /** The own tracks have changed. */
  mediaChanged() {
    // Until the room has heard of it, what it says of this uplink is old.
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#settling = 0;
      this.#judge(this.#store.get());
    }, SETTLE);
    this.#show();
  }

  /**
   * An uplink that is on here and muted in the room was muted by an operator.
   *
   * @param {State} state
   */
  #judge(state) {
    const own = participant(state, state.self);
    for (const role of HOLDABLE) {
      if (own && this.#media.isOn(role)) this.#held[role] = own[role] === 'muted';
    }
    this.#show();
  }

  #show() {
    this.#uplink('mic', 'Mute', 'Unmute', 'M');
    this.#uplink('camera', 'Turn camera off', 'Turn camera on', 'V');
    const sharing = this.#media.isOn('screen');
    const button = byId('toggle-screen');
    setLabel(button, sharing ? 'Stop sharing' : 'Share your screen');
    button.classList.toggle('control--active', sharing);
    button.setAttribute('aria-pressed', String(sharing));
  }

  /**
   * Shows the state of an uplink on its button.
   *
   * @param {DeviceRole} role
   * @param {string} whenOn the label while it is on
   * @param {string} whenOff
   * @param {string} key
   */
  #uplink(role, whenOn, whenOff, key) {
    const on = this.#media.isOn(role);
    const held = on && this.#held[role];
    const button = byId(`toggle-${role}`);
    setIcon(button, on && !held ? role : `${role}-off`);
    setLabel(button, held ? HELD[role] : on ? whenOn : whenOff, key);
    button.classList.toggle('control--off', !on || held);
  }

  /** @param {State} state @param {State} before */
  render(state, before) {
    if (state.phase === Phase.Idle) return;
    if (before.phase === Phase.Idle) {
      this.#held = { mic: false, camera: false };
      this.mediaChanged();
      setText(byId('room-name'), state.roomId ?? '');
    }
    if (state.room === before.room) return;
    if (!this.#settling) this.#judge(state);
    for (const layout of ['grid', 'spotlight']) {
      byId(`layout-${layout}`).setAttribute('aria-pressed', String(state.room?.layout === layout));
    }
  }
}

async function copyLink() {
  const link = `${location.origin}${location.pathname}`;
  try {
    await navigator.clipboard.writeText(link);
    toast('Link copied. Send it to whom you want here.');
  } catch {
    toast(`The link to this room is ${link}`);
  }
}
