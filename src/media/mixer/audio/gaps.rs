//! Gaps in the sound of a stream, for packet loss concealment (PLC, RFC 6716 section 4.4): a
//! decoder has to be told of them, and a tap passes on packets and no events; pure.

use std::time::Duration;

use crate::media::rtp::header::missing_between;

/// Longest loss that is announced to the decoder, which has faded out by then.
const MAX_CONCEALED: Duration = Duration::from_millis(120);

/// Longest packet of Opus (RFC 6716 section 2.1.4). If packets seem longer than this, there was a
/// pause: in discontinuous transmission timestamps go on without packets, and nothing was lost.
const LONGEST_PACKET: Duration = Duration::from_millis(120);

/// How far behind the newest a packet can be and is late, packets. With more of them in between, its
/// sender has begun anew.
const LATEST: u16 = 100;

/// Clock rate of Opus in RTP, Hz (RFC 7587 section 4.1).
const CLOCK_RATE: u32 = 48_000;

/// Finds the gaps in one stream, whose packets it is given in their order.
#[derive(Debug, Default)]
pub(crate) struct GapDetector {
    ssrc: Option<u32>,
    /// Sequence number and timestamp of the last packet.
    last: Option<(u16, u32)>,
    /// Length of a packet, in timestamp units, by the last two that followed one another.
    step: Option<u32>,
}

impl GapDetector {
    /// Whether this packet comes too late: behind one that follows it, or once more. A sender that
    /// begins anew, with another SSRC or with numbers from far away, is not late.
    pub(crate) fn is_late(&mut self, ssrc: u32, sequence: u16) -> bool {
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            (self.last, self.step) = (None, None);
        }
        let behind = |(last, _): (u16, u32)| last.wrapping_sub(sequence);
        self.last.is_some_and(|last| behind(last) <= LATEST)
    }

    /// Length of the sound that was lost right before this packet, if any was.
    pub(crate) fn lost_before(&mut self, sequence: u16, timestamp: u32) -> Option<Duration> {
        let (last, was) = self.last.replace((sequence, timestamp))?;
        let missing = u32::from(missing_between(last, sequence));
        let step = timestamp.wrapping_sub(was);
        if missing == 0 {
            self.step = (sequence == last.wrapping_add(1))
                .then_some(step)
                .or(self.step);
            return None;
        }
        // Other payload types have numbers of the same stream (telephone events, RED). Those are no
        // loss where no time is missing.
        if self.step == Some(step) {
            return None;
        }
        let elapsed = u64::from(step) * 1_000_000 / u64::from(CLOCK_RATE);
        let packet = Duration::from_micros(elapsed) / (missing + 1);
        let lost = packet * missing;
        (packet <= LONGEST_PACKET && !lost.is_zero()).then_some(lost.min(MAX_CONCEALED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing before the last of these packets, in ms.
    fn missing(packets: &[(u16, u32)]) -> Option<u128> {
        let mut gaps = GapDetector::default();
        let all = packets.iter().map(|(seq, ts)| gaps.lost_before(*seq, *ts));
        all.last().flatten().map(|lost| lost.as_millis())
    }

    #[test]
    fn what_was_lost_is_as_long_as_what_comes() {
        assert_eq!(missing(&[(7, 0)]), None, "nothing is known before");
        assert_eq!(missing(&[(7, 0), (8, 960)]), None);
        assert_eq!(missing(&[(7, 0), (9, 1920)]), Some(20));
        assert_eq!(missing(&[(7, 0), (10, 2880)]), Some(40));
        assert_eq!(
            missing(&[(65_535, u32::MAX - 479), (1, 1440)]),
            Some(20),
            "both wrap"
        );
        assert_eq!(missing(&[(7, 0), (9, 960)]), Some(10), "packets of 10 ms");
        assert_eq!(missing(&[(7, 0), (8, 480), (10, 1440)]), Some(10));
    }

    #[test]
    fn what_comes_late_or_twice_is_told_from_a_new_beginning() {
        let mut gaps = GapDetector::default();
        let mut late = |ssrc, sequence: u16| {
            let late = gaps.is_late(ssrc, sequence);
            if !late {
                gaps.lost_before(sequence, u32::from(sequence) * 960);
            }
            late
        };
        assert!(!late(1, 65_535) && !late(1, 0) && !late(1, 2));
        assert!(late(1, 1) && late(1, 2) && late(1, 65_535));
        assert!(!late(1, 3) && !late(1, 60_000), "far away");
        assert!(!late(2, 59_999), "another stream");
        assert!(late(2, 59_999));
    }

    #[test]
    fn numbers_of_other_payload_types_are_no_losses() {
        assert_eq!(missing(&[(7, 0), (8, 960), (11, 1920)]), None);
        assert_eq!(
            missing(&[(7, 0), (8, 960), (11, 1920), (13, 3840)]),
            Some(20)
        );
    }

    #[test]
    fn pauses_and_stragglers_are_no_losses() {
        assert_eq!(missing(&[(7, 0), (8, 48_000)]), None, "a pause");
        assert_eq!(missing(&[(7, 0), (9, 48_000)]), None, "one lost in a pause");
        assert_eq!(missing(&[(7, 960), (7, 960)]), None);
        assert_eq!(missing(&[(7, 960), (5, 0)]), None);
        assert_eq!(missing(&[(7, 960), (9, 960)]), None, "no time has passed");
        assert_eq!(
            missing(&[(7, 0), (57, 48_000)]),
            Some(120),
            "as much as can be concealed"
        );
    }
}
