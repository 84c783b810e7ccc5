//! SDP offers as values; pure.

pub mod certificate;
pub mod offer;
pub(crate) mod simulcast;
