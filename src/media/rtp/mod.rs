//! RTP packets as bytes; pure.

pub(crate) mod budget;
pub(crate) mod bye;
pub(crate) mod demux;
pub(crate) mod extensions;
pub(crate) mod h264_sps;
pub mod header;
pub(crate) mod header_extension;
pub mod payload;
pub mod rewrite;
pub(crate) mod sanitize;
pub(crate) mod session_gate;
pub(crate) mod token_bucket;
