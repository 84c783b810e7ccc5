//! What is done once a recording has ended: what there is to know of it is gathered and written down.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::Archive;
use super::{chapters, events, markers, metadata};
use crate::protocol::recording::{Kind, Recording, RecordingId, TrackFile};

impl Archive {
    /// Writes down that a recording has ended.
    pub(super) async fn close(&self, mut recording: Recording) {
        recording.ended = Some(metadata::stamp(SystemTime::now()));
        let archive = self.clone();
        let closed = move || {
            archive.mark(&mut recording);
            archive.measure(&mut recording);
            match archive.write(&recording) {
                Ok(()) => archive.forget_events(&recording),
                Err(error) => {
                    tracing::error!(recording = %recording.id, %error, "its entry is not written");
                }
            }
            archive.keep(recording);
            Ok(())
        };
        let _ = self.on_disk(closed).await;
    }

    /// Notes the moments of a recording, and writes them into its file where that can have them.
    fn mark(&self, recording: &mut Recording) {
        let lines = events::read_file(&self.events(recording)).unwrap_or_default();
        let start = match recording.kind {
            Kind::Composite => events::start(&lines),
            Kind::Tracks => Some(0),
        };
        let Some(start) = start else {
            return;
        };
        let length = recording.duration_ms;
        recording.markers = markers::markers(&lines, start, length);
        if recording.kind == Kind::Tracks {
            return;
        }
        let list = markers::chapters(&recording.markers);
        match chapters::write(&self.path(recording), recording.format, &list, length) {
            Ok(written) => tracing::debug!(recording = %recording.id, ?written, "chapters"),
            Err(error) => tracing::warn!(recording = %recording.id, %error, "no chapters"),
        }
    }

    /// Removes the events of a recording whose entry says what there is to know of them.
    fn forget_events(&self, recording: &Recording) {
        if recording.kind == Kind::Composite {
            remove_events(&self.0.folder, &recording.id);
        }
    }

    /// Notes how much has been written of a recording.
    fn measure(&self, recording: &mut Recording) {
        let path = self.path(recording);
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        match recording.kind {
            Kind::Composite => recording.bytes = bytes(&path),
            Kind::Tracks => {
                let lines = events::read(&path).unwrap_or_default();
                let tracks = events::tracks(&lines).into_iter();
                let file = |(track, name): (&events::Track, String)| TrackFile {
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
}

/// Removes the events of a composite, if they are there.
pub(super) fn remove_events(folder: &Path, id: &RecordingId) {
    let path = folder.join(metadata::events_name(Kind::Composite, id.as_str()));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "not deleted");
        }
        _ => {}
    }
}
