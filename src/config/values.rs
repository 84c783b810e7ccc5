//! The settings after every check, as the rest of the program sees them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::turn::TurnConfig;
use crate::codec::VideoCodec;
use crate::layout::{Fit, LayoutKind, Size};
use crate::protocol::recording::Subject;
use crate::topology::Mode;

/// How many cores the server may use before it saves on pictures and refuses joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxCores {
    /// As many as it has.
    All,
    /// Any number: it saves on nothing and refuses nobody.
    Unlimited,
    /// So many thousandths of one.
    Thousandths(u32),
}

impl MaxCores {
    /// The number; `None` without a limit.
    pub fn cores(self) -> Option<f64> {
        match self {
            // What affinity and cgroups leave of the machine.
            Self::All => {
                let cores = std::thread::available_parallelism();
                Some(cores.map_or(1.0, |n| n.get() as f64))
            }
            Self::Unlimited => None,
            Self::Thousandths(n) => Some(f64::from(n) / 1000.0),
        }
    }
}

/// What limits recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingQuotas {
    /// Bytes that must stay free on the disk.
    pub free_space: u64,
    /// A recording ends after this.
    pub max_length: Duration,
    /// Recordings that ended longer ago than this are deleted; never if `None`.
    pub max_age: Option<Duration>,
}

/// Everything an operator can set. Every value in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The only addresses on which ICE candidates are gathered; every one of the machine's
    /// if empty.
    pub media_ips: Vec<IpAddr>,
    /// The UDP ports for media, inclusive; any free port if `None`.
    pub media_ports: Option<(u16, u16)>,
    /// What host candidates say instead of the local address (NAT 1:1).
    pub public_ip: Option<IpAddr>,
    /// A folder of `*.launch` files that override the built-in ones.
    pub pipelines: Option<PathBuf>,
    /// Asked of every join, if set.
    pub token: Option<String>,
    /// Browser origins besides the server's own that may open WebSockets and change rooms,
    /// such as `https://meet.example.org`; `*` is any.
    pub allowed_origins: Vec<String>,
    /// Codecs taken and sent, the preferred first.
    pub codecs: Vec<VideoCodec>,
    /// Mode of a new room.
    pub mode: Mode,
    /// Layout of a new room.
    pub layout: LayoutKind,
    /// How a picture is put in its tile.
    pub fit: Fit,
    /// The composite's size, even numbers.
    pub canvas: Size,
    /// Composite frames per second, 5 to 60.
    pub fps: u32,
    /// Bitrate of the full-size composite, bit/s.
    pub video_bitrate: u32,
    /// Bitrate of the mixed sound, bit/s.
    pub audio_bitrate: u32,
    /// Where recordings are kept; nothing can be recorded if `None`.
    pub recordings: Option<PathBuf>,
    /// What every room is recorded as by itself.
    pub record: Option<Subject>,
    /// What limits recordings.
    pub recording_quotas: RecordingQuotas,
    /// Most rooms at once.
    pub max_rooms: usize,
    /// How much of the machine the server may use.
    pub max_cores: MaxCores,
    /// Most participants in a room.
    pub max_participants: usize,
    /// Most joins a second from one address, over WebSocket, WHIP and WHEP together.
    pub joins_per_second: u32,
    /// Largest SDP or message, bytes.
    pub max_message: usize,
    /// Most m-lines in an offer.
    pub max_mlines: usize,
    /// ICE servers told to clients besides the one built in: URLs without credentials.
    pub ice_servers: Vec<String>,
    /// STUN and TURN.
    pub turn: TurnConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            media_ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            media_ports: None,
            public_ip: None,
            pipelines: None,
            token: None,
            allowed_origins: Vec::new(),
            codecs: vec![VideoCodec::H264, VideoCodec::Vp8, VideoCodec::Vp9],
            mode: Mode::Mcu,
            layout: LayoutKind::Grid,
            fit: Fit::Contain,
            canvas: Size {
                width: 1280,
                height: 720,
            },
            fps: 30,
            video_bitrate: 1_500_000,
            audio_bitrate: 40_000,
            recordings: None,
            record: None,
            recording_quotas: RecordingQuotas {
                free_space: 1_000_000_000,
                max_length: Duration::from_secs(4 * 3600),
                max_age: None,
            },
            max_rooms: 100,
            max_cores: MaxCores::All,
            max_participants: 50,
            joins_per_second: 20,
            max_message: 256 * 1024,
            max_mlines: 32,
            ice_servers: Vec::new(),
            turn: TurnConfig::default(),
        }
    }
}
