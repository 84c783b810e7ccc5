//! What an SDP offer asks for, and which codec each of its m-lines gets.
//!
//! webrtcbin 1.22 asserts, and so ends the process, on offers that lack what it takes for
//! granted (an m-line without `a=mid`, for one), so every offer is checked here to the last
//! attribute it relies on before webrtcbin sees it.

use std::collections::BTreeSet;

use thiserror::Error;

use super::guard::Protection;
use super::rtp::PayloadFormat;
use super::simulcast::{self, REPAIRED_RID, RID};
use super::speech::AUDIO_LEVEL;
use super::twcc::TRANSPORT_WIDE_CC;
use super::uplink::MID;
use crate::config::VideoCodec;
use crate::id::{Mid, Rid, Role};

/// The header extensions of uplinks that are taken up where they are offered: which m-line a packet
/// is of, and which of its encodings where there are several, how loud it is, the numbers the sender's congestion control is told the arrival of, and
/// what the samples of a picture are, which the depayloader reads: Chromium sends what it draws
/// (a page's canvas) as VP8 in BT.709 and full range.
const EXTENSIONS: [&str; 6] = [
    MID,
    RID,
    REPAIRED_RID,
    AUDIO_LEVEL,
    TRANSPORT_WIDE_CC,
    "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
];

/// The same for downlinks: the numbers that our congestion control is told the arrival of. The
/// others would be those of the packets' sender, who is not on this connection.
const DOWNLINK_EXTENSIONS: [&str; 1] = [TRANSPORT_WIDE_CC];

/// Why an offer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferError {
    /// Not an offer that a peer connection can answer.
    #[error("{0}")]
    Malformed(String),
    /// More m-lines than are taken.
    #[error("{got} m-lines, at most {limit} are taken")]
    TooManyMlines {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Roles and m-lines do not fit together.
    #[error("{0}")]
    Roles(String),
    /// No codec of an m-line is spoken here.
    #[error("m-line {mid} offers none of {spoken}")]
    Codec {
        /// The m-line.
        mid: Mid,
        /// What would have done.
        spoken: String,
    },
}

/// The kind of an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Audio,
    Video,
}

/// What the offerer does on an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sends,
    Receives,
    Both,
    Neither,
}

/// An m-line of the offer.
#[derive(Debug, Clone)]
struct OfferedLine {
    mid: Mid,
    kind: Kind,
    direction: Direction,
    codecs: Vec<OfferedCodec>,
    extensions: Vec<(u8, &'static str)>,
    rids: Vec<Rid>,
}

/// A payload type of an m-line and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OfferedCodec {
    payload_type: u8,
    format: PayloadFormat,
    /// Higher is liked better among payload types of one format.
    rank: u8,
    told: Told,
    protection: Protection,
}

/// How a sender can be told how much to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By signalling, or not at all.
    Elsewhere,
    /// With REMB, which the offer takes.
    InRtcp,
}

/// An m-line with its role and the one codec it is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The m-line.
    pub mid: Mid,
    /// What it is for.
    pub role: Role,
    /// What it carries.
    pub format: PayloadFormat,
    /// The offer's payload type for it.
    pub payload_type: u8,
    /// RTP header extensions (RFC 8285) that are used, by id.
    pub extensions: Vec<(u8, &'static str)>,
    /// The encodings it is sent in at once, in the offer's order; empty where it has but one.
    pub rids: Vec<Rid>,
    /// How its sender is told how much to send.
    pub told: Told,
    /// What the offerer's decoder makes use of, of sound.
    pub protection: Protection,
}

impl Line {
    /// RTP caps for the transceiver: media, encoding, clock rate (Hz) and payload type.
    pub fn caps(&self) -> gst::Caps {
        let caps = gst::Caps::builder("application/x-rtp")
            .field(
                "media",
                if self.role.is_audio() {
                    "audio"
                } else {
                    "video"
                },
            )
            .field("encoding-name", encoding_name(self.format))
            .field("clock-rate", self.clock_rate())
            .field("payload", i32::from(self.payload_type));
        let extensions = self.extensions.iter();
        extensions
            .fold(caps, |caps, (id, uri)| {
                caps.field(format!("extmap-{id}"), *uri)
            })
            .build()
    }

