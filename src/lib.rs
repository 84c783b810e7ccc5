//! Tessera.

pub mod config;
pub mod id;
pub mod layout;
pub mod media;
pub mod process;
pub mod protocol;
pub mod room;
pub mod topology;
