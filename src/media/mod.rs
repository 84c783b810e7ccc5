//! Everything that touches GStreamer, and nothing outside it does.

pub mod bwe;
pub mod file;
pub mod gst;
pub mod mixer;
pub mod peer;
pub mod rtp;
pub mod sdp;
pub mod stream;
