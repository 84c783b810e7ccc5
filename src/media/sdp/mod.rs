//! SDP offers and answers: from the text of any client to a plan for webrtcbin, and back.
//!
//! `text` reads lines, `normalise` makes one offer of all ways to say it, `plan` chooses roles
//! and codecs, `canonical` writes the offer for webrtcbin, `candidate` says which candidates go with
//! it, and `answer` turns webrtcbin's answer into the client's.

pub(crate) mod answer;
pub(crate) mod candidate;
pub(crate) mod canonical;
pub(crate) mod certificate;
#[cfg(test)]
pub(crate) mod draw;
pub(crate) mod error;
pub(crate) mod line;
pub(crate) mod msid;
pub(crate) mod normalise;
pub(crate) mod plan;
pub(crate) mod remb;
pub(crate) mod repair;
pub(crate) mod simulcast;
pub(crate) mod text;
