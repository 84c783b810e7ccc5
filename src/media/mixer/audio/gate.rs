//! Whose voice is in the mix: a level and a gate for each source; pure.

use super::mix::{FRAME, Frame, Ramp};
pub use crate::media::stream::audio_level::{CLOSE, OPEN, OPENING, SILENCE};

/// Quiet frames in a row that close it: 800 ms, so that pauses between words do not.
pub const HANGOVER: u32 = 40;

/// Frames the reported level is taken over: 200 ms.
const WINDOW: usize = 10;

/// A source entered or left the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is in the mix from this frame on: shown as speaking, with an encoder of its own.
    Heard,
    /// It is not in the mix any more; this frame already adds nothing.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// With the number of loud frames seen in a row.
    Shut(u32),
    /// With the number of quiet frames seen in a row.
    Open(u32),
}

/// The level and the gate of one source. To be given every 20 ms frame of it, silence included.
///
/// Levels are RMS against a full-scale square wave (dBov), so a full-scale sine is at -3.
#[derive(Debug, Clone)]
pub struct Voice {
    gate: Gate,
    ramp: Ramp,
    /// Mean squares of the last frames.
    energies: [f64; WINDOW],
    next: usize,
}

impl Default for Voice {
    fn default() -> Self {
        Self::new()
    }
}

impl Voice {
    /// A source that has been silent.
    pub fn new() -> Self {
        Self {
            gate: Gate::Shut(0),
            ramp: Ramp::SILENT,
            energies: [0.0; WINDOW],
            next: 0,
        }
    }

    /// Takes the source's next frame. Afterwards [`Self::ramp`] is the gain for this frame.
    pub fn update(&mut self, frame: &Frame) -> Option<Change> {
        let energy = mean_square(frame);
        self.energies[self.next] = energy;
        self.next = (self.next + 1) % WINDOW;
        let level = dbov(energy);
        match self.gate {
            Gate::Shut(loud) => {
                self.ramp = Ramp::SILENT;
                self.listen(loud, level)
            }
            Gate::Open(quiet) if quiet >= HANGOVER => {
                // The frame before faded out; this one is the first without the source.
                self.ramp = Ramp::SILENT;
                self.listen(0, level);
                Some(Change::Silent)
            }
            Gate::Open(quiet) => {
                let quiet = if level < CLOSE { quiet + 1 } else { 0 };
                self.gate = Gate::Open(quiet);
                self.ramp = if quiet == HANGOVER {
                    Ramp::FADE_OUT
                } else {
                    Ramp::FULL
                };
                None
            }
        }
    }

    /// The gain for the frame given last.
    pub fn ramp(&self) -> Ramp {
        self.ramp
    }

    /// Whether the source is in the mix.
    pub fn is_heard(&self) -> bool {
        matches!(self.gate, Gate::Open(_))
    }

    /// RMS over the last 200 ms, dBov: 0 is loudest, -127 silence.
    pub fn level_dbov(&self) -> f32 {
        dbov(self.energies.iter().sum::<f64>() / WINDOW as f64)
    }

    /// With the gate shut: another frame, after `loud` loud ones.
    fn listen(&mut self, loud: u32, level: f32) -> Option<Change> {
        let loud = if level > OPEN { loud + 1 } else { 0 };
        if loud < OPENING {
            self.gate = Gate::Shut(loud);
            return None;
        }
        self.gate = Gate::Open(0);
        self.ramp = Ramp::FADE_IN;
        Some(Change::Heard)
    }
}

/// 0 for what is not a number: a broken decoder's output is silence, and does not stay in sums.
fn mean_square(frame: &Frame) -> f64 {
    let sum: f64 = frame.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    if sum.is_finite() {
        sum / FRAME as f64
    } else {
        0.0
    }
}

fn dbov(mean_square: f64) -> f32 {
    // The logarithm of 0 is minus infinity, which the bounds turn into silence.
    let level = 10.0 * mean_square.log10();
    (level as f32).clamp(SILENCE, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(level: f32) -> Frame {
        [10f32.powf(level / 20.0); FRAME]
    }

    fn changes(voice: &mut Voice, level: f32, frames: u32) -> Vec<(u32, Change)> {
        (1..=frames)
            .filter_map(|i| voice.update(&at(level)).map(|change| (i, change)))
            .collect()
    }

    #[test]
    fn levels_are_measured_against_full_scale() {
        let mut voice = Voice::new();
        assert_eq!(voice.level_dbov(), SILENCE);
        changes(&mut voice, 0.0, 10);
        assert_eq!(voice.level_dbov(), 0.0);
        changes(&mut voice, -20.0, 10);
        assert!((voice.level_dbov() + 20.0).abs() < 0.01);
        changes(&mut voice, -127.0, 5);
        assert!(
            (voice.level_dbov() + 23.01).abs() < 0.01,
            "half of the window"
        );
        changes(&mut voice, -127.0, 5);
        assert!(voice.level_dbov() < -126.9);
    }

    #[test]
    fn a_click_does_not_open_the_gate_and_a_voice_does_in_the_second_frame() {
        let mut voice = Voice::new();
        assert_eq!(changes(&mut voice, -10.0, 1), []);
        assert_eq!(changes(&mut voice, -90.0, 1), []);
        assert_eq!(changes(&mut voice, -10.0, 1), []);
        assert!(voice.ramp().is_silent());
        assert_eq!(voice.update(&at(-10.0)), Some(Change::Heard));
        assert_eq!(voice.ramp(), Ramp::FADE_IN);
        assert_eq!(changes(&mut voice, -10.0, 50), []);
        assert_eq!(voice.ramp(), Ramp::FULL);
    }

    #[test]
    fn between_the_thresholds_nothing_changes() {
        let mut voice = Voice::new();
        assert_eq!(changes(&mut voice, -57.0, 100), []);
        assert!(!voice.is_heard());
        assert_eq!(changes(&mut voice, -54.0, 10), [(2, Change::Heard)]);
        assert_eq!(changes(&mut voice, -57.0, 100), []);
        assert!(voice.is_heard());
    }

    #[test]
    fn the_gate_closes_after_the_hangover_with_a_fade() {
        let mut voice = Voice::new();
        changes(&mut voice, -20.0, 2);
        assert_eq!(changes(&mut voice, -61.0, HANGOVER - 1), []);
        changes(&mut voice, -20.0, 1);
        assert_eq!(changes(&mut voice, -61.0, HANGOVER - 1), []);
        assert_eq!(voice.ramp(), Ramp::FULL);
        assert_eq!(voice.update(&at(-61.0)), None);
        assert_eq!(voice.ramp(), Ramp::FADE_OUT);
        assert!(voice.is_heard());
        assert_eq!(voice.update(&at(-20.0)), Some(Change::Silent));
        assert!(voice.ramp().is_silent() && !voice.is_heard());
        assert_eq!(voice.update(&at(-20.0)), Some(Change::Heard));
    }

    #[test]
    fn what_is_not_a_number_is_silence() {
        let mut voice = Voice::new();
        for _ in 0..5 {
            assert_eq!(voice.update(&[f32::NAN; FRAME]), None);
            assert_eq!(voice.update(&[f32::INFINITY; FRAME]), None);
        }
        assert_eq!(voice.level_dbov(), SILENCE);
    }
}
