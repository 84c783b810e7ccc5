//! The mixer of one room: uplinks come in through taps, the composite and the mixed sound go out
//! through taps.
//!
//! It exists while somebody needs the composite or the mix. Two threads do the mixing, the canvas
//! and the sound mixer; each owns its state and is told what to do through a channel. Decoders
//! (`ingest`) and encoders (`rendition`) of pictures are pipelines of their own around them; sound is
//! decoded and encoded by the thread that mixes it.
//!
//! The methods here are called by the room's task, do not block, and take effect with the next
//! frame.

pub mod audio;
mod encoding;
pub(crate) mod error;
pub(crate) mod ingest;
pub(crate) mod level_meter;
pub(crate) mod offline;
pub(crate) mod output;
pub(crate) mod rendition;
pub(crate) mod source;
mod ticker;
pub(crate) mod video;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};

pub(crate) use self::audio::sound::SoundEvent;
pub(crate) use self::encoding::Encoding;
pub(crate) use self::error::MixerError;
pub use self::output::{MixMinus, Output};
pub use self::video::scene::{Content, Mark, Scene, Tile};

use self::audio::block_sink::PERIOD;
use self::audio::encoder::MixEncoder;
use self::audio::feed::PacketFeed;
use self::audio::input::{Feed, Microphone};
use self::audio::sound;
use self::audio::sound::SoundMixer;
use self::audio::voice::Voice;
use self::ingest::Ingest;
use self::rendition::Rendition;
use self::ticker::{Late, Ticker};
use self::video::av_sync::{SyncDelay, SyncedPictures};
use self::video::canvas;
use self::video::canvas::Canvas;
use self::video::encoder_input::EncoderInput;
use self::video::name_plate::NamePlate;
use self::video::name_plates::NamePlates;

use super::bwe::fec::Fec;
use super::bwe::ladder::{Ladder, Rung};
use super::gst::template::Templates;
use super::stream::tap::Tap;
use crate::admission::{Admission, Demand};
use crate::codec::VideoCodec;
use crate::id::{ParticipantId, Role, SourceId};
use crate::layout::{Fit, Size};

/// What a mixer reports.
#[derive(Debug)]
pub(crate) enum MixerEvent {
    /// An event of the sound mixer.
    Sound(SoundEvent),
    /// The first picture of a source has come and is drawn.
    Painted(SourceId),
    /// A source cannot be decoded any more, for this reason.
    SourceFailed(SourceId, String),
    /// The encoder of an output failed, for this reason.
    OutputFailed(Output, String),
}

/// Where a mixer's events go. Called on threads of the mixer; must not block.
pub(crate) type OnMixerEvent = Arc<dyn Fn(MixerEvent) + Send + Sync>;

/// The settings of a mixer.
#[derive(Debug, Clone)]
pub(crate) struct MixerSettings {
    /// The size of the composite, even numbers of pixels.
    pub canvas: Size,
    pub fps: u32,
    /// How a picture is placed in its tile.
    pub fit: Fit,
    /// The sizes, frame rates and bitrates that the composite can be encoded in.
    pub ladder: Arc<Ladder>,
    /// Bitrate of each encoding of the sound, bit/s.
    pub audio_bitrate: u32,
    pub templates: Arc<Templates>,
    /// Asked for what decoders, encoders and labels take before they are started.
    pub admission: Admission,
}

/// A room's mixer. Dropping it ends its threads and pipelines.
pub(crate) struct Mixer {
    settings: MixerSettings,
    on_event: OnMixerEvent,
    canvas: mpsc::Sender<canvas::Command>,
    sound: mpsc::Sender<sound::Command>,
    /// Decoders of pictures.
    ingests: BTreeMap<SourceId, Ingest>,
    /// Whose sound is mixed; the sound mixer decodes it.
    microphones: BTreeSet<ParticipantId>,
    outputs: BTreeMap<Output, Encoding>,
    names: BTreeMap<ParticipantId, String>,
    name_plates: NamePlates,
    /// Of each participant with a microphone or a camera in the mixer.
    sync_delays: BTreeMap<ParticipantId, Arc<SyncDelay>>,
}

impl std::fmt::Debug for Mixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mixer")
            .field("ingests", &self.ingests.keys())
            .field("microphones", &self.microphones)
            .field("outputs", &self.outputs.keys())
            .finish_non_exhaustive()
    }
}

