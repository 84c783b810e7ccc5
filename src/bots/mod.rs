//! Synthetic participants: WebRTC clients with real codecs, for the demo, the tests and the
//! benchmarks.
//!
//! A [`Bot`] is one `webrtcbin` that offers, in a pipeline of its own, and in a mesh one more for
//! each other member; it shares nothing with other bots but encoded frames. What bots send is
//! encoded once in a process (`reel`) or, for time codes, by one encoder for many (`live`), and
//! paced by one thread (`pace`), so that a bot costs its packets and little else. [`probe`] reads
//! what they receive, and a [`witness`] keeps what was read of each participant, whatever way
//! their media came.

pub mod cli;
pub mod clock;
pub mod error;
mod mesh;
pub mod observe;
pub mod rtc;
pub mod session;
pub mod source;

pub use crate::bots::cli::demo::demo;
pub use crate::bots::cli::report::{BotReport, PathReport, Report};
pub use crate::bots::cli::run::{BotsOptions, join_all, run};
pub use crate::bots::error::BotError;
pub use crate::bots::observe::observer::{Gap, Mixup, Path, Sight, Sound, Witness};
pub use crate::bots::observe::{BotStats, MeshStats};
pub use crate::bots::rtc::connection::Reach;
pub use crate::bots::rtc::ice::Route;
pub use crate::bots::rtc::receive::{Incoming, StreamStats};
pub use crate::bots::session::bot::{Bot, Slots};
pub use crate::bots::session::config::{
    AudioSource, BotConfig, Capture, Decode, Entry, Fingerprint, LinkFeedback, Mending, Mesh,
    Receive, Recording, VideoFormat, VideoSource, Voice,
};
pub use crate::bots::source::corrupt::CorruptMode;
