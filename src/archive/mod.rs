//! The folder of recordings and its catalogue: for each recording one file, or a folder of tracks,
//! and a small JSON file with its metadata beside it, which is always written as a whole. What a
//! server that was killed left behind is repaired at the next start.
//!
//! Any thread may call. Calls that use the disk run on tokio's blocking threads. The lock of the
//! catalogue is never held during disk access.
//!
//! | module | does | |
//! | --- | --- | --- |
//! | `metadata` | file names, the JSON of a recording | |
//! | `age` | how old a recording is, by two clocks | pure |
//! | [`events`] | the event log of a recording | |
//! | `finalize` | what is written once a recording has ended | |
//! | `markers` | markers and chapters from the event log | pure |
//! | `chapters`, `reserved`, `mp4`, `webm` | chapters in the file | |
//! | `recover` | repairs files that were cut short | |

mod age;
mod chapters;
mod error;
pub mod events;
mod finalize;
mod forget;
mod markers;
mod metadata;
mod mp4;
mod recover;
mod reserved;
mod webm;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::age::{Ages, Clock, Clocks, SETTLED};
pub use self::error::ArchiveError;
use self::error::{unusable, without_folder};
use crate::config::RecordingQuotas;
use crate::id::RoomId;
use crate::layout::Size;
use crate::media::gst::template::Templates;
use crate::protocol::recording::{Recording, RecordingId, RecordingKind, RecordingStatus, Subject};

/// How a recording ended.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) length: Duration,
    /// Names of all participants who were in the room while it was written.
    pub(crate) participants: Vec<String>,
    /// Why it ended by itself; `None` if a participant or an operator stopped it.
    pub(crate) reason: Option<String>,
    pub(crate) file: FileEnd,
}

/// Whether the recorder could finish a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileEnd {
    Written,
    /// The end is missing: the file is as after a crash, and will be repaired.
    Missing,
}

/// The folder of recordings and its catalogue. Clones share both.
#[derive(Debug, Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    quotas: RecordingQuotas,
    templates: Arc<Templates>,
    catalogue: Mutex<BTreeMap<RecordingId, Recording>>,
    clock: Clock,
    ages: Mutex<Ages>,
    /// Number of changes of the catalogue so far, for those who wait for one.
    changes: watch::Sender<u64>,
    running: TaskTracker,
}

impl Archive {
    /// Opens the folder, and creates it if it does not exist. Repairs the recordings that a killed
    /// server left unfinished. Recordings older than [`RecordingQuotas::max_age`] are deleted from an hour
    /// later on, once their age is known.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] if the folder cannot be created, read or written to. A full disk
    /// is no error: recordings can be downloaded and deleted there, and begin when there is space.
    pub async fn open(
        folder: &Path,
        quotas: RecordingQuotas,
        templates: Arc<Templates>,
    ) -> Result<Self, ArchiveError> {
        Self::open_by(Arc::new(Clocks::read), folder, quotas, templates).await
    }

    /// The same, by these clocks.
    async fn open_by(
        clock: Clock,
        folder: &Path,
        quotas: RecordingQuotas,
        templates: Arc<Templates>,
    ) -> Result<Self, ArchiveError> {
        let unusable = |error: io::Error| unusable(folder, &error);
        std::fs::create_dir_all(folder).map_err(unusable)?;
        metadata::try_writing(folder).map_err(unusable)?;
        let catalogue = metadata::read_all(folder).map_err(unusable)?;
        let archive = Self(Arc::new(Inner {
            folder: folder.to_owned(),
            quotas,
            templates,
            catalogue: Mutex::new(catalogue),
            ages: Mutex::new(Ages::new(clock())),
            clock,
            changes: watch::Sender::new(0),
            running: TaskTracker::new(),
        }));
        archive.recover().await;
        archive.forget_old_every(SETTLED);
        Ok(archive)
    }

    /// The limits of recordings.
    pub(crate) fn quotas(&self) -> RecordingQuotas {
        self.0.quotas
    }

