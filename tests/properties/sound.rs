//! The sound path under random packets, drift and loudness: nothing clicks, clips or piles up.

use std::f32::consts::TAU;

use proptest::collection::vec;
use proptest::prelude::*;
use tessera::media::mixer::audio::gate::{CLOSE, GateChange, HANGOVER, OPEN, OPENING, VoiceGate};
use tessera::media::mixer::audio::mix::{
    CEILING, FRAME, Frame, KNEE, Limiter, Ramp, SAMPLE_RATE, minus, mix,
};
use tessera::media::mixer::audio::playout::{Continuity, FADE, FrameKind, MAX_DEPTH, Playout};

use crate::tone::{Tone, amplitude, decibels, rms, steepest};

const MS: usize = SAMPLE_RATE as usize / 1000;

fn take(playout: &mut Playout) -> (FrameKind, Frame) {
    let mut out = [0.0; FRAME];
    let taken = playout.take(&mut out);
    (taken, out)
}

#[derive(Debug, Clone)]
enum Event {
    /// Milliseconds of sound.
    Arrive(usize),
    /// Milliseconds that never come.
    Lose(usize),
    Take,
}

fn event() -> impl Strategy<Value = Event> {
    // 18 leaves a rest that is too short for the fade.
    let ms = prop_oneof![Just(10usize), Just(18), Just(20), Just(40), Just(60)];
    prop_oneof![
        6 => ms.clone().prop_map(Event::Arrive),
        1 => ms.prop_map(Event::Lose),
        8 => Just(Event::Take),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_playout_never_clicks_nor_piles_up(
        events in vec(event(), 1..300), hertz in 50f64..800.0, loudness in 0.1f32..1.0,
    ) {
        let mut tone = Tone::new(hertz, loudness);
        let mut playout = Playout::new();
        let mut joint = Continuity::Seamless;
        let mut heard = vec![0.0];
        for event in events {
            match event {
                Event::Arrive(ms) => {
                    playout.push(&tone.samples(ms * MS), joint);
                    joint = Continuity::Seamless;
                }
                Event::Lose(ms) => {
                    tone.samples(ms * MS);
                    joint = Continuity::Gap;
                }
                Event::Take => {
                    let before = playout.depth_ms();
                    let (taken, out) = take(&mut playout);
                    match taken {
                        FrameKind::Played => prop_assert!(before >= 20),
                        FrameKind::Concealed => {
                            prop_assert!(before < 20);
                            prop_assert_eq!(out[FRAME - 1], 0.0);
                        }
                        FrameKind::Silent => prop_assert_eq!(out, [0.0; FRAME]),
                    }
                    heard.extend(out);
                }
            }
            prop_assert!(playout.depth_ms() as usize * MS <= MAX_DEPTH);
            prop_assert!((20..=120).contains(&playout.target_ms()));
        }
        // Three blends can meet: after a loss, at a cut, and where the sound begins or ends.
        let allowed = tone.steepest() + 3.0 * 2.0 * loudness / FADE as f32;
        prop_assert!(steepest(&heard) <= allowed * 1.001, "{} > {allowed}", steepest(&heard));
        let loudest = heard.iter().fold(0f32, |a, b| a.max(b.abs()));
        prop_assert!(loudest <= loudness * 1.001);
    }

    #[test]
    fn without_trouble_every_sample_comes_out_in_order(packet in 0usize..4, frames in 5usize..40) {
        let packet = [10, 20, 40, 60][packet] * MS;
        let mut playout = Playout::new();
        let (mut pushed, mut heard) = (Vec::new(), Vec::new());
        for i in 0..frames {
            while pushed.len() < i * FRAME + 2 * FRAME {
                let next: Vec<f32> = (0..packet).map(|s| (pushed.len() + s) as f32 / 65_536.0).collect();
                playout.push(&next, Continuity::Seamless);
                pushed.extend(next);
            }
            let (taken, out) = take(&mut playout);
            prop_assert_eq!(taken, FrameKind::Played);
            heard.extend(out);
        }
        // All but the fade at the beginning.
        if packet <= 40 * MS || frames < 25 {
            prop_assert_eq!(&heard[FADE..], &pushed[FADE..heard.len()]);
        }
    }

    #[test]
    fn a_gate_opens_and_shuts_for_good_reason(levels in vec((-80f32..-40.0, 1usize..60), 1..30)) {
        let mut voice = VoiceGate::new();
        let mut gain = 0.0;
        let (mut loud, mut quiet, mut heard) = (0, 0, false);
        for (level, frames) in levels {
            let frame = [10f32.powf(level / 20.0); FRAME];
            for _ in 0..frames {
                let (loud_before, quiet_before) = (loud, quiet);
                loud = if level > OPEN { loud + 1 } else { 0 };
                quiet = if level < CLOSE { quiet + 1 } else { 0 };
                match voice.update(&frame) {
                    Some(GateChange::Opened) => {
                        prop_assert!(!heard && loud >= OPENING);
                        heard = true;
                    }
                    Some(GateChange::Closed) => {
                        prop_assert!(heard && quiet_before >= HANGOVER);
                        heard = false;
                    }
                    None if heard => prop_assert!(quiet <= HANGOVER),
                    None => prop_assert!(loud < OPENING || loud_before >= OPENING),
                }
                prop_assert_eq!(voice.is_heard(), heard);
                prop_assert_eq!(voice.ramp().from, gain, "the gain jumps");
                prop_assert!(heard || voice.ramp().is_silent());
                gain = voice.ramp().to;
            }
        }
    }

    #[test]
    fn nothing_gets_past_the_ceiling(samples in vec(prop_oneof![-32f32..32.0, any::<f32>()], 1..4_000)) {
        let mut samples = samples;
        Limiter::new().process(&mut samples);
        prop_assert!(samples.iter().all(|s| s.abs() <= CEILING));
    }

    #[test]
    fn mix_minus_is_the_others(
        amplitudes in vec(0.001f32..1.0, 2..17), listener in any::<prop::sample::Index>(),
        ramps in vec(prop_oneof![Just(Ramp::FULL), Just(Ramp::FADE_IN), Just(Ramp::FADE_OUT), Just(Ramp::SILENT)], 17..18),
    ) {
        let frames: Vec<Frame> = amplitudes
            .iter()
            .enumerate()
            .map(|(i, &a)| Tone::new(100.0 * (i + 1) as f64, a).frame())
            .collect();
        let sources: Vec<(&Frame, Ramp)> = frames.iter().zip(ramps).collect();
        let listener = listener.index(sources.len());
        let (own, ramp) = sources[listener];
        let rest = minus(&mix(&sources), own, ramp);
        let mut others = sources;
        others.remove(listener);
        let expected = mix(&others);
        for (got, expected) in rest.iter().zip(expected) {
            prop_assert!((got - expected).abs() < 1e-5);
        }
    }
}

proptest! {
    // A minute of sound each.
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn jitter_is_absorbed(
        packet in 0usize..4, delays in vec(0u64..80, 64..65), phase in 0u64..20,
    ) {
        let length = [10u64, 20, 40, 60][packet];
        let mut playout = Playout::new();
        let mut tone = Tone::new(200.0, 0.5);
        let (mut sent, mut in_order) = (0u64, 0u64);
        let mut late = 0;
        for tick in 0..3_000u64 {
            loop {
                // Packets keep their order, as behind a jitter buffer.
                let due = (sent + 1) * length + phase + delays[(sent % 64) as usize];
                in_order = in_order.max(due);
                if in_order > tick * 20 {
                    break;
                }
                playout.push(&tone.samples(length as usize * MS), Continuity::Seamless);
                sent += 1;
            }
            let dry = take(&mut playout).0 == FrameKind::Concealed;
            late += u32::from(dry && tick > 1_000);
            prop_assert!(playout.depth_ms() <= 300, "{} ms", playout.depth_ms());
        }
        prop_assert!(late <= 2, "ran dry {late} times in the last 40 s");
    }
}

/// Ten minutes of a sender whose clock is off by `ppm`: how often the buffer ran dry, and its
/// greatest depth in milliseconds.
fn drifting(ppm: i64, packet_ms: i64) -> (u32, u32) {
    let mut playout = Playout::new();
    let samples = vec![0.25; packet_ms as usize * MS];
    let (mut dry, mut deepest, mut sent) = (0, 0, 0);
    for tick in 0..30_000i64 {
        // Microseconds of the sender's clock.
        let sender = tick * 20 * (1_000 + ppm / 1_000) + tick * 20 * (ppm % 1_000) / 1_000;
        while (sent + 1) * packet_ms * 1_000 <= sender {
            playout.push(&samples, Continuity::Seamless);
            sent += 1;
        }
        dry += u32::from(take(&mut playout).0 == FrameKind::Concealed);
        deepest = deepest.max(playout.depth_ms());
    }
    (dry, deepest)
}

#[test]
fn drift_stays_bounded() {
    for packet_ms in [10, 20, 40, 60] {
        for ppm in [-200, 0, 200] {
            let (dry, deepest) = drifting(ppm, packet_ms);
            // 200 ppm are 120 ms in ten minutes: three times the first target, at most two
            // more until the target fits the packets.
            assert!(dry <= 8, "{ppm} ppm, {packet_ms} ms: dry {dry} times");
            assert!(deepest <= 160, "{ppm} ppm, {packet_ms} ms: {deepest} ms");
        }
    }
}

#[test]
fn a_stall_leaves_no_delay_behind() {
    let mut playout = Playout::new();
    let mut tone = Tone::new(300.0, 0.5);
    let mut heard = vec![0.0];
    for tick in 0..100 {
        let packets = match tick {
            50..65 => 0,
            65 => 16,
            _ => 1,
        };
        for _ in 0..packets {
            playout.push(&tone.samples(FRAME), Continuity::Seamless);
        }
        heard.extend(take(&mut playout).1);
    }
    assert!(playout.depth_ms() <= 60, "{} ms", playout.depth_ms());
    assert!(steepest(&heard) <= tone.steepest() + 2.0 * 0.5 / FADE as f32);
}

#[test]
fn a_target_that_grew_shrinks_again() {
    let mut playout = Playout::new();
    let packet = vec![0.5; FRAME];
    for tick in 0..3_000 {
        // A stall of 60 ms each half a second, for the first ten seconds.
        let stalled = tick < 500 && (10..13).contains(&(tick % 25));
        let packets = match (stalled, tick < 500 && tick % 25 == 13) {
            (true, _) => 0,
            (_, true) => 4,
            _ => 1,
        };
        for _ in 0..packets {
            playout.push(&packet, Continuity::Seamless);
        }
        take(&mut playout);
        if tick == 499 {
            assert!(playout.target_ms() >= 40, "{} ms", playout.target_ms());
        }
    }
    assert_eq!(playout.target_ms(), 20);
    assert!(playout.depth_ms() <= 30, "{} ms", playout.depth_ms());
}

/// Noise with the ups and downs of speech, full scale at its peaks.
fn speech_like(seed: u32, frames: usize) -> Vec<Frame> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut at = 0u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        at += 1;
        let syllable = (at as f32 * TAU * 4.0 / SAMPLE_RATE as f32 + seed as f32).sin();
        let noise = state as f32 / u32::MAX as f32 * 2.0 - 1.0;
        noise * syllable.abs()
    };
    (0..frames)
        .map(|_| std::array::from_fn(|_| next()))
        .collect()
}

