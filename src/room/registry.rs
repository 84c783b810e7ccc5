//! The map of running rooms: the one lock of the control path, held only to look up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::actor::{Actor, Shared};
use super::handle::{JoinError, JoinRequest, Joined};
use super::settings::RoomSettings;
use super::state::{Lifetime, Settings, State};
use super::{RoomError, RoomHandle};
use crate::admission::{Admission, PerMode};
use crate::archive::Archive;
use crate::config::Config;
use crate::id::RoomId;
use crate::layout::LayoutKind;
use crate::media::gst::pipeline;
use crate::media::gst::pool;
use crate::media::gst::template::Templates;
use crate::protocol::room::{ByeReason, ParticipantState, RoomState};
use crate::topology::Mode;

/// Largest number of commands that wait for a room's task. Senders wait for a free place.
const COMMAND_QUEUE: usize = 256;
/// How often a join is tried when its room ends at that very moment.
const JOIN_TRIES: usize = 3;
/// Longest time that a shutdown waits for rooms to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// Longest time that a shutdown waits for recordings, and again for pipelines, to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// What a new room should be like, where that differs from the server's defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The mode in which the room starts.
    pub mode: Option<Mode>,
    /// The layout with which the room starts.
    pub layout: Option<LayoutKind>,
}

/// The rooms of a server. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Registry {
    config: Arc<Config>,
    shared: Shared,
    rooms: Arc<Mutex<Rooms>>,
}

#[derive(Debug, Default)]
struct Rooms {
    running: HashMap<RoomId, RoomHandle>,
    doors: Doors,
}

/// Whether new rooms are made. Shut while the server stops.
#[derive(Debug, Default, PartialEq, Eq)]
enum Doors {
    #[default]
    Open,
    Shut,
}

/// The part of the configuration that rooms need.
fn settings(config: &Config) -> RoomSettings {
    RoomSettings {
        media_ips: config.media_ips.clone(),
        media_ports: config.media_ports,
        public_ip: config.public_ip,
        codecs: config.codecs.clone(),
        max_mlines: config.max_mlines,
        canvas: config.canvas,
        fps: config.fps,
        fit: config.fit,
        audio_bitrate: config.audio_bitrate,
    }
}

impl Registry {
    /// A registry without rooms. GStreamer must have been initialised.
    pub fn new(config: Arc<Config>, templates: Arc<Templates>) -> Self {
        let cores = config.max_cores.cores();
        pool::start();
        Self {
            shared: Shared {
                settings: Arc::new(settings(&config)),
                templates,
                archive: None,
                admission: Admission::new(cores).with_joins_per_second(config.joins_per_second),
            },
            rooms: Arc::default(),
            config,
        }
    }

    /// Makes the rooms recordable, in this archive.
    #[must_use]
    pub fn with_archive(mut self, archive: Archive) -> Self {
        self.shared.archive = Some(archive);
        self
    }

