//! What a receiver says of packets lost in its receiver reports (RFC 3550 section 6.4) and in its
//! NACKs (RFC 4585 section 6.2.1); pure.
//!
//! Every receiver sends reports, every few seconds. They are all there is of a link without
//! transport-wide feedback, and of sound from browsers that send such feedback for pictures alone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::media::rtp::compound::{
    FULL_INTRA, GENERIC_NACK, PAYLOAD_FEEDBACK, PICTURE_LOSS, RECEIVER_REPORT, SENDER_REPORT,
    TRANSPORT_FEEDBACK, packets, ssrc,
};

/// How long the loss of a report is valid: without a next one by then, that has been lost.
const REPORT_VALID: Duration = Duration::from_secs(12);

/// A sender report, and where in its body its report blocks begin, bytes.
const SENDER_INFO: (u8, usize) = (SENDER_REPORT, 24);
/// A receiver report, and where in its body its report blocks begin, bytes.
const RECEIVER_INFO: (u8, usize) = (RECEIVER_REPORT, 4);
/// Bytes of a report block.
const BLOCK: usize = 24;

/// The loss that was last reported of each stream.
#[derive(Debug, Default)]
pub(crate) struct ReportedLoss {
    /// By SSRC: when it was reported, and the share.
    losses: BTreeMap<u32, (Duration, f32)>,
}

/// A report block: what a receiver says of one stream (section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// SSRC of the stream.
    pub ssrc: u32,
    /// Packets missing since the report before, in 256ths of those expected.
    pub fraction_lost: u8,
    /// Packets missing since the stream began, minus duplicates.
    pub lost: i32,
    /// The highest sequence number that has arrived.
    pub highest: u16,
    /// The middle 32 bits of the NTP time in the sender report that arrived last; 0 if none has.
    pub last_sender_report: u32,
}

impl ReportedLoss {
    /// Takes a report block that came at `now`.
    pub(crate) fn on_report(&mut self, now: Duration, block: &ReportBlock) {
        self.losses.retain(|_, (at, _)| *at + REPORT_VALID > now);
        let loss = f32::from(block.fraction_lost) / 256.0;
        self.losses.insert(block.ssrc, (now, loss));
    }

    /// Share of the packets of a stream that was lost between the last two reports, 0 to 1;
    /// `None` if there was no report lately.
    pub(crate) fn loss(&self, now: Duration, ssrc: u32) -> Option<f32> {
        let (at, loss) = self.losses.get(&ssrc)?;
        (*at + REPORT_VALID > now).then_some(*loss)
    }
}

/// The report blocks of a compound RTCP packet; none if it is not whole.
pub(crate) fn report_blocks(compound: &[u8]) -> impl Iterator<Item = ReportBlock> {
    let packets = packets(compound).unwrap_or_default();
    packets
        .into_iter()
        .flat_map(|packet| {
            let known = [SENDER_INFO, RECEIVER_INFO];
            let begin = known.iter().find(|(kind, _)| *kind == packet.kind);
            let blocks = begin.and_then(|(_, begin)| packet.body.get(*begin..));
            let count = usize::from(packet.count);
            blocks.unwrap_or_default().chunks_exact(BLOCK).take(count)
        })
        .filter_map(block)
}

/// How the timestamps of a stream lie to its sender's clock (section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderInfo {
    /// SSRC of the stream.
    pub(crate) ssrc: u32,
    /// The sender's clock, as an NTP timestamp.
    pub(crate) ntp: u64,
    /// The timestamp that a packet of that moment would have.
    pub(crate) timestamp: u32,
}

