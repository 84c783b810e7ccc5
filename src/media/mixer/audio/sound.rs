//! The sound mixer: one thread that, every 20 ms, decodes those who may be heard, takes a frame of
//! every microphone, decides who is heard, and encodes and sends the sum to those who are silent and
//! the sum without the own voice (mix-minus) to each of those who are not.
//!
//! It is plain Rust rather than `audiomixer` elements: mix-minus for n speakers is one sum and n
//! subtractions here and n mixers there, and 1.22's audiomixer can crash when pads come and go.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Duration;

use super::block_sink::BlockSink;
use super::candidates::{self, Standing};
use super::gate::GateChange;
use super::input::{Microphone, SoundInput};
use super::mix;
use super::mix::{Frame, Limiter, Ramp};
use super::playout;
use crate::id::ParticipantId;
use crate::media::mixer::output::MixMinus;
use crate::media::mixer::ticker::{Late, Ticker};

/// The lookahead of the Opus encoder, by which its output is delayed: 312 samples (RFC 7845 section
/// 4.2). RTP has no header that would make a player skip it.
pub(crate) const LOOKAHEAD: Duration = Duration::from_micros(6500);
/// How much older the sound in a packet is than the composite picture of the same time: the least
/// delay of the playout buffer, and the encoder's lookahead.
pub(crate) const SOUND_LAG: Duration = playout::MIN_DELAY.saturating_add(LOOKAHEAD);
/// When the machine has had no time for the mixer, it makes up for as much as a playout buffer holds.
pub(crate) const LATE: Late = Late::MakeUp(playout::MAX_HELD);
/// Levels are reported every so many periods: five times a second.
const LEVELS_EVERY: u32 = 10;

/// What the sound thread is told. Commands are applied before the next frame, in order.
pub(crate) enum Command {
    AddSource(ParticipantId, Microphone),
    RemoveSource(ParticipantId),
    AddOutput(MixMinus, Box<dyn BlockSink>),
    RemoveOutput(MixMinus),
}

/// What the sound thread reports.
#[derive(Debug, Clone)]
pub(crate) enum SoundEvent {
    /// A participant is in the mix from now on (`true`), or not any more.
    Heard(ParticipantId, bool),
    /// The first sound of a microphone has come.
    Began(ParticipantId),
    /// Levels of all microphones, dBov, five times a second while anybody is heard.
    Levels(Vec<(ParticipantId, f32)>),
}

/// One mix on its way out.
struct SoundOutput {
    sink: Box<dyn BlockSink>,
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
                    source.leave();
                    source.is_heard()
                });
                if heard {
                    (self.report)(SoundEvent::Heard(who, false));
                }
            }
            Command::AddOutput(minus, sink) => {
                let limiter = Limiter::new();
                self.outputs.insert(minus, SoundOutput { sink, limiter });
            }
            Command::RemoveOutput(minus) => drop(self.outputs.remove(&minus)),
        }
    }

    /// Mixes the frame of 20 ms that begins at `at`.
    pub(crate) fn tick(&mut self, at: gst::ClockTime) {
        self.listen(at);
        let voices: Vec<(&Frame, Ramp)> = self.sources.values().map(SoundInput::voice).collect();
        let sum = mix::mix(&voices);
        for (minus, output) in &mut self.outputs {
            let own = match minus {
                MixMinus::Nobody => None,
                MixMinus::Participant(who) => self.sources.get(who),
            };
            let frame = match own {
                Some(own) => {
                    let (own, ramp) = own.voice();
                    mix::minus(&sum, own, ramp)
                }
                None => sum,
            };
            output.send(frame, at);
        }
        self.report_levels();
    }

    /// Takes 20 ms of every microphone, of those decoded that are candidates.
    fn listen(&mut self, at: gst::ClockTime) {
        let standings: Vec<(Standing, bool)> = self
            .sources
            .values_mut()
            .map(|source| source.collect().unwrap_or((Standing::Silent, false)))
            .collect();
        let decoded = candidates::choose(&standings);
        // In the same order: nothing has come or gone meanwhile.
        for ((who, source), decode) in self.sources.iter_mut().zip(decoded) {
            if source.pull(at, decode) {
                (self.report)(SoundEvent::Began(*who));
            }
            match source.play(at) {
                Some(GateChange::Opened) => (self.report)(SoundEvent::Heard(*who, true)),
                Some(GateChange::Closed) => (self.report)(SoundEvent::Heard(*who, false)),
                None => {}
            }
        }
    }

    /// How many voices were decoded in the last beat, of those whose packets come here.
    #[cfg(test)]
    pub(crate) fn decoded(&self) -> usize {
        let inputs = self.sources.values();
        inputs.filter(|input| input.is_decoded()).count()
    }

    fn report_levels(&mut self) {
        self.beats = (self.beats + 1) % LEVELS_EVERY;
        let anybody = self.sources.values().any(SoundInput::is_heard);
        if self.beats == 0 && anybody {
            let levels = self
                .sources
                .iter()
                .map(|(who, source)| (*who, source.level_dbov()))
                .collect();
            (self.report)(SoundEvent::Levels(levels));
        }
    }
}

impl SoundOutput {
    fn send(&mut self, mut frame: Frame, at: gst::ClockTime) {
        self.limiter.process(&mut frame);
        self.sink.push(&frame, at);
    }
}
