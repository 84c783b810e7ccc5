//! What goes into the state of a room and what comes out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::participant::{Downlinks, Sends};
use super::request::{Departure, Reach, Request, RequestId};
use super::wiring::{Downlink, Feed, Step};
use crate::admission::{Busy, Pressure};
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout::{LayoutKind, Size};
use crate::media::bwe::delay::Estimate;
use crate::media::bwe::ladder::Ladder;
use crate::media::mixer::Output;
use crate::protocol::recording::RecordingId;
use crate::protocol::room::Limits;
use crate::protocol::room::{ByeReason, RoomState};
use crate::room::error::RoomError;
use crate::topology::{Mode, Paths};

/// How long a room lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as somebody is in it.
    WhileUsed,
    /// Until it is closed: it was made through the API.
    UntilClosed,
}

/// What a room is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most participants at once.
    pub max_participants: usize,
    /// The composite's size, pixels.
    pub canvas: Size,
    /// Composite frames per second.
    pub fps: u32,
    /// In which sizes and at which rates the composite is encoded.
    pub ladder: Arc<Ladder>,
    /// bit/s of a mix.
    pub audio_bitrate: u32,
    /// The mode to start in.
    pub mode: Mode,
    /// The layout to start with.
    pub layout: LayoutKind,
    /// What to save on from the start.
    pub pressure: Pressure,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// Something that happened, or that somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody wants in, as a new participant or in the place of one whose connection was lost.
    Join {
        /// Settled by [`Effect::Settle`] if refused, answered by the actor if not.
        request: RequestId,
        /// The name on the tile.
        name: String,
        /// Whether others can call them.
        reach: Reach,
        /// The mode they want instead of the room's.
        mode_override: Option<Mode>,
        /// What they want at most.
        limits: Limits,
        /// Whom to take over, if they are still here.
        takes_over: Option<ParticipantId>,
    },
    /// A peer has answered its offer.
    Answered {
        /// Whose.
        who: ParticipantId,
        /// What they will send.
        uplinks: Vec<(Role, Sends)>,
        /// What they receive.
        downlinks: Downlinks,
    },
    /// ICE and DTLS are up and the certificate is the right one.
    Connected(ParticipantId),
    /// A peer is of no more use.
    PeerLost(ParticipantId, ByeReason),
    /// A tap of an uplink is there, for the encoding of that place among its rids, else 0.
    UplinkBegan(ParticipantId, Role, usize),
    /// RTP of an encoding flows again.
    UplinkFlows(ParticipantId, Role, usize),
    /// There has been no RTP of an encoding for a while.
    UplinkSilent(ParticipantId, Role, usize),
    /// The picture of an encoding is that high now, pixels.
    UplinkSized(ParticipantId, Role, usize, u32),
    /// Somebody is heard from now on, or no longer.
    Heard(ParticipantId, bool),
    /// A slot delivers what it was fed, for the first time since.
    SlotOpened(ParticipantId, Downlink, Feed),
    /// The first picture or sound of a source is in the mix.
    SourceMixed(SourceId),
    /// Paths on which packets moved, those between participants not counted.
    Counted(Paths),
    /// An uplink could not be decoded.
    SourceFailed(SourceId),
    /// An encoder failed.
    OutputFailed(Output),
    /// The mixer could not be started.
    MixerFailed,
    /// The server has capacity for the join that [`Effect::Admit`] asked about, or not.
    Admitted(RequestId, Result<(), Busy>),
    /// Somebody asks for something.
    Asked(RequestId, Request),
    /// Who speaks by what their packets say (RFC 6464), all of them. Told while no mixer runs: a
    /// mixer listens for itself ([`Input::Heard`]).
    Speaking(BTreeSet<ParticipantId>),
    /// Share of packets lost lately on the way to somebody who hears a mix, 0 to 1; `None` where
    /// nothing is known.
    Loss(ParticipantId, Option<f32>),
    /// Somebody goes.
    Leave(ParticipantId, Departure),
    /// What is known of the link to somebody now.
    Estimated(ParticipantId, Estimate),
    /// The server is pressed that hard from now on.
    Pressed(Pressure),
    /// A recording cannot go on.
    RecorderEnds(RecordingId),
    /// The room is to end.
    Close(ByeReason),
    /// A deadline of [`next_deadline`](super::State::next_deadline) has come.
    Tick,
}

impl Input {
    /// The request that waits for an answer to this; `None` where nobody waits.
    pub(crate) fn request(&self) -> Option<RequestId> {
        match self {
            Self::Join { request, .. } | Self::Asked(request, _) => Some(*request),
            Self::Admitted(..)
            | Self::Answered { .. }
            | Self::Close(_)
            | Self::Connected(_)
            | Self::Counted(_)
            | Self::Estimated(..)
            | Self::Heard(..)
            | Self::Leave(..)
            | Self::Loss(..)
            | Self::MixerFailed
            | Self::OutputFailed(_)
            | Self::PeerLost(..)
            | Self::Pressed(_)
            | Self::RecorderEnds(_)
            | Self::SlotOpened(..)
            | Self::SourceFailed(_)
            | Self::SourceMixed(_)
            | Self::Speaking(_)
            | Self::Tick
            | Self::UplinkBegan(..)
            | Self::UplinkFlows(..)
            | Self::UplinkSilent(..)
            | Self::UplinkSized(..) => None,
        }
    }
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the server whether it has capacity for one more in this mode, and count on them if it
    /// has. Answered by [`Input::Admitted`].
    Admit(RequestId, Mode),
    /// Answer a request.
    Settle(RequestId, Result<(), RoomError>),
    /// Make a peer for the offer that came with a request.
    StartPeer(RequestId, ParticipantId),
    /// Tear a peer down.
    StopPeer(ParticipantId),
    /// Say goodbye and let the signalling connection go.
    Bye(ParticipantId, ByeReason),
    /// The state changed; show it to everybody.
    Publish(Arc<RoomState>),
    /// A text for these people.
    TellChat(Vec<ParticipantId>, ParticipantId, Arc<str>),
    /// A message for this one.
    TellSignal(ParticipantId, ParticipantId, serde_json::Value),
    /// A step of the media wiring.
    Media(Step),
    /// Send somebody so many bytes once more and at once, to learn what their link carries.
    SendAgain(ParticipantId, usize),
    /// The room has ended: nobody is in it and nothing runs.
    Closed,
}
