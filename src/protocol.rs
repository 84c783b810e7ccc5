//! The wire: what crosses the signalling WebSocket and the REST API, as serde types.
//!
//! `docs/PROTOCOL.md` is the prose specification; a test parses every example in it with
//! these types. Only [`crate::signalling`] uses this module.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::archive::{Kind as RecordingKind, RecordingId, Subject};
use crate::id::{Mid, ParticipantId, Rid, Role, RoomId};
pub use crate::layout::LayoutKind;
pub use crate::media::recorder::Container;
pub use crate::room::view::{
    ByeReason, Level, Limits, MeasuredPaths, ParticipantState, RoomState, SlotState, TileState,
    UplinkState,
};
pub use crate::topology::Mode;

/// The only protocol version there is. A join that names another is refused.
pub const VERSION: u32 = 1;

/// One m-line of the offer and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Track {
    /// The m-line's `a=mid`.
    pub mid: Mid,
    /// Its role, fixed for the life of the connection.
    pub role: Role,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// The first message: enter a room with an SDP offer.
    Join(Join),
    /// A local ICE candidate; `None` means there are no more (RFC 8838).
    Candidate {
        /// The m-line it belongs to.
        mid: Mid,
        /// The `candidate:` line, or null at the end.
        candidate: Option<String>,
    },
    /// Ask for another mode of the room.
    Mode {
        /// The mode wanted.
        mode: Mode,
    },
    /// Ask for a mode of one's own instead of the room's.
    View {
        /// `mcu` or `sfu`; null follows the room.
        mode: Option<Mode>,
    },
    /// Ask for no more than that from now on.
    Limits(#[cfg_attr(test, ts(type = "Partial<Limits>"))] Limits),
    /// In mode `p2p`: from whom media arrives directly. Sent whenever that changes.
    Mesh {
        /// The members, in any order.
        receiving: Vec<ParticipantId>,
    },
    /// How large this client draws the pictures that are forwarded to it. Sent whenever that
    /// changes, whole.
    Sizes {
        /// Those it draws, each at most once.
        pictures: Vec<PictureSize>,
    },
    /// Ask for another layout of the composite.
    Layout {
        /// The layout wanted.
        layout: LayoutKind,
    },
    /// Tell the room that an own uplink is muted or live again.
    Mute {
        /// The uplink: mic, camera or screen.
        role: Role,
        /// True while muted.
        muted: bool,
    },
    /// Put a participant in the large tile of the spotlight layout; null undoes it.
    Pin {
        /// Whom, or null.
        participant: Option<ParticipantId>,
    },
    /// A text to everybody in the room.
    Chat {
        /// At most 2,000 characters.
        text: String,
    },
    /// A message to one other member of the room.
    Signal {
        /// The addressee.
        to: ParticipantId,
        /// Not looked at by the server.
        #[cfg_attr(test, ts(type = "unknown"))]
        data: serde_json::Value,
    },
    /// Begin or end a recording of the room.
    Record(Record),
    /// Leave; the server answers `bye` and closes.
    Leave,
}

/// The body of [`ClientMessage::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Record {
    /// Begin one.
    Start(StartRecording),
    /// End one.
    Stop {
        /// Which.
        recording: RecordingId,
    },
}

/// The body of `POST /api/v1/rooms/{room}/recordings`, and of a [`Record::Start`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(as = "RecordingWords"))]
#[serde(try_from = "RecordingWords", into = "RecordingWords")]
pub struct StartRecording {
    /// What of the room is to be recorded, and as what.
    pub subject: Subject,
}

/// A [`StartRecording`] as it is written.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
struct RecordingWords {
    /// `mp4`, `webm` or `ogg` (sound alone) for the mix; `webm` or nothing for tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Container>,
    /// `composite` or `tracks`.
    #[serde(default)]
    kind: RecordingKind,
}

impl TryFrom<RecordingWords> for StartRecording {
    type Error = &'static str;

