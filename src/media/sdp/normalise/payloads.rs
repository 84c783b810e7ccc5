//! Payload types: which codec each of an m-line's stands for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::codec::{Codec, LegacyCodec};
use crate::media::bwe::fec::Fec;
use crate::media::rtp::budget::MAX_PICTURE;
use crate::media::rtp::payload::reader::described;
use crate::media::sdp::error::{OfferError, malformed};
use crate::media::sdp::line::BitrateControl;
use crate::media::sdp::text::Media;

/// Payload types that mean a codec without saying so (RFC 3551 section 6).
const STATIC: [(u8, &str); 3] = [(0, "PCMU/8000"), (8, "PCMA/8000"), (9, "G722/8000")];

/// RTCP feedback that means something here. Other kinds are left out.
const FEEDBACK: [&str; 5] = ["nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"];

/// Format parameters that webrtcbin and its elements make use of. GStreamer makes a field of each in
/// its caps, for good, and attributes of some in its answer; others are left out.
const PARAMETERS: [&str; 13] = [
    "packetization-mode",
    "profile-level-id",
    "level-asymmetry-allowed",
    PARAMETER_SETS,
    "profile-id",
    "minptime",
    "useinbandfec",
    "usedtx",
    "stereo",
    "sprop-stereo",
    "maxplaybackrate",
    "maxaveragebitrate",
    "cbr",
];

/// Longest value of a format parameter, that of H.264's parameter sets.
const MAX_PARAMETER: usize = 1024;

/// A payload type of an m-line, and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferedCodec {
    pub(crate) payload_type: u8,
    pub(crate) format: Codec,
    /// What it carries in place of Opus, if [`Self::format`] is Opus only on our side.
    pub(crate) legacy: Option<LegacyCodec>,
    /// The format parameters that are known here; empty where there are none.
    pub(crate) parameters: String,
    /// The payload type of its retransmissions (RFC 4588), if it has one.
    pub(crate) rtx: Option<u8>,
    /// What it takes as RTCP feedback (`a=rtcp-fb`), as far as it is known here.
    pub(crate) feedback: Vec<&'static str>,
    /// Rank among payload types of one codec; the highest is chosen.
    pub(crate) rank: u8,
    /// Whether a sender of ours can send it: H.264 only in packetization mode 1, for access units
    /// are larger than a packet, which mode 0 cannot carry (RFC 6184 section 6.2).
    pub(crate) is_sendable: bool,
    pub(crate) bitrate_control: BitrateControl,
    pub(crate) fec: Fec,
}

/// What an m-line says of one payload type.
#[derive(Debug, Default)]
struct Said<'a> {
    mapping: &'a str,
    parameters: &'a str,
    feedback: Vec<&'static str>,
}

impl Said<'_> {
    fn takes(&mut self, feedback: &'static str) {
        if !self.feedback.contains(&feedback) {
            self.feedback.push(feedback);
        }
    }
}

/// What `media` says of each payload type that its m-line lists.
fn said<'a>(media: &Media<'a>) -> BTreeMap<u8, Said<'a>> {
    let listed = media
        .formats
        .iter()
        .filter_map(|format| format.parse().ok());
    let mut all: BTreeMap<u8, Said<'a>> = listed
        .filter(|number| *number < 128)
        .map(|number| (number, Said::default()))
        .collect();
    for (number, mapping) in STATIC {
        if let Some(said) = all.get_mut(&number) {
            said.mapping = mapping;
        }
    }
    for (number, mapping) in media.attributes.values("rtpmap").filter_map(of_one) {
        if let Some(said) = all.get_mut(&number) {
            said.mapping = mapping;
        }
    }
    for (number, parameters) in media.attributes.values("fmtp").filter_map(of_one) {
        if let Some(said) = all.get_mut(&number) {
            said.parameters = parameters;
        }
    }
    let mut of_all: Vec<&str> = Vec::new();
    for value in media.attributes.values("rtcp-fb") {
        let Some((of, what)) = value.split_once(char::is_whitespace) else {
            continue;
        };
        let Some(what) = FEEDBACK.into_iter().find(|known| *known == what.trim()) else {
            continue;
        };
        match of {
            "*" if of_all.contains(&what) => {}
            "*" => {
                of_all.push(what);
                all.values_mut().for_each(|said| said.takes(what));
            }
            number => {
                let said = number.parse().ok().and_then(|number| all.get_mut(&number));
                said.into_iter().for_each(|said| said.takes(what));
            }
        }
    }
    all
}

