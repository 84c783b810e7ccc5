// What the clients here share: WHIP and WHEP (RFC 9725), files of coded media, real time.
//
// A file of media is one coded picture or Opus packet after the other, each behind its length in
// four bytes, the most significant first.

import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds from one picture to the next, and from one Opus packet to the next. */
export const PICTURE_MS = 1000 / 15;
export const PACKET_MS = 20;

/** Longest time that anything here takes; only what hangs reaches it. Milliseconds. */
const PATIENCE_MS = 25_000;

/** How much is received: a mix in which nothing moves has five pictures a second. */
const PICTURES = 10;
const PACKETS = 100;

/** The coded pictures or packets of a file. */
export function readMedia(path) {
  const file = readFileSync(path);
  const units = [];
  for (let at = 0; at < file.length;) {
    const end = at + 4 + file.readUInt32BE(at);
    units.push(file.subarray(at + 4, end));
    at = end;
  }
  return units;
}

function writeMedia(path, units) {
  const framed = units.flatMap((unit) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(unit.length);
    return [length, unit];
  });
  writeFileSync(path, Buffer.concat(framed));
}

/** Makes an offer to a WHIP or WHEP endpoint. */
export async function join(url, offer) {
  const headers = { 'content-type': 'application/sdp' };
  const response = await fetch(url, { method: 'POST', headers, body: offer });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(`${response.status}: ${answer}\n${offer}`);
  const session = new URL(response.headers.get('location'), url);
  const leave = async () => {
    const left = await fetch(session, { method: 'DELETE' });
    if (!left.ok) throw new Error(`${left.status}: ${await left.text()}`);
  };
  return { answer, leave };
}

/** Sends units over and over, each when it is due, until `stopped` settles. */
export async function inRealTime(units, everyMs, stopped, send) {
  let on = true;
  stopped.then(() => (on = false));
  const start = performance.now();
  for (let n = 0; on; n++) {
    send(units[n % units.length], n);
    await sleep(Math.max(0, start + (n + 1) * everyMs - performance.now()));
  }
}

/** Settles when whoever started this closes its input. */
export function inputCloses() {
  return new Promise((resolve) => process.stdin.once('end', resolve).resume());
}

/** Coded media as it is received, and whether it is enough to be judged. */
export class Received {
  #pictures = [];
  #packets = [];
  #wanted;
  #enough;

  constructor() {
    this.more();
  }

  /** Wants as much again: `enough` settles when that has come. */
  more() {
    this.#wanted = [this.#pictures.length + PICTURES, this.#packets.length + PACKETS];
    this.enough = new Promise((resolve) => (this.#enough = resolve));
  }

  picture(data) {
    this.#pictures.push(Buffer.from(data));
    this.#look();
  }

  packet(data) {
    this.#packets.push(Buffer.from(data));
    this.#look();
  }

  #look() {
    const [pictures, packets] = this.#wanted;
    if (this.#pictures.length >= pictures && this.#packets.length >= packets) this.#enough();
  }

  write(pictures, packets) {
    writeMedia(pictures, this.#pictures);
    writeMedia(packets, this.#packets);
  }

  toString() {
    return `${this.#pictures.length} pictures, ${this.#packets.length} packets of sound`;
  }
}

/**
 * Runs a client to its end, and ends the process, with an error if that takes too long: longer than
 * it stays on purpose.
 */
export async function run(client, progress = () => '', stayMs = 0) {
  const late = setTimeout(() => {
    console.error(`not done after ${PATIENCE_MS + stayMs} ms. ${progress()}`);
    process.exit(1);
  }, PATIENCE_MS + stayMs);
  await client();
  clearTimeout(late);
  process.exit(0);
}
