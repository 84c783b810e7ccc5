//! Everything that touches GStreamer, and nothing outside it does.

pub mod certificate;
pub mod congestion;
pub mod estimate;
pub mod feedback;
mod keyframes;
pub mod ladder;
pub mod mixer;
pub mod offer;
pub mod pacer;
pub mod peer;
pub mod pipeline;
pub mod plugins;
pub mod probe;
pub mod recorder;
pub mod remux;
pub mod repair;
pub mod rewrite;
pub mod rtp;
mod simulcast;
pub mod slot;
pub mod speech;
pub mod tap;
pub mod template;
pub(crate) mod tune;
pub mod twcc;
mod uplink;
pub mod vui;
