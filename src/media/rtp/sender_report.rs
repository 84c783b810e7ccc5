//! Sender reports (RFC 3550 section 6.4.1): how the timestamps of a stream lie to the wall clock, by
//! which a receiver plays sound and picture of one sender together; pure.

use std::time::Duration;

use super::compound::{SENDER_REPORT, SOURCE_DESCRIPTION, write};

/// From the first second of NTP to that of Unix (RFC 5905 section 6).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// What a report says of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderReport {
    pub(crate) ssrc: u32,
    /// The wall clock when the report leaves, since the first second of Unix.
    pub(crate) at: Duration,
    /// The timestamp that a packet of that moment would have.
    pub(crate) timestamp: u32,
    /// Packets sent so far, modulo 2^32.
    pub(crate) packets: u32,
    /// Bytes of their payloads, modulo 2^32.
    pub(crate) octets: u32,
}

impl SenderReport {
    /// The report as a compound packet, with the canonical name of the sender (RFC 3550 section 6.5.1),
    /// which is that of all of its streams.
    pub(crate) fn compound(&self, cname: &str) -> Vec<u8> {
        let mut body = self.ssrc.to_be_bytes().to_vec();
        body.extend(ntp(self.at).to_be_bytes());
        for word in [self.timestamp, self.packets, self.octets] {
            body.extend(word.to_be_bytes());
        }
        let mut compound = Vec::new();
        write(&mut compound, SENDER_REPORT, 0, &body);
        write(
            &mut compound,
            SOURCE_DESCRIPTION,
            1,
            &chunk(self.ssrc, cname),
        );
        compound
    }
}

/// A time since the first second of Unix as an NTP timestamp: seconds in the upper half, fractions of
/// 2^-32 seconds in the lower.
fn ntp(at: Duration) -> u64 {
    let fraction = (u64::from(at.subsec_nanos()) << 32) / 1_000_000_000;
    (at.as_secs().wrapping_add(NTP_TO_UNIX) << 32) | fraction
}

/// A chunk of a source description: the SSRC, the canonical name, and zeros to the end of a word.
pub(super) fn chunk(ssrc: u32, cname: &str) -> Vec<u8> {
    const CNAME: u8 = 1;
    let name = cname.as_bytes();
    let name = &name[..name.len().min(u8::MAX.into())];
    let mut chunk = ssrc.to_be_bytes().to_vec();
    chunk.extend([CNAME, name.len() as u8]);
    chunk.extend(name);
    // At least one zero ends the list of items.
    chunk.resize((chunk.len() + 1).next_multiple_of(4), 0);
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::compound::packets;

    #[test]
    fn a_report_is_as_the_standard_draws_it() {
        let report = SenderReport {
            ssrc: 0x0102_0304,
            at: Duration::from_millis(1_500),
            timestamp: 5,
            packets: 6,
            octets: 7,
        };
        let compound = report.compound("abc");
        let packets = packets(&compound).expect("a compound packet");
        let words = [0x0102_0304u32, 0x83aa_7e81, 0x8000_0000, 5, 6, 7];
        assert_eq!(packets.len(), 2);
        assert_eq!((packets[0].kind, packets[0].count), (200, 0));
        assert_eq!(packets[0].body, words.map(u32::to_be_bytes).concat());
        assert_eq!((packets[1].kind, packets[1].count), (202, 1));
        assert_eq!(packets[1].body, b"\x01\x02\x03\x04\x01\x03abc\0\0\0");
    }

    #[test]
    fn a_chunk_of_any_name_is_whole_words_and_ends() {
        for length in 0..300 {
            let chunk = chunk(1, &"x".repeat(length));
            assert!(chunk.len().is_multiple_of(4) && chunk.ends_with(&[0]));
        }
    }
}