impl Mixer {
    /// Starts the mixing threads, with nothing to mix yet.
    ///
    /// # Errors
    /// [`MixerError`] when there is no memory for the canvas or no thread, or would be too little
    /// left of something.
    pub(crate) fn start(
        settings: MixerSettings,
        on_event: OnMixerEvent,
    ) -> Result<Self, MixerError> {
        let _grant = settings.admission.take(Demand::MIXER)?;
        let report = Arc::clone(&on_event);
        let painted = Box::new(move |source| report(MixerEvent::Painted(source)));
        let canvas = Canvas::new(settings.canvas, settings.fps, settings.fit, painted)?;
        let (canvas_commands, commands) = mpsc::channel();
        let period = canvas::period(settings.fps);
        spawn("mix-video", move || {
            canvas.run(Ticker::new(period, Late::Skip), &commands);
        })?;

        let report = Arc::clone(&on_event);
        let sound = SoundMixer::new(Box::new(move |event| report(MixerEvent::Sound(event))));
        let (sound_commands, commands) = mpsc::channel();
        spawn("mix-audio", move || {
            sound.run(Ticker::new(PERIOD, sound::LATE), &commands);
        })?;
        Ok(Self {
            settings,
            on_event,
            canvas: canvas_commands,
            sound: sound_commands,
            ingests: BTreeMap::new(),
            microphones: BTreeSet::new(),
            outputs: BTreeMap::new(),
            names: BTreeMap::new(),
            name_plates: NamePlates::new(),
            sync_delays: BTreeMap::new(),
        })
    }

    /// Starts to mix an uplink. One that is there already is replaced; its last picture stays until the
    /// first new one.
    ///
    /// # Errors
    /// [`MixerError`] when there is no decoder of pictures, it does not start, or too little would be
    /// left of something.
    pub(crate) fn add_source(&mut self, source: SourceId, tap: &Tap) -> Result<(), MixerError> {
        match source.role {
            Role::Mic => {
                self.add_microphone(source, tap);
                Ok(())
            }
            _ => self.add_picture(source, tap),
        }
    }

    fn add_microphone(&mut self, source: SourceId, tap: &Tap) {
        self.remove_source(source);
        let who = source.participant;
        let microphone = Microphone {
            feed: Feed::Packets(Voice::new(PacketFeed::new(source, tap))),
            delay: self.sync_delay(who),
        };
        let _ = self.sound.send(sound::Command::AddSource(who, microphone));
        self.microphones.insert(who);
    }

    fn add_picture(&mut self, source: SourceId, tap: &Tap) -> Result<(), MixerError> {
        let _grant = self.settings.admission.take(Demand::DECODER)?;
        let on_event = Arc::clone(&self.on_event);
        let started = Ingest::start(
            &self.settings.templates,
            source,
            tap,
            self.settings.fit,
            move |text| on_event(MixerEvent::SourceFailed(source, text)),
        );
        if started.is_err() {
            self.remove_source(source);
        }
        let ingest = started?;
        let sync_delay = match source.role {
            Role::Camera => self.sync_delay(source.participant),
            // A screen has no lips to synchronise.
            _ => Arc::default(),
        };
        let feed = Box::new(SyncedPictures::new(ingest.sink().clone(), sync_delay));
        let _ = self.canvas.send(canvas::Command::AddSource(source, feed));
        self.ingests.insert(source, ingest);
        Ok(())
    }

    /// What synchronises a participant's microphone and camera.
    fn sync_delay(&mut self, who: ParticipantId) -> Arc<SyncDelay> {
        Arc::clone(self.sync_delays.entry(who).or_default())
    }

    /// Stops mixing an uplink. Does nothing if it is not mixed.
    pub(crate) fn remove_source(&mut self, source: SourceId) {
        let who = source.participant;
        match source.role {
            Role::Mic if self.microphones.remove(&who) => {
                let _ = self.sound.send(sound::Command::RemoveSource(who));
            }
            Role::Mic => return,
            _ if self.ingests.remove(&source).is_some() => {
                let _ = self.canvas.send(canvas::Command::RemoveSource(source));
            }
            _ => return,
        }
        let has_pictures = self.ingests.keys().any(|left| left.participant == who);
        if !has_pictures && !self.microphones.contains(&who) {
            self.sync_delays.remove(&who);
        }
    }

