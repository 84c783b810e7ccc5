//! Decides whose voice is in the mix: a level and a noise gate for each source; pure.

use super::mix::{FRAME, Frame, Ramp};

pub use crate::media::stream::audio_level::{CLOSE, OPEN, OPENING, SILENCE};

/// Quiet frames in a row that close the gate: 800 ms, so that a pause between words does not.
pub const HANGOVER: u32 = 40;

/// Number of frames that the reported level is the mean of: 200 ms.
const LEVEL_FRAMES: usize = 10;

/// What a frame did to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GateChange {
    /// The source is in the mix from this frame on: it is shown as speaking, and gets its own
    /// mix-minus.
    Opened,
    /// The source is not in the mix any more; this frame already adds nothing.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GateState {
    /// Adds nothing to the mix. The number is of loud frames in a row.
    Closed(u32),
    /// Adds to the mix. The number is of quiet frames in a row.
    Open(u32),
}

/// The level and the gate of one source. It has to be given every frame of 20 ms, silence included.
///
/// Levels are RMS against a full-scale square wave (dBov), so a full-scale sine is at -3.
#[derive(Debug, Clone)]
pub struct VoiceGate {
    state: GateState,
    ramp: Ramp,
    /// Mean squares of the last frames.
    energies: [f64; LEVEL_FRAMES],
    next: usize,
}

impl Default for VoiceGate {
    fn default() -> Self {
        Self::new()
    }
}

impl VoiceGate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            state: GateState::Closed(0),
            ramp: Ramp::SILENT,
            energies: [0.0; LEVEL_FRAMES],
            next: 0,
        }
    }

    /// Takes the next frame of the source. Afterwards [`Self::ramp`] is the gain of this frame.
    pub fn update(&mut self, frame: &Frame) -> Option<GateChange> {
        self.update_ahead_of(frame, std::iter::empty())
    }

    /// As [`Self::update`], where some of the sound behind the frame is held already. If that is
    /// loud, too, the gate opens with the first loud frame and not with the second, and the word is
    /// whole.
    pub fn update_ahead_of(
        &mut self,
        frame: &Frame,
        ahead: impl Iterator<Item = f32>,
    ) -> Option<GateChange> {
        let energy = mean_square(frame);
        self.energies[self.next] = energy;
        self.next = (self.next + 1) % LEVEL_FRAMES;
        let level = dbov(energy);
        match self.state {
            GateState::Closed(0) if level > OPEN && is_loud(ahead) => {
                self.state = GateState::Open(0);
                // What was not loud before is too quiet for its end to be heard.
                self.ramp = Ramp::FULL;
                Some(GateChange::Opened)
            }
            GateState::Closed(loud) => {
                self.ramp = Ramp::SILENT;
                self.listen(loud, level)
            }
            GateState::Open(quiet) if quiet >= HANGOVER => {
                // The frame before faded out; this one is the first without the source.
                self.ramp = Ramp::SILENT;
                self.listen(0, level);
                Some(GateChange::Closed)
            }
            GateState::Open(quiet) => {
                let quiet = if level < CLOSE { quiet + 1 } else { 0 };
                self.state = GateState::Open(quiet);
                self.ramp = if quiet == HANGOVER {
                    Ramp::FADE_OUT
                } else {
                    Ramp::FULL
                };
                None
            }
        }
    }

    /// The gain of the last frame.
    pub fn ramp(&self) -> Ramp {
        self.ramp
    }

    /// Whether the source is in the mix.
    pub fn is_heard(&self) -> bool {
        matches!(self.state, GateState::Open(_))
    }

    /// RMS over the last 200 ms, dBov: 0 is loudest, -127 silence.
    pub fn level_dbov(&self) -> f32 {
        dbov(self.energies.iter().sum::<f64>() / LEVEL_FRAMES as f64)
    }

    /// Takes a frame while the gate is closed, after `loud` loud ones.
    fn listen(&mut self, loud: u32, level: f32) -> Option<GateChange> {
        let loud = if level > OPEN { loud + 1 } else { 0 };
        if loud < OPENING {
            self.state = GateState::Closed(loud);
            return None;
        }
        self.state = GateState::Open(0);
        self.ramp = Ramp::FADE_IN;
        Some(GateChange::Opened)
    }
}

