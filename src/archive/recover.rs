//! Repairs the recordings that a killed server left unfinished.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use super::events::{self, EVENTS, Event, EventLog, RecordedTrack};
use super::{metadata, mp4};
use crate::codec::{Container, Contents};
use crate::media::file::recorder::RecorderError;
use crate::media::file::remux::remux;
use crate::media::gst::template::Templates;
use crate::protocol::recording::{Recording, RecordingKind};

/// Why a file could not be repaired.
#[derive(Debug, Error)]
pub(super) enum RecoverError {
    /// Nothing in it can be played.
    #[error("nothing had been written")]
    Empty,
    /// Reading or writing it failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// GStreamer cannot read it.
    #[error(transparent)]
    Content(#[from] RecorderError),
}

/// Repairs the file of a recording, or the files of its tracks, in place. Returns its length, where
/// that is known.
///
/// # Errors
/// [`RecoverError`] if nothing of it can be played. Of tracks, those that can be are repaired.
pub(super) async fn recover(
    templates: &Templates,
    recording: &Recording,
    path: &Path,
) -> Result<Option<Duration>, RecoverError> {
    match recording.kind {
        RecordingKind::Composite => recover_file(templates, recording.format, path).await,
        RecordingKind::Tracks => recover_tracks(templates, path).await.map(Some),
    }
}

/// Repairs every track that can be, and the event log, which then ends with the last of them.
async fn recover_tracks(templates: &Templates, folder: &Path) -> Result<Duration, RecoverError> {
    events::repair(folder)?;
    let entries = events::read(folder)?;
    let mut length = Duration::from_millis(entries.last().ok_or(RecoverError::Empty)?.at);
    for (track, _) in events::tracks(&entries) {
        match recover_track(templates, &folder.join(&track.file), track).await {
            Ok(lasts) => length = length.max(Duration::from_millis(track.start) + lasts),
            Err(error) => tracing::warn!(file = track.file, %error, "a track is not repaired"),
        }
    }
    if entries.last().is_none_or(|entry| entry.event != Event::End) {
        EventLog::open(&folder.join(EVENTS))?.write(length, Event::End)?;
    }
    Ok(length)
}

async fn recover_track(
    templates: &Templates,
    path: &Path,
    track: &RecordedTrack,
) -> Result<Duration, RecoverError> {
    if !events::is_file_name(&track.file) || std::fs::metadata(path)?.len() == 0 {
        return Err(RecoverError::Empty);
    }
    let contents = match track.role.is_audio() {
        true => Contents::Voice,
        false => Contents::Picture,
    };
    rewrite(templates, contents, path).await
}

/// Repairs the file of a composite in place. Returns its length, where that is known.
async fn recover_file(
    templates: &Templates,
    container: Container,
    path: &Path,
) -> Result<Option<Duration>, RecoverError> {
    if std::fs::metadata(path)?.len() == 0 {
        return Err(RecoverError::Empty);
    }
    match container {
        Container::Mp4 => cut(path).map(|()| None),
        Container::Webm => rewrite(templates, Contents::Webm, path).await.map(Some),
        Container::Ogg => rewrite(templates, Contents::Ogg, path).await.map(Some),
    }
}

/// Replaces a file by a copy with the same media and a proper end. Returns its length.
async fn rewrite(
    templates: &Templates,
    contents: Contents,
    path: &Path,
) -> Result<Duration, RecoverError> {
    let copy = path.with_extension("part");
    let length = remux(templates, contents, path, &copy).await;
    if length.is_err() {
        // The original may still play: it stays as it is.
        let _ = std::fs::remove_file(&copy);
    }
    let length = length?;
    File::open(&copy)?.sync_all()?;
    std::fs::rename(&copy, path)?;
    if let Some(folder) = path.parent() {
        metadata::sync_folder(folder)?;
    }
    Ok(length)
}

/// Truncates an MP4 after its last whole fragment.
fn cut(path: &Path) -> Result<(), RecoverError> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let whole = mp4::whole_length(&mut file)?;
    if whole == 0 {
        return Err(RecoverError::Empty);
    }
    file.set_len(whole)?;
    file.sync_all()?;
    Ok(())
}
