//! Tessera.

pub mod bots;
pub mod config;
pub mod id;
pub mod layout;
pub mod media;
pub mod process;
pub mod protocol;
pub mod room;
pub mod signalling;
pub mod telemetry;
pub mod topology;
