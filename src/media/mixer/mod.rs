//! The mixer of one room: uplinks in through taps, one composite and one sound out through taps.
//!
//! It exists while somebody needs a composite. Two threads do the mixing, the canvas and
//! the sound mixer; each owns its state and is told what to do through a channel. Decoders
//! ([`ingest`]) and encoders ([`rendition`]) are pipelines of their own around them.
//!
//! The methods here are called by the room's task, do not block, and take effect with the next
//! frame.

pub mod audio;
pub mod ingest;
pub mod offline;
pub mod rendition;
pub mod source;
mod ticker;
pub mod video;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use thiserror::Error;

pub use crate::id::SourceId;
pub use audio::sound::{LAG as SOUND_LAG, SoundEvent, Without};
pub use video::scene::{Content, Scene, Tile};

use super::bwe::fec::Fec;
use super::bwe::ladder::{Ladder, Rung};
use super::gst::pipeline::PipelineError;
use super::gst::template::{TemplateError, Templates};
use super::stream::tap::Tap;
use crate::codec::VideoCodec;
use crate::id::{ParticipantId, Role};
use crate::layout::{Fit, Size};
use audio::sound;
use audio::sound::Sound;
use ingest::Ingest;
use rendition::Rendition;
use ticker::Ticker;
use video::av_sync::{Held, Hold};
use video::canvas;
use video::canvas::Canvas;
use video::encoder_input::Outlet;
use video::name_plate::Card;

/// What can go wrong with a part of a mixer.
#[derive(Debug, Error)]
pub enum MixerError {
    /// A pipeline could not be made or started.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A template is missing or not filled.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// There is no element for a codec.
    #[error("no {0} is installed")]
    NoCodec(&'static str),
    /// The ladder has no such rung.
    #[error("the ladder has no rung {}", .0.0)]
    NoRung(Rung),
    /// The canvas could not be made.
    #[error(transparent)]
    Canvas(#[from] canvas::CanvasError),
    /// A thread could not be started.
    #[error("no thread for {0}: {1}")]
    Thread(&'static str, std::io::Error),
}

/// What a mixer produces, one encoding each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Output {
    /// The composite.
    Video {
        /// How it is encoded.
        codec: VideoCodec,
        /// At which size and rate.
        rung: Rung,
    },
    /// The sound, less somebody's own.
    Sound(Without),
}

/// What a mixer reports. Sent from threads of the mixer; must not block.
#[derive(Debug)]
pub enum MixerEvent {
    /// Of the sound.
    Sound(SoundEvent),
    /// The first picture of a source is in the composite.
    Painted(SourceId),
    /// A source cannot be decoded any more.
    SourceFailed(SourceId, String),
    /// An encoder failed.
    OutputFailed(Output, String),
}

/// Where a mixer's events go.
pub type OnMixerEvent = Arc<dyn Fn(MixerEvent) + Send + Sync>;

/// How a mixer mixes.
#[derive(Debug, Clone)]
pub struct MixerSettings {
    /// The composite's size, even numbers of pixels.
    pub canvas: Size,
    /// Composite frames per second.
    pub fps: u32,
    /// How a picture is put in its tile.
    pub fit: Fit,
    /// In which sizes and at which rates the composite is encoded.
    pub ladder: Arc<Ladder>,
    /// bit/s of a mix.
    pub audio_bitrate: u32,
    /// The subgraphs.
    pub templates: Arc<Templates>,
}

/// A room's mixer; dropping it ends it.
pub struct Mixer {
    settings: MixerSettings,
    on_event: OnMixerEvent,
    canvas: mpsc::Sender<canvas::Command>,
    sound: mpsc::Sender<sound::Command>,
    ingests: BTreeMap<SourceId, Ingest>,
    outputs: BTreeMap<Output, Rendition>,
    names: BTreeMap<ParticipantId, String>,
    /// Of everybody who has a microphone or a camera here.
    holds: BTreeMap<ParticipantId, Arc<Hold>>,
}

impl std::fmt::Debug for Mixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mixer")
            .field("ingests", &self.ingests.keys())
            .field("outputs", &self.outputs.keys())
            .finish_non_exhaustive()
    }
}

