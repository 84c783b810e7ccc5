//! Synthetic participants: WebRTC clients with real codecs, for the demo, the tests and the
//! benchmarks.
//!
//! A [`Bot`] has one `webrtcbin` towards the server, which offers, in a pipeline of its own, and in
//! a mesh one more for each other participant. Bots share nothing but encoded frames: what they
//! send is encoded once in a process (`source/clip`) or, for time codes, by one encoder for many
//! (`source/live`), and paced by one thread (`source/pace`), so that a bot costs little more than
//! its packets. An [`Observer`] keeps what was seen and heard of each participant, whichever path
//! their media took; [`observe::probe`] are the instruments that read it.
//!
//! Floors, from the top: `cli`, `session`, `mesh`, `rtc`, `config`, `source`, `observe`, then
//! `clock` and `error`. Imports point down.

pub(crate) mod cli;
pub mod clock;
pub(crate) mod config;
pub(crate) mod error;
mod mesh;
pub mod observe;
mod rtc;
mod session;
pub(crate) mod source;

pub use crate::bots::cli::demo::demo;
pub use crate::bots::cli::report::{BotReport, PathReport, RunReport};
pub use crate::bots::cli::run::{BotsOptions, VideoKind, ages_in, join_all, run};
pub use crate::bots::config::{
    AudioLevels, AudioLossRecovery, BotConfig, Capture, Decode, Entry, FingerprintMode,
    IceTransportPolicy, LinkFeedback, Mesh, NetworkInterface, PacketCaptureMode, Receive,
};
pub use crate::bots::error::BotError;
pub use crate::bots::observe::detection::{Detection, Gap, Mixup, Path, SoundDetection};
pub use crate::bots::observe::observer::Observer;
pub use crate::bots::rtc::receive::{Incoming, StreamStats};
pub use crate::bots::session::bot::Bot;
pub use crate::bots::session::published::Slots;
pub use crate::bots::session::stats::{BotStats, MeshStats};
pub use crate::bots::source::corrupt::CorruptMode;
pub use crate::bots::source::settings::{AudioSource, VideoFormat, VideoSource, Voice};
pub use crate::media::peer::webrtcbin::rework::Sent;
