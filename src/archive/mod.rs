//! The folder of recordings: one file each, one small JSON beside it, written anew as a whole, and
//! the catalogue of them. What a server that was killed left behind is made whole at the next
//! start.
//!
//! Threads: any. Calls that touch the disk run on tokio's blocking threads; the lock is held for
//! moments, and never while the disk is touched.

mod chapters;
pub mod events;
mod finalize;
mod markers;
mod metadata;
mod mp4;
mod recover;
mod webm;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use crate::protocol::recording::{
    BadRecordingId, Kind, Page, Recording, RecordingId, Standing, Subject, TrackFile,
};
pub use crate::protocol::recording::{Marker, Moment};

use crate::id::RoomId;
use crate::layout::Size;
use crate::media::gst::template::Templates;

/// What limits recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes that must stay free on the disk.
    pub free_space: u64,
    /// A recording ends after this.
    pub max_length: Duration,
    /// Recordings that ended longer ago than this are deleted; never if `None`.
    pub max_age: Option<Duration>,
}

/// Why the archive refuses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArchiveError {
    /// The disk is fuller than it may be.
    #[error("the disk of the recordings has {free} bytes left, {floor} have to stay free")]
    Full {
        /// Bytes free.
        free: u64,
        /// Bytes that have to be.
        floor: u64,
    },
    /// The folder cannot be used.
    #[error("the folder of recordings {folder}: {reason}")]
    Unusable {
        /// Which.
        folder: String,
        /// What the system says.
        reason: String,
    },
    /// There is no such recording.
    #[error("there is no such recording")]
    Unknown,
    /// It goes on, and must be stopped first.
    #[error("the recording goes on: stop it first")]
    GoesOn,
}

/// How a recording ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// How long it is.
    pub length: Duration,
    /// Who was there at any time.
    pub participants: Vec<String>,
    /// Why it ended, where nobody stopped it.
    pub reason: Option<String>,
    /// Whether the file has its end.
    pub file: FileEnd,
}

/// The end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEnd {
    /// Written.
    Written,
    /// Not written: the file is as after a crash.
    Missing,
}

/// The folder of recordings. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Archive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    quotas: Quotas,
    templates: Arc<Templates>,
    catalogue: Mutex<BTreeMap<RecordingId, Recording>>,
    /// Counts changes of the catalogue.
    changes: watch::Sender<u64>,
    running: TaskTracker,
}

impl Archive {
    /// Opens the folder, makes it if it is not there, repairs what a killed server left and deletes
    /// what is too old.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] when it can be neither read nor made. One that cannot be written
    /// to is found out by [`Archive::begin`]: what is in it can still be had.
    pub async fn open(
        folder: &Path,
        quotas: Quotas,
        templates: Arc<Templates>,
    ) -> Result<Self, ArchiveError> {
        let unusable = |error: io::Error| unusable(folder, &error);
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let catalogue = read_all(folder).map_err(unusable)?;
        let archive = Self(Arc::new(Inner {
            folder: folder.to_owned(),
            quotas,
            templates,
            catalogue: Mutex::new(catalogue),
            changes: watch::Sender::new(0),
            running: TaskTracker::new(),
        }));
        archive.recover().await;
        archive.forget_old();
        Ok(archive)
    }

    /// What limits recordings.
    pub fn quotas(&self) -> Quotas {
        self.0.quotas
    }

    /// Begins a recording: its entry and its empty file are there when this returns.
    ///
    /// # Errors
    /// [`ArchiveError::Full`], [`ArchiveError::Unusable`].
    pub async fn begin(
        &self,
        room: RoomId,
        subject: Subject,
        size: Size,
    ) -> Result<Recording, ArchiveError> {
        let archive = self.clone();
        let begun = move || archive.begin_now(room, subject, size);
        self.on_disk(begun).await
    }

    fn begin_now(
        &self,
        room: RoomId,
        subject: Subject,
        size: Size,
    ) -> Result<Recording, ArchiveError> {
        self.forget_old();
        self.check_space()?;
        let now = SystemTime::now();
        let id = RecordingId::invent(&room, now);
        let (kind, format) = (subject.kind(), subject.format());
        let codec = match subject {
            Subject::Mix(container) => container.codec(),
            Subject::Tracks => None,
        };
        let recording = Recording {
            file: metadata::file_name(kind, id.as_str(), format),
            id,
            room,
            kind,
            format,
            state: Standing::Recording,
            started: metadata::stamp(now),
            ended: None,
            duration_ms: 0,
            bytes: 0,
            size: codec.map(|_| size),
            video: codec,
            participants: Vec::new(),
            reason: None,
            tracks: Vec::new(),
            markers: Vec::new(),
        };
        let path = self.path(&recording);
        let create = match kind {
            Kind::Composite => std::fs::File::create_new(&path).map(drop),
            Kind::Tracks => std::fs::create_dir(&path),
        };
        create
            .and_then(|()| self.write(&recording))
            .map_err(|error| unusable(&self.0.folder, &error))?;
        self.keep(recording.clone());
        Ok(recording)
    }

