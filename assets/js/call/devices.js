// Cameras and microphones: what there is, opening them, and how loud one is.

import { dbovOf } from '../base/levels.js';

const CONSTRAINTS = {
  mic: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: { ideal: 1 } },
  camera: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
};
const KIND = { mic: 'audio', camera: 'video' };
const PERMISSION = { mic: 'microphone', camera: 'camera' };

/** The devices by role, as `{id, label}`; labels are empty until the user has allowed one. */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const of = (kind) =>
    all
      .filter((device) => device.kind === kind && device.deviceId)
      .map((device) => ({ id: device.deviceId, label: device.label }));
  return { mic: of('audioinput'), camera: of('videoinput') };
}

/** Calls `listener` whenever a device comes or goes. */
export function onDeviceChange(listener) {
  navigator.mediaDevices?.addEventListener?.('devicechange', listener);
}

const constraints = (role, id) => ({
  ...CONSTRAINTS[role],
  ...(id ? { deviceId: { exact: id } } : {}),
});

async function capture(roles, choice) {
  const wanted = Object.fromEntries(roles.map((role) => [KIND[role], constraints(role, choice[role])]));
  const stream = await navigator.mediaDevices.getUserMedia(wanted);
  return Object.fromEntries(
    roles.map((role) => [role, { track: stream.getTracks().find((t) => t.kind === KIND[role]) }]),
  );
}

/** Opens one device: `{track}` or `{error}`. A remembered one that is gone gives the default. */
export async function openDevice(role, id) {
  try {
    return (await capture([role], { [role]: id }))[role];
  } catch (error) {
    if (error.name === 'OverconstrainedError' && id) return openDevice(role, '');
    return { error };
  }
}

/** Opens several with one question to the user; by role `{track}` or `{error}`. */
export async function openDevices(roles, choice) {
  if (roles.length < 2) return openEach(roles, choice, null);
  try {
    return await capture(roles, choice);
  } catch (error) {
    return openEach(roles, choice, error);
  }
}

/** One of two failed: find out which. After a refusal, only what is allowed is tried again. */
async function openEach(roles, choice, failure) {
  const results = {};
  for (const role of roles) {
    const refused = failure?.name === 'NotAllowedError' && !(await isGranted(role));
    results[role] = refused ? { error: failure } : await openDevice(role, choice[role]);
  }
  return results;
}

async function isGranted(role) {
  try {
    return (await navigator.permissions.query({ name: PERMISSION[role] })).state === 'granted';
  } catch {
    return false;
  }
}

/** Measures a microphone track; one meter at a time. */
export class LevelMeter {
  #context = null;
  #source = null;
  #analyser = null;
  #samples = new Float32Array(1024);

  /** Listens to `track`, or to nothing. */
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

  /** Resumes after a click or key, for browsers that insist on one. */
  wake() {
    this.#context?.resume().catch(() => {});
  }

  /** The level now, dBov. */
  read() {
    if (!this.#source) return -127;
    this.#analyser.getFloatTimeDomainData(this.#samples);
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