    /// Begins a recording. Its metadata and its empty file or folder exist when this returns.
    /// `size` is that of the picture in pixels.
    ///
    /// # Errors
    /// [`ArchiveError::Full`], [`ArchiveError::Unusable`].
    pub(crate) async fn begin(
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
        let now = (self.0.clock)();
        let id = RecordingId::invent(&room, now.wall);
        let (kind, format) = (subject.kind(), subject.format());
        let (codec, audio) = match subject {
            Subject::Mix(format) => (format.video(), Some(format.sound())),
            Subject::Tracks => (None, None),
        };
        let recording = Recording {
            file: metadata::file_name(kind, id.as_str(), format),
            id,
            room,
            kind,
            format,
            state: RecordingStatus::Recording,
            started: metadata::stamp(now.wall),
            ended: None,
            duration_ms: 0,
            bytes: 0,
            size: codec.map(|_| size),
            video: codec,
            audio,
            participants: Vec::new(),
            reason: None,
            tracks: Vec::new(),
            markers: Vec::new(),
        };
        let path = self.path(&recording);
        let create = match kind {
            RecordingKind::Composite => std::fs::File::create_new(&path).map(drop),
            RecordingKind::Tracks => std::fs::create_dir(&path),
        };
        let created = create.and_then(|()| {
            metadata::begin(&self.0.folder, &recording)
                // Nothing is to be left of what could not begin.
                .inspect_err(|_| metadata::remove(&self.0.folder, &recording))
        });
        created.map_err(|error| unusable(&self.0.folder, &error))?;
        self.0.ages.lock().begin(recording.id.clone(), now);
        self.keep(recording.clone());
        Ok(recording)
    }

    /// Writes down that a recording has ended. Repairs its file first if it has no end; one that is
    /// not there has failed, whoever says that it was written. Does nothing for an id that is not in
    /// the catalogue.
    pub(crate) async fn end(&self, id: RecordingId, ending: Ending) {
        let Some(mut recording) = self.get(&id) else {
            return;
        };
        let path = self.path(&recording);
        recording.participants = ending.participants;
        recording.reason = ending.reason.map(|reason| self.public(&reason));
        recording.duration_ms = in_ms(ending.length);
        recording.state = match ending.file {
            FileEnd::Written if path.exists() => RecordingStatus::Finished,
            FileEnd::Written => {
                let gone = "its file is gone: somebody has removed it".to_owned();
                recording.reason.get_or_insert(gone);
                RecordingStatus::Failed
            }
            FileEnd::Missing => RecordingStatus::Failed,
        };
        if ending.file == FileEnd::Missing
            && let Err(error) = recover::recover(&self.0.templates, &recording, &path).await
        {
            tracing::warn!(recording = %id, %error, "a recording could not be repaired");
        }
        self.close(recording).await;
    }

    /// Deletes a recording that could not be started.
    pub(crate) async fn discard(&self, id: &RecordingId) {
        let discarded = self.0.catalogue.lock().remove(id);
        if let Some(recording) = discarded {
            self.remove_files(recording).await;
        }
        self.changed();
    }

    /// The recordings of one room, or of all rooms, the newest first.
    pub(crate) fn list(&self, room: Option<&RoomId>) -> Vec<Recording> {
        let catalogue = self.0.catalogue.lock();
        let of_room = |one: &&Recording| room.is_none_or(|room| one.room == *room);
        let mut list: Vec<Recording> = catalogue.values().filter(of_room).cloned().collect();
        list.sort_by(|a, b| (&b.started, &b.id).cmp(&(&a.started, &a.id)));
        list
    }

    /// A recording by its id; `None` if the catalogue has none.
    pub(crate) fn get(&self, id: &RecordingId) -> Option<Recording> {
        self.0.catalogue.lock().get(id).cloned()
    }

    /// Path of a recording's file, or of its folder of tracks.
    pub fn path(&self, recording: &Recording) -> PathBuf {
        self.0.folder.join(&recording.file)
    }

    /// Path of the event log of a recording.
    pub(crate) fn events(&self, recording: &Recording) -> PathBuf {
        let id = recording.id.as_str();
        self.0
            .folder
            .join(metadata::events_name(recording.kind, id))
    }

