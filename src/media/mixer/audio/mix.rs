//! The sum of all voices, the mix-minus of each listener, and the limiter; pure.
//!
//! Samples are mono at 48 kHz, full scale is 1.0, and all work is done in frames of 20 ms.

/// Sample rate of all mixing, Hz.
pub const SAMPLE_RATE: u32 = 48_000;

/// Number of samples in a frame of 20 ms.
pub const FRAME: usize = 960;

/// 20 ms of mono sound.
pub type Frame = [f32; FRAME];

/// A gain that changes evenly over a frame. Factors, not decibels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// The gain at which the frame before ended.
    pub from: f32,
    /// The gain of the last sample of this frame.
    pub to: f32,
}

impl Ramp {
    /// The frame adds nothing to the mix.
    pub const SILENT: Self = Self { from: 0.0, to: 0.0 };
    /// The frame is added as it is.
    pub const FULL: Self = Self { from: 1.0, to: 1.0 };
    /// The gain rises from 0 to 1 over the frame.
    pub const FADE_IN: Self = Self { from: 0.0, to: 1.0 };
    /// The gain falls from 1 to 0 over the frame.
    pub const FADE_OUT: Self = Self { from: 1.0, to: 0.0 };

    /// Whether a frame under this gain adds nothing to the mix.
    pub fn is_silent(self) -> bool {
        self == Self::SILENT
    }

    /// The gain of sample `i`. Exactly `to` at the last one and exactly `from` throughout if
    /// the two are equal, so that a voice at full gain keeps its bits.
    fn at(self, i: usize) -> f32 {
        self.from + (self.to - self.from) * (i + 1) as f32 / FRAME as f32
    }
}

/// The sum of all `sources`, each with its gain, without a limit.
pub fn mix(sources: &[(&Frame, Ramp)]) -> Frame {
    let mut sum = [0.0; FRAME];
    for &(frame, ramp) in sources {
        if ramp == Ramp::FULL {
            for (sum, sample) in sum.iter_mut().zip(frame) {
                *sum += sample;
            }
        } else if !ramp.is_silent() {
            for (i, (sum, sample)) in sum.iter_mut().zip(frame).enumerate() {
                *sum += sample * ramp.at(i);
            }
        }
    }
    sum
}

/// The mix-minus of a listener who is in the mix: `sum` without their `own` frame, which has the
/// gain `ramp` in it. What remains of that is rounding, some 140 dB down.
pub fn minus(sum: &Frame, own: &Frame, ramp: Ramp) -> Frame {
    let mut rest = *sum;
    if !ramp.is_silent() {
        for (i, (rest, sample)) in rest.iter_mut().zip(own).enumerate() {
            *rest -= sample * ramp.at(i);
        }
    }
    rest
}

/// Amplitude up to which a limiter at rest changes no bit.
pub const KNEE: f32 = 0.6;

/// Amplitude that no sample exceeds behind the limiter: 2.5 dB below full scale, because Opus
/// decodes a dense mix to peaks that are up to 2 dB higher than those that were encoded.
pub const CEILING: f32 = 0.75;

/// Time constant with which the gain follows its target, in samples: 0.5 ms.
const ATTACK: f32 = 24.0;

/// How long a peak is held, in samples: 10 ms, half a wave of 50 Hz. So the gain does not move
/// within the wave of any voice, which would be heard as distortion.
const HOLD: u32 = 480;

/// Factor by which a peak decays per sample after [`HOLD`]: 40 dB a second.
const RELEASE: f32 = 0.999_904_06;

/// Distance at which the gain jumps to its target: 120 dB down, so that it returns to exactly 1.
const SNAP: f32 = 1e-6;

/// Keeps one output below full scale, without delay.
///
/// A gain follows the peaks down to [`KNEE`]; what overshoots meanwhile is bent smoothly below
/// [`CEILING`]. One limiter belongs to one output, for its gain depends on what that output was.
#[derive(Debug, Clone)]
pub struct Limiter {
    gain: f32,
    peak: f32,
    hold: u32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter {
    /// A limiter at rest, with a gain of 1.
    pub fn new() -> Self {
        Self {
            gain: 1.0,
            peak: KNEE,
            hold: 0,
        }
    }

    /// Limits the next samples of the output in place. Samples that are not numbers become silence.
    pub fn process(&mut self, samples: &mut [f32]) {
        for sample in samples {
            let input = if sample.is_finite() { *sample } else { 0.0 };
            *sample = bend(input * self.next_gain(input.abs()));
        }
    }

    /// The gain in force, between 0 and 1.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    fn next_gain(&mut self, level: f32) -> f32 {
        if level >= self.peak {
            self.peak = level;
            self.hold = HOLD;
        } else if self.hold > 0 {
            self.hold -= 1;
        } else {
            self.peak = (self.peak * RELEASE).max(KNEE);
        }
        let target = KNEE / self.peak;
        self.gain += (target - self.gain) / ATTACK;
        if (target - self.gain).abs() < SNAP {
            self.gain = target;
        }
        self.gain
    }
}

/// Soft clipping: the identity up to [`KNEE`], from there smoothly towards [`CEILING`].
fn bend(sample: f32) -> f32 {
    let level = sample.abs();
    if level <= KNEE {
        return sample;
    }
    let room = CEILING - KNEE;
    let bent = KNEE + room * ((level - KNEE) / room).tanh();
    bent.min(CEILING).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_meet_at_the_frame_border() {
        assert_eq!(Ramp::FADE_IN.at(FRAME - 1), 1.0);
        assert_eq!(Ramp::FADE_OUT.at(FRAME - 1), 0.0);
        assert!(Ramp::FADE_IN.at(0) < 0.002);
        assert!((0..FRAME).all(|i| Ramp::FULL.at(i) == 1.0));
    }

    #[test]
    fn a_silent_source_adds_nothing_even_if_it_is_broken() {
        let broken = [f32::NAN; FRAME];
        let voice = [0.25; FRAME];
        let sum = mix(&[(&broken, Ramp::SILENT), (&voice, Ramp::FULL)]);
        assert_eq!(sum, voice);
        assert_eq!(minus(&sum, &broken, Ramp::SILENT), voice);
    }

    #[test]
    fn the_bend_is_smooth_and_bounded() {
        assert_eq!(bend(KNEE), KNEE);
        assert!(bend(KNEE + 1e-4) - KNEE > 0.99e-4);
        assert_eq!(bend(f32::MAX), CEILING);
        assert_eq!(bend(-2.0), -bend(2.0));
    }

    #[test]
    fn what_is_not_a_number_does_not_last() {
        let mut limiter = Limiter::new();
        let mut samples = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5];
        limiter.process(&mut samples);
        assert_eq!(samples, [0.0, 0.0, 0.0, 0.5]);
    }
}
