//! What the signalling layer holds of a room: a cheap handle that posts commands to the
//! room's task and reads its published state. Nothing here blocks or locks.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::error::RoomError;
use crate::archive::{Archive, ArchiveError};
use crate::id::SourceId;
use crate::id::{Mid, ParticipantId, Rid, Role, RoomId};
use crate::layout::LayoutKind;
use crate::protocol::recording::{Recording, RecordingId, Subject};
use crate::protocol::room::Limits;
use crate::protocol::room::{ByeReason, Level, RoomState, SlotState};
use crate::topology::Mode;

/// How the m-lines of an offer get their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roles {
    /// Named by the client, one per m-line.
    Named(Vec<(Mid, Role)>),
    /// WHIP (RFC 9725): the offer sends; audio is the mic, video the camera.
    Publish,
    /// WHEP: the offer receives; audio is the mix's, video the composite.
    Play,
}

/// What somebody needs to say to join.
#[derive(Debug)]
pub struct JoinRequest {
    /// 1 to 64 characters, checked by the caller.
    pub name: String,
    /// The secret of the participant to take over.
    pub resume: Option<String>,
    /// A mode of one's own instead of the room's.
    pub view: Option<Mode>,
    /// What the joiner wants at most.
    pub limits: Limits,
    /// Whether others can call the joiner (mode `p2p`).
    pub reach: Reach,
    /// The SDP offer.
    pub offer: String,
    /// What its m-lines are for.
    pub roles: Roles,
    /// Where the room sends what this participant should hear of. When it is full the
    /// participant is too slow and is removed; when its receiver is dropped, the participant
    /// has lost its signalling.
    pub notices: mpsc::Sender<Notice>,
}

/// How a participant can be reached beside their media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Messages of other members get to them.
    Signalling,
    /// HTTP only (WHIP, WHEP): nobody can call them.
    HttpOnly,
}

/// A join that was accepted.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Who the joiner is.
    pub participant: ParticipantId,
    /// The secret with which a later join takes over.
    pub resume: String,
    /// The SDP answer, with the candidates gathered so far.
    pub answer: String,
}

/// Something a participant should hear of.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The room's state changed.
    Room(Arc<RoomState>),
    /// A candidate of the server that was not in the answer; `None` ends them.
    Candidate(Mid, Option<String>),
    /// Sound levels.
    Levels(Arc<[Level]>),
    /// How they are served, and who is in which forward slot.
    Slots(Mode, Vec<SlotState>),
    /// Whether what they send is needed.
    Uplinks(bool),
    /// What a sender should capture.
    Capture(Capture),
    /// A text from a member.
    Chat(ParticipantId, Arc<str>),
    /// A message from a member to this one.
    Signal(ParticipantId, serde_json::Value),
    /// Something asked for was refused.
    Refused(RoomError),
    /// The last one: the connection ends.
    Bye(ByeReason),
}

/// The size and rate a sender should send at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Camera or screen.
    pub role: Role,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// bit/s.
    pub bitrate: u32,
    /// Of a camera that has several encodings: those that are needed, and no others.
    pub layers: Vec<LayerCapture>,
}

/// What a sender should send of one of a camera's encodings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerCapture {
    /// Which.
    pub rid: Rid,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// bit/s.
    pub bitrate: u32,
}

/// Live figures of a room, as JSON for the REST API and the page.
pub type RoomStats = serde_json::Value;

/// Answer channel of a command that can be refused.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// Answer channel of a join.
pub(crate) type JoinReply = oneshot::Sender<Result<Joined, JoinError>>;

/// What the signalling layer asks of a room.
#[derive(Debug)]
pub(crate) enum Command {
    Join(Box<JoinRequest>, JoinReply),
    Candidate(ParticipantId, Mid, Option<String>),
    SetMode(Mode, Reply<()>),
    SetView(ParticipantId, Option<Mode>, Reply<()>),
    Limit(ParticipantId, Limits),
    Mesh(ParticipantId, Vec<ParticipantId>),
    Heights(ParticipantId, Vec<(SourceId, u32)>),
    SetLayout(LayoutKind, Reply<()>),
    Mute(ParticipantId, Role, Muter, bool, Reply<()>),
    Pin(Option<ParticipantId>, Reply<()>),
    Rename(ParticipantId, String, Reply<()>),
    Chat(ParticipantId, Arc<str>),
    Signal(ParticipantId, ParticipantId, serde_json::Value, Reply<()>),
    Record(Archive, Box<Recording>, Reply<()>),
    StopRecording(RecordingId, Reply<()>),
    Leave(ParticipantId, Departure, oneshot::Sender<()>),
    Stats(oneshot::Sender<RoomStats>),
    Close(ByeReason, oneshot::Sender<()>),
}

