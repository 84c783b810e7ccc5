//! What a room can refuse, and why.

use thiserror::Error;

use crate::admission::Busy;
use crate::archive::ArchiveError;
use crate::id::ParticipantId;
use crate::topology::Mode;

/// A refusal. The signalling layer gives each a stable code of its own.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoomError {
    /// The room has as many participants as it may.
    #[error("the room is full: {limit} participants")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The server has as many rooms as it may.
    #[error("the server is at its limit of {limit} rooms")]
    TooManyRooms {
        /// The limit.
        limit: usize,
    },
    /// The machine has enough to do.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// A room of that name is there already.
    #[error("there is a room of that name already")]
    Exists,
    /// The room ended while the request was under way.
    #[error("the room has closed")]
    Closed,
    /// The server is stopping.
    #[error("the server is stopping")]
    ShuttingDown,
    /// Nobody of that id is in the room.
    #[error("there is no participant {0} in the room")]
    NoSuchParticipant(ParticipantId),
    /// More messages to a member than they can read.
    #[error("{0} cannot read that fast")]
    TooFast(ParticipantId),
    /// A message to its own sender.
    #[error("a signal goes to somebody else")]
    SignalToOneself,
    /// The mode cannot be had here.
    #[error("mode {0:?} cannot be had in this room: {1}")]
    ModeUnavailable(Mode, &'static str),
    /// The mode leaves the server no media.
    #[error("in mode p2p the server has no media to record: change the mode first")]
    NothingToRecord,
    /// As many recordings as there may be.
    #[error("the room is being recorded {limit} times already")]
    TooManyRecordings {
        /// The limit.
        limit: usize,
    },
    /// No recording of that id goes on in the room.
    #[error("there is no such recording under way in the room")]
    NoSuchRecording,
    /// The server has no folder for recordings.
    #[error("this server does not record: it was started without --recordings")]
    RecordingOff,
    /// The folder of recordings refuses.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The SDP does not parse, or is not an offer that can be answered.
    #[error("the offer cannot be answered: {0}")]
    BadOffer(String),
    /// More m-lines than a connection may have.
    #[error("the offer has {got} m-lines, at most {limit} are taken")]
    TooManyMlines {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Roles and m-lines do not fit together.
    #[error("tracks do not match the offer: {0}")]
    BadTracks(String),
    /// No codec of an m-line is spoken here.
    #[error("m-line {mid} offers no codec that is spoken here ({spoken})")]
    UnsupportedCodec {
        /// The m-line.
        mid: String,
        /// What would have done.
        spoken: String,
    },
    /// Something in the server failed; the log has the details.
    #[error("internal error: {0}")]
    Internal(String),
}
