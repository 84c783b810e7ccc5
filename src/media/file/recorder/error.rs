//! What can go wrong while a file is written.

use thiserror::Error;

use crate::media::gst::pipeline::PipelineError;
use crate::media::gst::template::TemplateError;

/// What can go wrong with a recording.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The pipeline could not be made or started.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A template is missing or not filled.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An element failed; mostly the disk.
    #[error("{0}")]
    Failed(String),
    /// The end of the file could not be written in time.
    #[error("the disk does not take the end of the file")]
    Stuck,
}