#[test]
fn sixteen_at_full_scale_do_not_clip() {
    let mut tones: Vec<Tone> = (0..16)
        .map(|i| Tone::new(100.0 + 50.0 * f64::from(i), 1.0))
        .collect();
    let voices: Vec<Vec<Frame>> = (0..16).map(|i| speech_like(i, 50)).collect();
    let (mut of_tones, mut of_voices) = (Limiter::new(), Limiter::new());
    for i in 0..50 {
        let frames: Vec<Frame> = tones.iter_mut().map(Tone::frame).collect();
        let full = |frame| (frame, Ramp::FULL);
        let mut sum = mix(&frames.iter().map(full).collect::<Vec<_>>());
        of_tones.process(&mut sum);
        assert!(sum.iter().all(|s| s.abs() <= CEILING));
        let mut sum = mix(&voices.iter().map(|v| full(&v[i])).collect::<Vec<_>>());
        of_voices.process(&mut sum);
        assert!(sum.iter().all(|s| s.abs() <= CEILING));
        assert!(rms(&sum) > 0.1, "limited, not silenced");
    }
}

#[test]
fn a_single_voice_keeps_its_bits() {
    let mut tone = Tone::new(440.0, 0.25);
    let mut limiter = Limiter::new();
    for _ in 0..10 {
        let frame = tone.frame();
        let mut out = mix(&[(&frame, Ramp::FULL)]);
        limiter.process(&mut out);
        assert_eq!(out, frame);
    }
}

