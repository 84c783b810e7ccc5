//! Everything that touches media; the only module that uses GStreamer.

pub mod mixer;
pub mod rewrite;
pub mod rtp;