    /// Replaces the admission control that the configuration asks for.
    #[must_use]
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.shared.admission = admission;
        self
    }

    /// The admission control: whether joins are accepted, and the overload level.
    pub fn admission(&self) -> &Admission {
        &self.shared.admission
    }

    /// Number of participants in all rooms, by the mode in which they are served.
    pub fn people(&self) -> PerMode<u32> {
        let mut people = PerMode::default();
        for room in self.list() {
            let state = room.state();
            for participant in &state.participants {
                *people.of_mut(participant.view.unwrap_or(state.mode)) += 1;
            }
        }
        people
    }

    /// The archive of recordings.
    ///
    /// # Errors
    /// [`RoomError::RecordingOff`] if the server has none.
    pub fn archive(&self) -> Result<&Archive, RoomError> {
        self.shared.archive.as_ref().ok_or(RoomError::RecordingOff)
    }

    /// Joins a room, making it if it is not there. Returns when the answer is made.
    ///
    /// # Errors
    /// What the room refuses, [`RoomError::TooManyRooms`], [`RoomError::ShuttingDown`].
    pub async fn join(
        &self,
        room: &RoomId,
        request: JoinRequest,
    ) -> Result<(RoomHandle, Joined), RoomError> {
        let mut request = Box::new(request);
        for _ in 0..JOIN_TRIES {
            let handle = self.get_or_make(room, Lifetime::WhileUsed, Wanted::default())?;
            match handle.join(request).await {
                Ok(joined) => return Ok((handle, joined)),
                Err(JoinError::Refused(error)) => return Err(error),
                Err(JoinError::RoomGone(back)) => {
                    self.forget(&handle);
                    request = back;
                }
            }
        }
        Err(RoomError::Closed)
    }

    /// Makes a room that stays until it is closed, even when it is empty.
    ///
    /// # Errors
    /// [`RoomError::Exists`], [`RoomError::TooManyRooms`], [`RoomError::ShuttingDown`].
    pub fn create(&self, room: &RoomId, wanted: Wanted) -> Result<RoomHandle, RoomError> {
        if self.get(room).is_some() {
            return Err(RoomError::Exists);
        }
        self.get_or_make(room, Lifetime::UntilClosed, wanted)
    }

    /// The room of that id, if it runs.
    pub fn get(&self, room: &RoomId) -> Option<RoomHandle> {
        self.rooms.lock().running.get(room).cloned()
    }

    /// Every running room, by id.
    pub fn list(&self) -> Vec<RoomHandle> {
        let mut rooms: Vec<RoomHandle> = self.rooms.lock().running.values().cloned().collect();
        rooms.sort_by(|a, b| a.id().cmp(b.id()));
        rooms
    }

    /// Refuses joins from now on, sends `bye` to everybody and returns when all media is torn down
    /// and all recordings are complete, or after its deadlines: 4 s, 6 s with an archive.
    pub async fn shutdown(&self) {
        self.rooms.lock().doors = Doors::Shut;
        let closing: Vec<_> = self
            .list()
            .into_iter()
            .map(|room| async move { room.close(ByeReason::ServerShutdown).await })
            .collect();
        let closed = futures::future::join_all(closing);
        if tokio::time::timeout(CLOSE_DEADLINE, closed).await.is_err() {
            tracing::error!("a room does not close");
        }
        if let Some(archive) = &self.shared.archive {
            let settled = tokio::time::timeout(DRAIN_DEADLINE, archive.settled());
            if settled.await.is_err() {
                tracing::error!("a recording does not end; the next start repairs it");
            }
        }
        let left = pipeline::drained(DRAIN_DEADLINE).await;
        if left > 0 {
            tracing::error!(left, "pipelines do not end");
        }
    }

    fn get_or_make(
        &self,
        room: &RoomId,
        lifetime: Lifetime,
        wanted: Wanted,
    ) -> Result<RoomHandle, RoomError> {
        let mut rooms = self.rooms.lock();
        if rooms.doors == Doors::Shut {
            return Err(RoomError::ShuttingDown);
        }
        if let Some(handle) = rooms.running.get(room) {
            return Ok(handle.clone());
        }
        let limit = self.config.max_rooms;
        if rooms.running.len() >= limit {
            return Err(RoomError::TooManyRooms { limit });
        }
        let handle = self.spawn(room, lifetime, wanted);
        rooms.running.insert(room.clone(), handle.clone());
        Ok(handle)
    }

    fn spawn(&self, room: &RoomId, lifetime: Lifetime, wanted: Wanted) -> RoomHandle {
        let config = &self.config;
        let ladder = self
            .shared
            .templates
            .ladder(config.canvas, config.fps, config.video_bitrate);
        let state = State::new(Settings {
            max_participants: config.max_participants,
            canvas: config.canvas,
            fps: config.fps,
            ladder: Arc::new(ladder),
            audio_bitrate: config.audio_bitrate,
            mode: wanted.mode.unwrap_or(config.mode),
            layout: wanted.layout.unwrap_or(config.layout),
            lifetime,
            pressure: *self.shared.admission.watch().borrow(),
        });
        let (publish, published) = watch::channel(Arc::new(state.published()));
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let handle = RoomHandle::new(room.clone(), commands, published);
        let (actor, events) = Actor::new(room.clone(), self.shared.clone(), state, publish);
        let registry = self.clone();
        let own = handle.clone();
        // Without a parent: that would be the span of whoever came first, in every line of the room.
        let span = tracing::info_span!(parent: None, "room", id = %room);
        tokio::spawn(
            async move {
                actor.run(inbox, events).await;
                registry.forget(&own);
            }
            .instrument(span),
        );
        self.record_by_itself(&handle);
        handle
    }

    /// Begins the recording that every room gets, where one is configured: with its first
    /// participant, so that it does not begin with an empty room.
    fn record_by_itself(&self, room: &RoomHandle) {
        let Some((archive, subject)) = self.shared.archive.clone().zip(self.config.record) else {
            return;
        };
        let (room, mut states) = (room.clone(), room.watch());
        tokio::spawn(async move {
            let is_used = |state: &Arc<RoomState>| {
                let talks = |p: &ParticipantState| p.connected && !p.viewer;
                state.mode != Mode::P2p && state.participants.iter().any(talks)
            };
            if states.wait_for(is_used).await.is_err() {
                return;
            }
            if let Err(error) = room.record(&archive, subject).await {
                tracing::error!(room = %room.id(), %error, "the room is not recorded");
            }
        });
    }

    /// Removes a room that has ended, unless another one has its name already.
    fn forget(&self, ended: &RoomHandle) {
        let mut rooms = self.rooms.lock();
        if rooms
            .running
            .get(ended.id())
            .is_some_and(|room| room.is_same(ended))
        {
            rooms.running.remove(ended.id());
        }
    }
}
