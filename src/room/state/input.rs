//! What goes into the state of a room and what comes out.

use std::sync::Arc;

use super::participant::{Downlinks, Sends};
use super::wiring::{Downlink, Feed, Step};
use crate::admission::Pressure;
use crate::id::SourceId;
use crate::id::{ParticipantId, Role};
use crate::layout::{LayoutKind, Size};
use crate::media::bwe::delay::Estimate;
use crate::media::bwe::ladder::Ladder;
use crate::media::mixer::Output;
use crate::protocol::recording::{RecordingId, Subject};
use crate::protocol::room::Limits;
use crate::protocol::room::{ByeReason, RoomState};
use crate::room::error::RoomError;
use crate::room::handle::{Departure, Muter, Reach};
use crate::topology::{Mode, Paths};

/// A request of somebody who waits for its [`Effect::Settle`].
pub type RequestId = u64;

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
        view: Option<Mode>,
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
    /// Somebody goes.
    Leave(ParticipantId, Departure),
    /// Another mode is asked for.
    SetMode(RequestId, Mode),
    /// Somebody wants a mode of their own, or the room's again.
    SetView(RequestId, ParticipantId, Option<Mode>),
    /// What somebody wants at most from now on.
    Limit(ParticipantId, Limits),
    /// What is known of the link to somebody now.
    Estimated(ParticipantId, Estimate),
    /// From whom somebody receives media directly now.
    Mesh(ParticipantId, Vec<ParticipantId>),
    /// How high somebody draws the pictures forwarded to them now, pixels.
    Heights(ParticipantId, Vec<(SourceId, u32)>),
    /// The server is pressed that hard from now on.
    Pressed(Pressure),
    /// Another layout is asked for.
    SetLayout(RequestId, LayoutKind),
    /// An uplink is to be muted or released.
    Mute {
        /// Settled.
        request: RequestId,
        /// Whose.
        who: ParticipantId,
        /// Which uplink.
        role: Role,
        /// Who asks.
        by: Muter,
        /// To be muted.
        muted: bool,
    },
    /// The large tile of the spotlight is given to somebody, or to nobody in particular.
    Pin(RequestId, Option<ParticipantId>),
    /// Somebody gets another name.
    Rename(RequestId, ParticipantId, String),
    /// A text to everybody.
    Chat(ParticipantId, Arc<str>),
    /// A message to one.
    Signal {
        /// Settled.
        request: RequestId,
        /// The sender.
        from: ParticipantId,
        /// The addressee.
        to: ParticipantId,
        /// Passed on as it is.
        data: serde_json::Value,
    },
    /// The room is to be recorded.
    Record(RequestId, RecordingId, Subject),
    /// A recording is to end.
    StopRecording(RequestId, RecordingId),
    /// A recording cannot go on.
    RecorderEnds(RecordingId),
    /// The room is to end.
    Close(ByeReason),
    /// A deadline of [`next_deadline`](super::State::next_deadline) has come.
    Tick,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
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
