//! Synthetic participants: WebRTC clients with real codecs, for the demo, the tests and the
//! benchmarks.
//!
//! A [`Bot`] is one `webrtcbin` that offers, in a pipeline of its own, and in a mesh one more for
//! each other member; it shares nothing with other bots but encoded frames. What bots send is
//! encoded once in a process (`reel`) or, for time codes, by one encoder for many (`live`), and
//! paced by one thread (`pace`), so that a bot costs its packets and little else. [`probe`] reads
//! what they receive, and a [`witness`] keeps what was read of each participant, whatever way
//! their media came.

pub mod bot;
mod branch;
mod camera;
pub mod clock;
mod codec;
pub mod config;
mod connection;
pub mod corrupt;
mod demo;
mod encode;
pub mod error;
mod ice;
mod join;
mod level;
pub mod live;
mod mesh;
mod mesh_core;
mod mesh_flow;
mod mesh_peer;
mod negotiate;
pub mod observe;
mod outlet;
mod pace;
pub mod palette;
pub mod payloads;
mod peer;
pub mod probe;
pub mod receive;
mod reel;
pub mod report;
pub mod run;
mod served;
mod sight;
mod signalling;
mod sources;
pub mod witness;

pub use bot::{Bot, Slots};
pub use config::{
    AudioSource, BotConfig, Capture, Decode, Entry, Fingerprint, LinkFeedback, Mending, Mesh,
    Receive, Recording, VideoFormat, VideoSource, Voice,
};
pub use connection::Reach;
pub use corrupt::CorruptMode;
pub use demo::demo;
pub use error::BotError;
pub use ice::Route;
pub use observe::{BotStats, MeshStats};
pub use receive::{Incoming, StreamStats};
pub use report::{BotReport, PathReport, Report};
pub use run::{BotsOptions, join_all, run};
pub use witness::{Gap, Mixup, Path, Sight, Sound, Witness};
