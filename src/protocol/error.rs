//! Error codes and the body of HTTP errors.

use serde::{Deserialize, Serialize};

/// The stable code of an error, on the WebSocket and in HTTP bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, not a known type, or a field is wrong.
    BadMessage,
    /// The protocol version is not spoken here.
    UnsupportedVersion,
    /// Not `[A-Za-z0-9_-]{1,64}`.
    BadRoomId,
    /// Empty or over 64 characters.
    BadName,
    /// A token is missing or wrong.
    Unauthorized,
    /// A browser page of a foreign origin asked.
    OriginNotAllowed,
    /// A message came before `join`.
    NotJoined,
    /// A second `join` on one WebSocket.
    AlreadyJoined,
    /// The room has as many participants as it may.
    RoomFull,
    /// The server has as many rooms or participants as it may.
    ServerBusy,
    /// The server is stopping.
    ShuttingDown,
    /// Too many requests from one address or connection.
    RateLimited,
    /// A body or message over its limit.
    TooLarge,
    /// The SDP does not parse, or is not an offer a peer connection can answer.
    BadOffer,
    /// More m-lines than a connection may have.
    TooManyMlines,
    /// The tracks do not match the offer's m-lines.
    BadTracks,
    /// No codec of an m-line is spoken here.
    UnsupportedCodec,
    /// The Content-Type is not the one the request needs.
    UnsupportedMediaType,
    /// ICE restart over PATCH (RFC 9725 section 4.3.1).
    IceRestartUnsupported,
    /// `If-Match` does not name the current ETag.
    PreconditionFailed,
    /// A `PATCH` without the `If-Match` it needs (RFC 9725 section 4.3.1).
    PreconditionRequired,
    /// No such room, participant or resource.
    NotFound,
    /// The method is not for this resource.
    MethodNotAllowed,
    /// A room of that name is there already.
    RoomExists,
    /// The mode cannot be had here.
    ModeUnavailable,
    /// Nothing can be recorded here, or not in this mode.
    RecordingUnavailable,
    /// The room is being recorded as often as it may be.
    TooManyRecordings,
    /// The recording has to be stopped first.
    RecordingGoesOn,
    /// The disk of the recordings is full.
    StorageFull,
    /// The folder of recordings cannot be written to.
    StorageUnusable,
    /// An error in the server; its log says more.
    Internal,
}

/// The body of every HTTP error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The one member.
    pub error: ErrorDetail,
}

/// What [`ErrorBody`] holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}
