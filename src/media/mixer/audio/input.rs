//! A microphone in the sound mixer: its sound on the way into the playout buffer, and out of it
//! through its gate.

use std::sync::Arc;

use super::candidates::Standing;
use super::gate::{GateChange, VoiceGate};
use super::mix::{FRAME, Frame, Ramp};
use super::playout::{self, Continuity, FrameKind, Playout};
use super::voice::{Voice, length};
use crate::media::mixer::source::SampleSource;
use crate::media::mixer::video::av_sync::{SyncDelay, since};

/// The delay of a microphone is the mean of about so many frames, one second, because the times of
/// packets that arrive together vary.
const MEAN_FRAMES: gst::ClockTimeDiff = 50;
/// Longest hole between the sound of two packets that counts as rounding. A longer one is a gap.
const GAP_TOLERANCE: gst::ClockTime = gst::ClockTime::from_mseconds(5);

/// A participant's microphone: its sound, and the delay that their pictures follow.
pub(crate) struct Microphone {
    pub(crate) feed: Feed,
    pub(crate) delay: Arc<SyncDelay>,
}

/// Where the sound of a microphone comes from.
pub(crate) enum Feed {
    /// Packets, which are decoded here, or not.
    Packets(Voice),
    /// Samples that somebody else has decoded.
    Decoded(Box<dyn SampleSource>),
}

/// A microphone in the mixer.
pub(crate) struct SoundInput {
    microphone: Microphone,
    playout: Playout,
    gate: VoiceGate,
    frame: Box<Frame>,
    timing: Timing,
}

/// The times of what comes into a playout buffer.
#[derive(Debug, Default)]
struct Timing {
    /// Time at which the next sound should begin; `None` before the first.
    expected: Option<gst::ClockTime>,
    /// Mean delay beyond the least since the buffer last ran dry, ns.
    late: Option<gst::ClockTimeDiff>,
}

impl Timing {
    /// Takes note of sound from `at` on. Returns whether it begins where the last one ended.
    fn comes(&mut self, at: gst::ClockTime, length: gst::ClockTime) -> Continuity {
        let continuity = match self.expected {
            Some(expected) if at > expected + GAP_TOLERANCE => Continuity::Gap,
            _ => Continuity::Seamless,
        };
        self.expected = Some(at + length);
        continuity
    }
}

impl SoundInput {
    pub(crate) fn new(microphone: Microphone) -> Self {
        Self {
            microphone,
            playout: Playout::new(),
            gate: VoiceGate::new(),
            frame: Box::new([0.0; FRAME]),
            timing: Timing::default(),
        }
    }

    /// Takes what has come since the last beat. Returns what speaks for decoding it, and whether it
    /// was decoded so far; `None` where others decode.
    pub(crate) fn collect(&mut self) -> Option<(Standing, bool)> {
        let heard = self.gate.is_heard();
        match &mut self.microphone.feed {
            Feed::Packets(voice) => Some((voice.collect(heard), voice.is_decoded())),
            Feed::Decoded(_) => None,
        }
    }

    /// Whether its packets were decoded in the last beat.
    #[cfg(test)]
    pub(crate) fn is_decoded(&self) -> bool {
        matches!(&self.microphone.feed, Feed::Packets(voice) if voice.is_decoded())
    }

    /// Moves what has come into the playout buffer. Returns whether it is the first.
    pub(crate) fn pull(&mut self, at: gst::ClockTime, decode: bool) -> bool {
        let begun = self.timing.expected.is_some();
        let (playout, timing) = (&mut self.playout, &mut self.timing);
        match &mut self.microphone.feed {
            Feed::Packets(voice) => voice.play_into(playout, decode, |at, samples| {
                timing.comes(at, length(samples))
            }),
            Feed::Decoded(samples) => {
                while let Some(sample) = samples.pull(at) {
                    push(playout, timing, &sample);
                }
            }
        }
        !begun && self.timing.expected.is_some()
    }

    /// Takes the frame of `at` out of the playout buffer through the gate, and updates the delay
    /// that pictures follow.
    pub(crate) fn play(&mut self, at: gst::ClockTime) -> Option<GateChange> {
        let taken = self.playout.take(&mut self.frame);
        self.tell_delay(at, taken);
        let change = self.gate.update_ahead_of(&self.frame, self.playout.ahead());
        if let Feed::Packets(voice) = &mut self.microphone.feed {
            voice.end_beat(self.gate.is_heard());
        }
        change
    }

    fn tell_delay(&mut self, at: gst::ClockTime, taken: FrameKind) {
        match (taken, self.timing.expected) {
            (FrameKind::Played, Some(expected)) => {
                let time = |length| gst::ClockTime::try_from(length).unwrap_or_default();
                let heard = at + time(self.playout.spare());
                let late = since(heard, expected + time(playout::MIN_DELAY));
                let mean = self
                    .timing
                    .late
                    .map_or(late, |mean| mean + (late - mean) / MEAN_FRAMES);
                self.timing.late = Some(mean);
                self.microphone.delay.set(mean);
            }
            _ => {
                // The mean begins anew.
                self.timing.late = None;
                if self.playout.is_idle() {
                    self.microphone.delay.set(0);
                }
            }
        }
    }

    /// The last frame, and the gain that it has in the mix.
    pub(crate) fn voice(&self) -> (&Frame, Ramp) {
        (&self.frame, self.gate.ramp())
    }

    /// Whether it is in the mix.
    pub(crate) fn is_heard(&self) -> bool {
        self.gate.is_heard()
    }

    /// Its level, dBov: measured, or as its packets say while they are not decoded.
    pub(crate) fn level_dbov(&self) -> f32 {
        let said = match &self.microphone.feed {
            Feed::Packets(voice) => voice.said_dbov(),
            Feed::Decoded(_) => None,
        };
        said.unwrap_or_else(|| self.gate.level_dbov())
    }

    /// Lets the pictures wait for it no longer.
    pub(crate) fn leave(&self) {
        self.microphone.delay.set(0);
    }
}

fn push(playout: &mut Playout, timing: &mut Timing, sample: &gst::Sample) {
    let Some(buffer) = sample.buffer() else {
        return;
    };
    let Ok(map) = buffer.map_readable() else {
        return;
    };
    let samples: Vec<f32> = map
        .chunks_exact(4)
        .filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)))
        .collect();
    let duration = buffer.duration().unwrap_or_default();
    let continuity = match buffer.pts() {
        Some(at) => timing.comes(at, duration),
        None => Continuity::Seamless,
    };
    playout.push(&samples, continuity);
}
