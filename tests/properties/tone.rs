//! A tone, and what is measured of sound.

use std::f32::consts::TAU;

use tessera::media::mixer::audio::mix::{FRAME, Frame, SAMPLE_RATE};

/// A sine that goes on from call to call.
pub(crate) struct Tone {
    hertz: f64,
    amplitude: f32,
    at: u64,
}

impl Tone {
    pub(crate) fn new(hertz: f64, amplitude: f32) -> Self {
        Self {
            hertz,
            amplitude,
            at: 0,
        }
    }

    pub(crate) fn samples(&mut self, count: usize) -> Vec<f32> {
        let step = f64::from(TAU) * self.hertz / f64::from(SAMPLE_RATE);
        let samples = (self.at..self.at + count as u64)
            .map(|i| self.amplitude * (step * i as f64).sin() as f32)
            .collect();
        self.at += count as u64;
        samples
    }

    pub(crate) fn frame(&mut self) -> Frame {
        self.samples(FRAME).try_into().expect("a frame")
    }

    /// The most by which neighbours differ.
    pub(crate) fn steepest(&self) -> f32 {
        self.amplitude * TAU * self.hertz as f32 / SAMPLE_RATE as f32
    }
}

/// The amplitude of a tone in `samples`, whole periods of it.
pub(crate) fn amplitude(samples: &[f32], hertz: f64) -> f64 {
    let step = f64::from(TAU) * hertz / f64::from(SAMPLE_RATE);
    let (mut re, mut im) = (0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        let angle = step * i as f64;
        re += f64::from(sample) * angle.cos();
        im += f64::from(sample) * angle.sin();
    }
    2.0 * re.hypot(im) / samples.len() as f64
}

pub(crate) fn rms(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    (sum / samples.len() as f64).sqrt()
}

pub(crate) fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

/// The largest difference between neighbours.
pub(crate) fn steepest(samples: &[f32]) -> f32 {
    samples
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max)
}
