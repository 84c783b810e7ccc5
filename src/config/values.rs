//! The settings after every check, as the rest of the program sees them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::turn::{Network, TurnConfig};
use crate::codec::VideoCodec;
use crate::layout::{Fit, LayoutKind, Size};
use crate::net::MediaIps;
use crate::protocol::recording::Subject;
use crate::topology::Mode;

/// How many CPU cores the server may use. Near that many it degrades pictures, and then refuses
/// joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxCores {
    /// As many as the process may run on.
    All,
    /// No limit: nothing is degraded for the sake of CPU, and no join is refused.
    Unlimited,
    /// This many thousandths of a core.
    Thousandths(u32),
}

impl MaxCores {
    /// The number of cores; `None` without a limit.
    pub fn cores(self) -> Option<f64> {
        match self {
            // What CPU affinity and cgroups leave of the machine.
            Self::All => {
                let cores = std::thread::available_parallelism();
                Some(cores.map_or(1.0, |n| n.get() as f64))
            }
            Self::Unlimited => None,
            Self::Thousandths(n) => Some(f64::from(n) / 1000.0),
        }
    }
}

impl fmt::Display for MaxCores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Unlimited => f.write_str("unlimited"),
            Self::Thousandths(n) => write!(f, "{}", f64::from(*n) / 1000.0),
        }
    }
}

/// The limits of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingQuotas {
    /// Bytes that have to stay free on the disk. With less, no recording begins, and running ones
    /// end.
    pub free_space: u64,
    /// Length at which a recording ends by itself.
    pub max_length: Duration,
    /// Age, counted from their end, at which recordings are deleted; never if `None`.
    pub max_age: Option<Duration>,
}

/// Everything an operator can set. Every value in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Address and port that HTTP is served on.
    pub listen: SocketAddr,
    /// The addresses that ICE candidates are gathered on.
    pub media_ips: MediaIps,
    /// Lowest and highest UDP port of media; any free port if `None`.
    pub media_ports: Option<(u16, u16)>,
    /// Address that host candidates name in place of the local one, behind a 1:1 NAT.
    pub public_ip: Option<IpAddr>,
    /// A folder whose `*.launch` files replace the built-in ones of the same name.
    pub pipelines: Option<PathBuf>,
    /// Token that a client has to show to join, to record and to read who is there; none is asked for
    /// if `None`.
    pub token: Option<String>,
    /// Token that a client has to show to change rooms and participants from outside, and to delete;
    /// it allows all that `token` does. If `None`, that one is asked for.
    pub admin_token: Option<String>,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Names, in small letters, by which the server may be asked besides `localhost` and IP addresses,
    /// where there is no token.
    pub allowed_hosts: Vec<String>,
    /// Browser origins besides the server's own that may open WebSockets and change rooms,
    /// such as `https://meet.example.org`; `*` is any.
    pub allowed_origins: Vec<String>,
    /// Video codecs that are accepted and sent, the preferred one first.
    pub codecs: Vec<VideoCodec>,
    /// Mode in which a room starts.
    pub mode: Mode,
    /// Layout with which a room starts.
    pub layout: LayoutKind,
    /// How a picture of another aspect ratio is put in its tile.
    pub fit: Fit,
    /// Size of the composite, even numbers of pixels.
    pub canvas: Size,
    /// Frames per second of the composite, 5 to 60.
    pub fps: u32,
    /// Bitrate of the full-size composite in bit/s.
    pub video_bitrate: u32,
    /// Bitrate of the mixed sound in bit/s.
    pub audio_bitrate: u32,
    /// Folder that recordings are kept in; nothing can be recorded if `None`.
    pub recordings: Option<PathBuf>,
    /// What of every room is recorded without being asked for; nothing if `None`.
    pub record: Option<Subject>,
    /// The limits of recordings.
    pub recording_quotas: RecordingQuotas,
    /// Largest number of rooms at once.
    pub max_rooms: usize,
    /// How many CPU cores the server may use.
    pub max_cores: MaxCores,
    /// Largest number of participants in a room.
    pub max_participants: usize,
    /// Joins per second that one address (IPv6: one /64) may make, over WebSocket, WHIP and WHEP
    /// together, in bursts of twice as many.
    pub joins_per_second: u32,
    /// Largest SDP or message that is accepted, in bytes.
    pub max_message: usize,
    /// Largest number of m-lines in an offer.
    pub max_mlines: usize,
    /// URLs, without credentials, of ICE servers that clients are told besides the built-in one.
    pub ice_servers: Vec<String>,
    /// Settings of STUN and TURN.
    pub turn: TurnConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            media_ips: MediaIps::default(),
            media_ports: None,
            public_ip: None,
            pipelines: None,
            token: None,
            admin_token: None,
            trusted_proxies: Vec::new(),
            allowed_hosts: Vec::new(),
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