    /// Shows `scene` from the next frame on, after each decoder was told the size of its tile.
    pub(crate) fn set_scene(&self, scene: Scene) {
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

    /// Draws the composite at `fps` frames a second from now on.
    pub(crate) fn set_fps(&self, fps: u32) {
        let _ = self.canvas.send(canvas::Command::Fps(fps));
    }

    /// Sets the name on a participant's tiles. The name plate is drawn by a thread that draws all of
    /// them and appears when it is ready; of several names in a row only the last may.
    pub(crate) fn set_name(&mut self, who: ParticipantId, name: &str) {
        if self.names.get(&who).is_some_and(|known| known == name) {
            return;
        }
        self.names.insert(who, name.to_owned());
        let canvas = self.canvas.clone();
        let templates = Arc::clone(&self.settings.templates);
        let name = name.to_owned();
        let admission = self.settings.admission.clone();
        let draw = move || {
            let name_plate = match admission.take(Demand::LABEL) {
                Ok(_grant) => NamePlate::render(&templates, who, &name).unwrap_or_else(|error| {
                    tracing::warn!(participant = %who, %error, "no label");
                    NamePlate::blank(who)
                }),
                Err(error) => {
                    tracing::warn!(participant = %who, %error, "no label");
                    NamePlate::blank(who)
                }
            };
            let _ = canvas.send(canvas::Command::NamePlate(who, Box::new(name_plate)));
        };
        if let Err(error) = self.name_plates.set(who, Box::new(draw)) {
            tracing::warn!(participant = %who, %error, "no thread draws labels");
        }
    }

    /// Forgets the name plate of a participant.
    pub(crate) fn forget_name(&mut self, who: ParticipantId) {
        if self.names.remove(&who).is_some() {
            self.name_plates.forget(who);
            let _ = self.canvas.send(canvas::Command::ForgetNamePlate(who));
        }
    }

    /// Returns the tap of an encoding, which is started if it does not run yet.
    ///
    /// # Errors
    /// [`MixerError`] when there is no encoder, it does not start, or too little would be left of
    /// something.
    pub(crate) fn output(&mut self, output: Output) -> Result<Tap, MixerError> {
        if let Some(encoding) = self.outputs.get(&output) {
            return Ok(encoding.tap().clone());
        }
        let encoding = match output {
            Output::Video { codec, rung } => self.encode_picture(output, (codec, rung))?,
            Output::Sound(minus) => self.encode_sound(minus)?,
        };
        let tap = encoding.tap().clone();
        self.outputs.insert(output, encoding);
        Ok(tap)
    }

    fn encode_picture(
        &self,
        output: Output,
        (codec, rung): (VideoCodec, Rung),
    ) -> Result<Encoding, MixerError> {
        let settings = &self.settings;
        let _grant = settings.admission.take(Demand::ENCODER)?;
        let on_event = Arc::clone(&self.on_event);
        let on_failure = move |text| on_event(MixerEvent::OutputFailed(output, text));
        let spec = settings.ladder.spec(rung).ok_or(MixerError::NoRung(rung))?;
        let caps = canvas::caps(settings.canvas, canvas::frame_rate(spec.pace))?;
        let rendition = Rendition::video(&settings.templates, codec, spec, &caps, on_failure)?;
        let encoder_input = EncoderInput::new(Box::new(rendition.input().clone()), spec.pace);
        let add = canvas::Command::AddOutput(output, encoder_input);
        let _ = self.canvas.send(add);
        Ok(Encoding::Picture(rendition))
    }

    fn encode_sound(&self, minus: MixMinus) -> Result<Encoding, MixerError> {
        let (encoder, settings, tap) = MixEncoder::new(self.settings.audio_bitrate)?;
        let add = sound::Command::AddOutput(minus, Box::new(encoder));
        let _ = self.sound.send(add);
        Ok(Encoding::Sound { tap, settings })
    }

    /// Ends an encoding. Does nothing if it does not run.
    pub(crate) fn drop_output(&mut self, output: Output) {
        if self.outputs.remove(&output).is_none() {
            return;
        }
        match output {
            Output::Video { .. } => {
                let _ = self.canvas.send(canvas::Command::RemoveOutput(output));
            }
            Output::Sound(minus) => {
                let _ = self.sound.send(sound::Command::RemoveOutput(minus));
            }
        }
    }

    /// Encodes an output at `bitrate` bit/s from the next frame on, if it runs.
    pub(crate) fn set_bitrate(&self, output: Output, bitrate: u32) {
        if let Some(encoding) = self.outputs.get(&output) {
            encoding.set_bitrate(bitrate);
        }
    }

    /// Switches the forward error correction of an output of sound on or off, if it runs.
    pub(crate) fn set_fec(&self, output: Output, protection: Fec) {
        if let Some(encoding) = self.outputs.get(&output) {
            encoding.set_fec(protection);
        }
    }

    /// All encodings that run.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (Output, &Encoding)> {
        self.outputs
            .iter()
            .map(|(output, encoding)| (*output, encoding))
    }

    /// All uplinks that are mixed, with the number of pixels decoded so far.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (SourceId, u64)> {
        let pictures = self.ingests.iter();
        let pictures = pictures.map(|(source, ingest)| (*source, ingest.decoded_pixels()));
        let sounds = self.microphones.iter().map(|participant| SourceId {
            participant: *participant,
            role: Role::Mic,
        });
        pictures.chain(sounds.map(|source| (source, 0)))
    }
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), MixerError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| MixerError::Thread(name, error))
}
