//! What a receiver sends to the sender of a stream, as RTCP (RFC 4585, RFC 5104); pure. What it reads
//! of the same kind is in [`crate::media::bwe::rtcp`].

use super::compound::{
    APPLICATION_LAYER, FULL_INTRA, GENERIC_NACK, PAYLOAD_FEEDBACK, PICTURE_LOSS, RECEIVER_REPORT,
    SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK, TRANSPORT_WIDE, write,
};
use super::sender_report;

/// Report blocks in one packet: its count has five bits.
const MAX_BLOCKS: usize = 31;

/// A compound packet of one receiver, which begins with its report (RFC 3550 section 6.1).
#[derive(Debug)]
pub(crate) struct Compound {
    /// The SSRC of the receiver.
    from: u32,
    bytes: Vec<u8>,
}

impl Compound {
    /// A report with these blocks, and the canonical name of the receiver.
    pub(crate) fn new(from: u32, cname: &str, blocks: &[[u8; 24]]) -> Self {
        let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
        let mut bytes = Vec::with_capacity(64 + 24 * blocks.len());
        let body = [&from.to_be_bytes()[..], blocks.as_flattened()].concat();
        // There are not more than 31.
        write(&mut bytes, RECEIVER_REPORT, blocks.len() as u8, &body);
        let name = sender_report::chunk(from, cname);
        write(&mut bytes, SOURCE_DESCRIPTION, 1, &name);
        Self { from, bytes }
    }

    /// Asks for the packets of these sequence numbers of the stream `of` again, which are in their
    /// order (RFC 4585 section 6.2.1).
    pub(crate) fn nack(&mut self, of: u32, missing: &[u16]) {
        let mut body = self.about(of);
        let mut rest = missing.iter().copied().peekable();
        while let Some(first) = rest.next() {
            let mut following = 0u16;
            while let Some(next) = rest.peek() {
                let place = next.wrapping_sub(first);
                if !(1..=16).contains(&place) {
                    break;
                }
                following |= 1 << (place - 1);
                rest.next();
            }
            body.extend(first.to_be_bytes());
            body.extend(following.to_be_bytes());
        }
        write(&mut self.bytes, TRANSPORT_FEEDBACK, GENERIC_NACK, &body);
    }

    /// Asks for a keyframe of the stream `of` (PLI, RFC 4585 section 6.3.1).
    pub(crate) fn picture_loss(&mut self, of: u32) {
        let body = self.about(of);
        write(&mut self.bytes, PAYLOAD_FEEDBACK, PICTURE_LOSS, &body);
    }

    /// The same for senders that know no PLI (FIR, RFC 5104 section 4.3.1). `number` is another one for
    /// each request.
    pub(crate) fn full_intra(&mut self, of: u32, number: u8) {
        let mut body = self.about(0);
        body.extend(of.to_be_bytes());
        body.extend([number, 0, 0, 0]);
        write(&mut self.bytes, PAYLOAD_FEEDBACK, FULL_INTRA, &body);
    }

    /// Says when packets arrived ([`crate::media::bwe::receive_log`]). `of` is one of the streams.
    pub(crate) fn transport_wide(&mut self, of: u32, fci: &[u8]) {
        let mut body = self.about(of);
        body.extend(fci);
        write(&mut self.bytes, TRANSPORT_FEEDBACK, TRANSPORT_WIDE, &body);
    }

