//! What members of a mesh say to each other (mode `p2p`).

use serde::{Deserialize, Serialize};

use crate::id::Mid;

/// What members say to each other in the `data` of [`ClientMessage::Signal`] in mode `p2p`. The
/// server does not look at it; bots and the page do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeshSignal {
    /// An offer or answer, as `RTCSessionDescription` is written.
    Description(MeshDescription),
    /// A candidate, as `RTCIceCandidate` is written; null ends them.
    Candidate(Option<MeshCandidate>),
    /// The sender does not need the other's media any more.
    Done(bool),
}

/// `RTCSessionDescriptionInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshDescription {
    /// `offer` or `answer`.
    #[serde(rename = "type")]
    pub kind: MeshDescriptionKind,
    /// The SDP.
    pub sdp: String,
}

/// The two kinds of description that members exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeshDescriptionKind {
    /// An offer.
    Offer,
    /// An answer.
    Answer,
}

/// `RTCIceCandidateInit`, the members used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshCandidate {
    /// The `candidate:` line.
    pub candidate: String,
    /// The m-line.
    #[serde(rename = "sdpMid")]
    pub sdp_mid: Option<Mid>,
}
