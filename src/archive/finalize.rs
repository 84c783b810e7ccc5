//! What is done once a recording has ended: its markers, chapters, tracks and sizes are gathered
//! from what was written.

use std::path::Path;

use super::{chapters, events, markers, metadata};
use crate::protocol::recording::{Recording, RecordingKind, TrackFile};

/// Completes the metadata of a recording that has ended, and writes chapters into its file where
/// that has space for them. Reads and writes files in `folder`, the folder of recordings.
pub(super) fn complete(folder: &Path, recording: &mut Recording) {
    mark(folder, recording);
    measure(&folder.join(&recording.file), recording);
}

/// Sets the markers of a recording from its event log, and the chapters of its file.
fn mark(folder: &Path, recording: &mut Recording) {
    let log = metadata::events_name(recording.kind, recording.id.as_str());
    let entries = events::read_file(&folder.join(log)).unwrap_or_default();
    let start = match recording.kind {
        RecordingKind::Composite => events::start(&entries),
        RecordingKind::Tracks => Some(0),
    };
    let Some(start) = start else {
        return;
    };
    let length = recording.duration_ms;
    recording.markers = markers::markers(&entries, start, length);
    if recording.kind == RecordingKind::Tracks {
        return;
    }
    let list = markers::chapters(&recording.markers);
    match chapters::write(
        &folder.join(&recording.file),
        recording.format,
        &list,
        length,
    ) {
        Ok(written) => tracing::debug!(recording = %recording.id, ?written, "chapters"),
        Err(error) => tracing::warn!(recording = %recording.id, %error, "no chapters"),
    }
}

/// Sets the size of a recording in bytes, and the list of its tracks.
fn measure(path: &Path, recording: &mut Recording) {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    match recording.kind {
        RecordingKind::Composite => recording.bytes = bytes(path),
        RecordingKind::Tracks => {
            let entries = events::read(path).unwrap_or_default();
            let tracks = events::tracks(&entries).into_iter();
            let file = |(track, name): (&events::RecordedTrack, String)| TrackFile {
                file: track.file.clone(),
                participant: track.participant,
                name,
                role: track.role,
                codec: track.codec,
                start_ms: track.start,
                bytes: bytes(&path.join(&track.file)),
            };
            recording.tracks = tracks.map(file).collect();
            let tracks: u64 = recording.tracks.iter().map(|track| track.bytes).sum();
            recording.bytes = tracks + bytes(&path.join(events::EVENTS));
        }
    }
}