    /// The id of a header extension, if it is used.
    pub fn extension(&self, uri: &str) -> Option<u8> {
        let known = self.extensions.iter().find(|(_, known)| *known == uri);
        known.map(|(id, _)| *id)
    }

    /// RTP clock rate, Hz.
    pub fn clock_rate(&self) -> i32 {
        match self.format {
            PayloadFormat::Opus => 48_000,
            _ => 90_000,
        }
    }
}

/// A checked offer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The offer as GStreamer parsed it.
    pub sdp: gst_sdp::SDPMessage,
    /// The certificate fingerprint the offerer will use, as in `a=fingerprint` (RFC 8122).
    pub fingerprint: Fingerprint,
    lines: Vec<OfferedLine>,
}

/// A certificate fingerprint: hash function and digest, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256`, ...
    pub hash: String,
    /// Colon-separated hexadecimal bytes.
    pub digest: String,
}

/// How the m-lines of an offer get their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleSource<'a> {
    /// Named by the client.
    Named(&'a [(Mid, Role)]),
    /// WHIP: audio is the mic, video the camera.
    Publish,
    /// WHEP: audio is the mix's, video the composite.
    Play,
}

impl Offer {
    /// Parses and checks an offer with at most `max_lines` m-lines.
    ///
    /// # Errors
    /// [`OfferError::Malformed`] or [`OfferError::TooManyMlines`].
    pub fn parse(text: &str, max_lines: usize) -> Result<Self, OfferError> {
        if !text.starts_with("v=0") {
            return Err(malformed("it does not start with v=0"));
        }
        let count = text.lines().filter(|line| line.starts_with("m=")).count();
        if count > max_lines {
            return Err(OfferError::TooManyMlines {
                got: count,
                limit: max_lines,
            });
        }
        let sdp = gst_sdp::SDPMessage::parse_buffer(text.as_bytes())
            .map_err(|_| malformed("it is not SDP"))?;
        let lines = sdp
            .medias()
            .map(parse_line)
            .collect::<Result<Vec<_>, _>>()?;
        if lines.is_empty() {
            return Err(malformed("it has no m-line"));
        }
        check_bundle(&sdp, &lines)?;
        let fingerprint = common_fingerprint(&sdp)?;
        Ok(Self {
            sdp,
            fingerprint,
            lines,
        })
    }

    /// Gives each m-line its role and its codec. `video` lists the codecs spoken here, the
    /// preferred first.
    ///
    /// # Errors
    /// [`OfferError::Roles`] when roles and m-lines do not fit, [`OfferError::Codec`] when an
    /// m-line offers nothing that is spoken here.
    pub fn plan(
        &self,
        roles: &RoleSource<'_>,
        video: &[VideoCodec],
    ) -> Result<Vec<Line>, OfferError> {
        let by_signalling = matches!(roles, RoleSource::Named(_));
        let roles = self.roles(roles)?;
        let mut single = BTreeSet::new();
        self.lines
            .iter()
            .zip(roles)
            .map(|(line, role)| {
                check_role(line, role)?;
                let repeats = matches!(role, Role::ForwardAudio | Role::ForwardVideo);
                if !repeats && !single.insert(role) {
                    return Err(OfferError::Roles(format!("two m-lines are {role}")));
                }
                let mut line = choose(line, role, video)?;
                if by_signalling || !role.is_uplink() {
                    line.told = Told::Elsewhere;
                }
                Ok(line)
            })
            .collect()
    }

    fn roles(&self, source: &RoleSource<'_>) -> Result<Vec<Role>, OfferError> {
        let by_kind = |audio, video| {
            let role = |line: &OfferedLine| match line.kind {
                Kind::Audio => audio,
                Kind::Video => video,
            };
            self.lines.iter().map(role).collect()
        };
        match source {
            RoleSource::Publish => Ok(by_kind(Role::Mic, Role::Camera)),
            RoleSource::Play => Ok(by_kind(Role::MixAudio, Role::MixVideo)),
            RoleSource::Named(named) => self.named_roles(named),
        }
    }

