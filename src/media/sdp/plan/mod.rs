//! Which role each m-line of an offer plays, and which codec it is answered with. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::codec::{Codec, VideoCodec};
use crate::id::{Mid, Role};
use crate::media::rtp::extensions::TRANSPORT_WIDE_CC;
use crate::media::sdp::error::{OfferError, malformed};
use crate::media::sdp::line::{BitrateControl, Line};
use crate::media::sdp::normalise::{Direction, Fate, Kind, Offer, OfferedCodec, OfferedLine};
use crate::media::sdp::simulcast;

/// Header extensions that are used of those a downlink offers: the transport-wide sequence
/// numbers of our own congestion control. The others would be those of the packets' sender, who
/// is not on this connection.
const DOWNLINK_EXTENSIONS: [&str; 1] = [TRANSPORT_WIDE_CC];

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

/// Gives each m-line of `offer` its role and its codec. `video` lists the video codecs spoken here,
/// the preferred one first.
///
/// # Errors
/// [`OfferError::Roles`] when roles and m-lines do not fit, [`OfferError::Codec`] when an m-line
/// offers nothing that is spoken here.
pub(crate) fn plan(
    offer: &Offer,
    roles: &RoleSource<'_>,
    video: &[VideoCodec],
) -> Result<Vec<Line>, OfferError> {
    let by_signalling = matches!(roles, RoleSource::Named(_));
    let roles = roles_of(offer, roles)?;
    let mut single = BTreeSet::new();
    let lines = offer.lines.iter().zip(roles);
    lines
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

fn roles_of(offer: &Offer, source: &RoleSource<'_>) -> Result<Vec<Role>, OfferError> {
    let by_kind = |audio, video| {
        let role = |line: &OfferedLine| match line.kind {
            Kind::Audio => audio,
            Kind::Video => video,
        };
        offer.lines.iter().map(role).collect()
    };
    match source {
        // A publisher who wants a data channel as well would wait for it in vain.
        RoleSource::Publish if offer.has_foreign_line() => Err(malformed(
            "it has an m-line that is neither audio nor video; WHIP takes those two alone",
        )),
        RoleSource::Publish => Ok(by_kind(Role::Mic, Role::Camera)),
        RoleSource::Play => Ok(by_kind(Role::MixAudio, Role::MixVideo)),
        RoleSource::Named(named) => named_roles(offer, named),
    }
}

/// The roles that the client names. Each m-line in use needs one; of others it may say what it
/// likes.
fn named_roles(offer: &Offer, named: &[(Mid, Role)]) -> Result<Vec<Role>, OfferError> {
    let taken: BTreeSet<&str> = offer.lines.iter().map(|line| line.mid.0.as_str()).collect();
    let unused = |mid: &str| {
        let mut lines = offer.client_lines.iter();
        lines.any(|line| line.mid.as_deref() == Some(mid) && !matches!(line.fate, Fate::Taken(_)))
    };
    let mut once = BTreeSet::new();
    for (mid, _) in named {
        let mid = mid.0.as_str();
        if !taken.contains(mid) && !unused(mid) {
            return Err(OfferError::Roles(format!("there is no m-line {mid}")));
        }
        if !once.insert(mid) {
            return Err(OfferError::Roles(format!("two tracks name m-line {mid}")));
        }
    }
    let role_of = |line: &OfferedLine| {
        let role = named.iter().find(|(mid, _)| *mid == line.mid);
        role.map(|(_, role)| *role)
            .ok_or_else(|| OfferError::Roles(format!("no track names m-line {}", line.mid)))
    };
    offer.lines.iter().map(role_of).collect()
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
    let fits = |codec: &&OfferedCodec| role.is_uplink() || codec.is_sendable;
    let codec = wanted.iter().find_map(|format| {
        let offered = line.codecs.iter().filter(|codec| codec.format == *format);
        offered
            .filter(fits)
            .max_by_key(|codec| (codec.rank, Reverse(codec.payload_type)))
    });
    let Some(codec) = codec else {
        return Err(OfferError::Codec {
            mid: line.mid.clone(),
            spoken: spoken(&wanted, role),
        });
    };
    let rids = match role {
        Role::Camera => line.rids.clone(),
        _ => Vec::new(),
    };
    let of_downlinks = |(_, uri): &&(u8, &'static str)| DOWNLINK_EXTENSIONS.contains(uri);
    Ok(Line {
        mid: line.mid.clone(),
        role,
        format: codec.format,
        legacy: codec.legacy,
        payload_type: codec.payload_type,
        extensions: match role.is_uplink() {
            true => simulcast::used(&line.extensions, &rids),
            false => line
                .extensions
                .iter()
                .filter(of_downlinks)
                .copied()
                .collect(),
        },
        rids,
        bitrate_control: codec.bitrate_control,
        fec: codec.fec,
    })
}

/// The codecs that a role would have taken, for people.
fn spoken(wanted: &[Codec], role: Role) -> String {
    let name = |codec: &Codec| match (codec, role.is_uplink()) {
        (Codec::Opus, _) => "OPUS, G722, PCMU, PCMA",
        (Codec::H264, false) => "H264 with packetization-mode=1",
        (codec, _) => codec.encoding_name(),
    };
    wanted.iter().map(name).collect::<Vec<_>>().join(", ")
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
