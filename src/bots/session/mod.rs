//! A bot in a room: how it joins and leaves, what it says, and what can be waited for and read.

pub(super) mod bot;
pub(crate) mod join;
pub(crate) mod published;
pub(crate) mod server_ready;
pub(crate) mod signalling;
pub(crate) mod stats;
pub(crate) mod waits;
