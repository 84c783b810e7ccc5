//! Everything that touches GStreamer, and nothing outside it does.

pub mod bwe;
pub(crate) mod file;
pub mod gst;
pub mod mixer;
pub(crate) mod peer;
pub mod rtp;
pub mod sdp;
pub mod stream;
