//! Every refusal of the signalling layer, and the one place that gives each its stable code
//! and its HTTP status.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use warp::http::header::{ACCEPT_ENCODING, ALLOW, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use warp::http::{HeaderName, StatusCode};
use warp::reply::{Reply, Response};

use crate::archive::ArchiveError;
use crate::id::BadRoomId;
use crate::protocol::error::{ErrorBody, ErrorCode, ErrorDetail};
use crate::protocol::{ServerMessage, VERSION};
use crate::room::RoomError;

use super::reply;

/// Value of `Retry-After` for a server that is busy, in seconds: the load falls that slowly.
const BUSY_RETRY_AFTER: &str = "10";

/// Why a request or a message was refused. The text is for people; programs use the code
/// ([`ApiError::code`]).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ApiError {
    /// A room or the registry of rooms refused it.
    #[error("{}", public_text(.0))]
    Room(#[from] RoomError),
    /// It is not JSON, its type is unknown, or a field is wrong.
    #[error("{0}")]
    BadMessage(String),
    /// The join names another version of the protocol.
    #[error("protocol version {0} is not spoken here, {VERSION} is")]
    UnsupportedVersion(u64),
    /// The room id has characters or a length that are not allowed.
    #[error(transparent)]
    BadRoomId(#[from] BadRoomId),
    /// The display name has characters or a length that are not allowed.
    #[error("a name is 1 to 64 characters, none of them a control character or invisible")]
    BadName,
    /// The tracks contradict each other.
    #[error("{0}")]
    BadTracks(String),
    /// The token is missing or wrong.
    #[error("a valid token is required")]
    Unauthorized,
    /// It comes from a web page of another origin.
    #[error("pages of that origin may not use this server")]
    OriginNotAllowed,
    /// Another message came before `join`.
    #[error("send join first")]
    NotJoined,
    /// A second `join` came on the same WebSocket.
    #[error("this connection has joined already")]
    AlreadyJoined,
    /// The secret that was shown allows less than that.
    #[error("that token does not allow this")]
    Forbidden,
    /// The server was asked by a name that nobody has allowed.
    #[error(
        "this server does not go by that name: ask it by its IP address, or allow the name with \
         --allowed-host"
    )]
    HostNotAllowed,
    /// Something is done too often; it may be done again after this time.
    #[error("too many {0}: slow down")]
    RateLimited(&'static str, Duration),
    /// There are as many connections as there may be.
    #[error("the server has too many connections: try again later")]
    Crowded,
    /// A body, a message or a field is over its limit.
    #[error("{what} is over its limit of {limit} {unit}")]
    TooLarge {
        /// Name of what was too large.
        what: &'static str,
        /// Largest size that is allowed.
        limit: usize,
        /// Unit of `limit`.
        unit: &'static str,
    },
    /// The body has another Content-Type than this one, which the request takes.
    #[error("this request takes a body of type {0}")]
    UnsupportedMediaType(&'static str),
    /// The body is compressed.
    #[error("this request takes a body that is not compressed")]
    UnsupportedEncoding,
    /// A `PATCH` asks for an ICE restart.
    #[error("ICE restart is not supported: delete this session and start another")]
    IceRestartUnsupported,
    /// `If-Match` names another ICE session.
    #[error("If-Match does not name the current ETag of this session")]
    PreconditionFailed,
    /// `If-Match` is missing.
    #[error("this request needs an If-Match header with the ETag of this session")]
    PreconditionRequired,
    /// The path, room, participant or session does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The resource takes these methods only.
    #[error("this resource takes {0}")]
    MethodNotAllowed(&'static str),
    /// A request without an upgrade came to the path of the WebSocket.
    #[error("this is a WebSocket endpoint: upgrade the connection")]
    UpgradeRequired,
    /// The server is stopping.
    #[error("the server is stopping")]
    ShuttingDown,
}

impl ApiError {
    /// The stable code that it has on the wire.
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::Room(error) => room_code(error),
            Self::BadMessage(_) | Self::UpgradeRequired => ErrorCode::BadMessage,
            Self::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
            Self::BadRoomId(_) => ErrorCode::BadRoomId,
            Self::BadName => ErrorCode::BadName,
            Self::BadTracks(_) => ErrorCode::BadTracks,
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::OriginNotAllowed => ErrorCode::OriginNotAllowed,
            Self::NotJoined => ErrorCode::NotJoined,
            Self::AlreadyJoined => ErrorCode::AlreadyJoined,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::HostNotAllowed => ErrorCode::HostNotAllowed,
            Self::RateLimited(..) => ErrorCode::RateLimited,
            Self::Crowded => ErrorCode::ServerBusy,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::UnsupportedMediaType(_) | Self::UnsupportedEncoding => {
                ErrorCode::UnsupportedMediaType
            }
            Self::IceRestartUnsupported => ErrorCode::IceRestartUnsupported,
            Self::PreconditionFailed => ErrorCode::PreconditionFailed,
            Self::PreconditionRequired => ErrorCode::PreconditionRequired,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::MethodNotAllowed(_) => ErrorCode::MethodNotAllowed,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
        }
    }

    /// The HTTP status of the response.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            _ => status(self.code()),
        }
    }

    /// The refusal as a WebSocket message. Counts it in the metrics.
    pub(super) fn to_message(&self) -> ServerMessage {
        count(self.code());
        ServerMessage::Error {
            code: self.code(),
            message: self.to_string(),
        }
    }
}