    /// Has the sender send these streams, of which there are 31 at most, with `bitrate` bit/s at most
    /// (draft-alvestrand-rmcat-remb-03), which libwebrtc takes as a bound on all that it sends.
    pub(crate) fn remb(&mut self, bitrate: u32, ssrcs: &[u32]) {
        /// Bits that the mantissa of the bitrate has.
        const MANTISSA: u32 = 18;
        let ssrcs = &ssrcs[..ssrcs.len().min(MAX_BLOCKS)];
        let exponent = (u32::BITS - bitrate.leading_zeros()).saturating_sub(MANTISSA);
        let mantissa = bitrate >> exponent;
        let mut body = self.about(0);
        body.extend(b"REMB");
        body.extend(((ssrcs.len() as u32) << 24 | exponent << MANTISSA | mantissa).to_be_bytes());
        body.extend(ssrcs.iter().flat_map(|ssrc| ssrc.to_be_bytes()));
        write(&mut self.bytes, PAYLOAD_FEEDBACK, APPLICATION_LAYER, &body);
    }

    /// The packet as it is sealed.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn about(&self, of: u32) -> Vec<u8> {
        [self.from.to_be_bytes(), of.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::bwe::rtcp;
    use crate::media::rtp::compound::packets;

    #[test]
    fn keyframes_are_asked_for_in_both_ways() {
        let mut compound = Compound::new(1, "name", &[]);
        compound.picture_loss(7);
        compound.full_intra(8, 3);
        let bytes = compound.into_bytes();
        let asked: Vec<u32> = rtcp::keyframe_requests(&bytes).collect();
        assert_eq!(asked, [7, 8]);
        let kinds: Vec<u8> = packets(&bytes)
            .expect("it is whole")
            .iter()
            .map(|p| p.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                RECEIVER_REPORT,
                SOURCE_DESCRIPTION,
                PAYLOAD_FEEDBACK,
                PAYLOAD_FEEDBACK
            ]
        );
    }

    /// A bitrate alone, as it stands in a compound packet.
    fn remb(from: u32, bitrate: u32, ssrcs: &[u32]) -> Vec<u8> {
        let mut compound = Compound::new(from, "name", &[]);
        let before = compound.bytes.len();
        compound.remb(bitrate, ssrcs);
        compound.into_bytes().split_off(before)
    }

    #[test]
    fn a_bitrate_is_as_the_draft_draws_it() {
        let ssrcs = [0x23456789, 0x2345678a, 0x2345678b];
        let bytes = remb(0x12345678, 0x3fb93 << 1, &ssrcs);
        let expected = [
            0x8f, 206, 0x00, 0x07, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, b'R', b'E', b'M', b'B',
            0x03, 0x07, 0xfb, 0x93, 0x23, 0x45, 0x67, 0x89, 0x23, 0x45, 0x67, 0x8a, 0x23, 0x45,
            0x67, 0x8b,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn bitrates_are_rounded_down_and_never_by_much() {
        for bitrate in [0, 1, 80_000, 262_143, 262_144, 691_200, 2_500_000, u32::MAX] {
            let bytes = remb(1, bitrate, &[]);
            assert_eq!(bytes.len(), 20);
            let exponent = u32::from(bytes[17] >> 2);
            let high = u32::from(bytes[17] & 3) << 16;
            let mantissa = high | u32::from(bytes[18]) << 8 | u32::from(bytes[19]);
            let said = u64::from(mantissa) << exponent;
            let exact = u64::from(bitrate);
            assert!(
                said <= exact && exact - said <= exact >> 17,
                "{said} for {bitrate}"
            );
        }
    }

    proptest! {
        /// Requests are read as they are written.
        #[test]
        fn what_is_asked_for_is_what_is_missing(
            first in any::<u16>(),
            gaps in proptest::collection::vec(1u16..40, 1..100),
        ) {
            let mut missing = vec![first];
            for gap in gaps {
                missing.push(missing[missing.len() - 1].wrapping_add(gap));
            }
            let mut compound = Compound::new(1, "name", &[[0; 24]]);
            compound.nack(9, &missing);
            let bytes = compound.into_bytes();
            let read: Vec<(u32, Vec<u16>)> = rtcp::nacks(&bytes)
                .map(|(of, fci)| (of, rtcp::nacked(fci).collect()))
                .collect();
            prop_assert_eq!(read, vec![(9, missing)]);
        }
    }
}
