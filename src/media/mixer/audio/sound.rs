//! The sound mixer: one thread that, every 20 ms, takes a frame of every microphone, decides who is
//! heard, and sends the sum to those who are silent and the sum without the own voice (mix-minus)
//! to each of those who are not.
//!
//! It is plain Rust rather than `audiomixer` elements: mix-minus for n speakers is one sum and n
//! subtractions here and n mixers there, and 1.22's audiomixer can crash when pads come and go.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::gate::{GateChange, VoiceGate};
use super::mix;
use super::mix::{FRAME, Frame, Limiter, Ramp};
use super::playout::{self, Continuity, FrameKind, Playout};
use crate::id::ParticipantId;
use crate::media::mixer::output::MixMinus;
use crate::media::mixer::source::SampleSource;
use crate::media::mixer::ticker::Ticker;
use crate::media::mixer::video::av_sync::{SyncDelay, since};

/// The period of the sound mixer, which is the length of an Opus frame.
pub(crate) const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(20);
/// The lookahead of the Opus encoder, by which its output is delayed: 312 samples (RFC 7845 section
/// 4.2). RTP has no header that would make a player skip it.
const LOOKAHEAD: Duration = Duration::from_micros(6500);
/// How much older the sound in a packet is than the composite picture of the same time: the least
/// delay of the playout buffer, and the encoder's lookahead.
pub(crate) const SOUND_LAG: Duration = playout::MIN_DELAY.saturating_add(LOOKAHEAD);
/// Levels are reported every so many periods: five times a second.
const LEVELS_EVERY: u32 = 10;
/// The delay of a microphone is the mean of about so many frames, one second, because the times of
/// packets that arrive together vary.
const MEAN_FRAMES: gst::ClockTimeDiff = 50;
/// Longest hole between two decoded buffers that counts as rounding. A longer one is a gap.
const GAP_TOLERANCE: gst::ClockTime = gst::ClockTime::from_mseconds(5);

/// What the sound thread is told. Commands are applied before the next frame, in order.
pub(crate) enum Command {
    AddSource(ParticipantId, Microphone),
    RemoveSource(ParticipantId),
    AddOutput(MixMinus, gst_app::AppSrc),
    RemoveOutput(MixMinus),
}

/// A participant's microphone: its decoded sound, and the delay that their pictures follow.
pub(crate) struct Microphone {
    pub(crate) samples: Box<dyn SampleSource>,
    pub(crate) delay: Arc<SyncDelay>,
}

/// What the sound thread reports.
#[derive(Debug, Clone)]
pub(crate) enum SoundEvent {
    /// A participant is in the mix from now on (`true`), or not any more.
    Heard(ParticipantId, bool),
    /// The first sound of a microphone has been decoded.
    Began(ParticipantId),
    /// RMS levels of all microphones, dBov, five times a second while anybody is heard.
    Levels(Vec<(ParticipantId, f32)>),
}

/// A microphone in the mixer.
struct SoundInput {
    microphone: Microphone,
    playout: Playout,
    gate: VoiceGate,
    frame: Box<Frame>,
    /// Time at which the next decoded buffer should begin; `None` before the first.
    expected: Option<gst::ClockTime>,
    /// Mean delay beyond the least since the buffer last ran dry, ns.
    late: Option<gst::ClockTimeDiff>,
}

/// The input of one encoder.
struct SoundOutput {
    appsrc: gst_app::AppSrc,
    limiter: Limiter,
}

/// The sound mixer, with all state of its thread.
pub(crate) struct SoundMixer {
    sources: HashMap<ParticipantId, SoundInput>,
    outputs: HashMap<MixMinus, SoundOutput>,
    report: Box<dyn Fn(SoundEvent) + Send>,
    beats: u32,
}

impl SoundMixer {
    /// A mixer without sources. `report` is called on the sound thread and must not block.
    pub(crate) fn new(report: Box<dyn Fn(SoundEvent) + Send>) -> Self {
        Self {
            sources: HashMap::new(),
            outputs: HashMap::new(),
            report,
            beats: 0,
        }
    }

