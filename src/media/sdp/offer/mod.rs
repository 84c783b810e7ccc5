//! What an SDP offer asks for, and which codec each of its m-lines is answered with.
//!
//! webrtcbin 1.22 asserts, and so ends the process, on offers that lack what it takes for
//! granted (an m-line without `a=mid`, for one), so every offer is checked here to the last
//! attribute it relies on before webrtcbin sees it.

mod error;
mod read;

use std::collections::BTreeSet;

pub(crate) use error::OfferError;
use error::malformed;
use read::{Direction, Kind, OfferedLine, check_bundle, common_fingerprint, parse_line};

use super::line::{BitrateControl, Fingerprint, Line};
use super::simulcast;
use crate::codec::{Codec, VideoCodec};
use crate::id::{Mid, Role};
use crate::media::rtp::extensions::TRANSPORT_WIDE_CC;

/// Header extensions that are used of those a downlink offers: the transport-wide sequence
/// numbers of our own congestion control. The others would be those of the packets' sender, who
/// is not on this connection.
const DOWNLINK_EXTENSIONS: [&str; 1] = [TRANSPORT_WIDE_CC];

/// An offer that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The offer as GStreamer parsed it.
    pub(crate) sdp: gst_sdp::SDPMessage,
    /// Fingerprint of the certificate that the offerer will use.
    pub(crate) fingerprint: Fingerprint,
    lines: Vec<OfferedLine>,
}

/// How the m-lines of an offer get their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoleSource<'a> {
    /// The client names them by `a=mid`.
    Named(&'a [(Mid, Role)]),
    /// WHIP: audio is the microphone, video the camera.
    Publish,
    /// WHEP: audio is the mix, video the composite.
    Play,
}

impl Offer {
    /// Parses and checks an offer with at most `max_lines` m-lines.
    ///
    /// # Errors
    /// [`OfferError::Malformed`] or [`OfferError::TooManyMlines`].
    pub(crate) fn parse(text: &str, max_lines: usize) -> Result<Self, OfferError> {
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

    /// Gives each m-line its role and its codec. `video` lists the video codecs spoken
    /// here, the preferred one first.
    ///
    /// # Errors
    /// [`OfferError::Roles`] when roles and m-lines do not fit, [`OfferError::Codec`] when an
    /// m-line offers nothing that is spoken here.
    pub(crate) fn plan(
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
                    line.bitrate_control = BitrateControl::Signalling;
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

/// An m-line with its role and the codec it is answered with. An answer of webrtcbin
/// 1.22 carries only one codec.
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
            bitrate_control: codec.bitrate_control,
            fec: codec.fec,
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

/// Codecs for a role, the best first. The mix goes out in the configured order (H.264 costs a third
/// of VP8). What people send is taken as VP8 first, which every participant can decode and which
/// forwarding needs, then in the configured order.
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
