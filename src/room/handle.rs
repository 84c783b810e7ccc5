//! What the signalling layer holds of a room: a cheap handle that posts commands to the
//! room's task and reads its published state. Nothing here blocks or locks.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::error::RoomError;
use super::notices::NoticeSender;
use super::state::{Departure, Reach, Request};
use crate::archive::{Archive, ArchiveError};
use crate::id::{Mid, ParticipantId, Role, RoomId};
use crate::protocol::recording::{Recording, RecordingId, Subject};
use crate::protocol::room::{ByeReason, Limits, RoomState};
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

/// A request to join a room.
#[derive(Debug)]
pub struct JoinRequest {
    /// The address that it comes from, under which joins under way are counted.
    pub client: IpAddr,
    /// Name on the tile: 1 to 64 characters, checked by the caller.
    pub name: String,
    /// The secret that an earlier join got, to take over its participant.
    pub resume: Option<String>,
    /// The mode in which the joiner wants to be served, in place of the room's (the wire's `view`).
    pub mode_override: Option<Mode>,
    /// Upper limits of what is sent to the joiner.
    pub limits: Limits,
    /// The participant whose voice is the joiner's own, so that the joiner does not hear it.
    pub own_voice: Option<ParticipantId>,
    /// Whether others can call the joiner (mode `p2p`).
    pub reach: Reach,
    /// The SDP offer.
    pub offer: String,
    /// The roles of the offer's m-lines.
    pub roles: Roles,
    /// Where the room sends notices to this participant. When the queue is full the participant is
    /// too slow and is removed. When its receiver is dropped, the participant has lost their
    /// signalling.
    pub notices: NoticeSender,
}

/// The answer to an accepted join.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The id that the joiner has in this room.
    pub participant: ParticipantId,
    /// The secret with which a later join can take this participant over.
    pub resume: String,
    /// The SDP answer, with the candidates gathered so far.
    pub answer: String,
}

/// Answer channel of a command that the room can refuse.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, RoomError>>;

/// Answer channel of a join.
pub(crate) type JoinReply = oneshot::Sender<Result<Joined, JoinError>>;

/// A command of the signalling layer to the room's task.
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

    /// The state that the room published last.
    pub fn state(&self) -> Arc<RoomState> {
        self.state.borrow().clone()
    }

    /// A receiver of the published state. It sees the newest one, and may miss some in between.
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

    /// Gives a participant's peer connection a remote ICE candidate; `None` after the last one.
    pub async fn candidate(&self, who: ParticipantId, mid: Mid, candidate: Option<String>) {
        self.post(Command::Candidate(who, mid, candidate)).await;
    }

    /// Sends a request to the room and waits for the answer.
    ///
    /// # Errors
    /// What the room refuses, [`RoomError::Closed`].
    pub async fn ask(&self, request: Request) -> Result<(), RoomError> {
        self.answered(|reply| Command::Ask(request, Some(reply)))
            .await
    }

    /// Sends a request to the room without waiting for the answer. A refusal is dropped.
    pub async fn tell(&self, request: Request) {
        self.post(Command::Ask(request, None)).await;
    }

    /// Begins a recording of this room in `archive`. Returns when the room has accepted it.
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

    /// Ends a recording. Returns it when its files are complete.
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

    /// Live statistics of the room: bitrates, losses, renditions.
    ///
    /// # Errors
    /// [`RoomError::Closed`].
    pub async fn stats(&self) -> Result<RoomStats, RoomError> {
        let (reply, answer) = oneshot::channel();
        self.post(Command::Stats(reply)).await;
        answer.await.map_err(|_| RoomError::Closed)
    }

    /// Closes the room: everybody is sent `reason`, then all media is torn down. Returns when
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

/// Why a join failed.
#[derive(Debug)]
pub(crate) enum JoinError {
    /// The room ended before it handled the request. It is handed back, for the room of that name
    /// that follows.
    RoomGone(Box<JoinRequest>),
    /// The room refused the join.
    Refused(RoomError),
}
