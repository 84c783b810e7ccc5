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

/// Bytes that are kept on the disk for the last entry of a recording that goes on, so that its end is
/// written even where nothing else can be. An entry with a hundred markers has some 15,000.
const ENTRY_RESERVE: u64 = 16 * 1024;

/// Writes the metadata of a recording that begins, and reserves space for those of its end.
///
/// # Errors
/// What writing the files fails with.
pub(super) fn begin(folder: &Path, recording: &Recording) -> io::Result<()> {
    write(folder, recording)?;
    let reserve = std::fs::File::create(draft(folder, &recording.id))?;
    let kept = rustix::fs::fallocate(
        &reserve,
        rustix::fs::FallocateFlags::empty(),
        0,
        ENTRY_RESERVE,
    );
    match kept {
        // Some file systems cannot.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the metadata of a recording as a whole: a reader finds the old file or the new one. What
/// [`begin`] has reserved is made use of.
///
/// # Errors
/// What writing the file fails with.
pub(super) fn write(folder: &Path, recording: &Recording) -> io::Result<()> {
    let (path, draft) = (path(folder, &recording.id), draft(folder, &recording.id));
    let written = write_through(&draft, &serde_json::to_vec_pretty(recording)?)
        .and_then(|()| std::fs::rename(&draft, &path))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

/// Writes a file, into the space that it has already, and waits until it is on the disk.
fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Waits until the names in a folder are on the disk: a file that was renamed there has its new name
/// after a power cut, too.
///
/// # Errors
/// What the system fails with.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Writes a file to the folder and removes it.
///
/// # Errors
/// No file can be written to it. A full disk is no error.
pub(super) fn try_writing(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".tried-{}", std::process::id()));
    let tried = std::fs::write(&path, b"x");
    // Also what a full disk has taken in part. An error here is that of writing.
    let _ = std::fs::remove_file(&path);
    tried.or_else(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            tracing::warn!(folder = %folder.display(), "the disk of the recordings is full");
            Ok(())
        }
        _ => Err(io::Error::new(
            error.kind(),
            format!("no file can be written to it: {error}"),
        )),
    })
}

/// Path of what an entry is written to before it gets its name.
fn draft(folder: &Path, id: &RecordingId) -> PathBuf {
    path(folder, id).with_extension("json.part")
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
    // It is there while a recording goes on.
    let _ = std::fs::remove_file(draft(folder, &recording.id));
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
