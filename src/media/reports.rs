//! What a receiver says of packets lost in its reception reports (RFC 3550 section 6.4); pure.
//!
//! Every receiver sends them, every few seconds: that is all there is of a link where no arrivals
//! are told (transport-wide congestion control), and of sound from browsers that tell them of
//! pictures alone.

use std::collections::BTreeMap;
use std::time::Duration;

/// For so long a report is news: the next one has been lost, if it does not come meanwhile.
const NEWS: Duration = Duration::from_secs(12);

/// RTCP packet types (section 12.1) and where their report blocks begin, bytes.
const SENDER_REPORT: (u8, usize) = (200, 28);
const RECEIVER_REPORT: (u8, usize) = (201, 8);
/// Bytes of a report block.
const BLOCK: usize = 24;

/// What has been reported last of each stream.
#[derive(Debug, Default)]
pub struct Reports {
    losses: BTreeMap<u32, (Duration, f32)>,
}

impl Reports {
    /// Takes a compound packet of RTCP that came at `now`.
    pub fn hear(&mut self, now: Duration, compound: &[u8]) {
        self.losses.retain(|_, (told, _)| *told + NEWS > now);
        for block in blocks(compound) {
            if let [a, b, c, d, lost, ..] = *block {
                let ssrc = u32::from_be_bytes([a, b, c, d]);
                let loss = f32::from(lost) / 256.0;
                self.losses.insert(ssrc, (now, loss));
            }
        }
    }

    /// The share of the packets of a stream that was lost between the last two reports, 0 to 1;
    /// `None` if nothing has been reported lately.
    pub fn loss(&self, now: Duration, ssrc: u32) -> Option<f32> {
        let (told, loss) = self.losses.get(&ssrc)?;
        (*told + NEWS > now).then_some(*loss)
    }
}

/// The report blocks of a compound packet, as far as it is whole.
fn blocks(compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = compound;
    let packets = std::iter::from_fn(move || {
        let &[first, kind, high, low, ..] = rest else {
            return None;
        };
        let words = usize::from(u16::from_be_bytes([high, low])) + 1;
        let (packet, behind) = rest.split_at_checked(4 * words)?;
        rest = behind;
        Some((first, kind, packet))
    });
    packets.flat_map(|(first, kind, packet)| {
        let known = [SENDER_REPORT, RECEIVER_REPORT];
        let begin = known.iter().find(|(known, _)| *known == kind);
        let blocks = begin.and_then(|(_, begin)| packet.get(*begin..));
        let count = usize::from(first & 0x1f);
        blocks.unwrap_or_default().chunks_exact(BLOCK).take(count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(ssrc: u32, lost: u8) -> Vec<u8> {
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

    #[test]
    fn each_stream_has_its_own_loss() {
        let sender = [vec![0; 24], block(1, 64)].concat();
        let receiver = [vec![0; 4], block(2, 0), block(3, 255)].concat();
        // A description of sources, of which nothing is read.
        let compound = [
            packet(200, 1, sender),
            packet(202, 1, block(4, 9)),
            packet(201, 2, receiver),
        ];
        let mut reports = Reports::default();
        reports.hear(NOW, &compound.concat());
        let losses = [1, 2, 3, 4].map(|ssrc| reports.loss(NOW, ssrc));
        assert_eq!(losses, [Some(0.25), Some(0.0), Some(255.0 / 256.0), None]);
    }

    #[test]
    fn what_is_old_says_nothing() {
        let mut reports = Reports::default();
        let report = |lost| packet(201, 1, [vec![0; 4], block(1, lost)].concat());
        reports.hear(NOW, &report(64));
        reports.hear(NOW + NEWS / 2, &report(128));
        assert_eq!(reports.loss(NOW + NEWS, 1), Some(0.5));
        assert_eq!(reports.loss(NOW + NEWS * 2, 1), None);
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let whole = packet(201, 2, [vec![0; 4], block(1, 64), block(2, 64)].concat());
        for length in 0..whole.len() {
            let mut reports = Reports::default();
            reports.hear(NOW, &whole[..length]);
            assert_eq!(reports.loss(NOW, 1), None, "{length} bytes");
        }
        let mut claiming = packet(201, 31, [vec![0; 4], block(1, 64)].concat());
        claiming.extend([0x80, 201, 0xff, 0xff]);
        let mut reports = Reports::default();
        reports.hear(NOW, &claiming);
        assert_eq!(reports.loss(NOW, 1), Some(0.25));
    }
}
