//! How loud a tone is in a sound, and which tones are in it.

use std::f64::consts::PI;
use std::sync::LazyLock;

/// Sample rate of all sound here, Hz.
pub const RATE: u32 = 48_000;

/// The level that stands for silence, dBFS; no level is lower.
pub(crate) const SILENCE_DB: f64 = -127.0;

/// The peak level of the tone of `hz` in `samples` (mono, [`RATE`]), in dBFS: a full-scale sine is
/// 0.
///
/// A Goertzel filter over a Hann window. Its side lobes are far below the 30 dB that tests ask for,
/// and it tells tones 50 Hz apart from 0.1 s of sound on.
pub fn level(samples: &[f32], hz: f64) -> f64 {
    let n = samples.len() as f64;
    let coefficient = 2.0 * (2.0 * PI * hz / f64::from(RATE)).cos();
    let (mut s1, mut s2, mut weight) = (0.0, 0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (2.0 * PI * (i as f64 + 0.5) / n).cos();
        let s0 = f64::from(*sample) * window + coefficient * s1 - s2;
        (s2, s1) = (s1, s0);
        weight += window;
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    decibels(2.0 * power.max(0.0).sqrt() / weight)
}

/// The [`level`] of each of `tones`, in Hz.
pub fn levels(samples: &[f32], tones: &[f64]) -> Vec<f64> {
    tones.iter().map(|hz| level(samples, *hz)).collect()
}

/// Samples of the 20 ms in which a [`Bank`] looks for tones.
pub(crate) const WINDOW: usize = 960;

/// A bank of Goertzel filters that looks for the same tones in every 20 ms.
#[derive(Debug)]
pub(crate) struct Bank {
    coefficients: Vec<f64>,
}

/// A Hann window over [`WINDOW`] samples, such that the power of a tone is its amplitude squared.
static HANN: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let n = WINDOW as f64;
    let hann = |i: usize| 2.0 * (1.0 - (2.0 * PI * (i as f64 + 0.5) / n).cos()) / n;
    (0..WINDOW).map(hann).collect()
});

impl Bank {
    /// A bank for at most 32 tones, in Hz; further ones are ignored.
    pub(crate) fn new(tones: &[f64]) -> Self {
        let coefficient = |hz: &f64| 2.0 * (2.0 * PI * hz / f64::from(RATE)).cos();
        let coefficients = tones.iter().take(32).map(coefficient).collect();
        Self { coefficients }
    }

    /// Which tones are in [`WINDOW`] samples: bit `i` stands for the `i`-th. A tone counts if its
    /// peak is at least `floor` dBFS and at most `range` dB below the loudest. The onset of a tone
    /// spreads over its neighbours, which a `range` of 10 dB keeps out.
    pub(crate) fn heard(&self, samples: &[f32], floor: f64, range: f64) -> u32 {
        let windowed: Vec<f64> = samples
            .iter()
            .zip(HANN.iter())
            .map(|(sample, weight)| f64::from(*sample) * weight)
            .collect();
        let powers: Vec<f64> = self
            .coefficients
            .iter()
            .map(|c| goertzel(&windowed, *c))
            .collect();
        let loudest = powers.iter().copied().fold(0.0, f64::max);
        let least = from_decibels(floor).max(loudest * from_decibels(-range));
        let bits = powers.iter().enumerate();
        bits.filter(|(_, power)| **power >= least)
            .fold(0, |heard, (i, _)| heard | 1 << i)
    }
}

fn goertzel(samples: &[f64], coefficient: f64) -> f64 {
    let (mut s1, mut s2) = (0.0, 0.0);
    for sample in samples {
        let s0 = sample + coefficient * s1 - s2;
        (s2, s1) = (s1, s0);
    }
    (s1 * s1 + s2 * s2 - coefficient * s1 * s2).max(0.0)
}

/// The power ratio of a level in dB.
fn from_decibels(decibels: f64) -> f64 {
    10f64.powf(decibels / 10.0)
}

/// The root mean square of `samples` in dBFS; a full-scale sine is -3.
pub fn rms(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    decibels((sum / samples.len() as f64).sqrt())
}

fn decibels(amplitude: f64) -> f64 {
    // Also takes the NaN of an empty sound for silence.
    if amplitude > 0.0 {
        (20.0 * amplitude.log10()).max(SILENCE_DB)
    } else {
        SILENCE_DB
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bots::observe::palette;

    fn sine(hz: f64, dbfs: f64, seconds: f64) -> Vec<f32> {
        let peak = 10f64.powf(dbfs / 20.0);
        (0..(seconds * f64::from(RATE)) as usize)
            .map(|i| (peak * (2.0 * PI * hz * i as f64 / f64::from(RATE)).sin()) as f32)
            .collect()
    }

    #[test]
    fn levels_are_exact_and_neighbours_silent() {
        let tones = palette::tones(palette::PEOPLE);
        for (i, hz) in tones.iter().enumerate() {
            let found = levels(&sine(*hz, -20.0, 0.25), &tones);
            for (j, db) in found.iter().enumerate() {
                if i == j {
                    assert!((db + 20.0).abs() < 0.1, "{hz} Hz read as {db} dB");
                } else {
                    assert!(*db < -70.0, "{hz} Hz leaks {db} dB into {} Hz", tones[j]);
                }
            }
        }
    }

    #[test]
    fn a_bank_knows_tones_within_20_ms() {
        let tones = palette::tones(palette::PEOPLE);
        let bank = Bank::new(&tones);
        for (i, hz) in tones.iter().enumerate() {
            let sound = sine(*hz, -40.0, 0.02);
            assert_eq!(bank.heard(&sound, -50.0, 20.0), 1 << i, "{hz} Hz");
            assert_eq!(bank.heard(&sound, -38.0, 20.0), 0, "too faint");
        }
        let both: Vec<f32> = sine(tones[3], -30.0, 0.02)
            .iter()
            .zip(sine(tones[4], -36.0, 0.02))
            .map(|(a, b)| a + b)
            .collect();
        assert_eq!(bank.heard(&both, -50.0, 20.0), 0b11000);
        // An onset in the middle of the window is of its tone only.
        let mut onset = sine(tones[7], -24.0, 0.02);
        onset[..WINDOW / 2].fill(0.0);
        assert_eq!(bank.heard(&onset, -50.0, 10.0), 1 << 7);
    }

    #[test]
    fn nothing_is_silence() {
        assert_eq!(level(&[], 400.0), SILENCE_DB);
        assert_eq!(level(&[0.0; 960], 400.0), SILENCE_DB);
        assert_eq!(rms(&[]), SILENCE_DB);
        assert!((rms(&sine(1000.0, 0.0, 0.1)) + 3.01).abs() < 0.05);
    }
}
