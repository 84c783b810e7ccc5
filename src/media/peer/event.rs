//! What a peer tells its owner, and what can go wrong with one.

use std::sync::Arc;

use thiserror::Error;

use crate::id::{Mid, Role};
use crate::media::gst::pipeline::PipelineError;
use crate::media::stream::tap::Tap;

/// What can go wrong while a peer is made.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    /// The pipeline could not be made.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// webrtcbin did not take this step of the negotiation in time.
    #[error("{0}: no reply in time")]
    Late(&'static str),
    /// webrtcbin refused a step of the negotiation.
    #[error("{step}: {reason}")]
    Negotiation { step: &'static str, reason: String },
}

impl PeerError {
    /// webrtcbin refused `step`, for this reason.
    pub(crate) fn refused(step: &'static str, reason: impl ToString) -> Self {
        Self::Negotiation {
            step,
            reason: reason.to_string(),
        }
    }
}

/// What a peer tells its owner.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// A local candidate that was gathered too late for the answer.
    Candidate(Mid, String),
    /// ICE and DTLS are up, and the certificate is the one that the offer named.
    Connected,
    /// Media arrives on an uplink for the first time. The number is the place of its encoding among
    /// the `rids` of its m-line, 0 if there is only one.
    Uplink(Role, usize, Tap),
    /// The connection is of no use any more.
    Lost(Loss),
}

/// Why a connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loss {
    /// ICE or DTLS failed, or the other side closed the connection.
    Transport,
    /// The DTLS certificate is not the one that the offer named.
    Fingerprint,
    /// An element of the pipeline failed; GStreamer says why.
    Pipeline(String),
}

/// Where a peer's events go. Called on threads of GStreamer; must not block.
pub(crate) type OnPeerEvent = Arc<dyn Fn(PeerEvent) + Send + Sync>;