impl Reply for ApiError {
    fn into_response(self) -> Response {
        count(self.code());
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code(),
                message: self.to_string(),
            },
        };
        let mut response = reply::json(self.status(), &body);
        let header: Option<(HeaderName, Cow<'static, str>)> = match &self {
            Self::Unauthorized => Some((WWW_AUTHENTICATE, "Bearer".into())),
            Self::MethodNotAllowed(methods) => Some((ALLOW, (*methods).into())),
            Self::UnsupportedEncoding => Some((ACCEPT_ENCODING, "identity".into())),
            Self::RateLimited(_, wait) => Some((RETRY_AFTER, seconds(*wait).into())),
            Self::Crowded | Self::Room(RoomError::TooManyRooms { .. } | RoomError::Busy(_)) => {
                Some((RETRY_AFTER, BUSY_RETRY_AFTER.into()))
            }
            Self::UpgradeRequired => Some((UPGRADE, "websocket".into())),
            _ => None,
        };
        if let Some((name, value)) = header {
            reply::set_header(&mut response, name, &value);
        }
        response
    }
}

/// A time to wait as `Retry-After` has it: whole seconds, and not too early.
fn seconds(wait: Duration) -> String {
    wait.as_secs_f64().ceil().max(1.0).to_string()
}

/// The text of a room's refusal for a client. Details of internal errors go to the log only.
fn public_text(error: &RoomError) -> String {
    match error {
        RoomError::Internal(details) => {
            tracing::error!(details, "request failed");
            "an error in the server; its log says more".into()
        }
        // It names the folder, which is for the operator.
        RoomError::Archive(error @ ArchiveError::Unusable { .. }) => {
            tracing::error!(%error, "request failed");
            "the folder of recordings cannot be used; the server's log says why".into()
        }
        other => other.to_string(),
    }
}

