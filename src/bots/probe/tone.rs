//! How loud a tone is in a sound.

use std::f64::consts::PI;

/// Samples per second of every sound here.
pub const RATE: u32 = 48_000;

/// What a level of nothing is called, dBFS.
pub const SILENCE_DB: f64 = -127.0;

/// The peak level of the tone of `hz` in `samples` (mono, [`RATE`]), dBFS: a sine that fills the
/// scale is 0.
///
/// A Goertzel filter over a Hann window, whose side lobes are far below the 30 dB tests ask
/// about; tones 50 Hz apart are told apart from 0.1 s of sound on.
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

/// [`level`] of each of `tones`.
pub fn levels(samples: &[f32], tones: &[f64]) -> Vec<f64> {
    tones.iter().map(|hz| level(samples, *hz)).collect()
}

/// The root mean square of `samples`, dBFS: a full-scale sine is -3.
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
    use crate::bots::palette;

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
    fn nothing_is_silence() {
        assert_eq!(level(&[], 400.0), SILENCE_DB);
        assert_eq!(level(&[0.0; 960], 400.0), SILENCE_DB);
        assert_eq!(rms(&[]), SILENCE_DB);
        assert!((rms(&sine(1000.0, 0.0, 0.1)) + 3.01).abs() < 0.05);
    }
}
