//! Tessera.

pub mod bots;
pub mod config;
pub mod id;
pub mod layout;
pub mod protocol;
pub mod room;
pub mod topology;