    /// Runs until the other end of `commands` is dropped. Call on a thread of its own.
    pub(crate) fn run(mut self, mut ticker: Ticker, commands: &mpsc::Receiver<Command>) {
        while let Some(at) = ticker.wait() {
            loop {
                match commands.try_recv() {
                    Ok(command) => self.apply(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.tick(at);
        }
    }

    pub(crate) fn apply(&mut self, command: Command) {
        match command {
            Command::AddSource(who, microphone) => {
                self.sources.insert(who, SoundInput::new(microphone));
            }
            Command::RemoveSource(who) => {
                let removed = self.sources.remove(&who);
                let heard = removed.is_some_and(|source| {
                    source.microphone.delay.set(0);
                    source.gate.is_heard()
                });
                if heard {
                    (self.report)(SoundEvent::Heard(who, false));
                }
            }
            Command::AddOutput(minus, appsrc) => {
                let limiter = Limiter::new();
                self.outputs.insert(minus, SoundOutput { appsrc, limiter });
            }
            Command::RemoveOutput(minus) => drop(self.outputs.remove(&minus)),
        }
    }

    /// Mixes the frame of 20 ms that begins at `at`.
    pub(crate) fn tick(&mut self, at: gst::ClockTime) {
        for (who, source) in &mut self.sources {
            let silent_so_far = source.expected.is_none();
            source.pull(at);
            if silent_so_far && source.expected.is_some() {
                (self.report)(SoundEvent::Began(*who));
            }
            source.play(at);
            let ahead = source.playout.ahead();
            match source.gate.update_ahead_of(&source.frame, ahead) {
                Some(GateChange::Opened) => (self.report)(SoundEvent::Heard(*who, true)),
                Some(GateChange::Closed) => (self.report)(SoundEvent::Heard(*who, false)),
                None => {}
            }
        }
        let voices: Vec<(&Frame, Ramp)> = self
            .sources
            .values()
            .map(|source| (&*source.frame, source.gate.ramp()))
            .collect();
        let sum = mix::mix(&voices);
        for (minus, output) in &mut self.outputs {
            let own = match minus {
                MixMinus::Nobody => None,
                MixMinus::Participant(who) => self.sources.get(who),
            };
            let frame = match own {
                Some(own) => mix::minus(&sum, &own.frame, own.gate.ramp()),
                None => sum,
            };
            output.send(frame, at);
        }
        self.report_levels();
    }

    fn report_levels(&mut self) {
        self.beats = (self.beats + 1) % LEVELS_EVERY;
        let anybody = self.sources.values().any(|source| source.gate.is_heard());
        if self.beats == 0 && anybody {
            let levels = self
                .sources
                .iter()
                .map(|(who, source)| (*who, source.gate.level_dbov()))
                .collect();
            (self.report)(SoundEvent::Levels(levels));
        }
    }
}

impl SoundInput {
    fn new(microphone: Microphone) -> Self {
        Self {
            microphone,
            playout: Playout::new(),
            gate: VoiceGate::new(),
            frame: Box::new([0.0; FRAME]),
            expected: None,
            late: None,
        }
    }

    /// Moves what has been decoded into the playout buffer.
    fn pull(&mut self, at: gst::ClockTime) {
        while let Some(sample) = self.microphone.samples.pull(at) {
            let Some(buffer) = sample.buffer() else {
                continue;
            };
            let Ok(map) = buffer.map_readable() else {
                continue;
            };
            let samples: Vec<f32> = map
                .chunks_exact(4)
                .filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)))
                .collect();
            self.playout.push(&samples, self.continuity(buffer));
            self.expected = buffer
                .pts()
                .map(|pts| pts + buffer.duration().unwrap_or_default());
        }
    }

    /// Takes the frame of `at` out of the playout buffer, and updates the delay that pictures
    /// follow.
    fn play(&mut self, at: gst::ClockTime) {
        let taken = self.playout.take(&mut self.frame);
        match (taken, self.expected) {
            (FrameKind::Played, Some(expected)) => {
                let time = |length| gst::ClockTime::try_from(length).unwrap_or_default();
                let heard = at + time(self.playout.spare());
                let late = since(heard, expected + time(playout::MIN_DELAY));
                let mean = self
                    .late
                    .map_or(late, |mean| mean + (late - mean) / MEAN_FRAMES);
                self.late = Some(mean);
                self.microphone.delay.set(mean);
            }
            _ => {
                // The mean begins anew.
                self.late = None;
                if self.playout.is_idle() {
                    self.microphone.delay.set(0);
                }
            }
        }
    }

    /// Whether a buffer begins where the last one ended.
    fn continuity(&self, buffer: &gst::BufferRef) -> Continuity {
        match (self.expected, buffer.pts()) {
            (Some(expected), Some(pts)) if pts > expected + GAP_TOLERANCE => Continuity::Gap,
            _ => Continuity::Seamless,
        }
    }
}

impl SoundOutput {
    fn send(&mut self, mut frame: Frame, at: gst::ClockTime) {
        self.limiter.process(&mut frame);
        let bytes: Vec<u8> = frame
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(header) = buffer.get_mut() {
            header.set_pts(at);
            header.set_duration(PERIOD);
        }
        // A full queue drops its oldest frame; a flushing one is going away.
        let _ = self.appsrc.push_buffer(buffer);
    }
}
