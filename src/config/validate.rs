//! Checks of the settings: from the text an operator wrote to values.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::error::BadSetting;
use super::options::{MEGABYTE, Options};
use super::turn::{BuiltIn, Network, TurnConfig};
use super::values::{Config, MaxCores, RecordingQuotas};
use crate::codec::{Container, VideoCodec};
use crate::layout::{Fit, LayoutKind, Size};
use crate::net::MediaIps;
use crate::protocol::recording::Subject;
use crate::topology::Mode;

type Checked<T> = Result<T, BadSetting>;

impl TryFrom<Options> for Config {
    type Error = BadSetting;

    fn try_from(given: Options) -> Checked<Self> {
        let default = Self::default();
        let turn = turn(&given, default.turn)?;
        let (token, admin_token) = tokens(given.token, given.admin_token)?;
        let listen = given
            .listen
            .map_or(Ok(default.listen), |l| socket("listen", &l))?;
        let public_ip = given.public_ip.map(|ip| address("public-ip", &ip));
        let public_ip = public_ip.transpose()?;
        let media_ips = match given.media_ip {
            Some(ips) => only(each(&ips, |ip| address("media-ip", ip))?),
            None => default_media_ips(listen.ip(), public_ip),
        };
        Ok(Self {
            listen,
            media_ips,
            media_ports: optional(given.media_ports, |p| ports("media-ports", p))?,
            public_ip,
            pipelines: given.pipelines.map(folder).transpose()?,
            token,
            admin_token,
            trusted_proxies: each(&given.trusted_proxy.unwrap_or_default(), |text| {
                network("trusted-proxy", text)
            })?,
            allowed_hosts: each(&given.allowed_host.unwrap_or_default(), host)?,
            allowed_origins: each(&given.allowed_origin.unwrap_or_default(), origin)?,
            codecs: given.codecs.map_or(Ok(default.codecs), |c| codecs(&c))?,
            mode: given.mode.map_or(Ok(default.mode), mode)?,
            layout: given.layout.map_or(Ok(default.layout), layout)?,
            fit: given.fit.map_or(Ok(default.fit), fit)?,
            canvas: given.canvas.map_or(Ok(default.canvas), canvas)?,
            fps: number("fps", given.fps.as_deref(), 5..=60)?.unwrap_or(default.fps),
            video_bitrate: number(
                "video-bitrate",
                given.video_bitrate.as_deref(),
                100_000..=50_000_000,
            )?
            .unwrap_or(default.video_bitrate),
            // RFC 6716 section 2.1.1.
            audio_bitrate: number(
                "audio-bitrate",
                given.audio_bitrate.as_deref(),
                6_000..=510_000,
            )?
            .unwrap_or(default.audio_bitrate),
            record: given
                .record
                .map(|format| record(&format, given.recordings.as_deref()))
                .transpose()?,
            recordings: given.recordings,
            recording_quotas: RecordingQuotas {
                free_space: MEGABYTE
                    * number(
                        "recording-free-space",
                        given.recording_free_space.as_deref(),
                        0..=1_000_000_000,
                    )?
                    .unwrap_or(default.recording_quotas.free_space / MEGABYTE),
                max_length: number(
                    "recording-max-length",
                    given.recording_max_length.as_deref(),
                    1..=100_000,
                )?
                .map_or(default.recording_quotas.max_length, minutes),
                max_age: number(
                    "recording-max-age",
                    given.recording_max_age.as_deref(),
                    1..=100_000,
                )?
                .map(|days| minutes(days * 24 * 60)),
            },
            max_rooms: number("max-rooms", given.max_rooms.as_deref(), 1..=100_000)?
                .unwrap_or(default.max_rooms),
            max_cores: given
                .max_cores
                .map_or(Ok(default.max_cores), |c| max_cores(&c))?,
            max_participants: number(
                "max-participants",
                given.max_participants.as_deref(),
                1..=1_000,
            )?
            .unwrap_or(default.max_participants),
            joins_per_second: number(
                "joins-per-second",
                given.joins_per_second.as_deref(),
                1..=10_000,
            )?
            .unwrap_or(default.joins_per_second),
            // Below 16 KiB an ordinary browser's offer would not fit.
            max_message: number(
                "max-message",
                given.max_message.as_deref(),
                16 * 1024..=16 * 1024 * 1024,
            )?
            .unwrap_or(default.max_message),
            max_mlines: number("max-mlines", given.max_mlines.as_deref(), 1..=256)?
                .unwrap_or(default.max_mlines),
            ice_servers: each(&given.ice_server.unwrap_or_default(), ice_server)?,
            turn,
        })
    }
}