    fn try_from(words: RecordingWords) -> Result<Self, Self::Error> {
        let subject = match (words.kind, words.format) {
            (RecordingKind::Composite, Some(container)) => Subject::Mix(container),
            (RecordingKind::Composite, None) => return Err("missing field `format`"),
            (RecordingKind::Tracks, None | Some(Container::Webm)) => Subject::Tracks,
            (RecordingKind::Tracks, Some(_)) => return Err("tracks are of format webm"),
        };
        Ok(Self { subject })
    }
}

impl From<StartRecording> for RecordingWords {
    fn from(start: StartRecording) -> Self {
        Self {
            format: match start.subject {
                Subject::Mix(container) => Some(container),
                Subject::Tracks => None,
            },
            kind: start.subject.kind(),
        }
    }
}

/// How large a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PictureSize {
    /// Whose.
    pub participant: ParticipantId,
    /// camera or screen.
    pub role: Role,
    /// Pixels of the screen; 0 while it is not seen.
    pub height: u32,
}

/// The body of [`ClientMessage::Join`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Join {
    /// [`VERSION`].
    pub version: u32,
    /// The room, made if it is not there.
    pub room: RoomId,
    /// The name on the tile, 1 to 64 characters.
    pub name: String,
    /// The room's token, where the server asks for one.
    #[serde(default)]
    pub token: Option<String>,
    /// The `resume` secret of an earlier `welcome`: take over that participant, whose
    /// connection was lost.
    #[serde(default)]
    pub resume: Option<String>,
    /// A mode of one's own instead of the room's, as in [`ClientMessage::View`].
    #[serde(default)]
    pub view: Option<Mode>,
    /// What is wanted at most, as in [`ClientMessage::Limits`].
    #[serde(default)]
    #[cfg_attr(test, ts(type = "Partial<Limits>"))]
    pub limits: Limits,
    /// The SDP offer.
    pub offer: String,
    /// The role of each m-line, in the offer's order.
    pub tracks: Vec<Track>,
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The join is accepted; an `answer` follows.
    Welcome {
        /// [`VERSION`].
        version: u32,
        /// Who the client is from now on.
        participant: ParticipantId,
        /// A secret with which a later join takes this participant over.
        resume: String,
        /// STUN and TURN servers, as `RTCPeerConnection` takes them.
        ice_servers: Vec<IceServer>,
    },
    /// The SDP answer.
    Answer {
        /// The SDP.
        sdp: String,
    },
    /// A candidate of the server; null at the end.
    Candidate {
        /// The m-line it belongs to.
        mid: Mid,
        /// The `candidate:` line, or null at the end.
        candidate: Option<String>,
    },
    /// The room's whole state, again on every change.
    Room(RoomState),
    /// How this participant is served, and who is in which forward slot; whole, again on every
    /// change.
    Slots {
        /// The mode this participant is served in: their own if they asked for one, else the
        /// room's.
        mode: Mode,
        /// One entry per forward m-line.
        slots: Vec<SlotState>,
    },
    /// Whether anything here needs what this participant sends. While it does not, they need not
    /// send it.
    Uplinks {
        /// True at the beginning.
        wanted: bool,
    },
    /// What a sender should capture and send, from the largest tile it fills.
    Capture {
        /// camera or screen.
        role: Role,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Frames per second.
        fps: u32,
        /// Target, bit/s.
        bitrate: u32,
        /// Of a camera offered in several encodings: those to send, the smallest first. Empty
        /// for others.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        layers: Vec<LayerCapture>,
    },
    /// Sound levels, five times a second while somebody speaks; once over a weak link.
    Levels {
        /// One entry per participant with a microphone.
        levels: Vec<Level>,
    },
    /// A text from a member of the room.
    Chat {
        /// The sender.
        from: ParticipantId,
        /// The text.
        text: String,
    },
    /// A message from another member of the room.
    Signal {
        /// The sender.
        from: ParticipantId,
        /// As the sender gave it.
        #[cfg_attr(test, ts(type = "unknown"))]
        data: serde_json::Value,
    },
    /// Something the client asked for was refused; the connection stays.
    Error {
        /// Stable.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// The connection ends; the WebSocket closes after it.
    Bye {
        /// Why.
        reason: ByeReason,
    },
}

