//! A bot in a room: what it is told to be, how it comes in, and what is held of it.

pub(super) mod bot;
pub(crate) mod join;
pub(crate) mod published;
pub(crate) mod server_ready;
pub(crate) mod signalling;
pub(crate) mod stats;
pub(crate) mod waits;
