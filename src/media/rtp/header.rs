//! The fixed header of an RTP packet (RFC 3550 section 5.1), and sequence numbers; pure.

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
    /// Writes a packet with this header. It has no padding, and none of the header extensions
    /// that `payload` came with: those of one connection mean nothing on another. `csrc` names
    /// who contributed to it. With an `extension` id it has an element of two zero bytes under
    /// that id (RFC 8285 section 4.2).
    pub fn packet(&self, csrc: Option<u32>, extension: Option<u8>, payload: &[u8]) -> Vec<u8> {
        const VERSION: u8 = 2 << 6;
        let extended = u8::from(extension.is_some()) << 4;
        let mut packet = Vec::with_capacity(24 + payload.len());
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
        packet.extend_from_slice(payload);
        packet
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

/// A packet without the list of those who contributed to it (CSRC); `None` if it has none, or is cut
/// short.
pub(crate) fn without_contributors(packet: &[u8]) -> Option<Vec<u8>> {
    /// Bytes before the list.
    const FIXED: usize = 12;
    let (head, rest) = packet.split_at_checked(FIXED)?;
    let contributors = usize::from(head.first()? & 0x0f);
    let rest = rest.get(4 * contributors..).filter(|_| contributors > 0)?;
    let mut packet = [head, rest].concat();
    *packet.first_mut()? &= 0xf0;
    Some(packet)
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
    fn who_contributed_is_taken_out() {
        let header = RtpHeader {
            payload_type: 96,
            seq: 1,
            timestamp: 2,
            marker: true,
            ssrc: 3,
        };
        let with = header.packet(Some(7), Some(5), b"payload");
        let without = header.packet(None, Some(5), b"payload");
        assert_eq!(without_contributors(&with), Some(without.clone()));
        assert_eq!(without_contributors(&without), None);
        assert_eq!(without_contributors(&with[..15]), None);
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
