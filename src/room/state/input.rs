//! The inputs and effects of a room's state machine, and the settings it is made with.

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

/// When a room ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// When the last participant has left. Rooms made by a join.
    WhileUsed,
    /// Never: it must be closed. Rooms made through the REST API.
    UntilClosed,
}

/// The settings of a room's state.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest number of participants at once.
    pub max_participants: usize,
    /// Size of the composite, pixels.
    pub canvas: Size,
    /// Frames per second of the composite without pressure.
    pub fps: u32,
    /// The sizes and bitrates in which the composite can be encoded.
    pub ladder: Arc<Ladder>,
    /// Bitrate of a sound mix on links that are not weak, bit/s.
    pub audio_bitrate: u32,
    /// The mode in which the room starts.
    pub mode: Mode,
    /// The layout with which the room starts.
    pub layout: LayoutKind,
    /// What the room saves on from its start, as the server is loaded then.
    pub pressure: Pressure,
    /// When the room ends by itself.
    pub lifetime: Lifetime,
}

/// Something that happened to the room, or a request to it. The only way to change its state.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A request to join, as a new participant or in place of one whose connection was lost.
    Join {
        /// Settled by [`Effect::Settle`] if refused. If accepted, [`Effect::StartPeer`] follows and
        /// the room's task answers with the SDP.
        request: RequestId,
        /// The name that the tile shows.
        name: String,
        /// Whether other participants can open a peer connection to them.
        reach: Reach,
        /// The mode they want in place of the room's (the wire's `view`).
        mode_override: Option<Mode>,
        /// Upper limits of what is sent to them.
        limits: Limits,
        /// The participant whose voice is their own: somebody who publishes with one connection and
        /// plays with another. Their mix is without it.
        own_voice: Option<ParticipantId>,
        /// The participant to take over. If that one has left, this is an ordinary join.
        takes_over: Option<ParticipantId>,
    },
    /// The SDP answer of a participant has been made.
    Answered {
        /// The participant whose offer it answers.
        who: ParticipantId,
        /// The uplinks that were negotiated.
        uplinks: Vec<(Role, Sends)>,
        /// The downlink slots that were negotiated.
        downlinks: Downlinks,
    },
    /// ICE and DTLS of a participant are up, and the certificate has the fingerprint of the offer.
    Connected(ParticipantId),
    /// The peer connection of a participant has failed: they are evicted for this reason.
    PeerLost(ParticipantId, ByeReason),
    /// An uplink has a new tap. The number is the index of its simulcast encoding, the smallest
    /// first; 0 without simulcast.
    UplinkBegan(ParticipantId, Role, usize),
    /// RTP of the encoding with this index flows again.
    UplinkFlows(ParticipantId, Role, usize),
    /// The encoding with this index has sent no RTP for a while.
    UplinkSilent(ParticipantId, Role, usize),
    /// The picture of the encoding with this index has a new height, pixels.
    UplinkSized(ParticipantId, Role, usize, u32),
    /// The mixer hears a participant from now on (true), or no longer (false).
    Heard(ParticipantId, bool),
    /// A slot delivers this feed, for the first time since it got it.
    SlotOpened(ParticipantId, Downlink, Feed),
    /// The first picture or sound of an uplink is in the mix.
    SourceMixed(SourceId),
    /// Media paths between clients and server on which packets moved in the last second. Paths of a
    /// mesh are not counted.
    Counted(Paths),
    /// The decoder of an uplink failed.
    SourceFailed(SourceId),
    /// An encoder of the mixer failed. It is tried again after a second.
    OutputFailed(Output),
    /// The mixer could not be started. It is tried again after a second.
    MixerFailed,
    /// The answer to [`Effect::Admit`]: whether the server has capacity for the join.
    Admitted(RequestId, Result<(), Busy>),
    /// A request to the room. Answered by one [`Effect::Settle`].
    Asked(RequestId, Request),
    /// Everybody who speaks by the audio levels in their packets (RFC 6464). Reported while no
    /// mixer runs: a mixer detects speakers itself ([`Input::Heard`]).
    Speaking(BTreeSet<ParticipantId>),
    /// Share of packets lost lately on the way to a participant who hears a mix, 0 to 1. `None` if
    /// nothing is known.
    Loss(ParticipantId, Option<f32>),
    /// A participant leaves, or has lost their signalling.
    Leave(ParticipantId, Departure),
    /// A new bandwidth estimate of the link to a participant.
    Estimated(ParticipantId, Estimate),
    /// The server's overload level, and so what the room saves on, has changed.
    Pressed(Pressure),
    /// A recording has ended by itself: its disk or length limit, or an error.
    RecorderEnds(RecordingId),
    /// Close the room: everybody is evicted for this reason.
    Close(ByeReason),
    /// A deadline of [`next_deadline`](super::State::next_deadline) has come.
    Tick,
}

impl Input {
    /// The request that this input carries and that needs an answer; `None` for other inputs.
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

/// Something that the room's task must do. Effects are carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the server for the capacity of one more participant in this mode, and reserve it.
    /// Answered by [`Input::Admitted`].
    Admit(RequestId, Mode),
    /// Answer a request, once.
    Settle(RequestId, Result<(), RoomError>),
    /// Accept a join: make the peer connection and the SDP answer of its request.
    StartPeer(RequestId, ParticipantId),
    /// Tear down the peer connection of a participant.
    StopPeer(ParticipantId),
    /// Send a participant the last message, with this reason, and release their signalling.
    Bye(ParticipantId, ByeReason),
    /// Publish a new room state to everybody.
    Publish(Arc<RoomState>),
    /// Send a chat text to these participants. The second one is its author.
    TellChat(Vec<ParticipantId>, ParticipantId, Arc<str>),
    /// Pass a signal to the first participant from the second one.
    TellSignal(ParticipantId, ParticipantId, serde_json::Value),
    /// Carry out a step of the media wiring.
    Media(Step),
    /// Let nobody have what an uplink sent so far: it was muted.
    Forget(SourceId),
    /// Retransmit so many bytes to a participant at once, as a bandwidth probe.
    SendAgain(ParticipantId, usize),
    /// The room has ended. Nobody is in it, nothing runs, and every later request is refused.
    Closed,
}
