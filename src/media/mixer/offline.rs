//! The room's canvas and sound mixer without clock and threads: the caller says what time it is,
//! and gets as many frames as it asks for.

use std::sync::Arc;

use super::audio::block_sink::PERIOD;
use super::audio::input::{Feed, Microphone};
use super::audio::sound;
use super::audio::sound::SoundMixer;
use super::error::MixerError;
use super::output::{MixMinus, Output};
use super::source::SampleSource;
use super::video::canvas;
use super::video::canvas::Canvas;
use super::video::encoder_input::EncoderInput;
use super::video::name_plate::NamePlate;
use super::video::scene::Scene;

use crate::codec::VideoCodec;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout::{Fit, Size};
use crate::media::bwe::ladder::{Pace, Rung};
use crate::media::gst::template::Templates;

/// The length of a block of mixed sound.
pub(crate) const BLOCK: gst::ClockTime = PERIOD;

/// The key of the only output; how it is encoded is not decided here.
const PICTURE: Output = Output::Video {
    codec: VideoCodec::H264,
    rung: Rung::TOP,
};

/// A mixer that is told the time. All work is done on the calling thread.
pub(crate) struct OfflineMixer {
    canvas: Canvas,
    sound: SoundMixer,
    templates: Arc<Templates>,
    period: gst::ClockTime,
}

impl std::fmt::Debug for OfflineMixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfflineMixer")
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}

impl OfflineMixer {
    /// A mixer without sources, of `fps` frames of `size` a second. Frames are pushed into
    /// `picture`, blocks of sound into `sound`; both may block.
    ///
    /// # Errors
    /// [`MixerError::Canvas`] when there is no memory for the canvas.
    pub(crate) fn new(
        (size, fps, fit): (Size, u32, Fit),
        templates: Arc<Templates>,
        picture: gst_app::AppSrc,
        sound: gst_app::AppSrc,
    ) -> Result<Self, MixerError> {
        picture.set_caps(Some(&canvas::caps(size, fps)?));
        let mut canvas = Canvas::new(size, fps, fit, Box::new(|_| {}))?;
        let encoder_input = EncoderInput::new(Box::new(picture), Pace::Fps(fps));
        canvas.apply(canvas::Command::AddOutput(PICTURE, encoder_input));
        let mut mixer = SoundMixer::new(Box::new(|_| {}));
        mixer.apply(sound::Command::AddOutput(MixMinus::Nobody, Box::new(sound)));
        Ok(Self {
            canvas,
            sound: mixer,
            templates,
            period: gst::ClockTime::SECOND / u64::from(fps.max(1)),
        })
    }

    /// Shows `scene` from the next frame on.
    pub(crate) fn set_scene(&mut self, scene: Scene) {
        self.canvas.apply(canvas::Command::Scene(scene));
    }

    /// Sets the name on a participant's tiles. Blocks for some milliseconds.
    pub(crate) fn set_name(&mut self, who: ParticipantId, name: &str) {
        let name_plate = NamePlate::render(&self.templates, who, name).unwrap_or_else(|error| {
            tracing::warn!(participant = %who, %error, "no label");
            NamePlate::blank(who)
        });
        self.canvas
            .apply(canvas::Command::NamePlate(who, Box::new(name_plate)));
    }

    /// Mixes `samples` as the source from now on, in place of those that were mixed before.
    pub(crate) fn add_source(&mut self, source: SourceId, samples: Box<dyn SampleSource>) {
        match source.role {
            Role::Mic => {
                // Nothing is late, so no picture has to wait.
                let delay = Arc::default();
                let feed = Feed::Decoded(samples);
                let microphone = Microphone { feed, delay };
                let add = sound::Command::AddSource(source.participant, microphone);
                self.sound.apply(add);
            }
            _ => self
                .canvas
                .apply(canvas::Command::AddSource(source, samples)),
        }
    }

    /// Stops mixing a source.
    pub(crate) fn remove_source(&mut self, source: SourceId) {
        match source.role {
            Role::Mic => {
                let who = source.participant;
                self.sound.apply(sound::Command::RemoveSource(who));
            }
            _ => self.canvas.apply(canvas::Command::RemoveSource(source)),
        }
    }

    /// Draws the frame of time `at`.
    pub(crate) fn frame(&mut self, at: gst::ClockTime) {
        self.canvas.tick(at, at, self.period);
    }

    /// Mixes the block of sound that begins at time `at`.
    pub(crate) fn block(&mut self, at: gst::ClockTime) {
        self.sound.tick(at);
    }
}
