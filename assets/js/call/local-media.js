// The page's own tracks: microphone, camera and screen, through every reconnection.

/** @import {DeviceRole, UplinkRole} from '../base/config.js' */
/** @import {Opened} from './devices.js' */

import { BOTH_REFUSED, captureProblem, wordsForDevice } from '../base/errors.js';
import { openDevice, openDevices } from './devices.js';

/** The device id that stands for no device. */
export const NONE = 'none';

/** @type {readonly DeviceRole[]} */
const DEVICES = ['mic', 'camera'];

export class LocalMedia {
  /** @type {{[role in UplinkRole]: MediaStreamTrack | null}} */
  #tracks = { mic: null, camera: null, screen: null };
  #choice = { mic: '', camera: '' };
  #muted = false;
  /** Devices that are being opened. @type {Set<DeviceRole>} */
  #busy = new Set();
  /** @type {Set<(role: UplinkRole, problem: string | null) => void>} */
  #listeners = new Set();

  /**
   * Calls `listener(role, problem)` after every change; `problem` is text for people or null.
   *
   * @param {(role: UplinkRole, problem: string | null) => void} listener
   */
  onChange(listener) {
    this.#listeners.add(listener);
  }

  /** The live tracks by role. */
  get tracks() {
    return { ...this.#tracks };
  }

  /** Device ids by role: an empty text is the default device, NONE no device. */
  get choice() {
    return { ...this.#choice };
  }

  /** Whether others get something on this uplink. @param {UplinkRole} role */
  isOn(role) {
    return this.#tracks[role] !== null && !(role === 'mic' && this.#muted);
  }

  /**
   * Opens the devices chosen, with one question to the user where the browser allows it.
   *
   * @param {{[role in DeviceRole]?: string}} choice
   */
  async open(choice) {
    this.#choice = { ...this.#choice, ...choice };
    const wanted = DEVICES.filter((role) => this.#choice[role] !== NONE);
    const results = await openDevices(wanted, this.#choice);
    const refused = wanted.filter((role) => results[role]?.error?.name === 'NotAllowedError');
    const words = refused.length === 2 ? BOTH_REFUSED : null;
    for (const role of wanted) this.#take(role, results[role] ?? {}, words);
  }

  /**
   * Changes one device, on the join screen or in a call.
   *
   * @param {DeviceRole} role
   * @param {string} id
   */
  async choose(role, id) {
    this.#choice[role] = id;
    this.#drop(role);
    if (id === NONE) this.#changed(role, null);
    else await this.#openOne(role);
  }

  /**
   * Changes one device in a call, where a camera that is off stays off.
   *
   * @param {DeviceRole} role
   * @param {string} id
   */
  async switchTo(role, id) {
    const off = this.#tracks[role] === null && this.#choice[role] !== NONE;
    if (off && id !== NONE) this.#choice[role] = id;
    else await this.choose(role, id);
  }

  /** @param {DeviceRole} role @returns {Promise<void>} */
  async #openOne(role) {
    // A second press while the browser asks must not open the device twice.
    if (this.#busy.has(role)) return;
    this.#busy.add(role);
    const id = this.#choice[role];
    const result = await openDevice(role, id);
    this.#busy.delete(role);
    if (this.#choice[role] === id) {
      this.#take(role, result);
    } else {
      result.track?.stop();
      if (this.#choice[role] !== NONE) await this.#openOne(role);
    }
  }

  /**
   * @param {UplinkRole} role
   * @param {Opened} opened
   * @param {string | null} words what to say of a failure
   */
  #take(role, { track, error }, words = null) {
    if (!track) {
      // A device that failed is no longer the chosen one, so that choosing it tries again.
      if (role !== 'screen') this.#choice[role] = NONE;
      this.#changed(role, captureProblem(window) ?? words ?? wordsForDevice(role, error));
      return;
    }
    this.#drop(role);
    this.#tracks[role] = track;
    if (role === 'mic') track.enabled = !this.#muted;
    track.addEventListener('ended', () => {
      if (this.#tracks[role] !== track) return;
      this.#tracks[role] = null;
      const device = role === 'mic' ? 'microphone' : 'camera';
      this.#changed(role, role === 'screen' ? null : `Your ${device} was disconnected.`);
    });
    this.#changed(role, null);
  }

  /** @param {UplinkRole} role */
  #drop(role) {
    const track = this.#tracks[role];
    this.#tracks[role] = null;
    track?.stop();
  }

  /** @param {UplinkRole} role @param {string | null} problem */
  #changed(role, problem) {
    for (const listener of this.#listeners) listener(role, problem);
  }

  /** Mutes or unmutes the microphone; opens one if there is none yet. @param {boolean} on */
  async setMic(on) {
    this.#muted = !on;
    if (this.#tracks.mic) {
      this.#tracks.mic.enabled = on;
      this.#changed('mic', null);
    } else if (on) {
      if (this.#choice.mic === NONE) this.#choice.mic = '';
      await this.#openOne('mic');
    }
  }

  /** Opens the camera, or stops it so that its light goes out. @param {boolean} on */
  async setCamera(on) {
    if (on) {
      if (this.#choice.camera === NONE) this.#choice.camera = '';
      await this.#openOne('camera');
    } else {
      this.#drop('camera');
      this.#changed('camera', null);
    }
  }

  /** Asks for a screen or window and shares it, or stops sharing. @param {boolean} on */
  async setScreen(on) {
    if (!on) {
      this.#drop('screen');
      this.#changed('screen', null);
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: false,
      });
      const [track] = stream.getVideoTracks();
      track.contentHint = 'detail';
      this.#take('screen', { track });
    } catch (error) {
      this.#take('screen', { error });
    }
  }

  /**
   * Prepares for the join screen after a call: nothing is shared or muted, and a device that is off
   * becomes a choice of no device.
   */
  async settle() {
    await this.setScreen(false);
    this.#muted = false;
    for (const role of DEVICES) {
      if (this.#tracks[role] === null) this.#choice[role] = NONE;
    }
    if (this.#tracks.mic) await this.setMic(true);
  }
}
