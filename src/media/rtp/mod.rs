//! RTP packets as bytes; pure.

pub(crate) mod budget;
pub(crate) mod compound;
pub(crate) mod consent;
pub(crate) mod demux;
pub(crate) mod extensions;
pub(crate) mod feedback;
pub(crate) mod h264_sps;
pub mod header;
pub(crate) mod header_extension;
pub(crate) mod media_clock;
pub(crate) mod missing;
pub mod payload;
pub(crate) mod reception;
pub(crate) mod reorder;
pub mod rewrite;
pub(crate) mod sanitize;
pub(crate) mod sender_report;
pub(crate) mod sequence;
pub(crate) mod session_gate;
pub(crate) mod srtp;
pub(crate) mod token_bucket;
