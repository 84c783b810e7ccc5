//! Requests to a room, and the small types in which they say who asks and why.

use std::sync::Arc;

use crate::id::{ParticipantId, Role, SourceId};
use crate::layout::LayoutKind;
use crate::protocol::recording::{RecordingId, Subject};
use crate::protocol::room::Limits;
use crate::topology::Mode;

/// Number of a request, by which its [`Effect::Settle`](super::Effect::Settle) finds the asker.
pub type RequestId = u64;

/// Whether messages of other participants reach a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Connected by WebSocket: others can send them signals, and so open a peer connection.
    Signalling,
    /// Connected by HTTP only (WHIP, WHEP): nobody can open a peer connection to them.
    HttpOnly,
}

/// Who mutes an uplink. The two add up: it is live when neither has muted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Muter {
    /// The participant who sends it.
    Owner,
    /// An operator, through the REST API.
    Operator,
}

/// How a participant leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// They said so (`leave`, WHIP/WHEP `DELETE`): they are removed at once.
    Left,
    /// Their signalling connection was lost. They stay for some seconds, in which another join may
    /// take them over (`resume`), and are removed then.
    SignallingLost,
    /// An operator removed them: they are removed at once.
    Removed,
}

/// A request to a room, answered by one [`Effect::Settle`](super::Effect::Settle).
///
/// Signalling makes it, [`RoomHandle`](crate::room::RoomHandle) carries it, and one method of the
/// state decides. A new command is one variant here and one arm there.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Switch the room's mode.
    Mode(Mode),
    /// Serve a participant in a mode of their own (`mcu` or `sfu`), or in the room's again.
    View(ParticipantId, Option<Mode>),
    /// Send a participant no more than these limits from now on.
    Limits(ParticipantId, Limits),
    /// Note from which participants this one receives media directly (mode `p2p`).
    Mesh(ParticipantId, Vec<ParticipantId>),
    /// Note how high a participant draws the pictures forwarded to them, pixels. The whole list:
    /// it replaces the one before.
    Heights(ParticipantId, Vec<(SourceId, u32)>),
    /// Change the composite's layout.
    Layout(LayoutKind),
    /// Mute or release one uplink of a participant.
    Mute {
        /// The participant who publishes the uplink.
        who: ParticipantId,
        /// The uplink: mic, camera or screen.
        role: Role,
        /// Who mutes; owner and operator add up.
        by: Muter,
        /// True to mute, false to release.
        muted: bool,
    },
    /// Give a participant the large tile of the spotlight layout; `None` leaves it to the room.
    Pin(Option<ParticipantId>),
    /// Raise (true) or lower a participant's hand.
    Hand(ParticipantId, bool),
    /// Change the name on a participant's tile.
    Rename(ParticipantId, String),
    /// Send a text from a participant to everybody.
    Chat(ParticipantId, Arc<str>),
    /// Pass a signal from one participant to one other.
    Signal {
        /// The participant who sends it.
        from: ParticipantId,
        /// The participant who gets it.
        to: ParticipantId,
        /// The content, passed on as it is.
        data: serde_json::Value,
    },
    /// Begin a recording under this id.
    Record(RecordingId, Subject),
    /// End the recording with this id.
    StopRecording(RecordingId),
}
