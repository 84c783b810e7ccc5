//! A bot in a room: what it is told to be, how it comes in, and what is held of it.

pub mod bot;
pub mod config;
pub(crate) mod join;
pub(crate) mod server_ready;
pub(crate) mod signalling;
