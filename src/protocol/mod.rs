//! The messages of the signalling WebSocket and the resources of the REST API, as serde types.
//!
//! `docs/PROTOCOL.md` is the prose specification; a test parses every example in it with these
//! types. They are plain values that every floor above may use: rooms and the archive make them,
//! signalling and bots read and write their JSON. This module uses [`crate::id`],
//! [`crate::codec`], [`crate::layout`] and [`crate::topology`] only.

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

/// The protocol version. A join that names another one is refused.
pub const VERSION: u32 = 1;

/// An m-line of the offer and its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Track {
    /// The `a=mid` of the m-line.
    pub mid: Mid,
    /// What the m-line is for, fixed for the life of the connection.
    pub role: Role,
}

/// A message from a client to the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// The first message: enter a room with an SDP offer.
    Join(Join),
    /// An ICE candidate of the client.
    Candidate {
        /// The `a=mid` of the m-line that it belongs to.
        mid: Mid,
        /// The text of the candidate; null after the last one (RFC 8838).
        candidate: Option<String>,
    },
    /// Ask for another mode of the room.
    Mode {
        /// The mode that is asked for.
        mode: Mode,
    },
    /// Ask for another mode than the room's, for this participant alone.
    View {
        /// The mode, `mcu` or `sfu`; null to follow the room again.
        mode: Option<Mode>,
    },
    /// Limit what this participant is sent from now on.
    Limits(#[cfg_attr(test, ts(type = "Partial<Limits>"))] Limits),
    /// In mode `p2p`, the participants from whom media arrives directly. Sent on each change.
    Mesh {
        /// All of these participants, in any order.
        receiving: Vec<ParticipantId>,
    },
    /// How large the client draws the pictures that are forwarded to it. Sent on each change.
    Sizes {
        /// All pictures that it draws, each at most once.
        pictures: Vec<PictureSize>,
    },
    /// Ask for another layout of the composite.
    Layout {
        /// The layout that is asked for.
        layout: LayoutKind,
    },
    /// Tell the room that an uplink of this participant is muted or unmuted.
    Mute {
        /// Which uplink: mic, camera or screen.
        role: Role,
        /// Whether it is muted from now on.
        muted: bool,
    },
    /// Pin a participant to the large tile of the spotlight layout.
    Pin {
        /// Id of the participant; null to pin nobody.
        participant: Option<ParticipantId>,
    },
    /// A chat text to everybody in the room.
    Chat {
        /// The text, 2,000 characters at most.
        text: String,
    },
    /// A message to one other participant of the room.
    Signal {
        /// Id of the participant who receives it.
        to: ParticipantId,
        /// Content of the message, which the server passes on without reading it.
        #[cfg_attr(test, ts(type = "unknown"))]
        data: serde_json::Value,
    },
    /// Raise or lower one's hand.
    Hand {
        /// True to raise it.
        raised: bool,
    },
    /// Begin or end a recording of the room.
    Record(Record),
    /// Leave; the server answers `bye` and closes.
    Leave,
}

/// How large a client draws a forwarded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PictureSize {
    /// Participant who sends the picture.
    pub participant: ParticipantId,
    /// Which of their uplinks it is: camera or screen.
    pub role: Role,
    /// Height in device pixels; 0 while it is not visible.
    pub height: u32,
}

/// The body of [`ClientMessage::Join`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Join {
    /// Protocol version of the client; has to be [`VERSION`].
    pub version: u32,
    /// Room to enter, which is created if it does not exist.
    pub room: RoomId,
    /// Display name, 1 to 64 characters.
    pub name: String,
    /// The token of the server, where it asks for one.
    #[serde(default)]
    pub token: Option<String>,
    /// The `resume` secret of an earlier `welcome`, to take over that participant after their
    /// connection was lost.
    #[serde(default)]
    pub resume: Option<String>,
    /// Another mode than the room's, as in [`ClientMessage::View`].
    #[serde(default)]
    pub view: Option<Mode>,
    /// Limits of what the participant is sent, as in [`ClientMessage::Limits`].
    #[serde(default)]
    #[cfg_attr(test, ts(type = "Partial<Limits>"))]
    pub limits: Limits,
    /// The SDP offer, which is answered once and never renegotiated.
    pub offer: String,
    /// The role of each m-line, in the order of the offer.
    pub tracks: Vec<Track>,
}

/// A message from the server to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The join is accepted; an `answer` follows.
    Welcome {
        /// Protocol version of the server, [`VERSION`].
        version: u32,
        /// Id of the participant that the client is from now on.
        participant: ParticipantId,
        /// Secret with which a later join can take this participant over.
        resume: String,
        /// STUN and TURN servers, in the form that `RTCPeerConnection` takes.
        ice_servers: Vec<IceServer>,
    },
    /// The answer to the offer of the join.
    Answer {
        /// The SDP of the answer.
        sdp: String,
    },
    /// An ICE candidate of the server.
    Candidate {
        /// The `a=mid` of the m-line that it belongs to.
        mid: Mid,
        /// The text of the candidate; null after the last one (RFC 8838).
        candidate: Option<String>,
    },
    /// The whole state of the room. Sent again on each change.
    Room(RoomState),
    /// The mode of this participant, and the content of their forward slots. Sent whole on each
    /// change.
    Slots {
        /// The participant's own mode if they asked for one, else that of the room.
        mode: Mode,
        /// One entry for each forward m-line.
        slots: Vec<SlotState>,
    },
    /// Whether the server uses what this participant sends. While it does not, the client may pause
    /// its uplinks.
    Uplinks {
        /// Whether the uplinks are used; true until the first such message.
        wanted: bool,
    },
    /// What a sender should capture and send, from the largest tile it fills.
    Capture(Capture),
    /// Sound levels, five times a second while somebody speaks; once over a weak link.
    Levels {
        /// One entry for each participant with a microphone.
        levels: Vec<Level>,
    },
    /// A chat text from a participant of the room.
    Chat {
        /// Id of the participant who sent it.
        from: ParticipantId,
        /// The text as it was sent.
        text: String,
    },
    /// A message from another participant of the room.
    Signal {
        /// Id of the participant who sent it.
        from: ParticipantId,
        /// Content of the message as it was sent.
        #[cfg_attr(test, ts(type = "unknown"))]
        data: serde_json::Value,
    },
    /// A request of the client was refused. The connection stays open.
    Error {
        /// Stable code, for programs.
        code: ErrorCode,
        /// Text for people, which may change.
        message: String,
    },
    /// The connection ends. The WebSocket is closed after this message.
    Bye {
        /// Why the connection ends.
        reason: ByeReason,
    },
}

/// The body of [`ServerMessage::Capture`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LayerCapture {
    /// Name of the encoding in the offer (`a=rid`).
    pub rid: Rid,
    /// Width to send, in pixels.
    pub width: u32,
    /// Height to send, in pixels.
    pub height: u32,
    /// Target bitrate in bit/s.
    pub bitrate: u32,
}

/// A STUN or TURN server, in the form of `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct IceServer {
    /// URLs of the server (`stun:`, `turn:`).
    pub urls: Vec<String>,
    /// User name of the TURN credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub username: Option<String>,
    /// Password of the TURN credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub credential: Option<String>,
}
