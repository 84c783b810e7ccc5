//! What can go wrong while a file is written.

use thiserror::Error;

use crate::media::gst::pipeline::PipelineError;
use crate::media::gst::template::TemplateError;

/// Why a file cannot be written.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The pipeline could not be made or started.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A template is missing, or one of its placeholders has no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// No AAC encoder is installed.
    #[error("there is no AAC encoder here (avenc_aac is in gstreamer1.0-libav)")]
    NoAac,
    /// An element failed, mostly because of the disk. The text is GStreamer's.
    #[error("{0}")]
    Failed(String),
    /// The end of the file could not be written in time.
    #[error("the disk does not take the end of the file")]
    Stuck,
}
