//! Rooms of people who say how loud they are, against the same rooms with all of them decoded.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use opusic_c::{Application, Bitrate, Channels, Encoder, SampleRate};
use parking_lot::Mutex;
use proptest::prelude::*;

use super::block_sink::{BlockSink, PERIOD};
use super::candidates::MAX_VOICES;
use super::decoder::VoiceDecoder;
use super::feed::PacketFeed;
use super::gate::frame_level;
use super::input::{Feed, Microphone};
use super::mix::{FRAME, Frame};
use super::sound::{Command, SoundEvent, SoundMixer};
use super::testing::speech;
use super::voice::Voice;
use crate::id::{ParticipantId, Role, SourceId};
use crate::media::mixer::output::MixMinus;
use crate::media::rtp::payload::reader::is_silence;
use crate::media::stream::audio_level::AudioLevel;
use crate::media::stream::tap::TapInput;

/// Id of the header extension of levels.
const LEVEL: u8 = 1;

/// Blocks that are mixed in these tests: as much as a sender may send at once.
const BLOCKS: usize = 380;

/// The block that is -80 dBov of noise, as of a quiet room.
fn noise(seed: u32) -> Frame {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32 - 0.5) * 3.5e-4
    })
}

/// What somebody says: noise, and words of the recording at these blocks, each from there on.
#[derive(Clone)]
struct Script(Vec<Frame>);

impl Script {
    fn quiet(seed: u32) -> Self {
        Self(
            (0..BLOCKS as u32)
                .map(|n| noise(seed * 10_000 + n))
                .collect(),
        )
    }

    /// So many blocks of the recording, from one on, are said at `at`.
    fn say(mut self, at: usize, recorded: &[Frame]) -> Self {
        for (block, words) in self.0[at..].iter_mut().zip(recorded) {
            for (sample, word) in block.iter_mut().zip(words) {
                *sample += word;
            }
        }
        self
    }

    /// The packets of it, each with its level as libwebrtc measures it.
    fn packets(&self) -> Vec<(u8, Vec<u8>)> {
        let mut encoder =
            Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Voip).unwrap();
        encoder.set_bitrate(Bitrate::Value(32_000)).unwrap();
        let packet = |block: &Frame| {
            let mut packet = [0; 1_500];
            let length = encoder.encode_float_to_slice(block, &mut packet).unwrap();
            let level = (-frame_level(block)).round() as u8;
            (level, packet[..length].to_vec())
        };
        self.0.iter().map(packet).collect()
    }
}

/// A packet in RTP, with its level if it says it.
fn rtp(n: usize, level: Option<u8>, payload: &[u8]) -> gst::Buffer {
    let mut packet = vec![0x80 | u8::from(level.is_some()) << 4, 111];
    packet.extend((n as u16).to_be_bytes());
    packet.extend((n as u32 * 960).to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    if let Some(level) = level {
        packet.extend([0xbe, 0xde, 0, 1, LEVEL << 4, level, 0, 0]);
    }
    packet.extend(payload);
    let mut packet = gst::Buffer::from_mut_slice(packet);
    packet.get_mut().unwrap().set_pts(PERIOD * n as u64);
    packet
}

/// The mix of a room, and how many were decoded for it in each beat.
struct Heard {
    mix: Vec<Frame>,
    decoded: Vec<usize>,
    events: Vec<SoundEvent>,
}

struct Collector(Arc<Mutex<Vec<Frame>>>);

impl BlockSink for Collector {
    fn push(&mut self, block: &Frame, _at: gst::ClockTime) {
        self.0.lock().push(*block);
    }
}

/// Mixes these people, who say how loud they are or do not. Of the packets those are lost whose
/// person and number `lost` takes.
fn mix(people: &[Script], say: bool, lost: impl Fn(usize, usize) -> bool) -> Heard {
    gst::init().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let mut mixer = SoundMixer::new(Box::new(move |event| told.lock().push(event)));
    let mixed = Arc::new(Mutex::new(Vec::new()));
    let collector = Box::new(Collector(Arc::clone(&mixed)));
    mixer.apply(Command::AddOutput(MixMinus::Nobody, collector));
    let mut uplinks = Vec::new();
    for (n, script) in people.iter().enumerate() {
        let level = match say {
            true => AudioLevel::new(LEVEL),
            false => AudioLevel::unsaid(),
        };
        let (input, tap) = TapInput::of_microphone(level);
        let participant = ParticipantId::new(n as u32 + 1);
        let source = SourceId {
            participant,
            role: Role::Mic,
        };
        let microphone = Microphone {
            feed: Feed::Packets(Voice::new(PacketFeed::new(source, &tap))),
            delay: Arc::default(),
        };
        mixer.apply(Command::AddSource(participant, microphone));
        uplinks.push((input, script.packets()));
    }
    let mut decoded = Vec::new();
    for n in 0..BLOCKS {
        for (who, (input, packets)) in uplinks.iter().enumerate() {
            let (level, payload) = &packets[n];
            if !lost(who, n) {
                input.push(&[rtp(n, say.then_some(*level), payload)]);
            }
        }
        mixer.tick(PERIOD * n as u64);
        decoded.push(mixer.decoded());
    }
    drop(mixer);
    let mix = Arc::try_unwrap(mixed).unwrap().into_inner();
    let events = Arc::try_unwrap(events).unwrap().into_inner();
    Heard {
        mix,
        decoded,
        events,
    }
}

fn samples(mix: &[Frame]) -> Vec<f32> {
    mix.iter().flatten().copied().collect()
}

/// By how much less what is wrong is than what should be there, dB.
fn fidelity(should: &[f32], is: &[f32]) -> f64 {
    let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|s| s * s).sum::<f64>();
    let all = energy(&mut should.iter().map(|s| f64::from(*s)));
    let wrong = energy(&mut should.iter().zip(is).map(|(a, b)| f64::from(a - b)));
    10.0 * (all / wrong.max(1e-12)).log10()
}

