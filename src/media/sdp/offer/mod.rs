//! What an SDP offer asks for, and which codec each of its m-lines gets.
//!
//! webrtcbin 1.22 asserts, and so ends the process, on offers that lack what it takes for
//! granted (an m-line without `a=mid`, for one), so every offer is checked here to the last
//! attribute it relies on before webrtcbin sees it.

mod read;

use std::collections::BTreeSet;

use read::{check_bundle, common_fingerprint, parse_line};
use thiserror::Error;

use super::simulcast;
use crate::codec::Codec;
use crate::codec::VideoCodec;
use crate::id::{Mid, Rid, Role};
use crate::media::bwe::fec::Protection;
use crate::media::bwe::twcc::TRANSPORT_WIDE_CC;

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
    format: Codec,
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
    pub format: Codec,
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
            .field("encoding-name", self.format.encoding_name())
            .field("clock-rate", self.format.clock_rate() as i32)
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
                .map(|format| format.encoding_name())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Formats for a role, the best first. The mix goes out in the configured order (H.264 costs a
/// third of VP8); what people send is taken as VP8 first, which every member can decode and
/// which forwarding needs, then in the configured order.
fn wanted_formats(role: Role, video: &[VideoCodec]) -> Vec<Codec> {
    let configured = video.iter().map(|codec| Codec::from(*codec));
    match role {
        role if role.is_audio() => vec![Codec::Opus],
        // VP9 is decoded here, never encoded.
        Role::MixVideo => configured.filter(|f| *f != Codec::Vp9).collect(),
        _ => {
            let mut formats: Vec<_> = configured.collect();
            formats.sort_by_key(|format| *format != Codec::Vp8);
            formats
        }
    }
}

#[cfg(test)]
mod tests;
