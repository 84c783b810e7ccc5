//! A recording of tracks: a file for each uplink, and the event log. Part of a recording's task,
//! which may wait for the disk; the room's task must not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::event_log::{EventLogWriter, on_disk};
use crate::admission::{Admission, Demand};
use crate::archive::events::{Event, RecordedTrack};
use crate::id::SourceId;
use crate::media::file::recorder::{RecorderError, TrackEnd, TrackWriter};
use crate::media::gst::pipeline::running_time;
use crate::media::gst::template::Templates;
use crate::media::stream::since_keyframe::Backlog;
use crate::media::stream::tap::Tap;
use crate::protocol::room::RoomState;
use crate::room::state::wiring::Tracked;

/// Largest number of files of one uplink. One whose files break that often is not written any more.
const MOST_FILES: u32 = 500;
/// Bytes written to find out whether the disk still works.
const PROBE: usize = 64 * 1024;
/// Name of the file that is written to find out whether the disk still works.
const PROBE_FILE: &str = "probe.part";

/// An event of the threads that write files.
#[derive(Debug)]
pub(crate) enum WriterEvent {
    /// The media file of the mix cannot be written any more.
    Failed(String),
    /// The first packet of a track's file has been written.
    Began(RecordedTrack),
    /// An uplink cannot be written to this file any more, and why.
    Broken(SourceId, String, String),
    /// A file has been completed, or could not be. The time is the running time of its end.
    Ended(String, Duration, Result<TrackEnd, RecorderError>),
}

/// A track's file that is being written.
#[derive(Debug)]
struct Running {
    file: String,
    writer: TrackWriter,
}

/// A recording of tracks that is being written.
#[derive(Debug)]
pub(crate) struct TrackRecording {
    folder: PathBuf,
    templates: Arc<Templates>,
    admission: Admission,
    /// Running time at which the recording began.
    zero: Duration,
    event_log: EventLogWriter,
    running: BTreeMap<SourceId, Running>,
    /// Uplinks whose next file the server has not had the means for.
    waiting: BTreeMap<SourceId, (Tap, Tracked)>,
    /// Files that go on until the file in their place has its first keyframe.
    leaving: BTreeMap<SourceId, Running>,
    /// Number of files of each uplink so far.
    numbers: BTreeMap<SourceId, u32>,
    /// Number of files that are being completed.
    ending: usize,
    news: mpsc::UnboundedSender<WriterEvent>,
}

impl TrackRecording {
    /// A recording in `folder` without any track yet. A file begins when `admission` has the means for
    /// it.
    pub(crate) fn new(
        folder: PathBuf,
        (templates, admission): (Arc<Templates>, Admission),
        (event_log, zero): (EventLogWriter, Duration),
        news: mpsc::UnboundedSender<WriterEvent>,
    ) -> Self {
        Self {
            folder,
            templates,
            admission,
            zero,
            event_log,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            leaving: BTreeMap::new(),
            numbers: BTreeMap::new(),
            ending: 0,
            news,
        }
    }

    /// Logs what has changed in the room at running time `at`.
    pub(crate) async fn room(
        &mut self,
        at: Duration,
        room: Arc<RoomState>,
    ) -> Result<(), RecorderError> {
        self.event_log.room(at, room).await
    }

    /// Takes an uplink from another tap from running time `at` on; `None` ends its file.
    pub(crate) async fn track(
        &mut self,
        at: Duration,
        source: SourceId,
        feed: Option<(Tap, Tracked)>,
    ) -> Result<(), RecorderError> {
        let has_waited = self.waiting.remove(&source).is_some();
        let tap = feed.as_ref().map(|(tap, _)| tap);
        let goes_on = |running: &Running| tap.is_some_and(|tap| running.writer.is_of(tap));
        if !self.running.get(&source).is_some_and(goes_on) {
            match feed {
                // Another encoding, whose first keyframe is yet to come.
                Some((_, Tracked::Live)) => self.supersede(at, source),
                _ => self.close(at, source),
            }
        }
        let Some((tap, tracked)) = feed else {
            return Ok(());
        };
        let is_new = !self.running.contains_key(&source);
        if is_new {
            match self.admission.take(Demand::TRACK) {
                Ok(_grant) => self.start(source, &tap).await?,
                Err(shortage) => {
                    if !has_waited {
                        tracing::warn!(%source, %shortage, "a track waits for its file");
                    }
                    self.waiting.insert(source, (tap, tracked));
                    return Ok(());
                }
            }
        }
        // What a sender began with a moment ago may be its only keyframe for long. What another file
        // has, or came while nothing was to be recorded, is not for this one.
        let backlog = match is_new && self.numbers.get(&source) == Some(&1) {
            true => Backlog::Recent,
            false => Backlog::None,
        };
        if tracked == Tracked::Muted
            && let Some(older) = self.leaving.remove(&source)
        {
            self.end(at, older);
        }
        if let Some(Running { writer, .. }) = self.running.get_mut(&source) {
            match tracked {
                Tracked::Live => writer.resume(backlog),
                Tracked::Muted => writer.pause(),
            }
        }
        Ok(())
    }

    /// Begins the files that have waited for means, from running time `at` on. To be called every now
    /// and then.
    pub(crate) async fn look(&mut self, at: Duration) -> Result<(), RecorderError> {
        let waiting: Vec<SourceId> = self.waiting.keys().copied().collect();
        for source in waiting {
            let feed = self.waiting.get(&source).cloned();
            self.track(at, source, feed).await?;
        }
        Ok(())
    }

