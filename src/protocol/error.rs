//! Error codes, and the body of HTTP errors.

use serde::{Deserialize, Serialize};

/// The stable code of an error, on the WebSocket and in HTTP bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The message is not JSON, its type is unknown, or a field is wrong.
    BadMessage,
    /// The server does not support the protocol version of the join.
    UnsupportedVersion,
    /// The room id is not `[A-Za-z0-9_-]{1,64}`.
    BadRoomId,
    /// The display name is empty, longer than 64 characters, or has characters that cannot be seen.
    BadName,
    /// The token is missing or wrong.
    Unauthorized,
    /// The request comes from a web page of another origin, which is not allowed.
    OriginNotAllowed,
    /// The token that was given does not allow this.
    Forbidden,
    /// The server was asked by a name (`Host`) that it does not go by.
    HostNotAllowed,
    /// Another message came before `join`.
    NotJoined,
    /// A second `join` came on the same WebSocket.
    AlreadyJoined,
    /// The room has its largest number of participants.
    RoomFull,
    /// The server has its largest number of rooms or connections, or no CPU left for one more
    /// participant.
    ServerBusy,
    /// The server is stopping.
    ShuttingDown,
    /// Requests from one address, or messages of one participant, come too fast.
    RateLimited,
    /// A body, a message or a field of it is over its limit.
    TooLarge,
    /// The SDP does not parse, or is not an offer a peer connection can answer.
    BadOffer,
    /// The offer has more m-lines than are allowed.
    TooManyMlines,
    /// The tracks do not match the m-lines of the offer.
    BadTracks,
    /// The server supports none of the codecs of an m-line.
    UnsupportedCodec,
    /// The body has another Content-Type than the request takes.
    UnsupportedMediaType,
    /// A `PATCH` asks for an ICE restart (RFC 9725 section 4.3.3), which is not supported.
    IceRestartUnsupported,
    /// `If-Match` does not name the current ETag.
    PreconditionFailed,
    /// A `PATCH` without the `If-Match` it needs (RFC 9725 section 4.3.1).
    PreconditionRequired,
    /// The room, participant or resource does not exist.
    NotFound,
    /// The resource does not take this HTTP method.
    MethodNotAllowed,
    /// A room of that id exists already.
    RoomExists,
    /// The mode is not available for this room or participant.
    ModeUnavailable,
    /// The server keeps no recordings, or the room has nothing to record in this mode.
    RecordingUnavailable,
    /// The room has its largest number of recordings at once.
    TooManyRecordings,
    /// The recording is being written, and has to be stopped first.
    RecordingGoesOn,
    /// The disk of the recordings is full.
    StorageFull,
    /// The folder of recordings cannot be written to.
    StorageUnusable,
    /// An error in the server, whose details are in its log.
    Internal,
}

/// The body of every HTTP error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ErrorBody {
    /// The code and the text of the error.
    pub error: ErrorDetail,
}

/// The content of an [`ErrorBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ErrorDetail {
    /// Stable code, for programs.
    pub code: ErrorCode,
    /// Text for people, which may change.
    pub message: String,
}
