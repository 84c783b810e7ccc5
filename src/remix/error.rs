//! What can go wrong with a remix.

use std::path::PathBuf;

use thiserror::Error;

use crate::media::file::recorder::RecorderError;
use crate::media::mixer::MixerError;

/// Why a remix failed.
#[derive(Debug, Error)]
pub enum RemixError {
    /// The folder has no event log that can be read; with the reason.
    #[error("{folder} is no recording of tracks: {reason}", folder = .0.display(), reason = .1)]
    NoRecording(PathBuf, String),
    /// The recording has no length.
    #[error("the recording is empty")]
    Empty,
    /// The extension of the output file is neither .mp4 nor .webm.
    #[error("{0}: a remix is written as .mp4 or .webm")]
    Format(String),
    /// A decoder, an encoder or the canvas failed.
    #[error(transparent)]
    Mixer(#[from] MixerError),
    /// The pipeline that writes the file failed.
    #[error(transparent)]
    Writing(#[from] RecorderError),
    /// The output file is there and may not be replaced.
    #[error("{path} exists; --force replaces it", path = .0.display())]
    Exists(PathBuf),
    /// The output file cannot be created, or given its name.
    #[error("cannot write {path}: {reason}", path = .0.display(), reason = .1)]
    Disk(PathBuf, std::io::Error),
}