impl Mixer {
    /// Starts the mixing threads, with nothing to mix yet.
    ///
    /// # Errors
    /// [`MixerError`] when there is no memory for the canvas or no thread.
    pub fn start(settings: MixerSettings, on_event: OnMixerEvent) -> Result<Self, MixerError> {
        let report = Arc::clone(&on_event);
        let painted = Box::new(move |source| report(MixerEvent::Painted(source)));
        let canvas = Canvas::new(settings.canvas, settings.fps, settings.fit, painted)?;
        let (canvas_commands, commands) = mpsc::channel();
        let period = canvas::period(settings.fps);
        spawn("mix-video", move || {
            canvas.run(Ticker::new(period), &commands);
        })?;

        let report = Arc::clone(&on_event);
        let sound = Sound::new(Box::new(move |event| report(MixerEvent::Sound(event))));
        let (sound_commands, commands) = mpsc::channel();
        spawn("mix-audio", move || {
            sound.run(Ticker::new(sound::PERIOD), &commands);
        })?;
        Ok(Self {
            settings,
            on_event,
            canvas: canvas_commands,
            sound: sound_commands,
            ingests: BTreeMap::new(),
            outputs: BTreeMap::new(),
            names: BTreeMap::new(),
            holds: BTreeMap::new(),
        })
    }

    /// Starts decoding an uplink and mixing what comes of it. One that is there already is
    /// replaced, and its last picture stands until the first of the new one.
    ///
    /// # Errors
    /// [`MixerError`] when there is no decoder or it does not start.
    pub fn add_source(&mut self, source: SourceId, tap: &Tap) -> Result<(), MixerError> {
        let on_event = Arc::clone(&self.on_event);
        let started = Ingest::start(
            &self.settings.templates,
            source,
            tap,
            self.settings.fit,
            move |text| on_event(MixerEvent::SourceFailed(source, text)),
        );
        if started.is_err() || source.role == Role::Mic {
            self.remove_source(source);
        }
        let ingest = started?;
        let sink = ingest.sink().clone();
        let who = source.participant;
        match source.role {
            Role::Mic => {
                let microphone = sound::Microphone {
                    feed: Box::new(sink),
                    hold: self.hold(who),
                };
                let _ = self.sound.send(sound::Command::AddSource(who, microphone));
            }
            _ => {
                let hold = match source.role {
                    Role::Camera => self.hold(who),
                    // A screen has no lips.
                    _ => Arc::default(),
                };
                let feed = Box::new(Held::new(sink, hold));
                let _ = self.canvas.send(canvas::Command::AddSource(source, feed));
            }
        }
        self.ingests.insert(source, ingest);
        Ok(())
    }

    /// What a participant's microphone and camera have in common.
    fn hold(&mut self, who: ParticipantId) -> Arc<Hold> {
        Arc::clone(self.holds.entry(who).or_default())
    }

    /// Stops decoding an uplink. Doing it twice is a no-op.
    pub fn remove_source(&mut self, source: SourceId) {
        if self.ingests.remove(&source).is_none() {
            return;
        }
        let who = source.participant;
        if !self.ingests.keys().any(|left| left.participant == who) {
            self.holds.remove(&who);
        }
        match source.role {
            Role::Mic => {
                let _ = self
                    .sound
                    .send(sound::Command::RemoveSource(source.participant));
            }
            _ => {
                let _ = self.canvas.send(canvas::Command::RemoveSource(source));
            }
        }
    }

    /// Shows `scene` from the next frame on; each branch is told its tile's size first.
    pub fn set_scene(&self, scene: Scene) {
        for tile in &scene.tiles {
            if let Some(ingest) = self.ingests.get(&tile.source) {
                ingest.set_tile(Size {
                    width: tile.rect.w,
                    height: tile.rect.h,
                });
            }
        }
        let _ = self.canvas.send(canvas::Command::Scene(scene));
    }

    /// Composes so many frames a second from now on.
    pub fn set_fps(&self, fps: u32) {
        let _ = self.canvas.send(canvas::Command::Fps(fps));
    }