    /// Ends a recording. Where its file has no end it is repaired, as after a crash.
    pub async fn end(&self, id: RecordingId, ending: Ending) {
        let Some(mut recording) = self.get(&id) else {
            return;
        };
        let path = self.path(&recording);
        recording.participants = ending.participants;
        recording.reason = ending.reason;
        recording.duration_ms = in_ms(ending.length);
        recording.state = match ending.file {
            FileEnd::Written => Standing::Finished,
            FileEnd::Missing => Standing::Failed,
        };
        if ending.file == FileEnd::Missing
            && let Err(error) = recover::recover(&self.0.templates, &recording, &path).await
        {
            tracing::warn!(recording = %id, %error, "a recording could not be repaired");
        }
        self.close(recording).await;
    }

    /// Forgets a recording that did not come to be.
    pub async fn discard(&self, id: &RecordingId) {
        let discarded = self.0.catalogue.lock().remove(id);
        if let Some(recording) = discarded {
            self.remove_files(recording).await;
        }
        self.changed();
    }

    /// The recordings, the newest first; those of one room, or all.
    pub fn list(&self, room: Option<&RoomId>) -> Vec<Recording> {
        let catalogue = self.0.catalogue.lock();
        let of_room = |one: &&Recording| room.is_none_or(|room| one.room == *room);
        let mut list: Vec<Recording> = catalogue.values().filter(of_room).cloned().collect();
        list.sort_by(|a, b| (&b.started, &b.id).cmp(&(&a.started, &a.id)));
        list
    }

    /// One recording.
    pub fn get(&self, id: &RecordingId) -> Option<Recording> {
        self.0.catalogue.lock().get(id).cloned()
    }

    /// Where a recording's file is, or its folder.
    pub fn path(&self, recording: &Recording) -> PathBuf {
        self.0.folder.join(&recording.file)
    }

    /// Where what happens while a recording goes on is written to.
    pub fn events(&self, recording: &Recording) -> PathBuf {
        let id = recording.id.as_str();
        self.0
            .folder
            .join(metadata::events_name(recording.kind, id))
    }

    /// Deletes a recording.
    ///
    /// # Errors
    /// [`ArchiveError::Unknown`], [`ArchiveError::GoesOn`].
    pub async fn delete(&self, id: &RecordingId) -> Result<(), ArchiveError> {
        let recording = {
            let mut catalogue = self.0.catalogue.lock();
            match catalogue.get(id) {
                None => return Err(ArchiveError::Unknown),
                Some(one) if one.state == Standing::Recording => return Err(ArchiveError::GoesOn),
                Some(_) => catalogue.remove(id),
            }
        };
        if let Some(recording) = recording {
            self.remove_files(recording).await;
        }
        self.changed();
        Ok(())
    }

    /// Waits until a recording has ended, and returns how.
    pub async fn ended(&self, id: &RecordingId) -> Option<Recording> {
        let mut changes = self.0.changes.subscribe();
        loop {
            let recording = self.get(id)?;
            if recording.state != Standing::Recording || changes.changed().await.is_err() {
                return Some(recording);
            }
        }
    }

    /// Whether the disk has room for more.
    ///
    /// # Errors
    /// [`ArchiveError::Full`], [`ArchiveError::Unusable`].
    pub fn check_space(&self) -> Result<(), ArchiveError> {
        let stat = rustix::fs::statvfs(&self.0.folder)
            .map_err(|error| unusable(&self.0.folder, &error.into()))?;
        let (free, floor) = (stat.f_bavail * stat.f_frsize, self.0.quotas.free_space);
        match free < floor {
            true => Err(ArchiveError::Full { free, floor }),
            false => Ok(()),
        }
    }

    /// Held while a recording is being ended: [`Archive::settled`] waits for it.
    pub fn hold(&self) -> TaskTrackerToken {
        self.0.running.token()
    }

