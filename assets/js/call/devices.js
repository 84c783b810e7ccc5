// Cameras and microphones: the list of them, opening them, and the level of one.

/** @import {DeviceRole} from '../base/config.js' */

import { dbovOf } from '../base/levels.js';

/**
 * @typedef {{track?: MediaStreamTrack, error?: any}} Opened a device that was opened, or why it was
 *   not
 */

/** @type {{[role in DeviceRole]: MediaTrackConstraints}} */
const CONSTRAINTS = {
  mic: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: { ideal: 1 } },
  camera: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
};
/** @type {{[role in DeviceRole]: string}} */
const KIND = { mic: 'audio', camera: 'video' };
/** @type {{[role in DeviceRole]: PermissionName}} */
const PERMISSION = { mic: 'microphone', camera: 'camera' };

/** The devices by role, as `{id, label}`. Labels are empty until the user has allowed a device. */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  /** @param {MediaDeviceKind} kind */
  const of = (kind) =>
    all
      .filter((device) => device.kind === kind && device.deviceId)
      .map((device) => ({ id: device.deviceId, label: device.label }));
  return { mic: of('audioinput'), camera: of('videoinput') };
}

/** Calls `listener` whenever a device comes or goes. @param {() => void} listener */
export function onDeviceChange(listener) {
  navigator.mediaDevices?.addEventListener?.('devicechange', listener);
}

/** @param {DeviceRole} role @param {string | undefined} id @returns {MediaTrackConstraints} */
const constraints = (role, id) => ({
  ...CONSTRAINTS[role],
  ...(id ? { deviceId: { exact: id } } : {}),
});

/**
 * @param {DeviceRole[]} roles
 * @param {{[role in DeviceRole]?: string}} choice
 * @returns {Promise<{[role in DeviceRole]?: Opened}>}
 */
async function capture(roles, choice) {
  const wanted = Object.fromEntries(roles.map((role) => [KIND[role], constraints(role, choice[role])]));
  const stream = await navigator.mediaDevices.getUserMedia(wanted);
  return Object.fromEntries(
    roles.map((role) => [role, { track: stream.getTracks().find((t) => t.kind === KIND[role]) }]),
  );
}

/**
 * Opens one device. Where the device `id` is no longer there the default one is opened.
 *
 * @param {DeviceRole} role
 * @param {string} id empty for the default device
 * @returns {Promise<Opened>}
 */
export async function openDevice(role, id) {
  try {
    return (await capture([role], { [role]: id }))[role] ?? {};
  } catch (error) {
    if (/** @type {any} */ (error).name === 'OverconstrainedError' && id) return openDevice(role, '');
    return { error };
  }
}

/**
 * Opens several devices with one question to the user.
 *
 * @param {DeviceRole[]} roles
 * @param {{[role in DeviceRole]: string}} choice device ids
 * @returns {Promise<{[role in DeviceRole]?: Opened}>}
 */
export async function openDevices(roles, choice) {
  if (roles.length < 2) return openEach(roles, choice, null);
  try {
    return await capture(roles, choice);
  } catch (error) {
    return openEach(roles, choice, error);
  }
}

/**
 * Opens devices one by one, to find out which of them failed. After a refusal only those that are
 * allowed are tried again.
 *
 * @param {DeviceRole[]} roles
 * @param {{[role in DeviceRole]: string}} choice
 * @param {any} failure
 */
async function openEach(roles, choice, failure) {
  /** @type {{[role in DeviceRole]?: Opened}} */
  const results = {};
  for (const role of roles) {
    const refused = failure?.name === 'NotAllowedError' && !(await isGranted(role));
    results[role] = refused ? { error: failure } : await openDevice(role, choice[role]);
  }
  return results;
}

/** @param {DeviceRole} role */
async function isGranted(role) {
  try {
    return (await navigator.permissions.query({ name: PERMISSION[role] })).state === 'granted';
  } catch {
    return false;
  }
}

/** Measures the level of a microphone track. */
export class LevelMeter {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {AnalyserNode | null} */
  #analyser = null;
  #samples = new Float32Array(1024);

  /** Listens to `track`, or to nothing. @param {MediaStreamTrack | null} track */
  attach(track) {
    this.#source?.disconnect();
    this.#source = null;
    const Context = window.AudioContext ?? window.webkitAudioContext;
    if (!track || !Context) return;
    this.#context ??= new Context();
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#samples = new Float32Array(this.#analyser.fftSize / 2);
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    // Some browsers start it suspended until a click; read() then stays at silence.
    this.#context.resume().catch(() => {});
  }

  /** Resumes after a click or a key, for browsers that insist on one. */
  wake() {
    this.#context?.resume().catch(() => {});
  }

  /** The level now, dBov. */
  read() {
    if (!this.#source) return -127;
    this.#analyser?.getFloatTimeDomainData(this.#samples);
    return dbovOf(this.#samples);
  }

  /** Frees the audio device. */
  close() {
    this.attach(null);
    this.#context?.close().catch(() => {});
    this.#context = null;
    this.#analyser = null;
  }
}