/// One of a camera's encodings that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LayerCapture {
    /// Its name in the offer (`a=rid`).
    pub rid: Rid,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Target, bit/s.
    pub bitrate: u32,
}

/// What members say to each other in the `data` of [`ClientMessage::Signal`] in mode `p2p`. The
/// server does not look at it; bots and the page do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum MeshSignal {
    /// An offer or answer, as `RTCSessionDescription` is written.
    Description(MeshDescription),
    /// A candidate, as `RTCIceCandidate` is written; null ends them.
    Candidate(Option<MeshCandidate>),
    /// The sender does not need the other's media any more.
    Done(bool),
}

/// `RTCSessionDescriptionInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeshDescription {
    /// `offer` or `answer`.
    #[serde(rename = "type")]
    pub kind: MeshDescriptionKind,
    /// The SDP.
    pub sdp: String,
}

/// The two kinds of description that members exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum MeshDescriptionKind {
    /// An offer.
    Offer,
    /// An answer.
    Answer,
}

/// `RTCIceCandidateInit`, the members used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeshCandidate {
    /// The `candidate:` line.
    pub candidate: String,
    /// The m-line.
    #[serde(rename = "sdpMid")]
    pub sdp_mid: Option<Mid>,
}

/// An entry of `ice_servers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    pub urls: Vec<String>,
    /// TURN user name.
    #[cfg_attr(test, ts(optional))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[cfg_attr(test, ts(optional))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The stable code of an error, on the WebSocket and in HTTP bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ErrorBody {
    /// The one member.
    pub error: ErrorDetail,
}

/// What [`ErrorBody`] holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ErrorDetail {
    /// Stable.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

/// A room in the REST API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RoomResource {
    /// The room's id.
    pub id: RoomId,
    /// Everything a page draws.
    #[serde(flatten)]
    pub state: RoomState,
}

/// The built-in TURN server in the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnResource {
    /// Every allocation there is.
    pub allocations: Vec<AllocationResource>,
}

/// A TURN allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationResource {
    /// Whose it is: room and participant, unless the credential came from elsewhere.
    pub user: String,
    /// Where its client is.
    pub client: SocketAddr,
    /// What peers see instead.
    pub relays: Vec<SocketAddr>,
    /// What went through it.
    pub peers: Vec<RelayedResource>,
}

/// What an allocation and one peer have exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedResource {
    /// The peer.
    pub address: SocketAddr,
    /// From the client to the peer.
    pub to_peer: TrafficResource,
    /// From the peer to the client.
    pub from_peer: TrafficResource,
}

/// Packets in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficResource {
    /// How many.
    pub packets: u64,
    /// The bytes in them, without the wrapping of TURN.
    pub bytes: u64,
}

/// The body of `POST /api/v1/rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// The room's id.
    pub id: RoomId,
    /// The mode to start in, the server's default if absent.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The layout to start with, the server's default if absent.
    #[serde(default)]
    pub layout: Option<LayoutKind>,
}

/// The body of `PATCH /api/v1/rooms/{room}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchRoom {
    /// Another mode.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Another layout.
    #[serde(default)]
    pub layout: Option<LayoutKind>,
}

/// The body of `PATCH /api/v1/rooms/{room}/participants/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchParticipant {
    /// Mute or release the microphone for everybody.
    #[serde(default)]
    pub mic_muted: Option<bool>,
    /// Hide or show the camera for everybody.
    #[serde(default)]
    pub camera_muted: Option<bool>,
    /// Another name.
    #[serde(default)]
    pub name: Option<String>,
    /// Give them the large tile of the spotlight layout, or take it away.
    #[serde(default)]
    pub pinned: Option<bool>,
}