    /// Handles an event of the threads that write files.
    pub(crate) async fn on_writer_event(&mut self, news: WriterEvent) -> Result<(), RecorderError> {
        match news {
            WriterEvent::Failed(text) => Err(RecorderError::Failed(text)),
            WriterEvent::Began(track) => {
                self.succeed(&track);
                let began = vec![Event::Track(track)];
                self.event_log.write(running_time().into(), began).await
            }
            WriterEvent::Broken(source, file, text) => self.broken(source, file, text).await,
            WriterEvent::Ended(file, at, end) => {
                self.ending = self.ending.saturating_sub(1);
                match end? {
                    TrackEnd::Written => {
                        self.event_log
                            .write(at, vec![Event::TrackEnd { file }])
                            .await
                    }
                    TrackEnd::NeverBegun => {
                        let path = self.folder.join(file);
                        on_disk(move || std::fs::remove_file(path)).await
                    }
                }
            }
        }
    }

    /// Ends all files at running time `at`, and returns when they are complete.
    pub(crate) async fn finish(
        mut self,
        at: Duration,
        mut news: mpsc::UnboundedReceiver<WriterEvent>,
    ) -> Result<(), RecorderError> {
        let open = self.running.keys().chain(self.leaving.keys());
        let sources: Vec<SourceId> = open.copied().collect();
        for source in sources {
            self.close(at, source);
        }
        let mut outcome = Ok(());
        while self.ending > 0 {
            let Some(news) = news.recv().await else {
                break;
            };
            outcome = outcome.and(self.on_writer_event(news).await);
        }
        outcome.and(self.event_log.write(at, vec![Event::End]).await)
    }

    /// Starts the next file of an uplink.
    async fn start(&mut self, source: SourceId, tap: &Tap) -> Result<(), RecorderError> {
        let number = self.numbers.entry(source).or_default();
        *number += 1;
        if *number > MOST_FILES {
            return Ok(());
        }
        let codec = tap.format();
        let track = RecordedTrack {
            file: format!("{source}-{number}.{}", codec.track_extension()),
            participant: source.participant,
            role: source.role,
            codec,
            start: 0,
        };
        let (file, path) = (track.file.clone(), self.folder.join(&track.file));
        let begin = self.news.clone();
        let on_begin = move |start: Duration| {
            let start = u64::try_from(start.as_millis()).unwrap_or(u64::MAX);
            let track = track.clone();
            let _ = begin.send(WriterEvent::Began(RecordedTrack { start, ..track }));
        };
        let (fail, broken) = (self.news.clone(), file.clone());
        let on_failure = move |text| {
            let _ = fail.send(WriterEvent::Broken(source, broken.clone(), text));
        };
        let (templates, tap, zero) = (Arc::clone(&self.templates), tap.clone(), self.zero);
        let started = tokio::task::spawn_blocking(move || {
            TrackWriter::start(&templates, &tap, &path, zero, on_begin, on_failure)
        });
        let started = started.await;
        let writer = started.map_err(|error| RecorderError::Failed(error.to_string()))??;
        self.running.insert(source, Running { file, writer });
        Ok(())
    }

    /// Lets the file of an uplink, if there is one, go on until another begins.
    fn supersede(&mut self, at: Duration, source: SourceId) {
        let Some(running) = self.running.remove(&source) else {
            return;
        };
        if let Some(older) = self.leaving.insert(source, running) {
            self.end(at, older);
        }
    }

    /// Ends the file that `track`, which has its first packet now, replaces.
    fn succeed(&mut self, track: &RecordedTrack) {
        let source = SourceId {
            participant: track.participant,
            role: track.role,
        };
        let began = |running: &Running| running.file == track.file;
        if self.running.get(&source).is_some_and(began)
            && let Some(older) = self.leaving.remove(&source)
        {
            self.end(running_time().into(), older);
        }
    }

    /// Ends all files of an uplink.
    fn close(&mut self, at: Duration, source: SourceId) {
        let running = self.running.remove(&source);
        for running in running.into_iter().chain(self.leaving.remove(&source)) {
            self.end(at, running);
        }
    }

    /// Completes a file in a task of its own, which reports [`WriterEvent::Ended`].
    fn end(&mut self, at: Duration, Running { file, writer }: Running) {
        self.ending += 1;
        let news = self.news.clone();
        tokio::spawn(async move {
            let end = writer.finish().await;
            let _ = news.send(WriterEvent::Ended(file, at, end));
        });
    }

    /// Handles a file that cannot be written any more. If the disk still works, the stream was at
    /// fault, and the uplink goes on in another file.
    ///
    /// # Errors
    /// The disk does not work: the recording must end.
    async fn broken(
        &mut self,
        source: SourceId,
        file: String,
        text: String,
    ) -> Result<(), RecorderError> {
        tracing::warn!(%source, file, text, "a track breaks");
        let probe = self.folder.join(PROBE_FILE);
        let works = on_disk(move || {
            let written = std::fs::write(&probe, vec![0; PROBE]);
            let removed = std::fs::remove_file(&probe);
            written.and(removed)
        });
        works.await?;
        self.leaving.retain(|_, running| running.file != file);
        let is_it = |running: &mut Running| running.file == file;
        match self.running.get_mut(&source).is_some_and(is_it) {
            true => self.restart(source).await,
            false => Ok(()),
        }
    }

    async fn restart(&mut self, source: SourceId) -> Result<(), RecorderError> {
        let Some(Running { writer, .. }) = self.running.remove(&source) else {
            return Ok(());
        };
        let tracked = match writer.is_recording() {
            true => Tracked::Live,
            false => Tracked::Muted,
        };
        let feed = (writer.tap().clone(), tracked);
        self.track(running_time().into(), source, Some(feed)).await
    }
}

#[cfg(test)]
mod tests;
