//! Tests of [`super`].
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::{self, Receiver};

use super::*;
use crate::media::bwe::fec::repeats;
use crate::media::mixer::audio::testing::{Item, samples, speech};
use crate::media::stream::tap::Subscription;

const SECOND: usize = 50;

/// An encoder and what comes out of it.
struct Speaker {
    encoder: MixEncoder,
    settings: Arc<EncoderSettings>,
    packets: Receiver<gst::Buffer>,
    _link: Subscription,
    said: u64,
}

impl Speaker {
    fn new() -> Self {
        gst::init().unwrap();
        let (encoder, settings, tap) = MixEncoder::new(40_000).unwrap();
        let (told, packets) = mpsc::channel();
        let link = tap.connect(Box::new(move |list, _| {
            list.iter()
                .for_each(|packet| told.send(packet.clone()).unwrap());
        }));
        Self {
            encoder,
            settings,
            packets,
            _link: link,
            said: 0,
        }
    }

    /// Encodes blocks. Returns the packets that are made of them.
    fn say(&mut self, blocks: &[Frame]) -> Vec<gst::Buffer> {
        for block in blocks {
            self.encoder.push(block, PERIOD * self.said);
            self.said += 1;
        }
        self.packets.try_iter().collect()
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
    for block in lost.iter().map(|n| n * FRAME..(n + 1) * FRAME) {
        for (a, b) in should[block.clone()].iter().zip(&is[block]) {
            all += a * a;
            wrong += (a - b) * (a - b);
        }
    }
    wrong / all
}

#[test]
fn lost_speech_is_had_from_the_next_packet_while_that_is_asked_for() {
    let mut speaker = Speaker::new();
    let speech = speech(14 * SECOND);
    let plain = speaker.say(&speech[..SECOND]);
    assert_eq!(repeating(&plain), 0);
    speaker.settings.set_fec(Fec::On);
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

    speaker.settings.set_fec(Fec::Off);
    let plain = speaker.say(&speech[13 * SECOND..]);
    assert!(repeating(&plain) <= 1, "{}", repeating(&plain));
}

#[test]
fn sound_takes_the_bits_that_it_is_given_while_it_runs() {
    let mut speaker = Speaker::new();
    let speech = speech(10 * SECOND);
    let full = kbits(&speaker.say(&speech[..5 * SECOND]));
    speaker.settings.set_bitrate(24_000);
    let lean = kbits(&speaker.say(&speech[5 * SECOND..]));
    println!("{full:.1} and {lean:.1} kbit/s");
    assert!(full > 35.0 && lean < 26.0, "{full} and {lean} kbit/s");
}

/// Sequence number, timestamp, size of the payload and marker of a packet.
fn numbers(packet: &gst::Buffer) -> (u16, u32, usize, bool) {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).unwrap();
    (
        rtp.seq(),
        rtp.timestamp(),
        rtp.payload_size() as usize,
        rtp.is_marker(),
    )
}

/// Protected or not: of three seconds of silence the first fifth is sent, and five packets a second.
#[test]
fn silence_is_not_encoded_and_a_pause_is_no_loss() {
    for fec in [Fec::Off, Fec::On] {
        let mut speaker = Speaker::new();
        speaker.settings.set_fec(fec);
        let packets = speaker.say(&[[0.0; FRAME]; 3 * SECOND]);
        let packets: Vec<_> = packets.iter().map(numbers).collect();
        assert!((20..30).contains(&packets.len()), "{packets:?}");
        let steps = packets.windows(2).map(|pair| (pair[0], pair[1]));
        for ((seq, timestamp, ..), (next, later, size, _)) in steps {
            assert_eq!(next, seq.wrapping_add(1), "nothing seems lost");
            let expected = if size == 1 { [960, 9600] } else { [960, 960] };
            let step = later.wrapping_sub(timestamp);
            assert!(expected.contains(&step), "{step} in {packets:?}");
        }
        let word = speaker.say(&speech(10));
        let words: Vec<_> = word.iter().map(numbers).collect();
        assert_eq!(words.len(), 10);
        assert!(
            words[0].3 && !words[1].3,
            "the first after a pause: {words:?}"
        );
        assert_eq!(words[0].0, packets[packets.len() - 1].0.wrapping_add(1));
    }
}
