//! One validated configuration from flags, `TESSERA_*`, and a TOML file.
//!
//! [`Options`] is the table of settings as an operator writes them: one field each, from
//! which the flag, the environment variable, the key in the file and the row in the README
//! follow. [`Config`] is what the rest of the program sees, and holds checked values only.

mod options;
mod validate;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use options::{Options, Setting, settings, with_defaults_in_help};
pub use validate::BadSetting;

use crate::archive::{Quotas, Subject};
use crate::layout::{Fit, LayoutKind, Size};
use crate::topology::Mode;
use crate::turn::policy::Network;

/// A video codec of the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 constrained baseline, RFC 6184.
    H264,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628; decoded only.
    Vp9,
}

impl VideoCodec {
    /// Whether the mix can be sent in it.
    pub fn is_encoded(self) -> bool {
        match self {
            Self::H264 | Self::Vp8 => true,
            Self::Vp9 => false,
        }
    }
}

/// Why a text is not a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a video codec is h264, vp8 or vp9")]
pub struct BadCodec;

impl FromStr for VideoCodec {
    type Err = BadCodec;

    fn from_str(text: &str) -> Result<Self, BadCodec> {
        match text {
            "h264" => Ok(Self::H264),
            "vp8" => Ok(Self::Vp8),
            "vp9" => Ok(Self::Vp9),
            _ => Err(BadCodec),
        }
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "h264",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
        })
    }
}

/// Whether there is a TURN server built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// There is.
    On,
    /// There is not; outside ones can be told of.
    Off,
}

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

/// The settings of STUN and TURN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// Whether there is a server.
    pub built_in: BuiltIn,
    /// Where it listens, UDP and TCP. If `None`, on the first of [`Config::media_ips`] or on
    /// every address, on the usual port or any other.
    pub listen: Option<SocketAddr>,
    /// The UDP ports of relays, inclusive; any free port if `None`.
    pub relay_ports: Option<(u16, u16)>,
    /// What credentials are made with, shared with the TURN servers among
    /// [`Config::ice_servers`]. If `None`, those take none, and the server built in has a secret
    /// of its own.
    pub secret: Option<String>,
    /// Peers that relays may have besides public addresses.
    pub allowed_peers: Vec<Network>,
    /// Most allocations at once.
    pub max_allocations: usize,
    /// Most allocations of one user at once.
    pub max_allocations_per_user: usize,
    /// Most requests a second without a credential from one address.
    pub requests_per_second: u32,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            built_in: BuiltIn::On,
            listen: None,
            relay_ports: None,
            secret: None,
            allowed_peers: Vec::new(),
            max_allocations: 1000,
            // A browser opens one for each of its addresses, each URL and each member of a mesh.
            max_allocations_per_user: 40,
            requests_per_second: 50,
        }
    }
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
    pub recording_quotas: Quotas,
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
            recording_quotas: Quotas {
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

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or a type that no setting has.
    #[error("the configuration file {path} is not valid: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        source: Box<toml::de::Error>,
    },
    /// A setting has a value it cannot have.
    #[error(transparent)]
    Setting(#[from] BadSetting),
}

impl Config {
    /// Puts the settings given on the command line and in the environment over those of
    /// `file`, those over the built-in defaults, and checks the result.
    ///
    /// # Errors
    /// [`ConfigError`]; the text is meant for the operator.
    pub fn load(file: Option<&Path>, given: Options) -> Result<Self, ConfigError> {
        let options = match file {
            Some(path) => given.over(Options::read(path)?),
            None => given,
        };
        Ok(Self::try_from(options)?)
    }
}
