//! Which uplink a stream belongs to, and which encoding of it: its first packet says so, by RFC 9143
//! section 9.2 ([`crate::media::rtp::demux`]) and RFC 8852. Many senders announce no SSRCs.

use std::sync::Arc;
use std::time::Duration;

use crate::media::rtp::demux::{Clues, DemuxLine, line_of};
use crate::media::rtp::extensions::{MID, REPAIRED_RID, RID};
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::header_extension::element;
use crate::media::sdp::line::Line;
use crate::media::sdp::normalise::{Offer, OfferedCodec, OfferedLine};
use crate::media::stream::keyframes::{KeyframeOrigin, KeyframeThrottle};

/// A sender is asked for a keyframe at most this often.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// An m-line by which something comes.
pub(super) struct Uplink {
    pub(super) line: Line,
    /// What its sender said of the codec.
    pub(super) codec: Option<OfferedCodec>,
    /// The keyframe requests that its encodings share.
    pub(super) keyframes: Arc<KeyframeThrottle>,
    /// Pairs of an SSRC and that of its repeated packets, as far as they are announced.
    rtx_ssrcs: Vec<(u32, u32)>,
}

/// What a stream is, by its first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belongs {
    /// An encoding of an uplink: their places.
    Media { uplink: usize, encoding: usize },
    /// It repeats lost packets of a stream of that uplink (RTX, RFC 4588): of this one, or of
    /// this encoding, if it says so.
    Rtx {
        uplink: usize,
        of: Option<u32>,
        encoding: Option<usize>,
    },
}

/// The uplinks of a peer.
pub(super) struct Uplinks {
    pub(super) all: Vec<Uplink>,
    /// In the same order, by the payload type of media.
    media: Vec<DemuxLine>,
    /// In the same order, by that of repeated packets; 128 where there is none.
    rtx: Vec<DemuxLine>,
}

/// What no packet has as its payload type.
const NO_PAYLOAD_TYPE: u8 = 128;

impl Uplinks {
    /// The uplinks among `lines`, which are the lines of `offer`.
    pub(super) fn of(offer: &Offer, lines: &[Line]) -> Self {
        let offered = lines.iter().zip(&offer.lines);
        let offered: Vec<_> = offered.filter(|(line, _)| line.role.is_uplink()).collect();
        let demux = |payload_type: fn(&OfferedCodec) -> Option<u8>| {
            let demux = offered.iter().map(|(line, offered)| DemuxLine {
                mid: line.mid.0.clone(),
                mid_extension: line.extension(MID),
                ssrcs: offered.ssrcs.clone(),
                payload_type: codec(line, offered)
                    .and_then(payload_type)
                    .unwrap_or(NO_PAYLOAD_TYPE),
            });
            demux.collect()
        };
        let uplink = |(line, offered): &(&Line, &OfferedLine)| Uplink {
            line: (*line).clone(),
            codec: codec(line, offered).cloned(),
            keyframes: throttle(line),
            rtx_ssrcs: offered.rtx_ssrcs.clone(),
        };
        Self {
            media: demux(|codec| Some(codec.payload_type)),
            rtx: demux(|codec| codec.rtx),
            all: offered.iter().map(uplink).collect(),
        }
    }

    /// What the stream of a packet is; `None` for one of no uplink.
    pub(super) fn belongs(&self, header: &RtpHeader, packet: &[u8]) -> Option<Belongs> {
        let RtpHeader {
            ssrc, payload_type, ..
        } = *header;
        let clues = Clues {
            ssrc,
            payload_type,
            packet,
        };
        let repeats = |demux: &DemuxLine| demux.payload_type == payload_type;
        if self.rtx.iter().any(repeats) {
            let uplink = line_of(&self.rtx, clues)?;
            let Uplink {
                line, rtx_ssrcs, ..
            } = self.all.get(uplink)?;
            let announced = rtx_ssrcs.iter().find(|(_, rtx)| *rtx == ssrc);
            return Some(Belongs::Rtx {
                uplink,
                of: announced.map(|(of, _)| *of),
                encoding: named(packet, line, REPAIRED_RID),
            });
        }
        let uplink = line_of(&self.media, clues)?;
        let Uplink { line, .. } = self.all.get(uplink)?;
        let encoding = encoding(packet, line)?;
        (line.payload_type == payload_type).then_some(Belongs::Media { uplink, encoding })
    }
}

/// What the sender of an m-line said of the codec that it is answered with.
fn codec<'a>(line: &Line, offered: &'a OfferedLine) -> Option<&'a OfferedCodec> {
    let mut codecs = offered.codecs.iter();
    codecs.find(|codec| codec.payload_type == line.payload_type)
}

/// What limits the keyframe requests to the sender of an m-line.
fn throttle(line: &Line) -> Arc<KeyframeThrottle> {
    let maker = match line.rids.len() {
        0 | 1 => KeyframeOrigin::Sender,
        _ => KeyframeOrigin::SimulcastSender,
    };
    Arc::new(KeyframeThrottle::new(maker, KEYFRAME_INTERVAL))
}

/// The encoding that a packet says it belongs to, by its place among those of its m-line that were
/// accepted; `None` for one that was not. A packet that says nothing belongs to the first.
fn encoding(packet: &[u8], line: &Line) -> Option<usize> {
    match line.extension(RID).and_then(|id| element(packet, id)) {
        None => Some(0),
        Some(_) => named(packet, line, RID),
    }
}

/// The place of the encoding that a packet names in the header extension of that URI.
fn named(packet: &[u8], line: &Line, uri: &str) -> Option<usize> {
    let rid = element(packet, line.extension(uri)?)?;
    line.rids.iter().position(|r| r.as_str().as_bytes() == rid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::id::{Mid, Rid, Role};
    use crate::media::sdp::line::BitrateControl;

    fn line(mid: &str, extension: u8) -> Line {
        Line {
            mid: Mid(mid.to_owned()),
            role: Role::Camera,
            format: Codec::Vp8,
            payload_type: 96,
            extensions: vec![(extension, MID)],
            rids: Vec::new(),
            legacy: None,
            bitrate_control: BitrateControl::Signalling,
            fec: Default::default(),
        }
    }

    /// A packet with one header extension.
    fn packet(extension: u8, value: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1];
        packet.push(extension << 4 | (value.len() as u8 - 1));
        packet.extend(value);
        packet.resize(20, 0);
        packet
    }

    #[test]
    fn a_packet_names_its_encoding() {
        let rids = ["q", "qq"].map(|rid| Rid::new(rid).expect("a rid"));
        let several = Line {
            extensions: vec![(4, MID), (5, RID)],
            rids: rids.to_vec(),
            ..line("cam", 4)
        };
        assert_eq!(encoding(&packet(5, b"q"), &several), Some(0));
        assert_eq!(encoding(&packet(5, b"qq"), &several), Some(1));
        assert_eq!(encoding(&packet(5, b"f"), &several), None, "not taken");
        assert_eq!(encoding(&packet(4, b"cam"), &several), Some(0));
        assert_eq!(encoding(&packet(5, b"f"), &line("cam", 4)), Some(0));
    }
}
