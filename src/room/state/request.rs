//! What somebody asks of a room, and who they are to ask.

use std::sync::Arc;

use crate::id::{ParticipantId, Role, SourceId};
use crate::layout::LayoutKind;
use crate::protocol::recording::{RecordingId, Subject};
use crate::protocol::room::Limits;
use crate::topology::Mode;

/// A request of somebody who waits for its [`Effect::Settle`].
pub type RequestId = u64;

/// How a participant can be reached beside their media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Messages of other members get to them.
    Signalling,
    /// HTTP only (WHIP, WHEP): nobody can call them.
    HttpOnly,
}

/// Who mutes: the two add up, a participant is live when neither has muted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Muter {
    /// The participant.
    Owner,
    /// The REST API.
    Operator,
}

/// How a participant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Said so (`leave`, WHIP/WHEP `DELETE`): gone at once.
    Left,
    /// The signalling connection was lost: the participant stays for some seconds, in which
    /// another join may take them over (`resume`), and goes then.
    SignallingLost,
    /// An operator removed them.
    Removed,
}

/// What somebody asks of a room, answered by one [`Effect::Settle`].
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
    /// Note from which members a participant receives media directly (mode `p2p`).
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
    /// Pass a message from one member to one other.
    Signal {
        /// The sender.
        from: ParticipantId,
        /// The addressee.
        to: ParticipantId,
        /// Passed on as it is.
        data: serde_json::Value,
    },
    /// Begin a recording under this id.
    Record(RecordingId, Subject),
    /// End the recording with this id.
    StopRecording(RecordingId),
}
