//! SDP offers and answers.

pub(crate) mod certificate;
pub(crate) mod line;
pub(crate) mod offer;
pub(crate) mod simulcast;