#[test]
fn after_a_shout_the_bits_come_back() {
    let mut limiter = Limiter::new();
    limiter.process(&mut Tone::new(440.0, 16.0).samples(FRAME * 10));
    assert!(limiter.gain() < 0.05);
    // 27 dB at 40 dB a second.
    limiter.process(&mut vec![0.0; SAMPLE_RATE as usize]);
    let mut tone = Tone::new(440.0, KNEE);
    let frame = tone.frame();
    let mut out = frame;
    limiter.process(&mut out);
    assert_eq!(out, frame);
}

#[test]
fn nobody_hears_themselves() {
    let mut tones: Vec<Tone> = (0..4)
        .map(|i| Tone::new(200.0 * f64::from(i + 1), 0.15))
        .collect();
    let frames: Vec<Frame> = tones.iter_mut().map(Tone::frame).collect();
    let sources: Vec<(&Frame, Ramp)> = frames.iter().map(|f| (f, Ramp::FULL)).collect();
    let rest = minus(&mix(&sources), &frames[0], Ramp::FULL);
    let own = amplitude(&rest, 200.0);
    for other in [400.0, 600.0, 800.0] {
        let ratio = decibels(own / amplitude(&rest, other));
        assert!(ratio < -60.0, "own tone {ratio} dB against {other} Hz");
    }
}