/// The first millisecond from `from` on that is louder than -50 dBov.
fn onset(mix: &[f32], from: usize) -> usize {
    const MS: usize = FRAME / 20;
    let loud = |ms: &[f32]| ms.iter().map(|s| s * s).sum::<f32>() / MS as f32 > 1e-5;
    let found = mix[from * FRAME..].chunks(MS).position(loud);
    found.expect("somebody speaks") + from * 20
}

/// Where words begin in the recording: the blocks before which it is quiet, and after which it is not.
fn words(recorded: &[Frame]) -> Vec<usize> {
    let levels: Vec<f32> = recorded.iter().map(frame_level).collect();
    let begins = |n: &usize| {
        let quiet = levels[n - 3..*n].iter().all(|level| *level < -55.0);
        quiet && levels[*n..n + 5].iter().any(|level| *level > -35.0)
    };
    let mut words: Vec<usize> = (3..levels.len() - 60).filter(begins).collect();
    words.dedup_by(|next, word| *next < *word + 10);
    words
}

/// Each word of the recording is said after a second of quiet, in which its speaker is not decoded.
#[test]
fn the_first_syllable_is_whole() {
    let recorded = speech(550);
    let begins = words(&recorded);
    assert!(begins.len() >= 5, "{begins:?}");
    for word in begins {
        // From a bit before, as its consonants may be faint.
        let said = Script::quiet(1).say(150, &recorded[word - 3..word + 47]);
        let all = mix(std::slice::from_ref(&said), false, |_, _| false);
        let candidates = mix(&[said], true, |_, _| false);
        assert_eq!(candidates.decoded[140], 0, "nobody is decoded before");
        let (should, is) = (samples(&all.mix), samples(&candidates.mix));
        let missing = onset(&is, 140) as i64 - onset(&should, 140) as i64;
        let beginning = 150 * FRAME..165 * FRAME;
        let alike = fidelity(&should[beginning.clone()], &is[beginning]);
        println!("word {word}: {missing} ms of onset missing, {alike:.1} dB");
        assert!(missing.abs() <= 20, "{missing} ms of word {word}");
        assert!(alike > 50.0, "{alike} dB of word {word}");
    }
}

/// A room of 20 in which two talk in turns and at once.
#[test]
fn the_mix_is_that_of_all_and_few_are_decoded() {
    let recorded = speech(550);
    let mut people: Vec<Script> = (0..20).map(Script::quiet).collect();
    people[3] = Script::quiet(3)
        .say(20, &recorded[..120])
        .say(250, &recorded[300..400]);
    people[8] = Script::quiet(8).say(120, &recorded[150..290]);
    let all = mix(&people, false, |_, _| false);
    let candidates = mix(&people, true, |_, _| false);
    let alike = fidelity(&samples(&all.mix), &samples(&candidates.mix));
    let most = candidates.decoded.iter().max().unwrap();
    println!("{alike:.1} dB, at most {most} decoded");
    assert!(alike > 50.0, "{alike} dB");
    assert!(*most <= 2, "{most} decoded");
    assert_eq!(all.decoded[BLOCKS - 1], 20);
    let heard = |events: &[SoundEvent]| -> Vec<(ParticipantId, bool)> {
        let heard = |event: &SoundEvent| match event {
            SoundEvent::Heard(who, heard) => Some((*who, *heard)),
            _ => None,
        };
        events.iter().filter_map(heard).collect()
    };
    assert_eq!(heard(&candidates.events), heard(&all.events));
    assert!(heard(&all.events).len() >= 4, "two who speak");
}

