//! The errors of requests to a room.

use thiserror::Error;

use crate::admission::Busy;
use crate::archive::ArchiveError;
use crate::id::ParticipantId;
use crate::topology::Mode;

/// Why a request to a room was refused. Signalling gives each a stable code on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoomError {
    /// The room has as many participants as it may have.
    #[error("the room is full: {limit} participants")]
    Full {
        /// Largest number of participants.
        limit: usize,
    },
    /// The server has as many rooms as it may have.
    #[error("the server is at its limit of {limit} rooms")]
    TooManyRooms {
        /// Largest number of rooms.
        limit: usize,
    },
    /// The server has no capacity for another participant, or was too slow to take one.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// A room of this id runs already.
    #[error("there is a room of that name already")]
    Exists,
    /// The room ended while the request was under way.
    #[error("the room has closed")]
    Closed,
    /// The server is stopping and makes no rooms any more.
    #[error("the server is stopping")]
    ShuttingDown,
    /// No participant of this id is in the room.
    #[error("there is no participant {0} in the room")]
    NoSuchParticipant(ParticipantId),
    /// The participant's queue is half full: no more chat texts and signals are passed to them.
    #[error("{0} cannot read that fast")]
    TooFast(ParticipantId),
    /// A signal is addressed to its own sender.
    #[error("a signal goes to somebody else")]
    SignalToOneself,
    /// The room or participant cannot change to this mode, and why.
    #[error("mode {0:?} cannot be had in this room: {1}")]
    ModeUnavailable(Mode, &'static str),
    /// Nothing can be recorded in mode `p2p`: no media comes to the server.
    #[error("in mode p2p the server has no media to record: change the mode first")]
    NothingToRecord,
    /// The room has as many running recordings as it may have.
    #[error("the room is being recorded {limit} times already")]
    TooManyRecordings {
        /// Largest number of recordings of one room.
        limit: usize,
    },
    /// No recording of this id is running in the room.
    #[error("there is no such recording under way in the room")]
    NoSuchRecording,
    /// The server has no archive for recordings.
    #[error("this server does not record: it was started without --recordings")]
    RecordingOff,
    /// The archive of recordings refused or failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The SDP does not parse, or is no offer that can be answered.
    #[error("the offer cannot be answered: {0}")]
    BadOffer(String),
    /// The offer has more m-lines than a connection may have.
    #[error("the offer has {got} m-lines, at most {limit} are taken")]
    TooManyMlines {
        /// Number of m-lines in the offer.
        got: usize,
        /// Largest number of m-lines.
        limit: usize,
    },
    /// The roles in the request do not fit the m-lines of the offer.
    #[error("tracks do not match the offer: {0}")]
    BadTracks(String),
    /// The server supports no codec of an m-line.
    #[error("m-line {mid} offers no codec that is spoken here ({spoken})")]
    UnsupportedCodec {
        /// The `a=mid` of the m-line.
        mid: String,
        /// The codecs that the server supports for it.
        spoken: String,
    },
    /// Something in the server failed; the log has the details.
    #[error("internal error: {0}")]
    Internal(String),
}
