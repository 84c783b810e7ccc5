//! RTP packets as bytes; pure.

pub mod h264_sps;
pub mod payload;
pub mod rewrite;
pub mod sanitize;