    /// Deletes a recording that has ended, with its files.
    ///
    /// # Errors
    /// [`ArchiveError::Unknown`], [`ArchiveError::GoesOn`].
    pub(crate) async fn delete(&self, id: &RecordingId) -> Result<(), ArchiveError> {
        let recording = {
            let mut catalogue = self.0.catalogue.lock();
            match catalogue.get(id) {
                None => return Err(ArchiveError::Unknown),
                Some(one) if one.state == RecordingStatus::Recording => {
                    return Err(ArchiveError::GoesOn);
                }
                Some(_) => catalogue.remove(id),
            }
        };
        if let Some(recording) = recording {
            self.remove_files(recording).await;
        }
        self.changed();
        Ok(())
    }

    /// Waits until a recording has ended, and returns its metadata; `None` if it is not in the
    /// catalogue.
    pub async fn ended(&self, id: &RecordingId) -> Option<Recording> {
        let mut changes = self.0.changes.subscribe();
        loop {
            let recording = self.get(id)?;
            if recording.state != RecordingStatus::Recording || changes.changed().await.is_err() {
                return Some(recording);
            }
        }
    }

    /// Checks that as much of the disk is free as has to stay free.
    ///
    /// # Errors
    /// [`ArchiveError::Full`] if it is not, [`ArchiveError::Unusable`] if the system does not say.
    pub(crate) fn check_space(&self) -> Result<(), ArchiveError> {
        let stat = rustix::fs::statvfs(&self.0.folder)
            .map_err(|error| unusable(&self.0.folder, &error.into()))?;
        let (free, floor) = (stat.f_bavail * stat.f_frsize, self.0.quotas.free_space);
        match free < floor {
            true => Err(ArchiveError::Full { free, floor }),
            false => Ok(()),
        }
    }

    /// A token to hold while a recording is being ended: [`Archive::settled`] waits until it is
    /// dropped.
    pub(crate) fn hold(&self) -> TaskTrackerToken {
        self.0.running.token()
    }

    /// Waits until every token of [`Archive::hold`] is dropped. To be called when the server stops.
    pub(crate) async fn settled(&self) {
        self.0.running.close();
        self.0.running.wait().await;
    }

    /// Repairs the recordings that are unfinished in the catalogue.
    async fn recover(&self) {
        let open = |one: &Recording| one.state == RecordingStatus::Recording;
        for mut recording in self.list(None).into_iter().filter(open) {
            let path = self.path(&recording);
            let written = metadata::written_for(&path, &recording);
            recording.reason = Some("the server ended without stopping it".to_owned());
            match recover::recover(&self.0.templates, &recording, &path).await {
                Ok(length) => {
                    recording.state = RecordingStatus::Recovered;
                    recording.duration_ms = in_ms(length.unwrap_or(written));
                }
                Err(error) => {
                    recording.state = RecordingStatus::Failed;
                    recording.reason = Some(self.public(&error.to_string()));
                }
            }
            tracing::info!(recording = %recording.id, state = ?recording.state, "found unfinished");
            self.close(recording).await;
        }
    }

    /// Writes down that a recording has ended, and what there is to say of it.
    async fn close(&self, mut recording: Recording) {
        let ended = (self.0.clock)();
        let ended = {
            let started = humantime::parse_rfc3339(&recording.started).unwrap_or(ended.wall);
            self.0.ages.lock().end(&recording.id, started, ended)
        };
        recording.ended = Some(metadata::stamp(ended));
        let archive = self.clone();
        let closed = move || {
            let folder = &archive.0.folder;
            finalize::complete(folder, &mut recording);
            match metadata::write(folder, &recording) {
                Ok(()) if recording.kind == RecordingKind::Composite => {
                    metadata::remove_events(folder, &recording.id);
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(recording = %recording.id, %error, "its entry is not written");
                }
            }
            archive.keep(recording);
            Ok(())
        };
        let _ = self.on_disk(closed).await;
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

    /// A text for clients, which are not told where the folder is.
    fn public(&self, text: &str) -> String {
        without_folder(text, &self.0.folder)
    }

    async fn remove_files(&self, recording: Recording) {
        self.0.ages.lock().forget(&recording.id);
        let folder = self.0.folder.clone();
        let removed = move || {
            metadata::remove(&folder, &recording);
            Ok(())
        };
        let _ = self.on_disk(removed).await;
    }

    /// Runs work that uses the disk on a blocking thread.
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

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

fn in_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