#[test]
fn a_hot_tone_is_turned_down_and_not_distorted() {
    for hertz in [60.0, 200.0, 1_000.0] {
        for level in [0.8, 1.0, 1.5] {
            let mut limiter = Limiter::new();
            let mut tone = Tone::new(hertz, level);
            limiter.process(&mut tone.samples(SAMPLE_RATE as usize / 2));
            let mut out = tone.samples(SAMPLE_RATE as usize / 2);
            limiter.process(&mut out);
            let fundamental = amplitude(&out, hertz) / 2f64.sqrt();
            let distortion = (rms(&out).powi(2) - fundamental.powi(2)).max(0.0).sqrt();
            let thd = distortion / fundamental;
            assert!(thd < 0.001, "{hertz} Hz at {level}: {thd}");
            // Turned down to the knee, RMS of a sine, and not further.
            let loud = 0.65 * f64::from(KNEE);
            assert!(fundamental > loud, "{hertz} Hz at {level}: {fundamental}");
        }
    }
}

#[test]
fn the_gain_moves_without_steps() {
    let mut limiter = Limiter::new();
    let mut gains = vec![limiter.gain()];
    for level in [0.3, 2.0, 0.3, 1.0, 16.0, 0.1] {
        for sample in Tone::new(150.0, level).samples(SAMPLE_RATE as usize / 4) {
            limiter.process(&mut [sample]);
            gains.push(limiter.gain());
        }
    }
    for pair in gains.windows(2) {
        // Down within a twenty-fourth of the way, up by 40 dB a second, but for the last step.
        assert!(pair[1] >= pair[0] * (1.0 - 1.0 / 24.0) - 1e-6);
        assert!(pair[1] <= pair[0] * 1.000_2 + 2e-6);
    }
}
