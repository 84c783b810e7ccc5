//! The peer connections of a bot: to the server, and what they share with those of a mesh.

mod arrivals;
pub(crate) mod codec;
pub(crate) mod connection;
pub(crate) mod csrc_tracker;
pub(crate) mod decode_branch;
pub(crate) mod ice;
pub(crate) mod nack;
pub(crate) mod negotiate;
pub(crate) mod peer;
pub(super) mod receive;
