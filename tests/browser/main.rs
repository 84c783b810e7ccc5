//! Rooms in front of browsers: pages of Chromium and Firefox, and a real server.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod modes;
mod record;
mod room;
mod simulcast;
mod tracks;
mod whip;
