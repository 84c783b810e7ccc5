//! What can go wrong with a remix.

use std::path::PathBuf;

use thiserror::Error;

use crate::media::file::recorder::RecorderError;
use crate::media::mixer::MixerError;

/// Why there is no remix.
#[derive(Debug, Error)]
pub enum RemixError {
    /// The folder has no events that can be read.
    #[error("{folder} is no recording of tracks: {reason}", folder = .0.display(), reason = .1)]
    NoRecording(PathBuf, String),
    /// Nothing was recorded.
    #[error("the recording is empty")]
    Empty,
    /// What it is to be written as is unknown.
    #[error("{0}: a remix is written as .mp4 or .webm")]
    Format(String),
    /// A decoder, an encoder or the canvas.
    #[error(transparent)]
    Mixer(#[from] MixerError),
    /// Writing it.
    #[error(transparent)]
    Writing(#[from] RecorderError),
    /// The disk.
    #[error("{0}: {1}")]
    Disk(String, std::io::Error),
}
