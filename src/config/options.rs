//! The settings as an operator writes them, before any check.
//!
//! Each is kept as text, wherever it comes from. So the one check of a setting, in `validate`, says
//! what is wrong with it in the same words for a flag, a variable and a key of the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Command};

use super::error::BadSetting;
use super::given::{FileValue, Given};
use super::values::Config;

/// Bytes in a megabyte, the unit of `--recording-free-space`.
pub(super) const MEGABYTE: u64 = 1_000_000;

/// Declares [`Options`] and all else that names each setting: the precedence of one source over
/// another and the defaults as text. A setting is one entry; leaving a part of it out does not
/// compile.
macro_rules! options {
    ($(
        $(#[$help:meta])+
        $field:ident: $kind:ty, $long:literal, $env:literal, $value:literal,
            $default:expr $(, $arg:ident = $arg_value:expr)*;
    )+) => {
        /// Every setting, `None` where it is not given. Flag, environment variable and key in the
        /// file are the same words: `--media-ip`, `TESSERA_MEDIA_IP`, `media-ip`.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
        pub struct Options {
            $(
                $(#[$help])+
                #[arg(long = $long, env = $env, value_name = $value $(, $arg = $arg_value)*)]
                pub $field: Option<$kind>,
            )+
        }

        impl Options {
            /// These settings, and those of `below` where one is not given here.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)+ }
            }

            /// Whether the setting with this flag is given.
            pub(super) fn has(&self, long: &str) -> bool {
                match long {
                    $($long => self.$field.is_some(),)+
                    _ => false,
                }
            }

            /// Takes the settings out of what a file gives, by key; what is left are no settings.
            ///
            /// # Errors
            /// The first setting that is not written as one of its kind.
            pub(super) fn take(file: &mut BTreeMap<String, Given>) -> Result<Self, BadSetting> {
                Ok(Self { $($field: match file.remove($long) {
                    Some(given) => Some(<$kind>::of(&given, $long, $value)?),
                    None => None,
                },)+ })
            }
        }

        /// The default of every setting as an operator would write it, by flag name.
        fn defaults() -> Vec<(&'static str, String)> {
            let config = Config::default();
            vec![$(($long, ($default as fn(&Config) -> String)(&config)),)+]
        }
    };
}

options! {
    /// Where HTTP and WebSocket are served; port 0 takes a free port
    listen: String, "listen", "TESSERA_LISTEN", "ADDR:PORT", |c| c.listen.to_string();

    /// Address media may use (repeatable, in the environment separated by commas). Default: every
    /// address of the machine, and that of --listen if it is loopback and there is no --public-ip
    media_ip: Vec<String>, "media-ip", "TESSERA_MEDIA_IP", "IP",
        |_| String::new(), value_delimiter = ',';

    /// UDP ports media may use, both ends included. Default: any free port
    media_ports: String, "media-ports", "TESSERA_MEDIA_PORTS", "LOW-HIGH", |_| String::new();

    /// Address that clients are told instead of the machine's own, behind a 1:1 NAT
    public_ip: String, "public-ip", "TESSERA_PUBLIC_IP", "IP", |_| String::new();

    /// Folder whose *.launch files replace the built-in ones of the same name
    pipelines: PathBuf, "pipelines", "TESSERA_PIPELINES", "DIR", |_| String::new();

    /// Secret asked of everybody who joins, records, or reads who is there. Better given in the
    /// environment: flags show in `ps`
    token: String, "token", "TESSERA_TOKEN", "SECRET", |_| String::new(), hide_env_values = true;

    /// Secret asked of whoever changes rooms and participants over REST, or deletes. Default: the
    /// one of --token
    admin_token: String, "admin-token", "TESSERA_ADMIN_TOKEN", "SECRET",
        |_| String::new(), hide_env_values = true;

    /// Reverse proxy, or network of them, whose X-Forwarded-For is believed (repeatable)
    trusted_proxy: Vec<String>, "trusted-proxy", "TESSERA_TRUSTED_PROXY", "CIDR",
        |c| list(&c.trusted_proxies), value_delimiter = ',';

    /// Name by which the server may be asked, besides localhost and its addresses (repeatable). Counts
    /// where there is no --token
    allowed_host: Vec<String>, "allowed-host", "TESSERA_ALLOWED_HOST", "NAME",
        |c| list(&c.allowed_hosts), value_delimiter = ',';

    /// Origin besides the server's own whose pages may connect (repeatable); * for any
    allowed_origin: Vec<String>, "allowed-origin", "TESSERA_ALLOWED_ORIGIN", "ORIGIN",
        |c| list(&c.allowed_origins), value_delimiter = ',';

    /// STUN or TURN server told to clients, for example stun:stun.example.org:3478 (repeatable)
    ice_server: Vec<String>, "ice-server", "TESSERA_ICE_SERVER", "URL",
        |c| list(&c.ice_servers), value_delimiter = ',';

    /// The STUN and TURN server built in: on or off
    turn: String, "turn", "TESSERA_TURN", "on|off", |c| c.turn.built_in.to_string();

    /// Where STUN and TURN are served, UDP and TCP. Default: port 3478, or a free one if it is
    /// taken, on the first --media-ip, else on every address of the machine
    turn_listen: String, "turn-listen", "TESSERA_TURN_LISTEN", "ADDR:PORT", |_| String::new();

    /// UDP ports relays may use, both ends included. Default: any free port
    turn_relay_ports: String, "turn-relay-ports", "TESSERA_TURN_RELAY_PORTS", "LOW-HIGH",
        |_| String::new();

    /// Secret that TURN credentials are made with, for the server built in and for those of
    /// --ice-server. Default: a new one at each start, for the one built in only
    turn_secret: String, "turn-secret", "TESSERA_TURN_SECRET", "SECRET",
        |_| String::new(), hide_env_values = true;

    /// Network whose addresses relays may talk to, besides public ones (repeatable)
    turn_allow_peers: Vec<String>, "turn-allow-peers", "TESSERA_TURN_ALLOW_PEERS", "CIDR",
        |c| list(&c.turn.allowed_peers), value_delimiter = ',';

    /// Most TURN allocations at once
    turn_max_allocations: String, "turn-max-allocations", "TESSERA_TURN_MAX_ALLOCATIONS", "N",
        |c| c.turn.max_allocations.to_string();

    /// Most TURN allocations of one participant at once
    turn_max_allocations_per_user: String, "turn-max-allocations-per-user",
        "TESSERA_TURN_MAX_ALLOCATIONS_PER_USER", "N",
        |c| c.turn.max_allocations_per_user.to_string();

    /// Most STUN and TURN requests a second without a credential from one address
    turn_requests_per_second: String, "turn-requests-per-second",
        "TESSERA_TURN_REQUESTS_PER_SECOND", "N", |c| c.turn.requests_per_second.to_string();

    /// Video codecs taken and sent, the preferred first: h264, vp8, vp9 (vp9 is only taken)
    codecs: Vec<String>, "codecs", "TESSERA_CODECS", "LIST",
        |c| list(&c.codecs), value_delimiter = ',';

    /// Mode of a new room: mcu (mixed), sfu (forwarded) or p2p (between participants)
    mode: String, "mode", "TESSERA_MODE", "MODE", |c| c.mode.as_str().into();

    /// Layout of a new room: grid or spotlight
    layout: String, "layout", "TESSERA_LAYOUT", "LAYOUT", |c| c.layout.as_str().into();

    /// How a picture is put in its tile: contain (all of it, with bars) or cover (filled, cut)
    fit: String, "fit", "TESSERA_FIT", "FIT", |c| c.fit.as_str().into();

    /// Size of the composite, even numbers
    canvas: String, "canvas", "TESSERA_CANVAS", "WIDTHxHEIGHT", |c| c.canvas.to_string();

    /// Frames per second of the composite, 5 to 60
    fps: String, "fps", "TESSERA_FPS", "N", |c| c.fps.to_string();

    /// Bitrate of the full-size composite, bit/s
    video_bitrate: String, "video-bitrate", "TESSERA_VIDEO_BITRATE", "BPS",
        |c| c.video_bitrate.to_string();

    /// Bitrate of the mixed sound, bit/s
    audio_bitrate: String, "audio-bitrate", "TESSERA_AUDIO_BITRATE", "BPS",
        |c| c.audio_bitrate.to_string();

    /// Folder recordings are kept in; without one nothing can be recorded
    recordings: PathBuf, "recordings", "TESSERA_RECORDINGS", "DIR", |_| String::new();

    /// Record every room from its first participant on, as mp4, webm, ogg or tracks
    record: String, "record", "TESSERA_RECORD", "FORMAT", |_| String::new();

    /// Megabytes that recordings leave free on their disk
    recording_free_space: String, "recording-free-space", "TESSERA_RECORDING_FREE_SPACE", "MB",
        |c| (c.recording_quotas.free_space / MEGABYTE).to_string();

    /// Minutes after which a recording ends by itself
    recording_max_length: String, "recording-max-length", "TESSERA_RECORDING_MAX_LENGTH", "MINUTES",
        |c| (c.recording_quotas.max_length.as_secs() / 60).to_string();

    /// Days after which recordings are deleted. Default: never
    recording_max_age: String, "recording-max-age", "TESSERA_RECORDING_MAX_AGE", "DAYS",
        |_| String::new();

    /// Most rooms at once
    max_rooms: String, "max-rooms", "TESSERA_MAX_ROOMS", "N", |c| c.max_rooms.to_string();

    /// CPU cores the server may use: near that many it saves on pictures, and then refuses joins.
    /// A number, all (those it has) or unlimited
    max_cores: String, "max-cores", "TESSERA_MAX_CORES", "N|all|unlimited",
        |c| c.max_cores.to_string();

    /// Most participants in a room
    max_participants: String, "max-participants", "TESSERA_MAX_PARTICIPANTS", "N",
        |c| c.max_participants.to_string();

    /// Most joins a second from one address
    joins_per_second: String, "joins-per-second", "TESSERA_JOINS_PER_SECOND", "N",
        |c| c.joins_per_second.to_string();

    /// Largest SDP or message taken, bytes
    max_message: String, "max-message", "TESSERA_MAX_MESSAGE", "BYTES",
        |c| c.max_message.to_string();

    /// Most m-lines in an offer
    max_mlines: String, "max-mlines", "TESSERA_MAX_MLINES", "N", |c| c.max_mlines.to_string();
}

/// Adds the defaults to the help texts of a command that takes [`Options`]. They are not defaults
/// of clap, which would take precedence over the file.
#[must_use]
pub fn with_defaults_in_help(mut command: Command) -> Command {
    for (long, default) in defaults() {
        if !default.is_empty() {
            command = command.mut_arg(long.replace('-', "_"), |argument| {
                let help = argument.get_help().cloned().unwrap_or_default();
                argument.help(format!("{help} [default: {default}]"))
            });
        }
    }
    command
}

/// A setting as the documentation shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The flag with its leading dashes; without them it is the key in the file.
    pub flag: String,
    /// Name of the environment variable.
    pub env: String,
    /// The default as an operator would write it; empty if there is none.
    pub default: String,
    /// Its help text, one line.
    pub help: String,
}

/// Every setting in the order of `--help`.
pub fn settings() -> Vec<Setting> {
    let command = Options::augment_args(Command::new("tessera"));
    let arguments = command.get_arguments();
    arguments
        .zip(defaults())
        .map(|(argument, (long, default))| Setting {
            flag: format!("--{long}"),
            env: argument
                .get_env()
                .map_or_else(String::new, |env| env.to_string_lossy().into_owned()),
            default,
            help: argument
                .get_help()
                .map_or_else(String::new, ToString::to_string),
        })
        .collect()
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(",")
}
