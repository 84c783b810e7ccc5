//! Carries recordings out: a task each, which owns the recorder, watches its limits and writes
//! down how it ended. The room's task never waits for a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::actor::Event;
use crate::archive::{Archive, Ending, FileEnd, Recording, RecordingId};
use crate::media::recorder::{Recorder, RecorderError};
use crate::media::rtp::PayloadFormat;
use crate::media::tap::Tap;
use crate::media::template::Templates;
use crate::room::view::ParticipantState;

/// How often the limits are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What a recording's task is told.
enum Order {
    /// Take the picture or the sound from here from now on.
    Feed(Tap),
    /// End; these have been there.
    Stop(Vec<String>),
}

/// The recordings of one room. Dropping it ends them.
#[derive(Default)]
pub(super) struct Recorders {
    /// Asked for, and not begun yet.
    waiting: BTreeMap<RecordingId, (Archive, Recording)>,
    running: BTreeMap<RecordingId, Running>,
}

struct Running {
    orders: mpsc::UnboundedSender<Order>,
    /// The names of all who were in the room so far.
    names: BTreeSet<String>,
}

impl Recorders {
    /// Keeps what a recording needs until the room says that it begins.
    pub(super) fn expect(&mut self, archive: Archive, recording: Recording) {
        let id = recording.id.clone();
        self.waiting.insert(id, (archive, recording));
    }

    /// The room does not take it.
    pub(super) fn refused(&mut self, id: &RecordingId) {
        self.waiting.remove(id);
    }

    /// Begins a recording. What becomes of it comes as [`Event::RecorderEnds`].
    pub(super) fn start(
        &mut self,
        id: RecordingId,
        templates: &Arc<Templates>,
        events: &mpsc::UnboundedSender<Event>,
    ) {
        let Some((archive, recording)) = self.waiting.remove(&id) else {
            return;
        };
        let (orders, inbox) = mpsc::unbounded_channel();
        let task = Task {
            archive,
            recording,
            events: events.clone(),
            reason: None,
        };
        tokio::spawn(task.run(Arc::clone(templates), inbox));
        let names = BTreeSet::new();
        self.running.insert(id, Running { orders, names });
    }

    /// Gives a recording another source.
    pub(super) fn feed(&self, id: &RecordingId, tap: Tap) {
        if let Some(running) = self.running.get(id) {
            let _ = running.orders.send(Order::Feed(tap));
        }
    }

    /// Notes who is in the room.
    pub(super) fn note(&mut self, people: &[ParticipantState]) {
        for running in self.running.values_mut() {
            let there = people.iter().filter(|person| !person.viewer);
            let new = there.filter(|person| !running.names.contains(&person.name));
            let new: Vec<String> = new.map(|person| person.name.clone()).collect();
            running.names.extend(new);
        }
    }

    /// Ends a recording.
    pub(super) fn stop(&mut self, id: &RecordingId) {
        if let Some(Running { orders, names }) = self.running.remove(id) {
            let _ = orders.send(Order::Stop(names.into_iter().collect()));
        }
    }
}

/// One recording.
struct Task {
    archive: Archive,
    recording: Recording,
    events: mpsc::UnboundedSender<Event>,
    reason: Option<String>,
}

impl Task {
    async fn run(mut self, templates: Arc<Templates>, orders: mpsc::UnboundedReceiver<Order>) {
        let _held = self.archive.hold();
        tracing::info!(recording = %self.recording.id, "recording begins");
        let (failed, failures) = mpsc::unbounded_channel();
        let recorder = match self.open(templates, failed).await {
            Ok(recorder) => Some(recorder),
            Err(error) => {
                self.give_up(error.to_string());
                None
            }
        };
        let (recorder, participants) = self.attend(recorder, orders, failures).await;
        self.end(recorder, participants).await;
    }

    /// Opens the file, which can take as long as the disk likes.
    async fn open(
        &self,
        templates: Arc<Templates>,
        failed: mpsc::UnboundedSender<String>,
    ) -> Result<Recorder, RecorderError> {
        let (path, format) = (self.archive.path(&self.recording), self.recording.format);
        let on_failure = move |text| {
            let _ = failed.send(text);
        };
        let opened = tokio::task::spawn_blocking(move || {
            Recorder::start(&templates, format, &path, on_failure)
        });
        let opened = opened.await;
        opened.unwrap_or_else(|error| Err(RecorderError::Failed(error.to_string())))
    }

    /// Obeys orders until the one to stop. Returns who was there.
    async fn attend(
        &mut self,
        mut recorder: Option<Recorder>,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut failures: mpsc::UnboundedReceiver<String>,
    ) -> (Option<Recorder>, Vec<String>) {
        let until = Instant::now() + self.archive.quotas().max_length;
        let mut check = tokio::time::interval(CHECK_EVERY);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match (order, &mut recorder) {
                    (Some(Order::Feed(tap)), Some(recorder)) => feed(recorder, &tap),
                    (Some(Order::Feed(_)), None) => {}
                    (Some(Order::Stop(names)), _) => return (recorder, names),
                    // The room has gone.
                    (None, _) => return (recorder, Vec::new()),
                },
                Some(text) = failures.recv() => self.give_up(text),
                () = tokio::time::sleep_until(until), if self.reason.is_none() => {
                    self.give_up("it is as long as a recording may be".to_owned());
                }
                _ = check.tick(), if self.reason.is_none() => {
                    let archive = self.archive.clone();
                    let space = tokio::task::spawn_blocking(move || archive.check_space());
                    if let Ok(Err(error)) = space.await {
                        self.give_up(error.to_string());
                    }
                }
            }
        }
    }

    /// Tells the room, once, that this recording ends and why; the room says stop then.
    fn give_up(&mut self, reason: String) {
        if self.reason.is_none() {
            tracing::warn!(recording = %self.recording.id, reason, "recording ends by itself");
            self.reason = Some(reason);
            let _ = self
                .events
                .send(Event::RecorderEnds(self.recording.id.clone()));
        }
    }

    async fn end(mut self, recorder: Option<Recorder>, participants: Vec<String>) {
        let length = recorder.as_ref().map(Recorder::length).unwrap_or_default();
        let finished = match recorder {
            Some(recorder) => recorder.finish().await,
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
            participants,
            reason: self.reason,
            file,
        };
        self.archive.end(id, ending).await;
    }
}

fn feed(recorder: &mut Recorder, tap: &Tap) {
    match tap.format() {
        PayloadFormat::Opus => recorder.feed_sound(tap),
        _ => recorder.feed_picture(tap),
    }
}