/// Payload type and rest of a value such as `96 VP8/90000`.
fn of_one(value: &str) -> Option<(u8, &str)> {
    let (number, rest) = value.split_once(char::is_whitespace)?;
    Some((number.parse().ok()?, rest.trim()))
}

/// The payload types of an m-line whose codec is known here, in the order of the m-line.
pub(super) fn codecs(media: &Media<'_>) -> Vec<OfferedCodec> {
    let said = said(media);
    let mut rtx: BTreeMap<u8, u8> = BTreeMap::new();
    for (number, said) in &said {
        if encoding(said.mapping).eq_ignore_ascii_case("rtx")
            && let Some(of) = parameter(said.parameters, "apt").and_then(|of| of.parse().ok())
        {
            rtx.entry(of).or_insert(*number);
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    let listed = media
        .formats
        .iter()
        .filter_map(|format| format.parse().ok());
    listed
        .filter(|number: &u8| seen.insert(*number))
        .filter_map(|number| codec(number, said.get(&number)?, rtx.get(&number).copied()))
        .collect()
}

fn codec(number: u8, said: &Said<'_>, rtx: Option<u8>) -> Option<OfferedCodec> {
    let known = recognise(said)?;
    let takes_remb = said.feedback.contains(&"goog-remb");
    Some(OfferedCodec {
        payload_type: number,
        format: known.format,
        legacy: known.legacy,
        parameters: known_parameters(said.parameters),
        rtx,
        feedback: said.feedback.clone(),
        rank: known.rank,
        is_sendable: known.is_sendable,
        bitrate_control: match takes_remb {
            true => BitrateControl::Remb,
            false => BitrateControl::Signalling,
        },
        fec: match known.legacy {
            Some(_) => Fec::Off,
            None => usable_fec(known.format, said.parameters),
        },
    })
}

/// The parameter sets of H.264 among the format parameters.
const PARAMETER_SETS: &str = "sprop-parameter-sets";

/// Base64 with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether all of these parameter sets (RFC 6184 section 8.1) describe pictures that are decoded:
/// depayloaders put them into the stream.
fn are_decoded(sets: &str) -> bool {
    let is_decoded = |set: &str| {
        let unit = BASE64.decode(set).ok().as_deref().and_then(described);
        unit.is_some_and(|areas| areas.iter().all(|area| *area <= MAX_PICTURE))
    };
    sets.split(',').all(is_decoded)
}

/// The format parameters that are in [`PARAMETERS`], written in one way.
fn known_parameters(parameters: &str) -> String {
    let of = |name: &&str| {
        let value = raw_parameter(parameters, name)?;
        let fits = value.len() <= MAX_PARAMETER
            && (*name != PARAMETER_SETS || are_decoded(value))
            && value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/=,-_".contains(&b));
        fits.then(|| format!("{name}={value}"))
    };
    PARAMETERS
        .iter()
        .filter_map(of)
        .collect::<Vec<_>>()
        .join(";")
}

/// The encoding name in the value of `a=rtpmap`.
fn encoding(mapping: &str) -> &str {
    mapping.split('/').next().unwrap_or_default().trim()
}

/// The value of a format parameter, in lower case.
pub(crate) fn parameter(parameters: &str, name: &str) -> Option<String> {
    raw_parameter(parameters, name).map(str::to_ascii_lowercase)
}

fn raw_parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let is_it = key.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim())
    })
}

/// The clock rate in the value of `a=rtpmap`, Hz.
fn clock_rate(mapping: &str) -> Option<u32> {
    mapping.split('/').nth(1)?.trim().parse().ok()
}

/// Whether a decoder makes use of in-band FEC: only one that says so (RFC 7587 section 6.1).
fn usable_fec(format: Codec, parameters: &str) -> Fec {
    let says = parameter(parameters, "useinbandfec").as_deref() == Some("1");
    match format == Codec::Opus && says {
        true => Fec::On,
        false => Fec::Off,
    }
}

/// What a payload type stands for here.
struct Recognised {
    format: Codec,
    legacy: Option<LegacyCodec>,
    /// Rank among payload types of one `format`; the highest is chosen.
    rank: u8,
    is_sendable: bool,
}

impl Recognised {
    /// A codec that is both sent and received, in one form.
    fn as_it_is(format: Codec) -> Self {
        Self {
            format,
            legacy: None,
            rank: 9,
            is_sendable: true,
        }
    }

