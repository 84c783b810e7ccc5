//! What a room shows of itself: the vocabulary its members, the REST API and the page share.
//!
//! Plain values with their JSON form; the wire messages in [`crate::protocol`] carry them as
//! they are.

use serde::{Deserialize, Serialize};

use crate::archive::{Kind, RecordingId};
use crate::id::{Mid, ParticipantId, Role};
use crate::layout::{LayoutKind, Size};
pub use crate::media::ladder::{Limits, Rung};
use crate::media::recorder::Container;
use crate::topology::{Mode, Paths};

/// State of an uplink as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum UplinkState {
    /// Never offered, or nothing has arrived on it yet.
    None,
    /// Muted by its owner or by an operator.
    Muted,
    /// Media arrives.
    Live,
    /// Media arrived once and no longer does.
    Stalled,
}

/// A participant in `room`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ParticipantState {
    /// `p1`, ...
    pub id: ParticipantId,
    /// As given at join.
    pub name: String,
    /// In the mix right now because they are heard.
    pub speaking: bool,
    /// The microphone.
    pub mic: UplinkState,
    /// The camera.
    pub camera: UplinkState,
    /// The shared screen.
    pub screen: UplinkState,
    /// Receives only.
    pub viewer: bool,
    /// The ICE and DTLS connection is up.
    pub connected: bool,
    /// The mode they asked for instead of the room's.
    pub view: Option<Mode>,
}

/// A forward slot of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SlotState {
    /// The m-line.
    pub mid: Mid,
    /// Who is in it, or null.
    pub participant: Option<ParticipantId>,
    /// Which of their uplinks, or null.
    pub role: Option<Role>,
}

/// The paths of a room: what the arithmetic says and what was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeasuredPaths {
    /// For as many people in this mode ([`crate::topology::Topology::paths`]).
    pub expected: Paths,
    /// On which packets moved during the last second.
    pub measured: Paths,
}

/// A rectangle of the composite, in canvas pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TileState {
    /// Who is in it.
    pub participant: ParticipantId,
    /// camera (also for an avatar) or screen.
    pub role: Role,
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

/// A recording that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RecordingState {
    /// Its id.
    pub id: RecordingId,
    /// What of the room it is.
    pub kind: Kind,
    /// What it is written as.
    pub format: Container,
}

/// Everything a page draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RoomState {
    /// The mode in force.
    pub mode: Mode,
    /// The layout in force.
    pub layout: LayoutKind,
    /// The composite's size.
    pub canvas: Size,
    /// Who has the large tile of the spotlight layout, if anybody was pinned.
    pub pinned: Option<ParticipantId>,
    /// In the order of joining.
    pub participants: Vec<ParticipantState>,
    /// In the order of drawing; empty while no composite exists.
    pub tiles: Vec<TileState>,
    /// How many flows there are between machines.
    pub paths: MeasuredPaths,
    /// What is being recorded.
    pub recordings: Vec<RecordingState>,
}

/// One participant's sound level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Level {
    /// Whose.
    pub participant: ParticipantId,
    /// RMS over the last 200 ms, dB below full scale: 0 is loudest, -127 silence (as RFC 6464).
    pub dbov: f32,
}

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ByeReason {
    /// The client asked.
    Left,
    /// The server stops.
    ServerShutdown,
    /// An operator closed the room.
    RoomClosed,
    /// An operator removed the participant.
    Removed,
    /// Another connection took the participant over (`resume`).
    Replaced,
    /// No connection came up, or it was lost.
    ConnectionFailed,
    /// The DTLS certificate is not the one the offer named.
    FingerprintMismatch,
    /// The client reads too slowly.
    TooSlow,
    /// The client did not join in time, or kept sending what is not understood here.
    ProtocolError,
    /// An error in the server; its log says more.
    Internal,
}
