//! What an SDP offer says, m-line by m-line.

use std::collections::BTreeSet;

use super::error::{OfferError, malformed};
use crate::codec::Codec;
use crate::id::{Mid, Rid};
use crate::media::bwe::fec::Fec;
use crate::media::rtp::extensions::{
    AUDIO_LEVEL, COLOR_SPACE, MID, REPAIRED_RID, RID, TRANSPORT_WIDE_CC,
};
use crate::media::sdp::line::{BitrateControl, Fingerprint};
use crate::media::sdp::simulcast;

/// The header extensions of uplinks that are taken up where they are offered. They tell which
/// m-line and which encoding a packet is of, how loud it is, when it arrived (for the congestion
/// control of its sender), and what the samples of a picture are. Depayloaders read the last one:
/// Chromium sends what it draws (a page's canvas) as VP8 in BT.709 and full range.
const EXTENSIONS: [&str; 6] = [
    MID,
    RID,
    REPAIRED_RID,
    AUDIO_LEVEL,
    TRANSPORT_WIDE_CC,
    COLOR_SPACE,
];

/// The kind of an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    Video,
}

/// What the offerer does on an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Sends,
    Receives,
    Both,
    Neither,
}

/// An m-line as it is offered.
#[derive(Debug, Clone)]
pub(super) struct OfferedLine {
    pub(super) mid: Mid,
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    pub(super) codecs: Vec<OfferedCodec>,
    pub(super) extensions: Vec<(u8, &'static str)>,
    pub(super) rids: Vec<Rid>,
}

/// A payload type of an m-line, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfferedCodec {
    pub(super) payload_type: u8,
    pub(super) format: Codec,
    /// Rank among payload types of one codec; the highest is chosen.
    pub(super) rank: u8,
    pub(super) bitrate_control: BitrateControl,
    pub(super) fec: Fec,
}

/// Reads and checks one m-line.
pub(crate) fn parse_line(media: &gst_sdp::SDPMediaRef) -> Result<OfferedLine, OfferError> {
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

/// The payload types whose codec is known here.
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
                bitrate_control: match takes_remb(&attributes, payload_type) {
                    true => BitrateControl::Remb,
                    false => BitrateControl::Signalling,
                },
                fec: usable_fec(format, fmtp),
                payload_type: number,
                format,
                rank,
            })
        })
        .collect()
}

/// Whether the offerer takes REMB for a payload type.
fn takes_remb(attributes: &[(&str, &str)], payload_type: &str) -> bool {
    let mut feedback = attributes.iter().filter(|(key, _)| *key == "rtcp-fb");
    feedback.any(|(_, value)| {
        let (of, what) = value.split_once(' ').unwrap_or_default();
        [payload_type, "*"].contains(&of) && what.trim() == "goog-remb"
    })
}

/// The offered ones of [`EXTENSIONS`]: id and URI. Ids are those of the one-byte
/// form (RFC 8285 section 4.2).
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

/// The value of a format parameter of a payload type, in lower case.
fn parameter(fmtp: &str, name: &str) -> Option<String> {
    fmtp.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.to_ascii_lowercase())
    })
}

/// Whether a decoder makes use of in-band FEC: only one that says so (RFC 7587 section 6.1).
fn usable_fec(format: Codec, fmtp: &str) -> Fec {
    let says = parameter(fmtp, "useinbandfec").as_deref() == Some("1");
    match format == Codec::Opus && says {
        true => Fec::On,
        false => Fec::Off,
    }
}

/// Codec and rank of a payload type; `None` if the codec is not spoken here.
fn recognise(encoding: &str, fmtp: &str) -> Option<(Codec, u8)> {
    let parameter = |name: &str| parameter(fmtp, name);
    match encoding.to_ascii_uppercase().as_str() {
        "OPUS" => Some((Codec::Opus, 0)),
        "VP8" => Some((Codec::Vp8, 0)),
        // Profile 0 only: the others are 4:4:4 or deeper than 8 bits.
        "VP9" => match parameter("profile-id").as_deref() {
            None | Some("0") => Some((Codec::Vp9, 0)),
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
            Some((Codec::H264, rank))
        }
        _ => None,
    }
}

/// Checks that one transport carries everything (RFC 9143): every m-line is in one BUNDLE group,
/// with ICE credentials and a DTLS role.
pub(crate) fn check_bundle(
    sdp: &gst_sdp::SDPMessageRef,
    lines: &[OfferedLine],
) -> Result<(), OfferError> {
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

/// The certificate fingerprint, which must be the same for all m-lines.
pub(crate) fn common_fingerprint(sdp: &gst_sdp::SDPMessageRef) -> Result<Fingerprint, OfferError> {
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