    /// A codec that is Opus on our side. Opus itself is always better.
    fn legacy(codec: LegacyCodec, rank: u8) -> Self {
        Self {
            format: Codec::Opus,
            legacy: Some(codec),
            rank,
            is_sendable: true,
        }
    }
}

/// What a payload type stands for; `None` if its codec is not spoken here, or not at that clock rate.
fn recognise(said: &Said<'_>) -> Option<Recognised> {
    let known = by_name(encoding(said.mapping), said.parameters)?;
    let own = known.format.clock_rate();
    let rate = known.legacy.map_or(own, LegacyCodec::clock_rate);
    (clock_rate(said.mapping) == Some(rate)).then_some(known)
}

fn by_name(encoding: &str, parameters: &str) -> Option<Recognised> {
    let parameter = |name: &str| parameter(parameters, name);
    match encoding.to_ascii_uppercase().as_str() {
        "OPUS" => Some(Recognised::as_it_is(Codec::Opus)),
        "G722" => Some(Recognised::legacy(LegacyCodec::G722, 2)),
        "PCMU" => Some(Recognised::legacy(LegacyCodec::Pcmu, 1)),
        "PCMA" => Some(Recognised::legacy(LegacyCodec::Pcma, 0)),
        "VP8" => Some(Recognised::as_it_is(Codec::Vp8)),
        // Profile 0 only: the others are 4:4:4 or deeper than 8 bits.
        "VP9" => match parameter("profile-id").as_deref() {
            None | Some("0") => Some(Recognised::as_it_is(Codec::Vp9)),
            Some(_) => None,
        },
        "H264" => h264(
            parameter("packetization-mode").as_deref(),
            &parameter("profile-level-id").unwrap_or_default(),
        ),
        _ => None,
    }
}

/// H.264 in a packetization mode and of a profile. Constrained Baseline is what browsers decode, and
/// mode 1 is better than mode 0.
fn h264(mode: Option<&str>, profile: &str) -> Option<Recognised> {
    let single = match mode {
        Some("1") => false,
        None | Some("0") => true,
        // Interleaved (mode 2) is read by no depayloader here.
        Some(_) => return None,
    };
    let rank = match profile.get(..4) {
        Some("42e0") => 2,
        Some("4200") => 1,
        _ => 0,
    };
    Some(Recognised {
        format: Codec::H264,
        legacy: None,
        rank: if single { rank } else { rank + 3 },
        is_sendable: !single,
    })
}

/// What a payload type stands for, as far as packets of it are told apart by it alone: the encoding,
/// and those format parameters that say how the payload is read, as they are where nothing is said.
/// Others (`minptime`, `stereo`) are wishes of a receiver, and codecs that are not spoken here mean
/// nothing.
fn meaning(said: &Said<'_>) -> Option<String> {
    let or = |name: &str, default: &str| {
        parameter(said.parameters, name).unwrap_or_else(|| default.to_owned())
    };
    if encoding(said.mapping).eq_ignore_ascii_case("rtx") {
        return Some(format!("rtx of {}", or("apt", "nothing")));
    }
    let known = recognise(said)?;
    let name = known.format.encoding_name();
    Some(match (known.format, known.legacy) {
        (_, Some(legacy)) => legacy.encoding_name().to_owned(),
        (Codec::H264, _) => {
            let profile = or("profile-level-id", "42000a");
            let profile = profile.get(..4).unwrap_or_default();
            let mode = or("packetization-mode", "0");
            format!("{name} of profile {profile} in packetization-mode {mode}")
        }
        _ => name.to_owned(),
    })
}

/// Checks that no payload type means one thing in one m-line and another in the next: they share a
/// transport, where packets are told apart by it (RFC 9143 section 9.1.1).
///
/// # Errors
/// It names the payload type and both meanings.
pub(super) fn check_unique<'a>(
    lines: impl Iterator<Item = &'a Media<'a>>,
) -> Result<(), OfferError> {
    let mut meanings: BTreeMap<u8, String> = BTreeMap::new();
    for media in lines {
        for (number, said) in said(media) {
            let Some(meaning) = meaning(&said) else {
                continue;
            };
            let known = meanings.entry(number).or_insert_with(|| meaning.clone());
            if *known != meaning {
                return Err(malformed(format!(
                    "payload type {number} is {known} in one m-line and {meaning} in another of \
                     the same transport"
                )));
            }
        }
    }
    Ok(())
}
