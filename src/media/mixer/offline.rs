//! The room's canvas and sound mixer without clock and threads: whoever has them says what time it
//! is, and gets as many frames as they ask for.

use std::sync::Arc;

use super::audio::sound;
use super::audio::sound::Sound;
use super::source::Feed;
use super::video::canvas;
use super::video::canvas::Canvas;
use super::video::encoder_input::Outlet;
use super::video::name_plate::Card;
use super::{MixerError, Output, Scene, Without};
use crate::codec::VideoCodec;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout::{Fit, Size};
use crate::media::bwe::ladder::{Pace, Rung};
use crate::media::gst::template::Templates;

/// Length of a block of sound.
pub const BLOCK: gst::ClockTime = sound::PERIOD;

/// What an offline mixer makes, whoever encodes it as whatever.
const PICTURE: Output = Output::Video {
    codec: VideoCodec::H264,
    rung: Rung::TOP,
};

/// A mixer that is told the time. All of it happens in the calling thread.
pub struct OfflineMixer {
    canvas: Canvas,
    sound: Sound,
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
    /// A mixer of nothing, with frames of `size`, `fps` a second. They go into `picture` and the
    /// blocks of sound into `sound`, which may block.
    ///
    /// # Errors
    /// [`MixerError::Canvas`] when there is no memory for the canvas.
    pub fn new(
        (size, fps, fit): (Size, u32, Fit),
        templates: Arc<Templates>,
        picture: gst_app::AppSrc,
        sound: gst_app::AppSrc,
    ) -> Result<Self, MixerError> {
        picture.set_caps(Some(&canvas::caps(size, fps)?));
        let mut canvas = Canvas::new(size, fps, fit, Box::new(|_| {}))?;
        let outlet = Outlet::new(picture, Pace::Fps(fps));
        canvas.apply(canvas::Command::AddOutput(PICTURE, outlet));
        let mut mixer = Sound::new(Box::new(|_| {}));
        mixer.apply(sound::Command::AddOutput(Without::Nobody, sound));
        Ok(Self {
            canvas,
            sound: mixer,
            templates,
            period: gst::ClockTime::SECOND / u64::from(fps.max(1)),
        })
    }

    /// Shows `scene` from the next frame on.
    pub fn set_scene(&mut self, scene: Scene) {
        self.canvas.apply(canvas::Command::Scene(scene));
    }

    /// Sets the name on a participant's tiles. Takes some milliseconds.
    pub fn set_name(&mut self, who: ParticipantId, name: &str) {
        let card = Card::render(&self.templates, who, name).unwrap_or_else(|error| {
            tracing::warn!(participant = %who, %error, "no label");
            Card::blank(who)
        });
        self.canvas
            .apply(canvas::Command::Card(who, Box::new(card)));
    }

    /// Mixes what `feed` gives, in place of what was mixed of the source.
    pub fn add_source(&mut self, source: SourceId, feed: Box<dyn Feed>) {
        match source.role {
            Role::Mic => {
                // Nobody's pictures wait: nothing is late.
                let hold = Arc::default();
                let microphone = sound::Microphone { feed, hold };
                let add = sound::Command::AddSource(source.participant, microphone);
                self.sound.apply(add);
            }
            _ => self.canvas.apply(canvas::Command::AddSource(source, feed)),
        }
    }

    /// Mixes nothing more of a source.
    pub fn remove_source(&mut self, source: SourceId) {
        match source.role {
            Role::Mic => {
                let who = source.participant;
                self.sound.apply(sound::Command::RemoveSource(who));
            }
            _ => self.canvas.apply(canvas::Command::RemoveSource(source)),
        }
    }

    /// Draws the frame of `at`.
    pub fn frame(&mut self, at: gst::ClockTime) {
        self.canvas.tick(at, at, self.period);
    }

    /// Mixes the block of sound that begins `at`.
    pub fn block(&mut self, at: gst::ClockTime) {
        self.sound.tick(at);
    }
}
