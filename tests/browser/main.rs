//! Rooms in front of browsers: pages of Chromium and Firefox, and a real server.
#![allow(clippy::unwrap_used)]

mod colours;
#[path = "../common/mod.rs"]
mod common;
mod demo;
mod figures;
mod looks;
mod modes;
mod record;
mod recordings_page;
mod room;
mod simulcast;
mod sync;
mod tracks;
mod watch;
mod whip;