    /// Waits until every recording that is being ended has ended.
    pub async fn settled(&self) {
        self.0.running.close();
        self.0.running.wait().await;
    }

    async fn recover(&self) {
        let open = |one: &Recording| one.state == Standing::Recording;
        for mut recording in self.list(None).into_iter().filter(open) {
            let path = self.path(&recording);
            let written = written_for(&path, &recording);
            recording.reason = Some("the server ended without stopping it".to_owned());
            match recover::recover(&self.0.templates, &recording, &path).await {
                Ok(length) => {
                    recording.state = Standing::Recovered;
                    recording.duration_ms = in_ms(length.unwrap_or(written));
                }
                Err(error) => {
                    recording.state = Standing::Failed;
                    recording.reason = Some(error.to_string());
                }
            }
            tracing::info!(recording = %recording.id, state = ?recording.state, "found unfinished");
            self.close(recording).await;
        }
    }

    fn keep(&self, recording: Recording) {
        let mut catalogue = self.0.catalogue.lock();
        catalogue.insert(recording.id.clone(), recording);
        drop(catalogue);
        self.changed();
    }

    fn changed(&self) {
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn forget_old(&self) {
        let Some(max_age) = self.0.quotas.max_age else {
            return;
        };
        let Some(limit) = SystemTime::now().checked_sub(max_age) else {
            return;
        };
        let limit = metadata::stamp(limit);
        let is_old = |one: &Recording| one.ended.as_ref().is_some_and(|ended| *ended <= limit);
        for recording in self.list(None).into_iter().filter(is_old) {
            tracing::info!(recording = %recording.id, "too old, deleted");
            self.0.catalogue.lock().remove(&recording.id);
            remove(&self.0.folder, &recording);
        }
    }

    async fn remove_files(&self, recording: Recording) {
        let folder = self.0.folder.clone();
        let removed = move || {
            remove(&folder, &recording);
            Ok(())
        };
        let _ = self.on_disk(removed).await;
    }

    /// Writes an entry as a whole: whoever reads it finds the old one or the new one.
    fn write(&self, recording: &Recording) -> io::Result<()> {
        let path = entry_path(&self.0.folder, &recording.id);
        let draft = path.with_extension("json.part");
        let written = write_through(&draft, &serde_json::to_vec_pretty(recording)?)
            .and_then(|()| std::fs::rename(&draft, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        written
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| {
            Err(ArchiveError::Unusable {
                folder: self.0.folder.display().to_string(),
                reason: error.to_string(),
            })
        })
    }
}

fn unusable(folder: &Path, error: &io::Error) -> ArchiveError {
    ArchiveError::Unusable {
        folder: folder.display().to_string(),
        reason: error.to_string(),
    }
}

/// Writes a file, to the disk itself.
fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn entry_path(folder: &Path, id: &RecordingId) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn remove(folder: &Path, recording: &Recording) {
    let file = folder.join(&recording.file);
    let removed = match recording.kind {
        Kind::Composite => std::fs::remove_file(&file),
        Kind::Tracks => std::fs::remove_dir_all(&file),
    };
    let entry = entry_path(folder, &recording.id);
    for (path, removed) in [(&file, removed), (&entry, std::fs::remove_file(&entry))] {
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "not deleted");
        }
    }
    finalize::remove_events(folder, &recording.id);
}

/// The entries of a folder. Files that are none are left alone.
fn read_all(folder: &Path) -> io::Result<BTreeMap<RecordingId, Recording>> {
    let mut catalogue = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read_entry(&path) {
            Some(recording) => {
                catalogue.insert(recording.id.clone(), recording);
            }
            None => tracing::warn!(path = %path.display(), "not an entry of a recording"),
        }
    }
    Ok(catalogue)
}

/// An entry, if it is one and of the file it is named after: what stands in it is not trusted to
/// name files elsewhere.
fn read_entry(path: &Path) -> Option<Recording> {
    let recording: Recording = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let stem = path.file_stem()?.to_str()?;
    let file = metadata::file_name(recording.kind, stem, recording.format);
    (recording.id.as_str() == stem && recording.file == file).then_some(recording)
}

/// How long a file was written to, from its entry and its own time: good to a second.
fn written_for(path: &Path, recording: &Recording) -> Duration {
    let last = std::fs::metadata(path).and_then(|file| file.modified());
    let began = humantime::parse_rfc3339(&recording.started);
    match (last, began) {
        (Ok(last), Ok(began)) => last.duration_since(began).unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

fn in_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
