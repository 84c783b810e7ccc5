//! The wire: what crosses the signalling WebSocket and the REST API, as serde types.
//!
//! `docs/PROTOCOL.md` is the prose specification; a test parses every example in it with
//! these types. They are values without behaviour: signalling and bots turn them into bytes, the
//! room and the archive fill them.

pub mod error;
pub mod mesh;
pub mod recording;
pub mod rest;
pub mod room;
pub mod stats;

use serde::{Deserialize, Serialize};

use crate::id::{Mid, ParticipantId, Rid, Role, RoomId};
use crate::layout::LayoutKind;
use crate::protocol::error::ErrorCode;
use crate::protocol::recording::Record;
use crate::protocol::room::{ByeReason, Level, Limits, RoomState, SlotState};
use crate::topology::Mode;

/// The only protocol version there is. A join that names another is refused.
pub const VERSION: u32 = 1;

/// One m-line of the offer and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// The m-line's `a=mid`.
    pub mid: Mid,
    /// Its role, fixed for the life of the connection.
    pub role: Role,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    Limits(Limits),
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
        data: serde_json::Value,
    },
    /// Begin or end a recording of the room.
    Record(Record),
    /// Leave; the server answers `bye` and closes.
    Leave,
}

/// How large a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    pub limits: Limits,
    /// The SDP offer.
    pub offer: String,
    /// The role of each m-line, in the offer's order.
    pub tracks: Vec<Track>,
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    Capture(Capture),
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

/// The body of [`ServerMessage::Capture`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// camera or screen.
    pub role: Role,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Target, bit/s.
    pub bitrate: u32,
    /// Of a camera offered in several encodings: those to send, the smallest first. Empty for
    /// others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerCapture>,
}

/// One of a camera's encodings that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// An entry of `ice_servers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}