    fn named_roles(&self, named: &[(Mid, Role)]) -> Result<Vec<Role>, OfferError> {
        if named.len() != self.lines.len() {
            return Err(OfferError::Roles(format!(
                "{} tracks for {} m-lines",
                named.len(),
                self.lines.len()
            )));
        }
        let role_of = |line: &OfferedLine| {
            named
                .iter()
                .find(|(mid, _)| *mid == line.mid)
                .map(|(_, role)| *role)
                .ok_or_else(|| OfferError::Roles(format!("no track names m-line {}", line.mid)))
        };
        self.lines.iter().map(role_of).collect()
    }
}

fn malformed(text: impl Into<String>) -> OfferError {
    OfferError::Malformed(text.into())
}

fn parse_line(media: &gst_sdp::SDPMediaRef) -> Result<OfferedLine, OfferError> {
    let kind = match media.media() {
        Some("audio") => Kind::Audio,
        Some("video") => Kind::Video,
        other => {
            return Err(malformed(format!(
                "an m-line is {:?}; only audio and video are taken",
                other.unwrap_or_default()
            )));
        }
    };
    let mid = media
        .attribute_val("mid")
        .filter(|mid| !mid.is_empty() && mid.len() <= 32)
        .ok_or_else(|| malformed("an m-line has no a=mid"))?;
    if media.port() == 0 && media.attribute_val("bundle-only").is_none() {
        return Err(malformed(format!("m-line {mid} is rejected (port 0)")));
    }
    if media
        .proto()
        .is_none_or(|proto| !proto.ends_with("RTP/SAVPF"))
    {
        return Err(malformed(format!("m-line {mid} is not RTP/SAVPF")));
    }
    if media.attribute_val("rtcp-mux").is_none() {
        return Err(malformed(format!("m-line {mid} has no a=rtcp-mux")));
    }
    let extensions = extensions(media);
    let rids = simulcast::offered(media, &extensions).unwrap_or_else(|error| {
        tracing::info!(mid, %error, "a camera's encodings are not taken, but its first");
        Vec::new()
    });
    Ok(OfferedLine {
        mid: Mid(mid.to_owned()),
        kind,
        direction: direction(media),
        codecs: codecs(media),
        extensions,
        rids,
    })
}

fn direction(media: &gst_sdp::SDPMediaRef) -> Direction {
    let has = |name| media.attribute_val(name).is_some();
    if has("sendonly") {
        Direction::Sends
    } else if has("recvonly") {
        Direction::Receives
    } else if has("inactive") {
        Direction::Neither
    } else {
        Direction::Both
    }
}

/// The payload types whose format is known here.
fn codecs(media: &gst_sdp::SDPMediaRef) -> Vec<OfferedCodec> {
    let attributes: Vec<(&str, &str)> = media
        .attributes()
        .filter_map(|attribute| Some((attribute.key(), attribute.value()?)))
        .collect();
    let lookup = |key: &str, payload_type: &str| {
        attributes.iter().find_map(|(k, value)| {
            let (pt, rest) = value.split_once(' ')?;
            (*k == key && pt == payload_type).then_some(rest)
        })
    };
    media
        .formats()
        .filter_map(|payload_type| {
            let encoding = lookup("rtpmap", payload_type)?.split('/').next()?;
            let fmtp = lookup("fmtp", payload_type).unwrap_or_default();
            let (format, rank) = recognise(encoding, fmtp)?;
            let number = payload_type.parse().ok().filter(|pt| *pt < 128)?;
            Some(OfferedCodec {
                told: match takes_remb(&attributes, payload_type) {
                    true => Told::InRtcp,
                    false => Told::Elsewhere,
                },
                protection: usable_protection(format, fmtp),
                payload_type: number,
                format,
                rank,
            })
        })
        .collect()
}

/// Whether feedback of a payload type can be REMB.
fn takes_remb(attributes: &[(&str, &str)], payload_type: &str) -> bool {
    let mut feedback = attributes.iter().filter(|(key, _)| *key == "rtcp-fb");
    feedback.any(|(_, value)| {
        let (of, what) = value.split_once(' ').unwrap_or_default();
        [payload_type, "*"].contains(&of) && what.trim() == "goog-remb"
    })
}

