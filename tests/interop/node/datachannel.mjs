// node-datachannel: libdatachannel, in C++.
//
//   node datachannel.mjs publish URL PICTURES SOUND        H.264, until the input closes
//   node datachannel.mjs publish-bare URL PICTURES SOUND   the same, without a=ssrc
//   node datachannel.mjs play URL PICTURES SOUND MS        VP8, and more after so many milliseconds

import { setTimeout as sleep } from 'node:timers/promises';

import datachannel from 'node-datachannel';
import { RtpPacket } from 'werift';

import { Depayloader } from './rtp.mjs';
import { inRealTime, inputCloses, join, PACKET_MS, PICTURE_MS, readMedia } from './session.mjs';
import { Received, run } from './session.mjs';

const [task, url, pictures, sound, stay] = process.argv.slice(2);
const stayMs = Number(stay ?? 0);

const H264 = { pt: 96, rate: 90_000, ssrc: 4711 };
const OPUS = { pt: 111, rate: 48_000, ssrc: 4712 };

/** A connection that uses loopback, where the server of the test is. */
function connection() {
  const config = { iceServers: [], bindAddress: '127.0.0.1', disableAutoNegotiation: true };
  return new datachannel.PeerConnection('client', config);
}

/** Negotiates, without trickling, and waits until media can flow. */
async function negotiate(pc) {
  const gathered = new Promise((resolve) => pc.onGatheringStateChange((state) => state === 'complete' && resolve()));
  const connected = new Promise((resolve, reject) =>
    pc.onStateChange((state) => {
      if (state === 'connected') resolve();
      if (state === 'failed') reject(new Error('the connection failed'));
    }),
  );
  pc.setLocalDescription('offer');
  await gathered;
  const { answer, leave } = await join(url, pc.localDescription().sdp);
  try {
    pc.setRemoteDescription(answer, 'answer');
  } catch (error) {
    throw new Error(`${pc.state()}, and then this answer: ${answer}`, { cause: error });
  }
  await connected;
  return leave;
}

/** An m-line to send on, and the clock of its packets. */
function sending(pc, media, { pt, rate, ssrc }, packetizer, named) {
  if (named) media.addSSRC(ssrc, 'client', 'stream', media.mid());
  const track = pc.addTrack(media);
  const clock = new datachannel.RtpPacketizationConfig(ssrc, 'client', pt, rate);
  const handler = packetizer(clock);
  handler.addToChain(new datachannel.RtcpSrReporter(clock));
  handler.addToChain(new datachannel.RtcpNackResponder());
  track.setMediaHandler(handler);
  const open = new Promise((resolve) => track.onOpen(resolve));
  return { track, clock, open };
}

async function publish(named = true) {
  const pc = connection();
  const audio = new datachannel.Audio('0', 'SendOnly');
  audio.addOpusCodec(OPUS.pt);
  const video = new datachannel.Video('1', 'SendOnly');
  video.addH264Codec(H264.pt);
  const opus = (clock) => new datachannel.RtpPacketizer(clock);
  const h264 = (clock) => new datachannel.H264RtpPacketizer('StartSequence', clock);
  const mic = sending(pc, audio, OPUS, opus, named);
  const camera = sending(pc, video, H264, h264, named);
  const stopped = inputCloses();
  const leave = await negotiate(pc);
  await Promise.all([mic.open, camera.open]);
  const send = ({ track, clock }, step) => {
    return (unit, n) => {
      clock.timestamp = n * step;
      track.sendMessageBinary(unit);
    };
  };
  await Promise.all([
    inRealTime(readMedia(sound), PACKET_MS, stopped, send(mic, 960)),
    inRealTime(readMedia(pictures), PICTURE_MS, stopped, send(camera, 6000)),
  ]);
  await leave();
  pc.close();
}

const received = new Received();

async function play() {
  const pc = connection();
  const depayloader = new Depayloader('VP8', (picture) => received.picture(picture));
  const audio = new datachannel.Audio('0', 'RecvOnly');
  audio.addOpusCodec(OPUS.pt);
  const video = new datachannel.Video('1', 'RecvOnly');
  video.addVP8Codec(H264.pt);
  const receive = (media, take) => {
    const track = pc.addTrack(media);
    track.setMediaHandler(new datachannel.RtcpReceivingSession());
    track.onMessage((message) => take(RtpPacket.deSerialize(message)));
    return track;
  };
  const tracks = [
    receive(audio, (rtp) => received.packet(rtp.payload)),
    receive(video, (rtp) => depayloader.push(rtp)),
  ];
  const leave = await negotiate(pc);
  await received.enough;
  await sleep(stayMs);
  received.more();
  await received.enough;
  received.write(pictures, sound);
  await leave();
  tracks.forEach((track) => track.close());
  pc.close();
}

const tasks = { publish, 'publish-bare': () => publish(false), play };
await run(tasks[task], () => `received: ${received}`, stayMs);