    /// Sets the name on a participant's tiles. The label is drawn on a blocking thread and
    /// appears when it is ready. Must be called within a tokio runtime.
    pub fn set_name(&mut self, who: ParticipantId, name: &str) {
        if self.names.get(&who).is_some_and(|known| known == name) {
            return;
        }
        self.names.insert(who, name.to_owned());
        let canvas = self.canvas.clone();
        let templates = Arc::clone(&self.settings.templates);
        let name = name.to_owned();
        tokio::task::spawn_blocking(move || {
            let card = Card::render(&templates, who, &name).unwrap_or_else(|error| {
                tracing::warn!(participant = %who, %error, "no label");
                Card::blank(who)
            });
            let _ = canvas.send(canvas::Command::Card(who, Box::new(card)));
        });
    }

    /// Forgets a participant's label.
    pub fn forget_name(&mut self, who: ParticipantId) {
        if self.names.remove(&who).is_some() {
            let _ = self.canvas.send(canvas::Command::ForgetCard(who));
        }
    }

    /// Starts an encoding, or finds it running. Returns its tap.
    ///
    /// # Errors
    /// [`MixerError`] when there is no encoder or it does not start.
    pub fn output(&mut self, output: Output) -> Result<Tap, MixerError> {
        if let Some(rendition) = self.outputs.get(&output) {
            return Ok(rendition.tap().clone());
        }
        let on_event = Arc::clone(&self.on_event);
        let on_failure = move |text| on_event(MixerEvent::OutputFailed(output, text));
        let settings = &self.settings;
        let rendition = match output {
            Output::Video { codec, rung } => {
                let spec = settings.ladder.spec(rung).ok_or(MixerError::NoRung(rung))?;
                let caps = canvas::caps(settings.canvas, canvas::frame_rate(spec.pace))?;
                Rendition::video(&settings.templates, codec, spec, &caps, on_failure)?
            }
            Output::Sound(_) => {
                Rendition::sound(&settings.templates, settings.audio_bitrate, on_failure)?
            }
        };
        self.feed(output, rendition.input().clone());
        let tap = rendition.tap().clone();
        self.outputs.insert(output, rendition);
        Ok(tap)
    }

    fn feed(&self, output: Output, input: gst_app::AppSrc) {
        match output {
            Output::Video { rung, .. } => {
                if let Some(spec) = self.settings.ladder.spec(rung) {
                    let outlet = Outlet::new(input, spec.pace);
                    let _ = self.canvas.send(canvas::Command::AddOutput(output, outlet));
                }
            }
            Output::Sound(without) => {
                let _ = self.sound.send(sound::Command::AddOutput(without, input));
            }
        }
    }

    /// Ends an encoding. Doing it twice is a no-op.
    pub fn drop_output(&mut self, output: Output) {
        if self.outputs.remove(&output).is_none() {
            return;
        }
        match output {
            Output::Video { .. } => {
                let _ = self.canvas.send(canvas::Command::RemoveOutput(output));
            }
            Output::Sound(without) => {
                let _ = self.sound.send(sound::Command::RemoveOutput(without));
            }
        }
    }

    /// Has an output, if it runs, encoded at `bitrate` bit/s.
    pub fn set_bitrate(&mut self, output: Output, bitrate: u32) {
        if let Some(rendition) = self.outputs.get_mut(&output) {
            rendition.set_bitrate(bitrate);
        }
    }

    /// Encodes an output that is sound, and runs, with or without forward error correction.
    pub fn protect(&mut self, output: Output, protection: Fec) {
        if let (Output::Sound(_), Some(rendition)) = (output, self.outputs.get_mut(&output)) {
            rendition.protect(protection);
        }
    }

    /// The encodings that run.
    pub fn outputs(&self) -> impl Iterator<Item = (Output, &Rendition)> {
        self.outputs
            .iter()
            .map(|(output, rendition)| (*output, rendition))
    }

    /// The ladder whose rungs they are.
    pub fn ladder(&self) -> &Ladder {
        &self.settings.ladder
    }

    /// The uplinks that are decoded, and how many pixels of each have been so far.
    pub fn sources(&self) -> impl Iterator<Item = (SourceId, u64)> {
        let ingests = self.ingests.iter();
        ingests.map(|(source, ingest)| (*source, ingest.decoded_pixels()))
    }
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), MixerError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| MixerError::Thread(name, error))
}