/// The header extensions we use, in the short form (RFC 8285 section 4.2).
fn extensions(media: &gst_sdp::SDPMediaRef) -> Vec<(u8, &'static str)> {
    let values = media
        .attributes()
        .filter(|attribute| attribute.key() == "extmap")
        .filter_map(|attribute| attribute.value());
    let mut used: Vec<(u8, &'static str)> = Vec::new();
    for value in values {
        let mut fields = value.split_ascii_whitespace();
        // An id can be followed by a direction, as in `3/sendonly`.
        let id = fields
            .next()
            .and_then(|id| id.split('/').next()?.parse().ok());
        let uri = fields.next().and_then(|uri| {
            let known = EXTENSIONS.iter().find(|known| **known == uri);
            known.copied()
        });
        if let (Some(id @ 1..=14), Some(uri)) = (id, uri)
            && !used
                .iter()
                .any(|(other, name)| *other == id || *name == uri)
        {
            used.push((id, uri));
        }
    }
    used
}

/// A format parameter of a payload type, in lower case.
fn parameter(fmtp: &str, name: &str) -> Option<String> {
    fmtp.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.to_ascii_lowercase())
    })
}

/// What a decoder makes use of; none unless it says so (RFC 7587 section 6.1).
fn usable_protection(format: PayloadFormat, fmtp: &str) -> Protection {
    let says = parameter(fmtp, "useinbandfec").as_deref() == Some("1");
    match format == PayloadFormat::Opus && says {
        true => Protection::Fec,
        false => Protection::None,
    }
}

/// Format and rank of a payload type, if it is one of ours.
fn recognise(encoding: &str, fmtp: &str) -> Option<(PayloadFormat, u8)> {
    let parameter = |name: &str| parameter(fmtp, name);
    match encoding.to_ascii_uppercase().as_str() {
        "OPUS" => Some((PayloadFormat::Opus, 0)),
        "VP8" => Some((PayloadFormat::Vp8, 0)),
        // Profile 0 only: the others are 4:4:4 or deeper than 8 bits.
        "VP9" => match parameter("profile-id").as_deref() {
            None | Some("0") => Some((PayloadFormat::Vp9, 0)),
            Some(_) => None,
        },
        // We send access units larger than a packet, which mode 0 cannot carry (RFC 6184 6.2).
        "H264" if parameter("packetization-mode").as_deref() == Some("1") => {
            let profile = parameter("profile-level-id").unwrap_or_default();
            let rank = match profile.get(..4) {
                Some("42e0") => 2,
                Some("4200") => 1,
                _ => 0,
            };
            Some((PayloadFormat::H264, rank))
        }
        _ => None,
    }
}

/// One transport carries everything (RFC 9143): every m-line is in one BUNDLE group, with ICE
/// credentials and a DTLS role.
fn check_bundle(sdp: &gst_sdp::SDPMessageRef, lines: &[OfferedLine]) -> Result<(), OfferError> {
    let mids: BTreeSet<&str> = lines.iter().map(|line| line.mid.0.as_str()).collect();
    if mids.len() != lines.len() {
        return Err(malformed("two m-lines have the same a=mid"));
    }
    let group = sdp
        .attribute_val("group")
        .and_then(|group| group.strip_prefix("BUNDLE"))
        .ok_or_else(|| malformed("it has no a=group:BUNDLE"))?;
    let bundled: BTreeSet<&str> = group.split_whitespace().collect();
    if bundled != mids {
        return Err(malformed("a=group:BUNDLE does not name every m-line"));
    }
    for media in sdp.medias() {
        let tagged = |key| {
            let own = media.attribute_val(key).or_else(|| sdp.attribute_val(key));
            own.filter(|value| !value.is_empty() && value.len() <= 256)
        };
        let bundle_only = media.attribute_val("bundle-only").is_some();
        for key in ["ice-ufrag", "ice-pwd", "setup"] {
            if tagged(key).is_none() && !bundle_only {
                return Err(malformed(format!("an m-line has no a={key}")));
            }
        }
        if tagged("setup").is_some_and(|s| !["actpass", "active", "passive"].contains(&s)) {
            return Err(malformed("a=setup is none of actpass, active, passive"));
        }
    }
    Ok(())
}