fn room_code(error: &RoomError) -> ErrorCode {
    match error {
        RoomError::Full { .. } => ErrorCode::RoomFull,
        RoomError::TooManyRooms { .. } | RoomError::Busy(_) => ErrorCode::ServerBusy,
        RoomError::Exists => ErrorCode::RoomExists,
        RoomError::Closed | RoomError::NoSuchParticipant(_) => ErrorCode::NotFound,
        RoomError::TooFast(_) => ErrorCode::RateLimited,
        RoomError::SignalToOneself => ErrorCode::BadMessage,
        RoomError::ShuttingDown => ErrorCode::ShuttingDown,
        RoomError::ModeUnavailable(..) => ErrorCode::ModeUnavailable,
        RoomError::NothingToRecord | RoomError::RecordingOff => ErrorCode::RecordingUnavailable,
        RoomError::TooManyRecordings { .. } => ErrorCode::TooManyRecordings,
        RoomError::NoSuchRecording | RoomError::Archive(ArchiveError::Unknown) => {
            ErrorCode::NotFound
        }
        RoomError::Archive(ArchiveError::GoesOn) => ErrorCode::RecordingGoesOn,
        RoomError::Archive(ArchiveError::Full { .. }) => ErrorCode::StorageFull,
        RoomError::Archive(ArchiveError::Unusable { .. }) => ErrorCode::StorageUnusable,
        RoomError::BadOffer(_) => ErrorCode::BadOffer,
        RoomError::TooManyMlines { .. } => ErrorCode::TooManyMlines,
        RoomError::BadTracks(_) => ErrorCode::BadTracks,
        RoomError::UnsupportedCodec { .. } => ErrorCode::UnsupportedCodec,
        RoomError::Internal(_) => ErrorCode::Internal,
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadMessage
        | ErrorCode::UnsupportedVersion
        | ErrorCode::BadRoomId
        | ErrorCode::BadName
        | ErrorCode::NotJoined
        | ErrorCode::AlreadyJoined
        | ErrorCode::BadOffer
        | ErrorCode::TooManyMlines
        | ErrorCode::BadTracks => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::OriginNotAllowed | ErrorCode::Forbidden | ErrorCode::HostNotAllowed => {
            StatusCode::FORBIDDEN
        }
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::RoomFull
        | ErrorCode::RoomExists
        | ErrorCode::ModeUnavailable
        | ErrorCode::RecordingUnavailable
        | ErrorCode::TooManyRecordings
        | ErrorCode::RecordingGoesOn => StatusCode::CONFLICT,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::UnsupportedCodec | ErrorCode::IceRestartUnsupported => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ErrorCode::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Internal | ErrorCode::StorageUnusable => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::ServerBusy | ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn count(code: ErrorCode) {
    // The label is the code as it stands on the wire.
    let label = json!(code).as_str().unwrap_or_default().to_owned();
    metrics::counter!("tessera_errors_total", "code" => label).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Busy;
    use crate::id::ParticipantId;

    #[test]
    fn refusals_of_a_room_keep_their_meaning() {
        let cases = [
            (RoomError::Full { limit: 2 }, ErrorCode::RoomFull, 409),
            (
                RoomError::TooManyRooms { limit: 2 },
                ErrorCode::ServerBusy,
                503,
            ),
            (RoomError::Busy(Busy::Cpu), ErrorCode::ServerBusy, 503),
            (RoomError::ShuttingDown, ErrorCode::ShuttingDown, 503),
            (
                RoomError::NoSuchParticipant(ParticipantId::new(3)),
                ErrorCode::NotFound,
                404,
            ),
            (RoomError::BadOffer("x".into()), ErrorCode::BadOffer, 400),
        ];
        for (error, code, status) in cases {
            let error = ApiError::from(error);
            assert_eq!(error.code(), code);
            assert_eq!(error.status().as_u16(), status);
        }
    }

    #[test]
    fn details_of_inner_failures_are_not_told() {
        let error = ApiError::from(RoomError::Internal("/etc/secret is missing".into()));
        assert!(!error.to_string().contains("secret"));
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn nobody_is_told_where_the_recordings_are() {
        let error = ApiError::from(RoomError::from(ArchiveError::Unusable {
            folder: "/srv/films".into(),
            reason: "no such file: /srv/films/x.json".into(),
        }));
        assert!(!error.to_string().contains("/srv"), "{error}");
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn who_is_too_fast_is_told_when_to_try_again() {
        for (wait, seconds) in [(0, "1"), (20, "1"), (1001, "2"), (6000, "6")] {
            let error = ApiError::RateLimited("joins", Duration::from_millis(wait));
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn a_405_says_what_is_allowed() {
        let response = ApiError::MethodNotAllowed("GET, HEAD").into_response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
