//! Rooms with real media: what bots in them see and hear, and what is recorded.

#[path = "../common/mod.rs"]
mod common;
mod economy;
mod faults;
mod hostile;
mod ladder;
mod members;
mod mix;
mod modes;
mod record;
mod record_markers;
mod record_rooms;
mod record_sync;
mod signals;
mod templates;
mod track_files;
mod tracks;
mod tracks_trouble;