/// Eight who speak at once: six of them are decoded, and all six are heard.
#[test]
fn of_more_speakers_than_places_six_are_heard() {
    let recorded = speech(550);
    let people: Vec<Script> = (0..8)
        .map(|n| Script::quiet(n).say(20 + 5 * n as usize, &recorded[60 * n as usize..][..100]))
        .collect();
    let heard = mix(&people, true, |_, _| false);
    let most = *heard.decoded.iter().max().unwrap();
    assert_eq!(most, MAX_VOICES);
}

/// What is lost is made up for as if all were decoded, for those who begin to speak as well.
#[test]
fn a_loss_before_and_in_a_word_is_made_up_for() {
    let recorded = speech(550);
    let word = words(&recorded)[0];
    let said = [Script::quiet(1).say(150, &recorded[word - 3..word + 97])];
    let lost = |_: usize, n: usize| n == 148 || n > 160 && n.is_multiple_of(9);
    let all = mix(&said, false, lost);
    let candidates = mix(&said, true, lost);
    let alike = fidelity(&samples(&all.mix), &samples(&candidates.mix));
    println!("{alike:.1} dB");
    assert!(alike > 50.0, "{alike} dB");
    let undisturbed = mix(&said, false, |_, _| false);
    let concealed = fidelity(&samples(&undisturbed.mix), &samples(&all.mix));
    println!("{concealed:.1} dB with one packet in nine lost");
    assert!(concealed > 3.0, "{concealed} dB");
}

/// The right channel is the left one upside down. Their sum would be silence.
#[test]
fn sound_in_antiphase_is_heard() {
    let mut encoder =
        Encoder::new(Channels::Stereo, SampleRate::Hz48000, Application::Audio).unwrap();
    encoder.set_bitrate(Bitrate::Value(128_000)).unwrap();
    let mut decoder = VoiceDecoder::new().unwrap();
    let mut loudest = 0f32;
    for n in 0..20 {
        let tone = |i: usize| ((n * FRAME + i) as f32 * 440.0 / 7_639.4).sin() * 0.5;
        let block: Vec<f32> = (0..FRAME).flat_map(|i| [tone(i), -tone(i)]).collect();
        let mut packet = [0; 1_500];
        let length = encoder.encode_float_to_slice(&block, &mut packet).unwrap();
        let decoded = decoder.decode(0, FRAME, &packet[..length]);
        assert_eq!(decoded.len(), FRAME);
        loudest = decoded
            .iter()
            .fold(loudest, |loudest, s| loudest.max(s.abs()));
    }
    assert!(loudest > 0.3, "{loudest}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever else is in it. The second, as one packet fades into the next.
    #[test]
    fn what_says_that_it_is_silence_is(
        first in any::<u8>(), last in 0xfeu8..=0xff, rest in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut packet = vec![first | 0x80, 0xff, last];
        packet[0] &= !3;
        packet.extend(rest);
        prop_assert!(is_silence(&packet));
        let mut decoder = VoiceDecoder::new().unwrap();
        decoder.decode(0, FRAME, &packet);
        let loudest = decoder.decode(0, FRAME, &packet).iter().fold(0f32, |l, s| l.max(s.abs()));
        prop_assert!(loudest < 1e-4, "{loudest}");
    }

    /// What strangers send neither ends the decoder nor makes it longer than it says.
    #[test]
    fn any_packet_is_decoded_to_its_length(
        packets in prop::collection::vec(
            (0usize..4_000, prop::collection::vec(any::<u8>(), 0..60)), 1..20,
        ),
    ) {
        let mut decoder = VoiceDecoder::new().unwrap();
        for (lost, packet) in packets {
            let samples = crate::media::rtp::payload::reader::samples(&packet) as usize;
            let decoded = decoder.decode(lost, samples, &packet).len();
            prop_assert!(decoded >= samples && decoded <= samples + lost);
        }
    }
}
