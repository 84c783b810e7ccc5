//! The folder of recordings: its file names, and the JSON with a recording's metadata that lies
//! beside its file and that the REST API shows.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::events::EVENTS;
use crate::codec::Container;
use crate::protocol::recording::{Recording, RecordingId, RecordingKind};

/// Name in the folder of recordings of the file or folder that recording `id` is written to.
pub(super) fn file_name(kind: RecordingKind, id: &str, format: Container) -> String {
    match kind {
        RecordingKind::Composite => format!("{id}.{}", format.extension()),
        RecordingKind::Tracks => id.to_owned(),
    }
}

/// Path in the folder of recordings of the event log of recording `id`.
pub(super) fn events_name(kind: RecordingKind, id: &str) -> String {
    match kind {
        RecordingKind::Composite => format!("{id}.{EVENTS}"),
        RecordingKind::Tracks => format!("{id}/{EVENTS}"),
    }
}

/// A time as the metadata has it: RFC 3339 in UTC, to the millisecond. The order of such texts is
/// that of the times.
pub(super) fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// Writes the metadata of a recording as a whole: a reader finds the old file or the new one.
///
/// # Errors
/// What writing the file fails with.
pub(super) fn write(folder: &Path, recording: &Recording) -> io::Result<()> {
    let path = path(folder, &recording.id);
    let draft = path.with_extension("json.part");
    let written = write_through(&draft, &serde_json::to_vec_pretty(recording)?)
        .and_then(|()| std::fs::rename(&draft, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

/// Writes a file and waits until it is on the disk.
fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn path(folder: &Path, id: &RecordingId) -> PathBuf {
    folder.join(format!("{id}.json"))
}

/// Deletes the files of a recording and its metadata. What cannot be deleted is logged.
pub(super) fn remove(folder: &Path, recording: &Recording) {
    let file = folder.join(&recording.file);
    let removed = match recording.kind {
        RecordingKind::Composite => std::fs::remove_file(&file),
        RecordingKind::Tracks => std::fs::remove_dir_all(&file),
    };
    let metadata = path(folder, &recording.id);
    for (path, removed) in [
        (&file, removed),
        (&metadata, std::fs::remove_file(&metadata)),
    ] {
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "not deleted");
        }
    }
    remove_events(folder, &recording.id);
}

/// Deletes the event log of a composite, if there is one.
pub(super) fn remove_events(folder: &Path, id: &RecordingId) {
    let path = folder.join(events_name(RecordingKind::Composite, id.as_str()));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "not deleted");
        }
        _ => {}
    }
}

/// Reads the metadata of every recording in a folder. Other files are left alone.
///
/// # Errors
/// What reading the folder fails with.
pub(super) fn read_all(folder: &Path) -> io::Result<BTreeMap<RecordingId, Recording>> {
    let mut catalogue = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read(&path) {
            Some(recording) => {
                catalogue.insert(recording.id.clone(), recording);
            }
            None => tracing::warn!(path = %path.display(), "not an entry of a recording"),
        }
    }
    Ok(catalogue)
}

/// Reads the metadata of one recording. `None` if it does not parse, or names another file than the
/// one that its own name stands for: it is not trusted to name files elsewhere.
fn read(path: &Path) -> Option<Recording> {
    let recording: Recording = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let stem = path.file_stem()?.to_str()?;
    let file = file_name(recording.kind, stem, recording.format);
    (recording.id.as_str() == stem && recording.file == file).then_some(recording)
}

/// Time from the start of a recording to the last write to its file, to the second; 0 if it is not
/// known.
pub(super) fn written_for(path: &Path, recording: &Recording) -> Duration {
    let last = std::fs::metadata(path).and_then(|file| file.modified());
    let began = humantime::parse_rfc3339(&recording.started);
    match (last, began) {
        (Ok(last), Ok(began)) => last.duration_since(began).unwrap_or_default(),
        _ => Duration::ZERO,
    }
}
