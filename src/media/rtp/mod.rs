//! RTP packets as bytes; pure.

pub(crate) mod extensions;
pub(crate) mod h264_sps;
pub mod header;
pub mod payload;
pub mod rewrite;
pub(crate) mod sanitize;
