//! Streams of RTP between pipelines: taps and slots, and what stands in them.

pub mod audio_level;
pub(crate) mod cadence;
pub(crate) mod decode_watch;
pub(crate) mod keyframes;
pub(crate) mod outgoing;
pub mod pacer;
pub(crate) mod rtx_budget;
pub(crate) mod sanitize;
pub(crate) mod sent_packets;
pub(crate) mod since_keyframe;
pub mod slot;
pub(crate) mod tap;
