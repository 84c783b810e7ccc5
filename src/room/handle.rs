//! What the signalling layer holds of a room: a cheap handle that posts commands to the
//! room's task and reads its published state. Nothing here blocks or locks.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::error::RoomError;
use super::state::{Departure, Reach, Request};
use crate::archive::{Archive, ArchiveError};
use crate::id::{Mid, ParticipantId, Role, RoomId};
use crate::protocol::Capture;
use crate::protocol::recording::{Recording, RecordingId, Subject};
use crate::protocol::room::{ByeReason, Level, Limits, RoomState, SlotState};
use crate::protocol::stats::RoomStats;
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
    pub mode_override: Option<Mode>,
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

/// Answer channel of a command that can be refused.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// Answer channel of a join.
pub(crate) type JoinReply = oneshot::Sender<Result<Joined, JoinError>>;

/// What the signalling layer asks of a room.
#[derive(Debug)]
pub(crate) enum Command {
    Join(Box<JoinRequest>, JoinReply),
    Candidate(ParticipantId, Mid, Option<String>),
    Ask(Request, Option<Reply<()>>),
    Record(Archive, Box<Recording>, Reply<()>),
    Leave(ParticipantId, Departure, oneshot::Sender<()>),
    Stats(oneshot::Sender<RoomStats>),
    Close(ByeReason, oneshot::Sender<()>),
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

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// What the room refuses, [`RoomError::Closed`].
    pub async fn ask(&self, request: Request) -> Result<(), RoomError> {
        self.answered(|reply| Command::Ask(request, Some(reply)))
            .await
    }

    /// Asks for something whose outcome nobody waits for.
    pub async fn tell(&self, request: Request) {
        self.post(Command::Ask(request, None)).await;
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
            .answered(|reply| Command::Record(archive, begun, reply))
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
        self.ask(Request::StopRecording(id.clone())).await?;
        let ended = archive.ended(id).await;
        ended.ok_or(RoomError::Archive(ArchiveError::Unknown))
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

    async fn answered<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, RoomError> {
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
