//! The published state of a room, which participants, the REST API and the page share.
//!
//! Plain values with their JSON form. Messages in [`crate::protocol`] carry them as they are.

use serde::{Deserialize, Serialize};

use super::recording::{RecordingId, RecordingKind};
use crate::codec::Container;
use crate::id::{Mid, ParticipantId, Role};
use crate::layout::{LayoutKind, Size};
use crate::topology::{Mode, Paths};

/// A rung of the ladder of renditions, counted from the top.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Rung(pub u8);

impl Rung {
    /// The best rung: the canvas itself.
    pub const TOP: Self = Self(0);

    /// The next worse rung.
    #[must_use]
    pub fn below(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a viewer asks for at most, whatever their link can carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Largest bitrate of sound and picture together, in bit/s; unlimited if null.
    pub max_bitrate: Option<u32>,
    /// Largest height of a picture in pixels; unlimited if null.
    pub max_height: Option<u32>,
    /// Whether to send sound and only a still picture every few seconds.
    pub audio_only: bool,
}

/// State of an uplink as other participants see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum UplinkState {
    /// It was not offered, or no media has arrived on it yet.
    None,
    /// Its owner or an operator has muted it.
    Muted,
    /// Media is arriving.
    Live,
    /// Media has arrived before and no longer does.
    Stalled,
}

/// A participant in the state of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ParticipantState {
    /// Id of the participant in this room.
    pub id: ParticipantId,
    /// Display name.
    pub name: String,
    /// Whether they are an active speaker, whose voice is in the mix.
    pub speaking: bool,
    /// Whether their hand is raised.
    #[serde(default)]
    pub hand: bool,
    /// State of the microphone.
    pub mic: UplinkState,
    /// State of the camera.
    pub camera: UplinkState,
    /// State of the shared screen.
    pub screen: UplinkState,
    /// Whether they only receive.
    pub viewer: bool,
    /// Whether the ICE and DTLS connection is established.
    pub connected: bool,
    /// The mode that they asked for in place of the room's; null if they follow the room.
    pub view: Option<Mode>,
}

/// A forward slot: a downlink m-line for another participant's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SlotState {
    /// The `a=mid` of the m-line.
    pub mid: Mid,
    /// Participant whose stream it carries; null while it is empty.
    pub participant: Option<ParticipantId>,
    /// Which of their uplinks it carries; null while it is empty.
    pub role: Option<Role>,
}

/// The number of media paths of a room, as expected and as measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeasuredPaths {
    /// Paths of this many participants in this mode ([`crate::topology::Topology::paths`]).
    pub expected: Paths,
    /// Paths on which packets were sent during the last second.
    pub measured: Paths,
}

/// A tile of the composite, in pixels of the canvas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TileState {
    /// Participant who is shown in it.
    pub participant: ParticipantId,
    /// Which uplink is shown: camera (also for a name plate without a picture) or screen.
    pub role: Role,
    /// Distance of the left edge from that of the canvas.
    pub x: u32,
    /// Distance of the top edge from that of the canvas.
    pub y: u32,
    /// Width of the tile.
    pub w: u32,
    /// Height of the tile.
    pub h: u32,
}

/// A recording of the room that is being written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RecordingState {
    /// Id of the recording.
    pub id: RecordingId,
    /// What it holds of the room.
    pub kind: RecordingKind,
    /// Container of its file, or `webm` for tracks.
    pub format: Container,
}

/// The published state of a room: everything that a page draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RoomState {
    /// Mode of the room.
    pub mode: Mode,
    /// Layout of the composite.
    pub layout: LayoutKind,
    /// Size of the composite in pixels.
    pub canvas: Size,
    /// Participant who is pinned to the large tile of the spotlight layout; null if none is.
    pub pinned: Option<ParticipantId>,
    /// All participants, in the order of joining.
    pub participants: Vec<ParticipantState>,
    /// The tiles of the composite in drawing order; empty while there is no composite.
    pub tiles: Vec<TileState>,
    /// Number of media paths between machines.
    pub paths: MeasuredPaths,
    /// Recordings that are being written.
    pub recordings: Vec<RecordingState>,
}

/// The audio level of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Level {
    /// Participant whose microphone it is.
    pub participant: ParticipantId,
    /// RMS over the last 200 ms in dBov: 0 is the loudest, -127 silence (as in RFC 6464).
    pub dbov: f32,
}

/// Why the server ends a connection to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ByeReason {
    /// The client sent `leave`.
    Left,
    /// The server is stopping.
    ServerShutdown,
    /// An operator has closed the room.
    RoomClosed,
    /// An operator has removed the participant.
    Removed,
    /// Another connection has taken the participant over (`resume`).
    Replaced,
    /// The ICE or DTLS connection was not established in time, or was lost.
    ConnectionFailed,
    /// The DTLS certificate is not the one that the offer named.
    FingerprintMismatch,
    /// The client reads its messages too slowly.
    TooSlow,
    /// The client did not join in time, or kept sending messages that cannot be parsed.
    ProtocolError,
    /// An error in the server, whose details are in its log.
    Internal,
}
