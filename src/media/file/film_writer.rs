//! Encodes a mix that is made offline into a file. The mixer waits for the encoders.

use std::path::Path;
use std::time::Duration;

use gst::prelude::*;

use super::aac;
use super::recorder::error::RecorderError;
use super::recorder::writing::WritingPipeline;
use crate::codec::Film;
use crate::media::gst::pipeline::Pipeline;
use crate::media::gst::plugins;
use crate::media::gst::plugins::H264Encoder;
use crate::media::gst::sps_probe;
use crate::media::gst::template::{Templates, Value};
use crate::media::mixer::error::MixerError;
use crate::media::rtp::h264_sps::PeakRates;

/// How long the end of a file may take: an MP4 of hours is copied, so that its index comes first.
const FINISH_DEADLINE: Duration = Duration::from_secs(600);
/// Bitrate of the sound of a WebM, bit/s.
const SOUND_BITRATE: u64 = 96_000;

/// A film that is being encoded. Dropping it leaves the file unfinished.
#[derive(Debug)]
pub(crate) struct FilmWriter {
    picture: gst_app::AppSrc,
    sound: gst_app::AppSrc,
    writing: WritingPipeline,
}

impl FilmWriter {
    /// Opens the file. `bitrate` is that of the picture, bit/s, and `fps` its frame rate. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`MixerError`] when there is no encoder, or the file cannot be opened.
    pub(crate) fn start(
        templates: &Templates,
        (film, path): (Film, &Path),
        fps: u32,
        bitrate: u32,
    ) -> Result<Self, MixerError> {
        let name = match (film, plugins::h264_encoder()) {
            (Film::Webm, _) => "remix-webm",
            (Film::Mp4, Some(H264Encoder::OpenH264)) => "remix-mp4",
            (Film::Mp4, Some(H264Encoder::X264)) => "remix-mp4-x264",
            (Film::Mp4, None) => return Err(MixerError::NoCodec("H.264 encoder")),
        };
        let aac = match film {
            Film::Mp4 => Some(aac::find().ok_or(MixerError::NoCodec("AAC encoder"))?),
            Film::Webm => None,
        };
        let mut values = vec![
            ("bitrate", Value::Int(bitrate.into())),
            ("kbitrate", Value::Int(u64::from((bitrate / 1000).max(1)))),
            ("keyframe", Value::Int(u64::from(fps.max(1)) * 2)),
        ];
        match aac {
            Some(encoder) => values.extend(aac::values(encoder)),
            None => values.push(("sound", Value::Int(SOUND_BITRATE))),
        }
        let pipeline = Pipeline::parse(name, &templates.fill(name, &values)?)?;
        let file = pipeline.element::<gst::Element>("file")?;
        file.set_property("location", path);
        if let Some(encoder) = aac {
            aac::set_up(encoder, &pipeline)?;
            sps_probe::patch(&pipeline.element("encoder")?, PeakRates { fps, bitrate });
        }
        let picture = pipeline.element::<gst_app::AppSrc>("picture")?;
        let sound = pipeline.element::<gst_app::AppSrc>("sound")?;
        let inputs = [picture.downgrade(), sound.downgrade()];
        let writing = WritingPipeline::start(pipeline, move |_| {
            // A caller that waits for room in one of them would otherwise wait for ever.
            for input in inputs.iter().filter_map(|input| input.upgrade()) {
                let _ = input.set_state(gst::State::Null);
            }
        })?;
        Ok(Self {
            picture,
            sound,
            writing,
        })
    }

    /// The appsrc that frames are pushed into. It blocks while it is full.
    pub(crate) fn picture(&self) -> &gst_app::AppSrc {
        &self.picture
    }

    /// The appsrc that blocks of sound are pushed into. It blocks while it is full.
    pub(crate) fn sound(&self) -> &gst_app::AppSrc {
        &self.sound
    }

    /// Whether writing has failed; [`FilmWriter::finish`] says why.
    pub(crate) fn has_failed(&self) -> bool {
        self.writing.has_failed()
    }

    /// Writes what is left and the index, and waits for it.
    ///
    /// # Errors
    /// [`RecorderError`], also for an earlier failure.
    pub(crate) async fn finish(self) -> Result<(), RecorderError> {
        for input in [&self.picture, &self.sound] {
            let _ = input.end_of_stream();
        }
        self.writing.ended(FINISH_DEADLINE).await
    }
}
