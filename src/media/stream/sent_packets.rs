//! The packets that a slot has sent lately, from which those that were lost are sent again, and
//! packet trains are made; pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::outgoing::Outgoing;
use crate::media::bwe::packet_train;
use crate::media::rtp::header::is_newer;

/// How long packets are kept: what a receiver misses it asks for within a few round trips.
const KEPT: Duration = Duration::from_secs(1);
/// Packets that are kept at most, and at least while they are not [`KEPT`] old.
const MAX_KEPT: usize = 1024;
/// Packets that are kept however old they are, for trains to be made of.
const MIN_KEPT: usize = packet_train::MAX_PACKETS;

/// The packets of one slot, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct SentPackets {
    packets: VecDeque<(Duration, Outgoing)>,
    /// Timestamp and first sequence number of the newest keyframe.
    keyframe: Option<(u32, u16)>,
}

impl SentPackets {
    /// Takes a packet that is sent at `now`.
    pub(crate) fn record(&mut self, now: Duration, packet: Outgoing) {
        // A keyframe of H.264 has more than one packet that could be its first.
        let is_other = |newest: (u32, u16)| newest.0 != packet.header.timestamp;
        if packet.starts_keyframe && self.keyframe.is_none_or(is_other) {
            self.keyframe = Some((packet.header.timestamp, packet.header.seq));
        }
        self.packets.push_back((now, packet));
        while self.packets.len() > MIN_KEPT
            && let Some((at, _)) = self.packets.front()
            && (*at + KEPT < now || self.packets.len() > MAX_KEPT)
        {
            self.packets.pop_front();
        }
    }

    /// The packet with that sequence number, if it is still there.
    pub(crate) fn get(&self, seq: u16) -> Option<&Outgoing> {
        let packets = self.packets.iter().rev().map(|(_, packet)| packet);
        let (_, newest) = self.packets.back()?;
        // Numbers hardly ever leave a gap or their order, so it is near where it belongs.
        let behind = usize::from(newest.header.seq.wrapping_sub(seq));
        let near = self.packets.len().checked_sub(behind + 1);
        let guess = near.and_then(|at| self.packets.get(at));
        match guess {
            Some((_, packet)) if packet.header.seq == seq => Some(packet),
            _ => packets.into_iter().find(|packet| packet.header.seq == seq),
        }
    }

    /// Whether a packet was sent before the newest keyframe.
    pub(crate) fn is_before_keyframe(&self, seq: u16) -> bool {
        self.keyframe.is_some_and(|(_, first)| is_newer(first, seq))
    }

    /// The newest packets, the oldest first: as many as make up `bytes`, at most
    /// [`packet_train::MAX_PACKETS`].
    pub(crate) fn newest(&self, bytes: usize) -> impl Iterator<Item = &Outgoing> {
        let newest = self.packets.iter().rev().take(packet_train::MAX_PACKETS);
        let mut missing = bytes;
        let count = newest
            .take_while(|(_, packet)| {
                let more = missing > 0;
                missing = missing.saturating_sub(packet.payload.len());
                more
            })
            .count();
        let from = self.packets.len() - count;
        self.packets.range(from..).map(|(_, packet)| packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::header::RtpHeader;
    use crate::media::stream::outgoing::Payload;

    fn packet(seq: u16, timestamp: u32, starts_keyframe: bool) -> Outgoing {
        gst::init().expect("GStreamer");
        let buffer = gst::Buffer::from_slice([7; 112]);
        Outgoing {
            header: RtpHeader {
                payload_type: 96,
                seq,
                timestamp,
                marker: false,
                ssrc: 1,
            },
            contributor: None,
            starts_keyframe,
            media_time: Duration::ZERO,
            payload: Payload::new(&buffer, 12..112, None),
        }
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_a_keyframe_follows_is_past() {
        let mut sent = SentPackets::default();
        assert!(!sent.is_before_keyframe(7));
        for (seq, timestamp, keyframe) in [
            (65_533, 1, true),
            (65_534, 2, false),
            (65_535, 3, true),
            // Parameter sets and what follows them.
            (0, 3, true),
            (1, 4, false),
        ] {
            sent.record(at(0), packet(seq, timestamp, keyframe));
        }
        let past = [65_533, 65_534, 65_535, 0, 1].map(|seq| sent.is_before_keyframe(seq));
        assert_eq!(past, [true, true, false, false, false]);
    }

    #[test]
    fn packets_are_found_where_numbers_wrap_leave_gaps_and_their_order() {
        let mut sent = SentPackets::default();
        let numbers = [65_530, 65_531, 65_535, 65_534, 0, 3, 2, 4];
        for seq in numbers {
            sent.record(at(0), packet(seq, 0, false));
        }
        for seq in numbers {
            assert_eq!(sent.get(seq).map(|packet| packet.header.seq), Some(seq));
        }
        for seq in [65_529, 65_532, 1, 5, 30_000] {
            assert!(sent.get(seq).is_none(), "{seq}");
        }
    }

    #[test]
    fn packets_are_kept_for_a_second_and_some_for_longer() {
        let mut sent = SentPackets::default();
        for seq in 0..2000 {
            sent.record(at(u64::from(seq) * 10), packet(seq, 0, false));
        }
        assert_eq!(sent.packets.len(), 101);
        sent.record(at(60_000), packet(2000, 0, false));
        assert_eq!(sent.packets.len(), MIN_KEPT);
        for seq in 2001..6000 {
            sent.record(at(60_000), packet(seq, 0, false));
        }
        assert_eq!(sent.packets.len(), MAX_KEPT);
    }

    #[test]
    fn a_train_is_of_the_newest() {
        let mut sent = SentPackets::default();
        for seq in 0..100 {
            sent.record(at(0), packet(seq, 0, false));
        }
        let train = |bytes| sent.newest(bytes).map(|packet| packet.header.seq);
        assert_eq!(train(250).collect::<Vec<u16>>(), [97, 98, 99]);
        assert_eq!(train(0).count(), 0);
        assert_eq!(train(1_000_000).count(), packet_train::MAX_PACKETS);
    }
}
