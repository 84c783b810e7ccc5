//! What a slot sent last, to be sent again as a packet train; pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::bwe::packet_train;

/// The last packets sent, as many as a packet train is made of.
#[derive(Debug, Default)]
pub(crate) struct RecentPackets {
    /// Sequence numbers and sizes in bytes, the oldest first.
    packets: VecDeque<(u16, usize)>,
    bytes: usize,
    /// Running time of the last one.
    last_sent: Duration,
}

impl RecentPackets {
    /// Adds a packet that is sent at `now`, and drops those that no train needs any more.
    pub(crate) fn record(&mut self, now: Duration, number: u16, size: usize) {
        self.last_sent = now;
        self.bytes += size;
        self.packets.push_back((number, size));
        while let Some((_, first)) = self.packets.front()
            && (self.bytes - first >= packet_train::TARGET_BYTES
                || self.packets.len() > packet_train::MAX_PACKETS)
        {
            self.bytes -= first;
            self.packets.pop_front();
        }
    }

    /// Running time of the last packet; zero before the first.
    pub(crate) fn last_sent(&self) -> Duration {
        self.last_sent
    }

    /// Sequence numbers of the newest packets, the oldest first: as many as make up `bytes`.
    pub(crate) fn newest(&self, bytes: usize) -> Vec<u16> {
        let mut missing = bytes;
        let packets = self.packets.iter().rev().take_while(|(_, size)| {
            let more = missing > 0;
            missing = missing.saturating_sub(*size);
            more
        });
        let mut numbers: Vec<u16> = packets.map(|(number, _)| *number).collect();
        numbers.reverse();
        numbers
    }
}