/// Who mutes: the two add up, a participant is live when neither has muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Muter {
    /// The participant.
    Owner,
    /// The REST API.
    Operator,
}

/// How a participant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Said so (`leave`, WHIP/WHEP `DELETE`): gone at once.
    Left,
    /// The signalling connection was lost: the participant stays for some seconds, in which
    /// another join may take them over (`resume`), and goes then.
    SignallingLost,
    /// An operator removed them.
    Removed,
}

/// A handle on a running room. Cloning is cheap; the room outlives its handles.
#[derive(Debug, Clone)]
pub struct RoomHandle {
    id: RoomId,
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<Arc<RoomState>>,
}

impl RoomHandle {
    pub(crate) fn new(
        id: RoomId,
        commands: mpsc::Sender<Command>,
        state: watch::Receiver<Arc<RoomState>>,
    ) -> Self {
        Self {
            id,
            commands,
            state,
        }
    }

    /// Whether both are handles on one run of a room, and not on two of one name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.commands.same_channel(&other.commands)
    }

    /// The room's id.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// The state last published.
    pub fn state(&self) -> Arc<RoomState> {
        self.state.borrow().clone()
    }

    /// A receiver that sees every later state.
    pub fn watch(&self) -> watch::Receiver<Arc<RoomState>> {
        self.state.clone()
    }

    /// Joins. [`super::Registry::join`] is the way in from outside: it makes the room.
    pub(crate) async fn join(&self, request: Box<JoinRequest>) -> Result<Joined, JoinError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Join(request, reply);
        if let Err(mpsc::error::SendError(Command::Join(request, _))) =
            self.commands.send(command).await
        {
            return Err(JoinError::RoomGone(request));
        }
        match answer.await {
            Ok(outcome) => outcome,
            Err(_) => Err(JoinError::Refused(RoomError::Closed)),
        }
    }

    /// Gives the participant's peer connection a remote candidate.
    pub async fn candidate(&self, who: ParticipantId, mid: Mid, candidate: Option<String>) {
        self.post(Command::Candidate(who, mid, candidate)).await;
    }

    /// Switches the mode.
    ///
    /// # Errors
    /// [`RoomError::ModeUnavailable`], [`RoomError::Closed`].
    pub async fn set_mode(&self, mode: Mode) -> Result<(), RoomError> {
        self.ask(|reply| Command::SetMode(mode, reply)).await
    }

    /// Gives a participant a mode of their own, or the room's again.
    ///
    /// # Errors
    /// [`RoomError::ModeUnavailable`], [`RoomError::NoSuchParticipant`], [`RoomError::Closed`].
    pub async fn set_view(&self, who: ParticipantId, mode: Option<Mode>) -> Result<(), RoomError> {
        self.ask(|reply| Command::SetView(who, mode, reply)).await
    }

    /// What a participant wants at most from now on.
    pub async fn limit(&self, who: ParticipantId, limits: Limits) {
        self.post(Command::Limit(who, limits)).await;
    }

    /// Notes from whom a participant receives media directly.
    pub async fn mesh(&self, who: ParticipantId, receiving: Vec<ParticipantId>) {
        self.post(Command::Mesh(who, receiving)).await;
    }

    /// Notes how high a participant draws the pictures forwarded to them, pixels.
    pub async fn heights(&self, who: ParticipantId, heights: Vec<(SourceId, u32)>) {
        self.post(Command::Heights(who, heights)).await;
    }

    /// Changes the composite's layout.
    ///
    /// # Errors
    /// [`RoomError::Closed`].
    pub async fn set_layout(&self, layout: LayoutKind) -> Result<(), RoomError> {
        self.ask(|reply| Command::SetLayout(layout, reply)).await
    }

    /// Mutes or releases one uplink of a participant.
    ///
    /// # Errors
    /// [`RoomError::NoSuchParticipant`], [`RoomError::Closed`].
    pub async fn mute(
        &self,
        who: ParticipantId,
        role: Role,
        by: Muter,
        muted: bool,
    ) -> Result<(), RoomError> {
        self.ask(|reply| Command::Mute(who, role, by, muted, reply))
            .await
    }

    /// Gives a participant the large tile of the spotlight layout, or nobody.
    ///
    /// # Errors
    /// [`RoomError::NoSuchParticipant`], [`RoomError::Closed`].
    pub async fn pin(&self, who: Option<ParticipantId>) -> Result<(), RoomError> {
        self.ask(|reply| Command::Pin(who, reply)).await
    }

    /// Changes the name on a participant's tile.
    ///
    /// # Errors
    /// [`RoomError::NoSuchParticipant`], [`RoomError::Closed`].
    pub async fn rename(&self, who: ParticipantId, name: String) -> Result<(), RoomError> {
        self.ask(|reply| Command::Rename(who, name, reply)).await
    }

    /// Begins a recording.
    ///
    /// # Errors
    /// [`RoomError::NothingToRecord`], [`RoomError::TooManyRecordings`], [`RoomError::Archive`],
    /// [`RoomError::Closed`].
    pub async fn record(
        &self,
        archive: &Archive,
        subject: Subject,
    ) -> Result<Recording, RoomError> {
        let size = self.state().canvas;
        let recording = archive.begin(self.id.clone(), subject, size).await?;
        let (archive, begun) = (archive.clone(), Box::new(recording.clone()));
        let kept = archive.clone();
        match self
            .ask(|reply| Command::Record(archive, begun, reply))
            .await
        {
            Ok(()) => Ok(recording),
            Err(error) => {
                kept.discard(&recording.id).await;
                Err(error)
            }
        }
    }

    /// Ends a recording, and returns it when its file has its end.
    ///
    /// # Errors
    /// [`RoomError::NoSuchRecording`], [`RoomError::Closed`].
    pub async fn stop_recording(
        &self,
        archive: &Archive,
        id: &RecordingId,
    ) -> Result<Recording, RoomError> {
        self.ask(|reply| Command::StopRecording(id.clone(), reply))
            .await?;
        let ended = archive.ended(id).await;
        ended.ok_or(RoomError::Archive(ArchiveError::Unknown))
    }

    /// Sends a text to everybody.
    pub async fn chat(&self, from: ParticipantId, text: Arc<str>) {
        self.post(Command::Chat(from, text)).await;
    }

    /// Passes a message to one member of the same room.
    ///
    /// # Errors
    /// [`RoomError::NoSuchParticipant`], [`RoomError::Closed`].
    pub async fn signal(
        &self,
        from: ParticipantId,
        to: ParticipantId,
        data: serde_json::Value,
    ) -> Result<(), RoomError> {
        self.ask(|reply| Command::Signal(from, to, data, reply))
            .await
    }

    /// Tells the room that a participant goes; returns when they are out of its state.
    /// Doing it twice is a no-op.
    pub async fn leave(&self, who: ParticipantId, how: Departure) {
        let (done, gone) = oneshot::channel();
        self.post(Command::Leave(who, how, done)).await;
        // An error means the room closed meanwhile, which is as gone as can be.
        let _ = gone.await;
    }

    /// Live figures.
    ///
    /// # Errors
    /// [`RoomError::Closed`].
    pub async fn stats(&self) -> Result<RoomStats, RoomError> {
        let (reply, answer) = oneshot::channel();
        self.post(Command::Stats(reply)).await;
        answer.await.map_err(|_| RoomError::Closed)
    }

    /// Ends the room: everybody gets `reason`, then all media is torn down. Returns when
    /// that is done.
    pub async fn close(&self, reason: ByeReason) {
        let (done, closed) = oneshot::channel();
        self.post(Command::Close(reason, done)).await;
        let _ = closed.await;
    }

    async fn post(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::debug!(room = %self.id, "command for a room that has closed");
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, RoomError> {
        let (reply, answer) = oneshot::channel();
        self.post(command(reply)).await;
        answer.await.map_err(|_| RoomError::Closed)?
    }
}

/// Why [`RoomHandle::join`] failed.
#[derive(Debug)]
pub(crate) enum JoinError {
    /// The room ended before it took the request up, which is handed back.
    RoomGone(Box<JoinRequest>),
    /// The room said no.
    Refused(RoomError),
}