fn turn(given: &Options, default: TurnConfig) -> Checked<TurnConfig> {
    let allowed_peers = given.turn_allow_peers.as_deref().unwrap_or_default();
    Ok(TurnConfig {
        built_in: given
            .turn
            .as_deref()
            .map_or(Ok(default.built_in), built_in)?,
        listen: optional(given.turn_listen.as_ref(), |l| socket("turn-listen", l))?,
        relay_ports: optional(given.turn_relay_ports.as_ref(), |p| {
            ports("turn-relay-ports", p)
        })?,
        secret: optional(given.turn_secret.clone(), |s| {
            secret("turn-secret", ITS_OWN, s)
        })?,
        allowed_peers: each(allowed_peers, |text| network("turn-allow-peers", text))?,
        max_allocations: number(
            "turn-max-allocations",
            given.turn_max_allocations.as_deref(),
            1..=30_000,
        )?
        .unwrap_or(default.max_allocations),
        max_allocations_per_user: number(
            "turn-max-allocations-per-user",
            given.turn_max_allocations_per_user.as_deref(),
            1..=30_000,
        )?
        .unwrap_or(default.max_allocations_per_user),
        requests_per_second: number(
            "turn-requests-per-second",
            given.turn_requests_per_second.as_deref(),
            1..=100_000,
        )?
        .unwrap_or(default.requests_per_second),
    })
}

fn optional<A, T>(given: Option<A>, check: impl Fn(A) -> Checked<T>) -> Checked<Option<T>> {
    given.map(check).transpose()
}

/// A server that listens on loopback offers loopback for media besides all other addresses: not
/// every client on this machine uses loopback, and not every one anything else. Behind a 1:1 NAT no
/// client is on this machine.
fn default_media_ips(listen: IpAddr, public_ip: Option<IpAddr>) -> MediaIps {
    if listen.is_loopback() && public_ip.is_none() {
        MediaIps::EveryAnd(listen)
    } else {
        MediaIps::Every
    }
}

/// The addresses that are given, or every one if that is none.
fn only(ips: Vec<IpAddr>) -> MediaIps {
    match ips.is_empty() {
        true => MediaIps::Every,
        false => MediaIps::Only(ips),
    }
}

fn each<T>(texts: &[String], check: impl Fn(&str) -> Checked<T>) -> Checked<Vec<T>> {
    texts.iter().map(|text| check(text.trim())).collect()
}

/// A number within a range, if it is given.
fn number<T: FromStr + PartialOrd + Display>(
    setting: &'static str,
    given: Option<&str>,
    range: RangeInclusive<T>,
) -> Checked<Option<T>> {
    optional(given, |text| {
        let number = text.trim().parse().ok();
        number.filter(|n| range.contains(n)).ok_or_else(|| {
            let (low, high) = (range.start(), range.end());
            let allowed = format!("it is a whole number from {low} to {high}");
            BadSetting::new(setting, text, allowed)
        })
    })
}

fn socket(setting: &'static str, text: &str) -> Checked<SocketAddr> {
    text.parse().map_err(|_| {
        let allowed = "it is an IP address and a port, such as 127.0.0.1:8080 or [::]:8080";
        BadSetting::new(setting, text, allowed)
    })
}

fn address(setting: &'static str, text: &str) -> Checked<IpAddr> {
    match text.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(ip),
        _ => Err(BadSetting::new(
            setting,
            text,
            "it is one address of one machine, such as 192.0.2.7",
        )),
    }
}

fn ports(setting: &'static str, text: impl AsRef<str>) -> Checked<(u16, u16)> {
    let text = text.as_ref();
    let range = text.split_once('-').and_then(|(low, high)| {
        let range = (low.trim().parse().ok()?, high.trim().parse().ok()?);
        (1 <= range.0 && range.0 <= range.1).then_some(range)
    });
    range.ok_or_else(|| {
        let allowed = "it is two ports from 1 to 65535, the lower one first, such as 50000-50999";
        BadSetting::new(setting, text, allowed)
    })
}

fn network(setting: &'static str, text: &str) -> Checked<Network> {
    text.parse().map_err(|error| {
        let allowed = format!("{error}, such as 10.1.0.0/16");
        BadSetting::new(setting, text, allowed)
    })
}

fn built_in(text: &str) -> Checked<BuiltIn> {
    match text {
        "on" => Ok(BuiltIn::On),
        "off" => Ok(BuiltIn::Off),
        _ => Err(BadSetting::new("turn", text, "it is on or off")),
    }
}

fn max_cores(text: &str) -> Checked<MaxCores> {
    match text.trim() {
        "all" => Ok(MaxCores::All),
        "unlimited" => Ok(MaxCores::Unlimited),
        number => {
            let cores = number.parse().ok().filter(|n| (0.01..=4096.0).contains(n));
            let thousandths =
                cores.map(|n: f64| MaxCores::Thousandths((n * 1000.0).round() as u32));
            let allowed = "it is all, unlimited, or a number from 0.01 to 4096";
            thousandths.ok_or_else(|| BadSetting::new("max-cores", text, allowed))
        }
    }
}

