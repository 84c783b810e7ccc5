//! The TURN server built in: every kind of client, and whole calls through it.
#![allow(clippy::unwrap_used)]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod media;
mod memory;
mod server;
mod stock;