/// RMS of a frame, dBov.
pub(crate) fn frame_level(frame: &Frame) -> f32 {
    dbov(mean_square(frame))
}

/// Whether sound of 5 ms at least counts as loud.
fn is_loud(sound: impl Iterator<Item = f32>) -> bool {
    let (count, sum) = sound.fold((0usize, 0.0), |(count, sum), sample| {
        (count + 1, sum + f64::from(sample) * f64::from(sample))
    });
    count >= FRAME / 4 && sum.is_finite() && dbov(sum / count as f64) > OPEN
}

/// The mean square of a frame; 0 if that is not a number, so that the output of a broken decoder is
/// silence and does not stay in sums.
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

    fn changes(voice: &mut VoiceGate, level: f32, frames: u32) -> Vec<(u32, GateChange)> {
        (1..=frames)
            .filter_map(|i| voice.update(&at(level)).map(|change| (i, change)))
            .collect()
    }

    #[test]
    fn levels_are_measured_against_full_scale() {
        let mut voice = VoiceGate::new();
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
        let mut voice = VoiceGate::new();
        assert_eq!(changes(&mut voice, -10.0, 1), []);
        assert_eq!(changes(&mut voice, -90.0, 1), []);
        assert_eq!(changes(&mut voice, -10.0, 1), []);
        assert!(voice.ramp().is_silent());
        assert_eq!(voice.update(&at(-10.0)), Some(GateChange::Opened));
        assert_eq!(voice.ramp(), Ramp::FADE_IN);
        assert_eq!(changes(&mut voice, -10.0, 50), []);
        assert_eq!(voice.ramp(), Ramp::FULL);
    }

    #[test]
    fn a_word_is_whole_where_its_second_frame_is_held() {
        let mut voice = VoiceGate::new();
        let ahead = |level| at(level).into_iter();
        assert_eq!(voice.update_ahead_of(&at(-90.0), ahead(-20.0)), None);
        assert_eq!(
            voice.update_ahead_of(&at(-20.0), ahead(-90.0)),
            None,
            "a click"
        );
        assert_eq!(voice.update_ahead_of(&at(-90.0), ahead(-20.0)), None);
        let first = voice.update_ahead_of(&at(-20.0), ahead(-20.0).take(FRAME / 2));
        assert_eq!(first, Some(GateChange::Opened));
        assert_eq!(voice.ramp(), Ramp::FULL);
    }

    #[test]
    fn between_the_thresholds_nothing_changes() {
        let mut voice = VoiceGate::new();
        assert_eq!(changes(&mut voice, -57.0, 100), []);
        assert!(!voice.is_heard());
        assert_eq!(changes(&mut voice, -54.0, 10), [(2, GateChange::Opened)]);
        assert_eq!(changes(&mut voice, -57.0, 100), []);
        assert!(voice.is_heard());
    }

    #[test]
    fn the_gate_closes_after_the_hangover_with_a_fade() {
        let mut voice = VoiceGate::new();
        changes(&mut voice, -20.0, 2);
        assert_eq!(changes(&mut voice, -61.0, HANGOVER - 1), []);
        changes(&mut voice, -20.0, 1);
        assert_eq!(changes(&mut voice, -61.0, HANGOVER - 1), []);
        assert_eq!(voice.ramp(), Ramp::FULL);
        assert_eq!(voice.update(&at(-61.0)), None);
        assert_eq!(voice.ramp(), Ramp::FADE_OUT);
        assert!(voice.is_heard());
        assert_eq!(voice.update(&at(-20.0)), Some(GateChange::Closed));
        assert!(voice.ramp().is_silent() && !voice.is_heard());
        assert_eq!(voice.update(&at(-20.0)), Some(GateChange::Opened));
    }

    #[test]
    fn what_is_not_a_number_is_silence() {
        let mut voice = VoiceGate::new();
        for _ in 0..5 {
            assert_eq!(voice.update(&[f32::NAN; FRAME]), None);
            assert_eq!(voice.update(&[f32::INFINITY; FRAME]), None);
        }
        assert_eq!(voice.level_dbov(), SILENCE);
    }
}