impl SenderInfo {
    /// The sender's clock, ns.
    pub(crate) fn nanos(&self) -> i64 {
        let fraction = ((self.ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
        ((self.ntp >> 32) * 1_000_000_000 + fraction).cast_signed()
    }
}

/// What the sender reports of a compound RTCP packet say; none if it is not whole.
pub(crate) fn sender_infos(compound: &[u8]) -> impl Iterator<Item = SenderInfo> {
    let packets = packets(compound).unwrap_or_default().into_iter();
    let reports = packets.filter(|packet| packet.kind == SENDER_REPORT);
    reports.filter_map(|packet| {
        let [of, high, low, timestamp, ..] = packet.body.as_chunks::<4>().0 else {
            return None;
        };
        let word = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
        Some(SenderInfo {
            ssrc: word(of),
            ntp: u64::from(word(high)) << 32 | u64::from(word(low)),
            timestamp: word(timestamp),
        })
    })
}

/// The NACKs of a compound RTCP packet, each with the SSRC that it is about and its FCI (feedback
/// control information, RFC 4585 section 6.1); none if the packet is not whole.
pub(crate) fn nacks(compound: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let packets = packets(compound).unwrap_or_default().into_iter();
    packets.filter_map(|packet| match (packet.kind, packet.count, packet.body) {
        (TRANSPORT_FEEDBACK, GENERIC_NACK, [_, _, _, _, a, b, c, d, fci @ ..]) => {
            Some((u32::from_be_bytes([*a, *b, *c, *d]), fci))
        }
        _ => None,
    })
}

/// The SSRCs of which the other side wants a keyframe (PLI, RFC 4585 section 6.3.1; FIR, RFC 5104
/// section 4.3.1); none if the compound packet is not whole.
pub(crate) fn keyframe_requests(compound: &[u8]) -> impl Iterator<Item = u32> {
    let packets = packets(compound).unwrap_or_default().into_iter();
    packets.flat_map(|packet| {
        let (from, entry) = match (packet.kind, packet.count) {
            (PAYLOAD_FEEDBACK, PICTURE_LOSS) => (4, 4),
            (PAYLOAD_FEEDBACK, FULL_INTRA) => (8, 8),
            _ => return Vec::new(),
        };
        let list = packet.body.get(from..).unwrap_or_default();
        list.chunks_exact(entry).filter_map(ssrc).collect()
    })
}

fn block(bytes: &[u8]) -> Option<ReportBlock> {
    let [ssrc, lost, highest, _, sender_report, ..] = bytes.as_chunks::<4>().0 else {
        return None;
    };
    let ([fraction_lost, x, y, z], [_, _, high, low]) = (*lost, *highest);
    Some(ReportBlock {
        ssrc: u32::from_be_bytes(*ssrc),
        fraction_lost,
        // 24 bits with a sign.
        lost: i32::from_be_bytes([x, y, z, 0]) >> 8,
        highest: u16::from_be_bytes([high, low]),
        last_sender_report: u32::from_be_bytes(*sender_report),
    })
}

/// The sequence numbers that the FCI of a generic NACK names, as far as it is
/// whole (RFC 4585 section 6.2.1).
pub(crate) fn nacked(fci: &[u8]) -> impl Iterator<Item = u16> {
    fci.as_chunks().0.iter().flat_map(|&[p, q, b, c]| {
        let (first, following) = (u16::from_be_bytes([p, q]), u16::from_be_bytes([b, c]));
        let following = (0..16).filter(move |n| following >> n & 1 == 1);
        let following = following.map(move |n: u16| first.wrapping_add(n + 1));
        std::iter::once(first).chain(following)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ssrc: u32, lost: u8) -> Vec<u8> {
        let mut block = ssrc.to_be_bytes().to_vec();
        block.push(lost);
        block.extend([7; 19]);
        block
    }

    fn packet(kind: u8, count: u8, body: Vec<u8>) -> Vec<u8> {
        let words = u16::try_from(body.len() / 4).unwrap_or_default();
        let mut packet = vec![0x80 | count, kind];
        packet.extend(words.to_be_bytes());
        packet.extend(body);
        packet
    }

    const NOW: Duration = Duration::from_secs(50);

    fn report(reports: &mut ReportedLoss, now: Duration, compound: &[u8]) {
        report_blocks(compound).for_each(|block| reports.on_report(now, &block));
    }

    #[test]
    fn a_block_is_read_as_it_is_written() {
        let block = [
            0, 0, 1, 2, 9, 0xff, 0xff, 0xfe, 0, 3, 0xab, 0xcd, 0, 0, 0, 0, 1, 2, 3, 4,
        ];
        let body = [vec![0; 4], block.to_vec(), vec![0; 4]].concat();
        let read: Vec<ReportBlock> = report_blocks(&packet(201, 1, body)).collect();
        let expected = ReportBlock {
            ssrc: 0x102,
            fraction_lost: 9,
            lost: -2,
            highest: 0xabcd,
            last_sender_report: 0x0102_0304,
        };
        assert_eq!(read, [expected]);
    }

    #[test]
    fn each_stream_has_its_own_loss() {
        let sender = [vec![0; 24], written(1, 64)].concat();
        let receiver = [vec![0; 4], written(2, 0), written(3, 255)].concat();
        // A description of sources, of which nothing is read.
        let compound = [
            packet(200, 1, sender),
            packet(202, 1, written(4, 9)),
            packet(201, 2, receiver),
        ];
        let mut reports = ReportedLoss::default();
        report(&mut reports, NOW, &compound.concat());
        let losses = [1, 2, 3, 4].map(|ssrc| reports.loss(NOW, ssrc));
        assert_eq!(losses, [Some(0.25), Some(0.0), Some(255.0 / 256.0), None]);
    }

    #[test]
    fn a_request_names_what_is_missing() {
        let fci = [0xff, 0xfe, 0b1000_0000, 0b101, 0, 9, 0, 0, 7];
        let named: Vec<u16> = nacked(&fci).collect();
        assert_eq!(named, [65_534, 65_535, 1, 14, 9]);
    }

    #[test]
    fn what_is_old_says_nothing() {
        let mut reports = ReportedLoss::default();
        let lossy = |lost| packet(201, 1, [vec![0; 4], written(1, lost)].concat());
        report(&mut reports, NOW, &lossy(64));
        report(&mut reports, NOW + REPORT_VALID / 2, &lossy(128));
        assert_eq!(reports.loss(NOW + REPORT_VALID, 1), Some(0.5));
        assert_eq!(reports.loss(NOW + REPORT_VALID * 2, 1), None);
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let whole = packet(
            201,
            2,
            [vec![0; 4], written(1, 64), written(2, 64)].concat(),
        );
        for length in 0..whole.len() {
            let mut reports = ReportedLoss::default();
            report(&mut reports, NOW, &whole[..length]);
            assert_eq!(reports.loss(NOW, 1), None, "{length} bytes");
        }
        let mut claiming = packet(201, 31, [vec![0; 4], written(1, 64)].concat());
        let mut reports = ReportedLoss::default();
        report(&mut reports, NOW, &claiming);
        assert_eq!(reports.loss(NOW, 1), Some(0.25));
        claiming.extend([0x80, 201, 0xff, 0xff]);
        let mut reports = ReportedLoss::default();
        report(&mut reports, NOW, &claiming);
        assert_eq!(reports.loss(NOW, 1), None);
    }

    #[test]
    fn requests_are_found_in_a_compound_packet() {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect();
        let compound = [
            packet(201, 0, words(&[1])),
            packet(205, 1, words(&[1, 7, 0x0009_0001, 0x0100_0000])),
            packet(205, 15, words(&[1, 7, 0x0009_0001])),
            packet(206, 1, words(&[1, 8])),
        ]
        .concat();
        let found: Vec<(u32, Vec<u16>)> = nacks(&compound)
            .map(|(of, fci)| (of, nacked(fci).collect()))
            .collect();
        assert_eq!(found, [(7, vec![9, 10, 256])]);
    }
}
