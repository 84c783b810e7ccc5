// werift: WebRTC in TypeScript alone.
//
//   node werift.mjs publish URL PICTURES SOUND     VP8, until the input closes
//   node werift.mjs play URL PICTURES SOUND        H.264

import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useH264, useOPUS, useVP8 } from 'werift';

import { Depayloader, vp8Payloads } from './rtp.mjs';
import { inRealTime, inputCloses, join, PACKET_MS, PICTURE_MS, readMedia } from './session.mjs';
import { Received, run } from './session.mjs';

const [task, url, pictures, sound] = process.argv.slice(2);

/** A connection that uses loopback, where the server of the test is. */
function connection(video) {
  const pc = new RTCPeerConnection({
    codecs: { audio: [useOPUS()], video: [video] },
    iceAdditionalHostAddresses: ['127.0.0.1'],
    bundlePolicy: 'max-bundle',
  });
  // The constructor would add an empty list to its own, and ask a server on the Internet.
  pc.config.iceServers = [];
  return pc;
}

/** Negotiates, without trickling. */
async function negotiate(pc) {
  await pc.setLocalDescription(await pc.createOffer());
  const { answer, leave } = await join(url, pc.localDescription.sdp);
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  if (pc.connectionState !== 'connected') {
    await pc.connectionStateChange.watch((state) => state === 'connected');
  }
  return leave;
}

/** Numbers packets of a track. werift puts its own payload type and SSRC into them. */
class Packets {
  #sequence = 0;
  #track;

  constructor(track) {
    this.#track = track;
  }

  send(timestamp, payload, marker) {
    const sequenceNumber = this.#sequence++ & 0xffff;
    const header = new RtpHeader({ sequenceNumber, timestamp, marker, payloadType: 96 });
    this.#track.writeRtp(new RtpPacket(header, payload));
  }
}

async function publish() {
  const pc = connection(useVP8());
  const [mic, camera] = ['audio', 'video'].map((kind) => new MediaStreamTrack({ kind }));
  for (const track of [mic, camera]) pc.addTransceiver(track, { direction: 'sendonly' });
  const stopped = inputCloses();
  const leave = await negotiate(pc);
  const [heard, seen] = [new Packets(mic), new Packets(camera)];
  await Promise.all([
    inRealTime(readMedia(sound), PACKET_MS, stopped, (packet, n) => heard.send(n * 960, packet, n === 0)),
    inRealTime(readMedia(pictures), PICTURE_MS, stopped, (picture, n) => {
      const payloads = vp8Payloads(picture);
      payloads.forEach((payload, i) => seen.send(n * 6000, payload, i === payloads.length - 1));
    }),
  ]);
  await leave();
  await pc.close();
}

const received = new Received();

async function play() {
  const pc = connection(useH264());
  const depayloader = new Depayloader('MPEG4/ISO/AVC', (picture) => received.picture(picture));
  pc.onTrack.subscribe((track) => {
    track.onReceiveRtp.subscribe((rtp) => {
      if (track.kind === 'video') depayloader.push(rtp);
      else received.packet(rtp.payload);
    });
  });
  for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
  const leave = await negotiate(pc);
  await received.enough;
  received.write(pictures, sound);
  await leave();
  await pc.close();
}

await run({ publish, play }[task], () => `received: ${received}`);
