//! An m-line as it is answered; pure but for GStreamer's caps.

use crate::codec::{Codec, LegacyCodec};
use crate::id::{Mid, Rid, Role};
use crate::media::bwe::fec::Fec;

/// How a sender is told which bitrate to send at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitrateControl {
    /// By signalling (`capture`), or not at all.
    Signalling,
    /// By REMB in RTCP, which the offer takes.
    Remb,
}

/// An m-line with its role and the one codec it is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mid: Mid,
    pub(crate) role: Role,
    /// What is on this side of the peer.
    pub(crate) format: Codec,
    /// What is on the wire in place of [`Self::format`], which then is Opus.
    pub(crate) legacy: Option<LegacyCodec>,
    /// The offer's payload type of that codec.
    pub(crate) payload_type: u8,
    /// The RTP header extensions (RFC 8285) that are used: id and URI.
    pub(crate) extensions: Vec<(u8, &'static str)>,
    /// The simulcast encodings of a camera, in the offer's order; empty where there is only one.
    pub(crate) rids: Vec<Rid>,
    /// How the sender of an uplink is told which bitrate to send at most.
    pub(crate) bitrate_control: BitrateControl,
    /// Whether the offerer's decoder makes use of in-band FEC. Off for pictures.
    pub(crate) fec: Fec,
}

impl Line {
    /// RTP caps for the transceiver: media, encoding, clock rate (Hz), payload type and header
    /// extensions.
    pub(crate) fn caps(&self) -> gst::Caps {
        let caps = gst::Caps::builder("application/x-rtp")
            .field(
                "media",
                if self.role.is_audio() {
                    "audio"
                } else {
                    "video"
                },
            )
            .field("encoding-name", self.encoding_name())
            .field("clock-rate", self.clock_rate() as i32)
            .field("payload", i32::from(self.payload_type));
        let extensions = self.extensions.iter();
        extensions
            .fold(caps, |caps, (id, uri)| {
                caps.field(format!("extmap-{id}"), *uri)
            })
            .build()
    }

    /// The encoding name on the wire, in capitals.
    pub(crate) fn encoding_name(&self) -> &'static str {
        let own = self.format.encoding_name();
        self.legacy.map_or(own, LegacyCodec::encoding_name)
    }

    /// RTP timestamp units per second on the wire.
    pub(crate) fn clock_rate(&self) -> u32 {
        let own = self.format.clock_rate();
        self.legacy.map_or(own, LegacyCodec::clock_rate)
    }

    /// The id of the header extension with this URI; `None` if it is not used.
    pub(crate) fn extension(&self, uri: &str) -> Option<u8> {
        let known = self.extensions.iter().find(|(_, known)| *known == uri);
        known.map(|(id, _)| *id)
    }
}

/// The fingerprint of a DTLS certificate (`a=fingerprint`, RFC 8122), in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Hash function, such as `sha-256`.
    pub(crate) hash: String,
    /// Digest: hexadecimal bytes, separated by colons.
    pub(crate) digest: String,
}