fn folder(path: PathBuf) -> Checked<PathBuf> {
    if Path::is_dir(&path) {
        Ok(path)
    } else {
        Err(BadSetting::new(
            "pipelines",
            path.display(),
            "it is a folder that exists and can be read",
        ))
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn record(format: &str, folder: Option<&Path>) -> Checked<Subject> {
    let refuse = |allowed: &str| BadSetting::new("record", format, allowed);
    let subject = match format {
        "tracks" => Subject::Tracks,
        mix => {
            let container = mix.parse::<Container>();
            container
                .map(Subject::from)
                .map_err(|_| refuse("it is mp4, webm, ogg or tracks"))?
        }
    };
    match folder {
        Some(_) => Ok(subject),
        None => Err(refuse(
            "it needs --recordings, the folder that recordings go to",
        )),
    }
}

/// What leaving out `--token` does.
const OPEN: &str = "let everybody in";
/// What leaving out `--admin-token` does.
const SAME: &str = "ask for the one of --token";
/// What leaving out `--turn-secret` does.
const ITS_OWN: &str = "have one made at each start";

fn secret(setting: &'static str, without: &str, text: String) -> Checked<String> {
    if text.trim().is_empty() {
        // An empty secret is most likely an unset variable. Taken as none, it would open the server
        // to everybody.
        let allowed = format!("it has at least one character; leave it out to {without}");
        return Err(BadSetting::new(setting, text, allowed));
    }
    Ok(text)
}

/// The tokens of those who enter and of administrators.
fn tokens(
    token: Option<String>,
    admin: Option<String>,
) -> Checked<(Option<String>, Option<String>)> {
    let token = optional(token, |t| secret("token", OPEN, t))?;
    let admin = optional(admin, |t| secret("admin-token", SAME, t))?;
    if admin.is_some() && admin == token {
        let allowed = "it is another secret than --token; leave it out to ask for that one";
        return Err(BadSetting::new("admin-token", "...", allowed));
    }
    Ok((token, admin))
}

/// A name as browsers send it in `Host`, in small letters and without a port.
fn host(text: &str) -> Checked<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.split('.').all(is_label) {
        Ok(name)
    } else {
        let allowed = "it is the name of a host alone, such as meet.example.org, one for each; names \
                       with other letters as browsers send them (xn--...)";
        Err(BadSetting::new("allowed-host", text, allowed))
    }
}

/// An origin as browsers send it (RFC 6454 section 6.1): scheme, host and port, no path.
fn origin(text: &str) -> Checked<String> {
    let authority = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_origin = authority.is_some_and(|rest| {
        !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || "/?#@,*".contains(c))
    });
    if text == "*" || is_origin {
        Ok(text.to_ascii_lowercase())
    } else {
        let allowed = "it is scheme, host and port without a path, such as \
                       https://meet.example.org, or * for any";
        Err(BadSetting::new("allowed-origin", text, allowed))
    }
}

/// A STUN or TURN URI (RFC 7064, RFC 7065). Everybody who joins is told of it, so one that carries
/// credentials as HTTP URLs can is refused. No browser accepts those anyway.
fn ice_server(text: &str) -> Checked<String> {
    let rest = ["stun:", "stuns:", "turn:", "turns:"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let fits = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || "/@,".contains(c))
    });
    if fits {
        Ok(text.to_owned())
    } else {
        let allowed = "it is stun:, stuns:, turn: or turns: and HOST:PORT, without credentials, \
                       such as stun:stun.example.org:3478";
        Err(BadSetting::new("ice-server", text, allowed))
    }
}

fn codecs(texts: &[String]) -> Checked<Vec<VideoCodec>> {
    let refuse = |allowed: &str| Err(BadSetting::new("codecs", texts.join(","), allowed));
    let mut codecs = Vec::new();
    for text in texts {
        match VideoCodec::from_str(text.trim()) {
            Ok(codec) if !codecs.contains(&codec) => codecs.push(codec),
            Ok(_) => return refuse("each codec can be named once"),
            Err(_) => return refuse("they are h264, vp8 and vp9, with commas between them"),
        }
    }
    if !codecs.iter().any(|codec| codec.is_encoded()) {
        return refuse("h264 or vp8 must be among them, for the mix is encoded in one of the two");
    }
    Ok(codecs)
}

fn mode(text: String) -> Checked<Mode> {
    let refused = |_| BadSetting::new("mode", &text, "it is mcu, sfu or p2p");
    text.parse().map_err(refused)
}

fn layout(text: String) -> Checked<LayoutKind> {
    let refused = |_| BadSetting::new("layout", &text, "it is grid or spotlight");
    text.parse().map_err(refused)
}

fn fit(text: String) -> Checked<Fit> {
    let refused = |_| BadSetting::new("fit", &text, "it is contain or cover");
    text.parse().map_err(refused)
}

/// The size of the composite. Its edges are even because I420 has one chroma sample for two pixels;
/// the upper bound is that of H.264 level 5.1.
fn canvas(text: String) -> Checked<Size> {
    let edges: Vec<&str> = text.split('x').map(str::trim).collect();
    let size: Option<Size> = edges.join("x").parse().ok();
    let size = size.filter(|size| {
        (160..=3840).contains(&size.width)
            && (90..=2160).contains(&size.height)
            && size.width.is_multiple_of(2)
            && size.height.is_multiple_of(2)
    });
    size.ok_or_else(|| {
        let allowed = "it is two even numbers from 160x90 to 3840x2160, such as 1280x720";
        BadSetting::new("canvas", &text, allowed)
    })
}
