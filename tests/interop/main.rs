//! WebRTC stacks that nobody here wrote, against a server of this crate: each publishes by WHIP and
//! plays by WHEP, and what is seen and heard of it is checked.
//!
//! They are small, and each takes freedoms of the standards that no browser takes. Those that are
//! no Rust crate are run as scripts, from the folders beside this file; `make packages-test`
//! installs what they need. `docs/INTEROP.md` lists what they show.

#[path = "../common/mod.rs"]
mod common;

mod aiortc;
mod datachannel;
mod ffmpeg;
mod media;
mod rest;
mod script;
mod stage;
mod str0m;
mod werift;
