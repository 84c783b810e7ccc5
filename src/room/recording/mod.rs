//! Carries out recordings: a task each, which owns the recorder, watches the limits and writes how
//! it ended to the archive. The room's task never waits for a disk.

pub(crate) mod event_log;
pub(crate) mod mix;
pub(crate) mod state_diff;
pub(crate) mod tracks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use self::event_log::EventLogWriter;
use self::mix::MixRecording;
use self::tracks::{TrackRecording, WriterEvent};
use super::settings::RoomSettings;
use super::state::wiring::Tracked;
use crate::admission::{Admission, Grant};
use crate::archive::events;
use crate::archive::events::VERSION;
use crate::archive::{Archive, Ending, FileEnd};
use crate::id::SourceId;
use crate::media::file::recorder::RecorderError;
use crate::media::gst::pipeline::running_time;
use crate::media::gst::template::Templates;
use crate::media::stream::tap::Tap;
use crate::protocol::recording::{Recording, RecordingId, Subject};
use crate::protocol::room::RoomState;

/// Interval at which free disk space is checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Called once when a recording has ended by itself.
pub(crate) type OnEnd = Box<dyn Fn(RecordingId) + Send + Sync>;

/// A command to a recording's task.
enum RecorderCommand {
    /// Take the picture or the sound of the mix from this tap.
    Feed(Tap),
    /// Take an uplink from this tap; `None` ends its file.
    Track(SourceId, Option<(Tap, Tracked)>),
    /// The room has this state now.
    Room(Arc<RoomState>),
    /// End the recording. The names are of all who were in the room meanwhile.
    Stop(Vec<String>),
}

/// A command, and the running time at which it was given.
type TimedCommand = (Duration, RecorderCommand);

/// The recordings of one room. Dropping it ends them.
#[derive(Default)]
pub(crate) struct Recorders {
    /// Recordings that were asked for and that the state has not decided on.
    waiting: BTreeMap<RecordingId, (Archive, Recording, Grant)>,
    running: BTreeMap<RecordingId, Running>,
}

struct Running {
    commands: mpsc::UnboundedSender<TimedCommand>,
    /// Names of all who were in the room since the recording began.
    names: BTreeSet<String>,
}

impl Running {
    fn tell(&self, command: RecorderCommand) {
        let _ = self.commands.send((running_time().into(), command));
    }
}

impl Recorders {
    /// Keeps what a recording needs until the state begins or refuses it.
    pub(crate) fn expect(&mut self, archive: Archive, recording: Recording, grant: Grant) {
        let id = recording.id.clone();
        self.waiting.insert(id, (archive, recording, grant));
    }

    /// Drops a recording that the state has refused. A no-op for one that has begun.
    pub(crate) fn refused(&mut self, id: &RecordingId) {
        self.waiting.remove(id);
    }

    /// Starts the task of a recording. `on_end` is called if it ends by itself.
    pub(crate) fn start(
        &mut self,
        id: RecordingId,
        (templates, admission): (&Arc<Templates>, &Admission),
        settings: &RoomSettings,
        on_end: OnEnd,
    ) {
        let Some((archive, recording, grant)) = self.waiting.remove(&id) else {
            return;
        };
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = Task {
            beginning: beginning(&recording, settings),
            archive,
            recording,
            zero: running_time().into(),
            on_end,
            reason: None,
        };
        let parts = (Arc::clone(templates), admission.clone());
        tokio::spawn(task.run(parts, grant, inbox));
        let running = Running {
            commands,
            names: BTreeSet::new(),
        };
        self.running.insert(id, running);
    }

    /// Gives a recording of the mix another tap.
    pub(crate) fn feed(&self, id: &RecordingId, tap: Tap) {
        if let Some(running) = self.running.get(id) {
            running.tell(RecorderCommand::Feed(tap));
        }
    }

    /// Gives a recording of tracks another tap of an uplink; `None` ends the uplink's file.
    pub(crate) fn track(&self, id: &RecordingId, source: SourceId, feed: Option<(Tap, Tracked)>) {
        if let Some(running) = self.running.get(id) {
            running.tell(RecorderCommand::Track(source, feed));
        }
    }