/// The fingerprint that every m-line names.
fn common_fingerprint(sdp: &gst_sdp::SDPMessageRef) -> Result<Fingerprint, OfferError> {
    let session = sdp.attribute_val("fingerprint");
    let mut values = sdp
        .medias()
        .filter_map(|media| media.attribute_val("fingerprint").or(session));
    let value = values
        .next()
        .ok_or_else(|| malformed("it has no a=fingerprint"))?;
    if values.any(|other| !other.eq_ignore_ascii_case(value)) {
        return Err(malformed("its m-lines name different fingerprints"));
    }
    let (hash, digest) = value
        .split_once(' ')
        .ok_or_else(|| malformed("a=fingerprint is not a hash and a digest"))?;
    Ok(Fingerprint {
        hash: hash.to_ascii_lowercase(),
        digest: digest.trim().to_ascii_lowercase(),
    })
}

fn check_role(line: &OfferedLine, role: Role) -> Result<(), OfferError> {
    let kind = if role.is_audio() {
        Kind::Audio
    } else {
        Kind::Video
    };
    if kind != line.kind {
        return Err(OfferError::Roles(format!(
            "m-line {} cannot be {role}",
            line.mid
        )));
    }
    let fits = match line.direction {
        Direction::Both => true,
        Direction::Sends => role.is_uplink(),
        Direction::Receives => !role.is_uplink(),
        Direction::Neither => false,
    };
    if fits {
        Ok(())
    } else {
        Err(OfferError::Roles(format!(
            "m-line {} goes the wrong way for {role}",
            line.mid
        )))
    }
}

/// The codec an m-line is answered with: an answer of webrtcbin 1.22 carries one.
fn choose(line: &OfferedLine, role: Role, video: &[VideoCodec]) -> Result<Line, OfferError> {
    let wanted = wanted_formats(role, video);
    let codec = wanted.iter().find_map(|format| {
        line.codecs
            .iter()
            .filter(|codec| codec.format == *format)
            .max_by_key(|codec| (codec.rank, std::cmp::Reverse(codec.payload_type)))
    });
    let rids = match role {
        Role::Camera => line.rids.clone(),
        _ => Vec::new(),
    };
    match codec {
        Some(codec) => Ok(Line {
            mid: line.mid.clone(),
            role,
            format: codec.format,
            payload_type: codec.payload_type,
            extensions: match role.is_uplink() {
                true => simulcast::used(&line.extensions, &rids),
                false => line
                    .extensions
                    .iter()
                    .filter(|(_, uri)| DOWNLINK_EXTENSIONS.contains(uri))
                    .copied()
                    .collect(),
            },
            rids,
            told: codec.told,
            protection: codec.protection,
        }),
        None => Err(OfferError::Codec {
            mid: line.mid.clone(),
            spoken: wanted
                .iter()
                .map(|format| encoding_name(*format))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Formats for a role, the best first. The mix goes out in the configured order (H.264 costs a
/// third of VP8); what people send is taken as VP8 first, which every member can decode and
/// which forwarding needs, then in the configured order.
fn wanted_formats(role: Role, video: &[VideoCodec]) -> Vec<PayloadFormat> {
    let configured = video.iter().map(|codec| format_of(*codec));
    match role {
        role if role.is_audio() => vec![PayloadFormat::Opus],
        // VP9 is decoded here, never encoded.
        Role::MixVideo => configured.filter(|f| *f != PayloadFormat::Vp9).collect(),
        _ => {
            let mut formats: Vec<_> = configured.collect();
            formats.sort_by_key(|format| *format != PayloadFormat::Vp8);
            formats
        }
    }
}

/// The payload format of a video codec.
pub fn format_of(codec: VideoCodec) -> PayloadFormat {
    match codec {
        VideoCodec::H264 => PayloadFormat::H264,
        VideoCodec::Vp8 => PayloadFormat::Vp8,
        VideoCodec::Vp9 => PayloadFormat::Vp9,
    }
}

/// The video codec of a payload format; `None` for audio.
pub fn codec_of(format: PayloadFormat) -> Option<VideoCodec> {
    match format {
        PayloadFormat::H264 => Some(VideoCodec::H264),
        PayloadFormat::Vp8 => Some(VideoCodec::Vp8),
        PayloadFormat::Vp9 => Some(VideoCodec::Vp9),
        PayloadFormat::Opus => None,
    }
}

/// The encoding name of a payload format in SDP and caps.
pub fn encoding_name(format: PayloadFormat) -> &'static str {
    match format {
        PayloadFormat::Vp8 => "VP8",
        PayloadFormat::Vp9 => "VP9",
        PayloadFormat::H264 => "H264",
        PayloadFormat::Opus => "OPUS",
    }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
