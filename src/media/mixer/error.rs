//! What can go wrong with a part of a mixer.

use thiserror::Error;

use super::video::canvas::CanvasError;
use crate::admission::Shortage;
use crate::media::bwe::ladder::Rung;
use crate::media::gst::pipeline::PipelineError;
use crate::media::gst::template::TemplateError;

/// Why a part of a mixer cannot be started.
#[derive(Debug, Error)]
pub enum MixerError {
    /// A pipeline could not be made or started.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A template is missing, or one of its placeholders has no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// No element for this codec is installed.
    #[error("no {0} is installed")]
    NoCodec(&'static str),
    /// libopus refused.
    #[error("no Opus encoder: {0:?}")]
    Opus(opusic_c::ErrorCode),
    /// The ladder has no such rung.
    #[error("the ladder has no rung {}", .0.0)]
    NoRung(Rung),
    /// The canvas could not be made.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// The server has too little left of something.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// A mixing thread of this name could not be started.
    #[error("no thread for {0}: {1}")]
    Thread(&'static str, std::io::Error),
}

impl From<opusic_c::ErrorCode> for MixerError {
    fn from(code: opusic_c::ErrorCode) -> Self {
        Self::Opus(code)
    }
}
