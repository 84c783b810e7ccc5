// RTP payloads of pictures: what neither client does of its own.

import { dePacketizeRtpPackets } from 'werift';

/** Most bytes of a payload. */
const MTU = 1100;

/** A VP8 picture in payloads (RFC 7741), with the shortest descriptor there is. */
export function vp8Payloads(picture) {
  const payloads = [];
  for (let at = 0; at < picture.length; at += MTU) {
    const start = at === 0 ? 0x10 : 0;
    payloads.push(Buffer.concat([Buffer.from([start]), picture.subarray(at, at + MTU)]));
  }
  return payloads;
}

/** Puts pictures together again, from the first keyframe on. A picture that lacks a packet, and
 * all until the next keyframe, is left out. */
export class Depayloader {
  #codec;
  #give;
  #packets = [];
  #next;
  #whole = false;

  constructor(codec, give) {
    this.#codec = codec;
    this.#give = give;
  }

  push(rtp) {
    const { sequenceNumber, marker } = rtp.header;
    if (this.#next !== undefined && sequenceNumber !== this.#next) this.#whole = false;
    this.#next = (sequenceNumber + 1) & 0xffff;
    if (rtp.payload.length > 0) this.#packets.push(rtp);
    if (!marker) return;
    const packets = this.#packets.splice(0);
    const { data, isKeyframe } = dePacketizeRtpPackets(this.#codec, packets);
    this.#whole ||= isKeyframe;
    if (this.#whole) this.#give(data);
  }
}
