//! One m-line of an offer.

use super::payloads::{OfferedCodec, codecs};
use crate::id::{Mid, Rid};
use crate::media::rtp::extensions::{
    AUDIO_LEVEL, COLOR_SPACE, MID, REPAIRED_RID, RID, TRANSPORT_WIDE_CC,
};
use crate::media::sdp::error::{OfferError, malformed};
use crate::media::sdp::simulcast;
use crate::media::sdp::text::{Attributes, Media};

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

/// Profiles that stand for RTP over DTLS (RFC 8829 section 5.1.2). They are taken whether they name
/// DTLS and feedback or not: the fingerprint decides about the one, RTCP of the other.
pub(super) const PROFILES: [&str; 8] = [
    "UDP/TLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "RTP/SAVPF",
    "RTP/SAVP",
    "RTP/AVPF",
    "RTP/AVP",
];

/// What becomes of an m-line of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered: the place of it in [`super::Offer::lines`].
    Taken(usize),
    /// The client has stopped it (port 0), and it is answered so (RFC 3264 section 6).
    Stopped,
    /// It is neither audio nor video, such as a data channel. It is answered with port 0.
    Foreign,
}

/// SSRCs that are read of one m-line. Browsers announce two for each of three encodings.
const MAX_SSRCS: usize = 16;

/// The kind of an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Audio,
    Video,
}

impl Kind {
    /// The word in the m-line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// What the offerer does on an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Sends,
    Receives,
    Both,
    Neither,
}

impl Direction {
    /// The attribute that says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sends => "sendonly",
            Self::Receives => "recvonly",
            Self::Both => "sendrecv",
            Self::Neither => "inactive",
        }
    }

    fn all() -> [Self; 4] {
        [Self::Sends, Self::Receives, Self::Both, Self::Neither]
    }

    /// What `attributes` say; `None` if they say nothing.
    fn of(attributes: &Attributes<'_>) -> Option<Self> {
        let mut all = Self::all().into_iter();
        all.find(|direction| attributes.has(direction.name()))
    }
}

/// An m-line that is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferedLine {
    /// Its `a=mid`, or its place in the offer where it has none.
    pub(crate) mid: Mid,
    pub(crate) kind: Kind,
    pub(crate) direction: Direction,
    pub(crate) codecs: Vec<OfferedCodec>,
    /// Id and URI of the header extensions (RFC 8285) that are known here.
    pub(crate) extensions: Vec<(u8, &'static str)>,
    /// The simulcast encodings; none where there is only one.
    pub(crate) rids: Vec<Rid>,
    /// The SSRCs that it announces, those of retransmissions included.
    pub(crate) ssrcs: Vec<u32>,
    /// Pairs of an SSRC and that of its retransmissions (`a=ssrc-group:FID`, RFC 4588).
    pub(crate) rtx_ssrcs: Vec<(u32, u32)>,
    /// Whether it takes RTCP of reduced size (RFC 5506).
    pub(crate) takes_reduced_size: bool,
}

/// What becomes of an m-line: [`Fate::Taken`], with no place yet, if it can be answered.
///
/// # Errors
/// It is in use, and is no RTP over DTLS.
pub(super) fn fate(media: &Media<'_>) -> Result<Fate, OfferError> {
    if media.port == 0 && !media.attributes.has("bundle-only") {
        return Ok(Fate::Stopped);
    }
    if !["audio", "video"].contains(&media.kind) {
        return Ok(Fate::Foreign);
    }
    if !PROFILES.contains(&media.protocol) {
        return Err(malformed(format!(
            "an m-line is {}; only RTP over DTLS (UDP/TLS/RTP/SAVPF) is taken",
            media.protocol
        )));
    }
    Ok(Fate::Taken(0))
}

/// Reads the m-line in the place `index` of the offer. What it does not say, `session` says for all.
pub(super) fn read(index: usize, media: &Media<'_>, session: &Attributes<'_>) -> OfferedLine {
    let attributes = &media.attributes;
    let mid = attributes
        .value("mid")
        .map_or(index.to_string(), str::to_owned);
    let extensions = extensions(attributes, session);
    let rids = simulcast::offered(attributes, &extensions).unwrap_or_else(|error| {
        tracing::info!(mid, %error, "a camera's encodings are not taken, but its first");
        Vec::new()
    });
    OfferedLine {
        mid: Mid(mid),
        kind: match media.kind {
            "audio" => Kind::Audio,
            _ => Kind::Video,
        },
        // Nothing said is both (RFC 8866 section 6.7).
        direction: Direction::of(attributes)
            .or_else(|| Direction::of(session))
            .unwrap_or(Direction::Both),
        codecs: codecs(media),
        extensions,
        rids,
        ssrcs: ssrcs(attributes),
        rtx_ssrcs: rtx_ssrcs(attributes),
        takes_reduced_size: attributes.has("rtcp-rsize"),
    }
}

/// The offered ones of [`EXTENSIONS`]: id and URI. Ids are those that the one-byte form can write,
/// too (RFC 8285 section 4.2).
fn extensions(own: &Attributes<'_>, session: &Attributes<'_>) -> Vec<(u8, &'static str)> {
    let mut used: Vec<(u8, &'static str)> = Vec::new();
    for value in own.values("extmap").chain(session.values("extmap")) {
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

/// The SSRCs of `a=ssrc` (RFC 5576), each once, [`MAX_SSRCS`] at most.
fn ssrcs(attributes: &Attributes<'_>) -> Vec<u32> {
    let mut ssrcs = Vec::new();
    for value in attributes.values("ssrc") {
        let number = value.split_ascii_whitespace().next();
        if let Some(ssrc) = number.and_then(|number| number.parse().ok())
            && !ssrcs.contains(&ssrc)
            && ssrcs.len() < MAX_SSRCS
        {
            ssrcs.push(ssrc);
        }
    }
    ssrcs
}

fn rtx_ssrcs(attributes: &Attributes<'_>) -> Vec<(u32, u32)> {
    let pair = |value: &str| {
        let mut words = value.split_ascii_whitespace();
        let is_flow = words.next() == Some("FID");
        let pair = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        is_flow.then_some(pair)
    };
    let groups = attributes.values("ssrc-group");
    groups.filter_map(pair).take(MAX_SSRCS).collect()
}
