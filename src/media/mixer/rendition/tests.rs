//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::{self, Receiver};

use super::*;
use crate::layout::Size;
use crate::media::bwe::fec::repeats;
use crate::media::mixer::video::encoder_input::EncoderInput;
use crate::media::stream::tap::Subscription;

/// Samples of a block, of 20 ms.
const BLOCK: usize = 960;
const SECOND: usize = 50;

/// So many blocks of somebody who speaks.
fn speech(blocks: usize) -> Vec<Vec<f32>> {
    static VOICE: &[u8] = include_bytes!("../../../../assets/media/voice-1.opus");
    let voice = gst::Buffer::from_slice(VOICE);
    let launch = "appsrc name=in ! oggdemux ! opusdec";
    let samples = samples(launch, [voice.into()]);
    let blocks = samples.chunks_exact(BLOCK).take(blocks);
    blocks.map(<[f32]>::to_vec).collect()
}

/// What an appsrc is given.
enum Item {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

impl From<gst::Buffer> for Item {
    fn from(buffer: gst::Buffer) -> Self {
        Self::Buffer(buffer)
    }
}

/// What comes out of a decoder that is given `items`, mono, 48 kHz.
fn samples(launch: &str, items: impl IntoIterator<Item = Item>) -> Vec<f32> {
    let launch = format!(
        "{launch} ! audioconvert ! audioresample ! \
         audio/x-raw,format=F32LE,rate=48000,channels=1"
    );
    let mut samples = Vec::new();
    for sample in decoded(&launch, items) {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let values = map.chunks_exact(4);
        samples.extend(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    }
    samples
}

/// What comes out of a pipeline whose appsrc `in` is given `items`.
fn decoded(launch: &str, items: impl IntoIterator<Item = Item>) -> Vec<gst::Sample> {
    let pipeline = gst::parse::launch(&format!("{launch} ! appsink name=out sync=false")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap();
    let input = input.downcast::<gst_app::AppSrc>().unwrap();
    let output = pipeline.by_name("out").unwrap();
    let output = output.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for item in items {
        match item {
            Item::Buffer(buffer) => assert!(input.push_buffer(buffer).is_ok()),
            Item::Event(event) => assert!(input.send_event(event)),
        }
    }
    input.end_of_stream().unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = output.pull_sample() {
        samples.push(sample);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// The packets of a rendition, as long as the link is there.
fn listen(rendition: &Rendition) -> (Receiver<gst::Buffer>, Subscription) {
    let (told, packets) = mpsc::channel();
    let link = rendition.tap().connect(Box::new(move |list, _| {
        list.iter().for_each(|packet| {
            let _ = told.send(packet.clone());
        });
    }));
    (packets, link)
}

/// A rendition of sound and what comes out of it.
struct Speaker {
    rendition: Rendition,
    packets: Receiver<gst::Buffer>,
    _link: Subscription,
    said: u64,
}

impl Speaker {
    fn new() -> Self {
        gst::init().unwrap();
        let templates = Templates::load(None).unwrap();
        let rendition = Rendition::sound(&templates, 40_000, |why| panic!("{why}")).unwrap();
        let (packets, link) = listen(&rendition);
        Self {
            rendition,
            packets,
            _link: link,
            said: 0,
        }
    }

    /// Encodes blocks, one packet each.
    fn say(&mut self, blocks: &[Vec<f32>]) -> Vec<gst::Buffer> {
        let block = |samples: &Vec<f32>| {
            let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
            let mut block = gst::Buffer::from_mut_slice(bytes);
            let header = block.get_mut().unwrap();
            header.set_pts(gst::ClockTime::from_mseconds(20) * self.said);
            header.set_duration(gst::ClockTime::from_mseconds(20));
            self.said += 1;
            self.rendition.input().push_buffer(block).unwrap();
            self.packets.recv_timeout(Duration::from_secs(20)).unwrap()
        };
        blocks.iter().map(block).collect()
    }
}

fn payload(packet: &gst::Buffer) -> Vec<u8> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).unwrap();
    rtp.payload().unwrap().to_vec()
}

/// kbit/s of their payloads.
fn kbits(packets: &[gst::Buffer]) -> f64 {
    let bytes: usize = packets.iter().map(|packet| payload(packet).len()).sum();
    bytes as f64 * 8.0 / (packets.len() as f64 * 20.0)
}

fn repeating(packets: &[gst::Buffer]) -> usize {
    packets.iter().filter(|p| repeats(&payload(p))).count()
}

/// What a listener hears who gets all packets but those `lost`, and is told of these as by a
/// jitterbuffer.
fn heard(packets: &[gst::Buffer], lost: &[usize], fec: bool) -> Vec<f32> {
    let items = packets.iter().enumerate().map(|(n, packet)| {
        if !lost.contains(&n) {
            return packet.clone().into();
        }
        let gap = gst::Structure::builder("GstRTPPacketLost")
            .field("timestamp", packet.pts().unwrap())
            .field("duration", gst::ClockTime::from_mseconds(20))
            .build();
        Item::Event(gst::event::CustomDownstream::new(gap))
    });
    let launch = format!(
        "appsrc name=in format=time max-bytes=0 \
         caps=application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=97 ! \
         rtpopusdepay ! opusdec plc=true use-inband-fec={fec}"
    );
    samples(&launch, items)
}

/// The energy of what is wrong in the blocks that were lost, of that of all that should be there.
fn error(should: &[f32], is: &[f32], lost: &[usize]) -> f32 {
    let (mut all, mut wrong) = (0.0, 0.0);
    for block in lost.iter().map(|n| n * BLOCK..(n + 1) * BLOCK) {
        for (a, b) in should[block.clone()].iter().zip(&is[block]) {
            all += a * a;
            wrong += (a - b) * (a - b);
        }
    }
    wrong / all
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_speech_is_had_from_the_next_packet_while_that_is_asked_for() {
    let mut speaker = Speaker::new();
    let speech = speech(14 * SECOND);
    let plain = speaker.say(&speech[..SECOND]);
    assert_eq!(repeating(&plain), 0);
    speaker.rendition.set_fec(Fec::On);
    let packets = speaker.say(&speech[SECOND..13 * SECOND]);
    let repeated = repeating(&packets);
    println!(
        "{repeated} of {} packets say the one before again; {:.1} kbit/s, {:.1} without",
        packets.len(),
        kbits(&packets),
        kbits(&plain)
    );
    // There are pauses between words.
    assert!(repeated * 100 > packets.len() * 60, "{repeated}");
    assert!(kbits(&packets) < kbits(&plain) * 1.05, "within its bits");

    // One in ten, and each but the last has its next.
    let lost: Vec<usize> = (5..packets.len() - 1).step_by(10).collect();
    let should = heard(&packets, &[], false);
    let concealed = error(&should, &heard(&packets, &lost, false), &lost);
    let mended = error(&should, &heard(&packets, &lost, true), &lost);
    println!("of the energy lost {concealed:.2} is wrong if concealed, {mended:.2} if mended");
    assert!(mended < concealed / 2.0, "{mended} of {concealed}");

    speaker.rendition.set_fec(Fec::Off);
    let plain = speaker.say(&speech[13 * SECOND..]);
    assert!(repeating(&plain) <= 1, "{}", repeating(&plain));
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_takes_the_bits_that_it_is_given_while_it_runs() {
    let mut speaker = Speaker::new();
    let speech = speech(10 * SECOND);
    let full = kbits(&speaker.say(&speech[..5 * SECOND]));
    speaker.rendition.set_bitrate(24_000);
    let lean = kbits(&speaker.say(&speech[5 * SECOND..]));
    println!("{full:.1} and {lean:.1} kbit/s");
    assert!(full > 35.0 && lean < 26.0, "{full} and {lean} kbit/s");
}

/// Every `step`th picture of the film, as a canvas hands them to encoders of stills.
fn film(step: usize) -> (gst::Caps, Vec<gst::Buffer>) {
    static FILM: &[u8] = include_bytes!("../../../../assets/media/bigbuckbunny.mp4");
    let launch = "appsrc name=in ! qtdemux ! h264parse ! decodebin ! videoconvert ! \
                  video/x-raw,format=I420";
    let samples = decoded(launch, [gst::Buffer::from_slice(FILM).into()]);
    let mut caps = samples[0].caps_owned().unwrap();
    let fps = gst::Fraction::new(1, 1);
    caps.make_mut().set("framerate", fps);
    let frames = samples.iter().step_by(step);
    (caps, frames.map(|s| s.buffer_owned().unwrap()).collect())
}

/// Bytes of the packets of each still that is made of `frames`, five seconds apart.
fn stills(encoder: Encoder, bitrate: u32, caps: &gst::Caps, frames: &[gst::Buffer]) -> Vec<usize> {
    let templates = Templates::load(None).unwrap();
    let rung = RungSpec {
        size: Size {
            width: 320,
            height: 180,
        },
        pace: Pace::Still(Duration::from_secs(5)),
        least: bitrate,
        most: bitrate,
    };
    let failed = |why| panic!("{why}");
    let rendition = Rendition::pictures(&templates, encoder, &rung, caps, failed).unwrap();
    let (packets, _link) = listen(&rendition);
    let mut sizes = Vec::new();
    let mut encoder_input = EncoderInput::new(rendition.input().clone(), rung.pace);
    for (n, frame) in (1..).zip(frames) {
        let at = gst::ClockTime::from_seconds(5) * n;
        encoder_input.offer(frame, at, gst::ClockTime::SECOND / 30);
        sizes.push(0);
        loop {
            let packet = packets.recv_timeout(Duration::from_secs(20)).unwrap();
            *sizes.last_mut().unwrap() += packet.size();
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&packet).unwrap();
            if rtp.is_marker() {
                break;
            }
        }
    }
    sizes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_still_takes_more_than_its_share() {
    gst::init().unwrap();
    let (caps, frames) = film(20);
    let all = [
        (Encoder::OpenH264, "openh264enc"),
        (Encoder::X264, "x264enc"),
        (Encoder::Vp8, "vp8enc"),
    ];
    // x264 is not among the packages that Tessera needs.
    let there_are = |(_, name): &(Encoder, &str)| gst::ElementFactory::find(name).is_some();
    for (encoder, name) in all.into_iter().filter(there_are) {
        for bitrate in [8_000, 12_000, 24_000] {
            let sizes = stills(encoder, bitrate, &caps, &frames);
            println!("{name} at {bitrate} bit/s: {sizes:?}");
            let share = bitrate as usize * 5 / 8;
            let most = sizes.iter().max().unwrap();
            assert!(*most < share * 5 / 4, "{name}: {most} of {share} bytes");
        }
    }
}
