//! The fixed header of an RTP packet (RFC 3550 section 5.1), and sequence numbers; pure.

use std::ops::Range;

/// The fields of a fixed RTP header (RFC 3550 section 5.1) that a slot rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpHeader {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number; wraps.
    pub seq: u16,
    /// Media time in units of the clock rate; wraps.
    pub timestamp: u32,
    /// Video: the last packet of a frame. Audio: the first after silence.
    pub marker: bool,
    /// Synchronization source (SSRC): the stream.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Bytes of a header without contributors and extensions.
    pub(crate) const LEN: usize = 12;

    /// Reads the header of a packet, and where in it the payload is: behind contributors and header
    /// extensions, and before padding. `None` for what is no whole packet of RTP.
    pub(crate) fn parse(packet: &[u8]) -> Option<(Self, Range<usize>)> {
        let &[first, second, s0, s1, t0, t1, t2, t3, a, b, c, d, ..] = packet else {
            return None;
        };
        let (version, is_padded, is_extended) = (first >> 6, first & 0x20 != 0, first & 0x10 != 0);
        let mut from = Self::LEN + 4 * usize::from(first & 0x0f);
        if is_extended {
            let &[_, _, high, low] = packet.get(from..)?.first_chunk()?;
            from += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        let padding = match is_padded {
            true => usize::from(*packet.last()?).max(1),
            false => 0,
        };
        let to = packet.len().checked_sub(padding)?;
        let header = Self {
            payload_type: second & 0x7f,
            seq: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            marker: second & 0x80 != 0,
            ssrc: u32::from_be_bytes([a, b, c, d]),
        };
        (version == 2 && from <= to).then_some((header, from..to))
    }

    /// A packet with this header, without contributors and extensions.
    pub(crate) fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(Self::LEN + payload.len());
        self.write(None, None, &mut packet);
        packet.extend_from_slice(payload);
        packet
    }

    /// A packet with this header in place of that which `head` begins with, with its contributors and
    /// extensions, and another payload without padding.
    pub(crate) fn in_place_of(&self, head: &[u8], payload: &[u8]) -> Vec<u8> {
        const PADDED: u8 = 0x20;
        let mut fixed = Vec::with_capacity(Self::LEN);
        self.write(None, None, &mut fixed);
        let mut packet = [head, payload].concat();
        if let (Some(first), Some(fixed)) = (packet.first_mut(), fixed.get(1..)) {
            *first &= !PADDED;
            if let Some(place) = packet.get_mut(1..Self::LEN) {
                place.copy_from_slice(fixed);
            }
        }
        packet
    }

    /// Appends this header to `packet`, which its payload is to follow. `csrc` names who contributed to
    /// it. With an `extension` id it has an element of two zero bytes under that id (RFC 8285 section
    /// 4.2). It has none of the extensions that a payload came with: those of one connection mean
    /// nothing on another.
    pub(crate) fn write(&self, csrc: Option<u32>, extension: Option<u8>, packet: &mut Vec<u8>) {
        const VERSION: u8 = 2 << 6;
        let extended = u8::from(extension.is_some()) << 4;
        packet.push(VERSION | extended | u8::from(csrc.is_some()));
        packet.push(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        if let Some(csrc) = csrc {
            packet.extend(csrc.to_be_bytes());
        }
        if let Some(id) = extension {
            packet.extend([0xbe, 0xde, 0, 1, id << 4 | 1, 0, 0, 0]);
        }
    }
}

/// SSRC and sequence number of a packet; `None` if its header is cut short.
pub(crate) fn ssrc_and_seq(packet: &[u8]) -> Option<(u32, u16)> {
    let &[_, _, high, low, _, _, _, _, a, b, c, d, ..] = packet else {
        return None;
    };
    let ssrc = u32::from_be_bytes([a, b, c, d]);
    Some((ssrc, u16::from_be_bytes([high, low])))
}

/// Whether sequence number `a` comes after `b`: by less than half of all numbers, since they wrap.
pub(crate) fn is_newer(a: u16, b: u16) -> bool {
    (1..0x8000).contains(&a.wrapping_sub(b))
}

/// How many packets are missing between two that arrived one after the other. 0 for the following
/// one, for the same one once more, and for one from behind.
pub(crate) fn missing_between(last: u16, next: u16) -> u16 {
    match is_newer(next, last) {
        true => next.wrapping_sub(last) - 1,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_replaced_and_its_extensions_stay() {
        let header = |payload_type, seq, ssrc| RtpHeader {
            payload_type,
            seq,
            timestamp: 9,
            marker: true,
            ssrc,
        };
        let mut packet = Vec::new();
        header(97, 1, 7).write(Some(5), Some(3), &mut packet);
        let head = packet.len();
        packet.extend([0, 2, 0xaa, 0xbb, 0, 2]);
        packet[0] |= 0x20;
        let (_, payload) = RtpHeader::parse(&packet).expect("a packet");
        assert_eq!(payload, head..head + 4);
        let again = header(96, 2, 8).in_place_of(&packet[..head], &[0xaa, 0xbb]);
        let mut expected = Vec::new();
        header(96, 2, 8).write(Some(5), Some(3), &mut expected);
        expected.extend([0xaa, 0xbb]);
        assert_eq!(again, expected);
    }

    #[test]
    fn a_header_is_read_as_it_is_written() {
        let header = RtpHeader {
            payload_type: 96,
            seq: 0x0102,
            timestamp: 0x0304_0506,
            marker: true,
            ssrc: 0x0708_090a,
        };
        for (csrc, extension) in [
            (None, None),
            (Some(7), None),
            (None, Some(5)),
            (Some(7), Some(5)),
        ] {
            let mut packet = Vec::new();
            header.write(csrc, extension, &mut packet);
            let start = packet.len();
            assert_eq!(RtpHeader::parse(&packet), Some((header, start..start)));
            packet.extend(b"payload");
            assert_eq!(RtpHeader::parse(&packet), Some((header, start..start + 7)));
            packet[0] |= 0x20;
            packet.extend([0, 0, 3]);
            assert_eq!(RtpHeader::parse(&packet), Some((header, start..start + 7)));
            for padding in [4, 10, 0xff] {
                packet.truncate(start);
                packet.push(padding);
                assert_eq!(RtpHeader::parse(&packet), None, "more padding than packet");
            }
            assert_eq!(RtpHeader::parse(&packet[..start - 1]), None);
        }
    }

    #[test]
    fn sequence_numbers_wrap_and_those_from_behind_are_no_gap() {
        assert!(is_newer(1, 65_535) && !is_newer(65_535, 1) && !is_newer(5, 5));
        let missing = |last, next| missing_between(last, next);
        assert_eq!([missing(7, 8), missing(7, 9), missing(7, 17)], [0, 1, 9]);
        assert_eq!([missing(65_535, 1), missing(65_534, 0)], [1, 1]);
        assert_eq!([missing(7, 7), missing(7, 5), missing(0, 0x8000)], [0; 3]);
        assert_eq!(missing(0, 0x7fff), 0x7ffe);
    }
}