    /// Passes the room's new state to all recordings.
    pub(crate) fn note(&mut self, room: &Arc<RoomState>) {
        for running in self.running.values_mut() {
            let there = room.participants.iter().filter(|person| !person.viewer);
            let new = there.filter(|person| !running.names.contains(&person.name));
            let new: Vec<String> = new.map(|person| person.name.clone()).collect();
            running.names.extend(new);
            running.tell(RecorderCommand::Room(Arc::clone(room)));
        }
    }

    /// Tells a recording's task to complete its files.
    pub(crate) fn stop(&mut self, id: &RecordingId) {
        if let Some(mut running) = self.running.remove(id) {
            let names = std::mem::take(&mut running.names);
            running.tell(RecorderCommand::Stop(names.into_iter().collect()));
        }
    }
}

/// The first event of a recording's log.
fn beginning(recording: &Recording, settings: &RoomSettings) -> events::Event {
    events::Event::Begin {
        version: VERSION,
        room: recording.room.clone(),
        started: recording.started.clone(),
        canvas: settings.canvas,
        fps: settings.fps,
        fit: settings.fit,
    }
}

/// The task of one recording.
struct Task {
    archive: Archive,
    recording: Recording,
    beginning: events::Event,
    /// Running time at which the recording began.
    zero: Duration,
    on_end: OnEnd,
    reason: Option<String>,
}

/// The files being written.
enum Sink {
    Mix(Box<MixRecording>),
    Tracks(Box<TrackRecording>),
}

/// A recording whose task was told to stop.
struct Stopped {
    sink: Option<Sink>,
    participants: Vec<String>,
    /// Running time at which it was told.
    at: Duration,
}

impl Task {
    async fn run(
        mut self,
        parts: (Arc<Templates>, Admission),
        grant: Grant,
        commands: mpsc::UnboundedReceiver<TimedCommand>,
    ) {
        let _held = self.archive.hold();
        tracing::info!(recording = %self.recording.id, "recording begins");
        let (tell, mut news) = mpsc::unbounded_channel();
        let sink = match self.open(parts, tell).await {
            Ok(sink) => Some(sink),
            Err(error) => {
                self.give_up(error.to_string());
                None
            }
        };
        // It runs, and so what it takes shows.
        drop(grant);
        let stopped = self.attend(sink, commands, &mut news).await;
        self.end(stopped, news).await;
    }

    /// Creates the event log and the media files.
    async fn open(
        &self,
        parts: (Arc<Templates>, Admission),
        news: mpsc::UnboundedSender<WriterEvent>,
    ) -> Result<Sink, RecorderError> {
        let (archive, zero) = (&self.archive, self.zero);
        let path = archive.path(&self.recording);
        let events = archive.events(&self.recording);
        let event_log = EventLogWriter::begin(events, zero, self.beginning.clone()).await?;
        Ok(match self.recording.subject() {
            Subject::Mix(format) => {
                let file = (format, path);
                let mix = MixRecording::open(parts.0, file, (event_log, zero), news).await?;
                Sink::Mix(Box::new(mix))
            }
            Subject::Tracks => {
                let tracks = TrackRecording::new(path, parts, (event_log, zero), news);
                Sink::Tracks(Box::new(tracks))
            }
        })
    }

