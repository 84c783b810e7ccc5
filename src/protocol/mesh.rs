//! Messages between the participants of a mesh (mode `p2p`).

use serde::{Deserialize, Serialize};

use crate::id::Mid;

/// The `data` of a [`ClientMessage::Signal`](super::ClientMessage::Signal) in mode `p2p`. The
/// server passes it on without reading it; bots and the page use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum MeshSignal {
    /// An offer or answer, in the form of `RTCSessionDescription`.
    Description(MeshDescription),
    /// An ICE candidate, in the form of `RTCIceCandidate`; null after the last one.
    Candidate(Option<MeshCandidate>),
    /// The sender no longer needs the media of the other participant.
    Done(bool),
}

/// A session description, in the form of `RTCSessionDescriptionInit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeshDescription {
    /// Whether it is an offer or an answer.
    #[serde(rename = "type")]
    pub kind: MeshDescriptionKind,
    /// The SDP of the description.
    pub sdp: String,
}

/// The kinds of description that participants exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum MeshDescriptionKind {
    /// An SDP offer.
    Offer,
    /// An SDP answer.
    Answer,
}

/// An ICE candidate: those members of `RTCIceCandidateInit` that are used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MeshCandidate {
    /// The text of the candidate, which begins with `candidate:`.
    pub candidate: String,
    /// The `a=mid` of the m-line that the candidate belongs to.
    #[serde(rename = "sdpMid")]
    pub sdp_mid: Option<Mid>,
}