    /// Carries out commands and watches the limits until the command to stop.
    async fn attend(
        &mut self,
        mut sink: Option<Sink>,
        mut commands: mpsc::UnboundedReceiver<TimedCommand>,
        news: &mut mpsc::UnboundedReceiver<WriterEvent>,
    ) -> Stopped {
        let until = Instant::now() + self.archive.quotas().max_length;
        let mut check = tokio::time::interval(CHECK_EVERY);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => {
                    // The channel closes when the room has gone.
                    let gone = || (running_time().into(), RecorderCommand::Stop(Vec::new()));
                    let (at, command) = command.unwrap_or_else(gone);
                    if let RecorderCommand::Stop(participants) = command {
                        return Stopped { sink, participants, at };
                    }
                    if let Some(sink) = &mut sink
                        && let Err(error) = carry_out(sink, at, command).await
                    {
                        self.give_up(error.to_string());
                    }
                }
                Some(news) = news.recv() => {
                    if let Err(error) = on_writer_event(sink.as_mut(), news).await {
                        self.give_up(error.to_string());
                    }
                }
                () = tokio::time::sleep_until(until), if self.reason.is_none() => {
                    self.give_up("it is as long as a recording may be".to_owned());
                }
                _ = check.tick(), if self.reason.is_none() => {
                    if let Some(sink) = &mut sink
                        && let Err(error) = look(sink).await
                    {
                        self.give_up(error.to_string());
                    }
                    let archive = self.archive.clone();
                    let space = tokio::task::spawn_blocking(move || archive.check_space());
                    if let Ok(Err(error)) = space.await {
                        self.give_up(error.to_string());
                    }
                }
            }
        }
    }

    /// Reports, once, that this recording ends by itself. The room answers with the command to
    /// stop.
    fn give_up(&mut self, reason: String) {
        if self.reason.is_none() {
            tracing::warn!(recording = %self.recording.id, reason, "recording ends by itself");
            self.reason = Some(reason);
            (self.on_end)(self.recording.id.clone());
        }
    }

    async fn end(mut self, stopped: Stopped, news: mpsc::UnboundedReceiver<WriterEvent>) {
        let length = match &stopped.sink {
            Some(Sink::Mix(mix)) => mix.length(),
            Some(Sink::Tracks(_)) => stopped.at.saturating_sub(self.zero),
            None => Duration::ZERO,
        };
        let finished = match stopped.sink {
            Some(Sink::Mix(mix)) => mix.finish().await,
            Some(Sink::Tracks(tracks)) => tracks.finish(stopped.at, news).await.map(|()| length),
            None => Err(RecorderError::Failed(
                self.reason.clone().unwrap_or_default(),
            )),
        };
        let (length, file) = match finished {
            Ok(length) => (length, FileEnd::Written),
            Err(error) => {
                self.reason.get_or_insert(error.to_string());
                (length, FileEnd::Missing)
            }
        };
        let id = self.recording.id;
        tracing::info!(recording = %id, ?length, ?file, "recording ends");
        let ending = Ending {
            length,
            participants: stopped.participants,
            reason: self.reason,
            file,
        };
        self.archive.end(id, ending).await;
    }
}

/// Does what is due every now and then.
async fn look(sink: &mut Sink) -> Result<(), RecorderError> {
    match sink {
        Sink::Mix(mix) => mix.look().await,
        Sink::Tracks(tracks) => tracks.look(running_time().into()).await?,
    }
    Ok(())
}

/// Carries out a command that was given at running time `at`.
async fn carry_out(
    sink: &mut Sink,
    at: Duration,
    command: RecorderCommand,
) -> Result<(), RecorderError> {
    match (command, sink) {
        (RecorderCommand::Feed(tap), Sink::Mix(mix)) => mix.feed(&tap),
        (RecorderCommand::Track(source, feed), Sink::Tracks(tracks)) => {
            tracks.track(at, source, feed).await?;
        }
        (RecorderCommand::Room(room), Sink::Mix(mix)) => mix.room(at, room).await,
        (RecorderCommand::Room(room), Sink::Tracks(tracks)) => tracks.room(at, room).await?,
        // No other command comes to this kind of recording.
        (RecorderCommand::Feed(_) | RecorderCommand::Track(..) | RecorderCommand::Stop(_), _) => {}
    }
    Ok(())
}

/// Handles an event of the threads that write files.
async fn on_writer_event(sink: Option<&mut Sink>, news: WriterEvent) -> Result<(), RecorderError> {
    match (news, sink) {
        (WriterEvent::Failed(text), _) => Err(RecorderError::Failed(text)),
        (news, Some(Sink::Tracks(tracks))) => tracks.on_writer_event(news).await,
        _ => Ok(()),
    }
}
