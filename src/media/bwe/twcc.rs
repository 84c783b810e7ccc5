//! Transport-wide congestion control as its sender: numbers every packet of a connection, and
//! learns from the receiver's feedback when each of them arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01); pure.
//!
//! `rtpsession` can do this too, but keeps what it has sent until feedback comes, however long
//! that takes, and reports each packet in a structure of its own.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::media::rtp::header_extension;

/// Packets remembered at most: some seconds at 10 Mbit/s. A receiver that sends no feedback costs no
/// more. Feedback that tells of more at once is not read: two bytes of it can tell of thousands.
const REMEMBERED: usize = 4096;

/// Unit of the reference time of feedback, microseconds.
const REFERENCE: i64 = 64_000;
/// Unit of arrival deltas, microseconds.
const DELTA: i64 = 250;

/// What transport-wide feedback says of one packet that was sent: that it arrived, and when, or
/// that it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PacketResult {
    /// When it was sent, on the sender's clock.
    pub(crate) sent: Duration,
    /// Bytes, headers included.
    pub(crate) size: usize,
    /// When it arrived, microseconds on the receiver's clock, whose zero means nothing; `None`
    /// if it has not arrived.
    pub(crate) arrived: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Duration,
    size: usize,
    /// Feedback has said what became of it.
    is_reported: bool,
}

/// Numbers packets, and remembers them until feedback says what became of them.
#[derive(Debug, Default)]
pub(crate) struct SendLog {
    /// The number of the next packet.
    next: u16,
    sent: VecDeque<Sent>,
    /// The last reference time, unwrapped.
    reference: Option<i64>,
}

impl SendLog {
    /// Records a packet of `size` bytes that is sent at `now`. Returns its transport-wide sequence
    /// number.
    pub(crate) fn record(&mut self, now: Duration, size: usize) -> u16 {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            at: now,
            size,
            is_reported: false,
        });
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    /// When the oldest packet without a result was sent.
    pub(crate) fn oldest_outstanding(&self) -> Option<Duration> {
        let mut outstanding = self.sent.iter().filter(|sent| !sent.is_reported);
        outstanding.next().map(|sent| sent.at)
    }

    /// Takes the FCI of a feedback packet. Returns the results of packets that had none before.
    /// Whatever makes no sense is left out.
    pub(crate) fn on_feedback(&mut self, fci: &[u8]) -> Vec<PacketResult> {
        let Some(feedback) = Feedback::parse(fci) else {
            return Vec::new();
        };
        let reference = self.unwrap_reference(feedback.reference);
        let mut at = reference * REFERENCE;
        let mut results = Vec::with_capacity(feedback.deltas.len());
        for (n, delta) in feedback.deltas.into_iter().enumerate() {
            let arrived = delta.map(|delta| {
                at += delta * DELTA;
                at
            });
            // There are fewer than 65536.
            let number = feedback.base.wrapping_add(n as u16);
            if let Some(sent) = self.find(number)
                && !std::mem::replace(&mut sent.is_reported, true)
            {
                let (sent, size) = (sent.at, sent.size);
                results.push(PacketResult {
                    sent,
                    size,
                    arrived,
                });
            }
        }
        while self.sent.front().is_some_and(|sent| sent.is_reported) {
            self.sent.pop_front();
        }
        results
    }

    fn find(&mut self, number: u16) -> Option<&mut Sent> {
        let back = usize::from(self.next.wrapping_sub(number));
        let index = self.sent.len().checked_sub(back)?;
        self.sent.get_mut(index)
    }

    /// The reference time without its wraps: it has 24 bits, which is 12 days.
    fn unwrap_reference(&mut self, reference: i64) -> i64 {
        const TURN: i64 = 1 << 24;
        let last = self.reference.unwrap_or(reference);
        let ahead = (reference - last).rem_euclid(TURN);
        let ahead = match ahead >= TURN / 2 {
            true => ahead - TURN,
            false => ahead,
        };
        self.reference = Some(last + ahead);
        last + ahead
    }
}

/// The FCI of a feedback packet (section 3.1 of the draft).
#[derive(Debug, PartialEq, Eq)]
struct Feedback {
    base: u16,
    reference: i64,
    /// Arrival deltas of the packets from `base` on; `None` if one has not arrived.
    deltas: Vec<Option<i64>>,
}

/// How a feedback packet tells of one packet's arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Missing,
    Small,
    Large,
}

impl Status {
    fn of(bits: u16) -> Self {
        match bits {
            1 => Self::Small,
            2 => Self::Large,
            // 3 is reserved.
            _ => Self::Missing,
        }
    }
}

impl Feedback {
    fn parse(fci: &[u8]) -> Option<Self> {
        let (head, mut rest) = fci.split_first_chunk::<8>()?;
        let [b0, b1, c0, c1, r0, r1, r2, _serial] = *head;
        let count = usize::from(u16::from_be_bytes([c0, c1]));
        if count > REMEMBERED {
            return None;
        }
        let mut statuses = Vec::with_capacity(count);
        while statuses.len() < count {
            let (chunk, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            read_chunk(u16::from_be_bytes(*chunk), &mut statuses);
        }
        statuses.truncate(count);
        let mut deltas = Vec::with_capacity(count);
        for status in statuses {
            deltas.push(match status {
                Status::Missing => None,
                Status::Small => {
                    let (delta, after) = rest.split_first()?;
                    rest = after;
                    Some(i64::from(*delta))
                }
                Status::Large => {
                    let (delta, after) = rest.split_first_chunk::<2>()?;
                    rest = after;
                    Some(i64::from(i16::from_be_bytes(*delta)))
                }
            });
        }
        Some(Self {
            base: u16::from_be_bytes([b0, b1]),
            reference: i64::from(u32::from_be_bytes([0, r0, r1, r2])),
            deltas,
        })
    }
}

/// Reads a packet status chunk (sections 3.1.3 and 3.1.4): a run of one status, or
/// 7 or 14 single ones.
fn read_chunk(chunk: u16, statuses: &mut Vec<Status>) {
    match (chunk & 0x8000 != 0, chunk & 0x4000 != 0) {
        (false, _) => {
            let run = usize::from(chunk & 0x1fff);
            let status = Status::of(chunk >> 13 & 0x3);
            statuses.extend(std::iter::repeat_n(status, run));
        }
        (true, false) => {
            let bits = (0..14).rev().map(|n| chunk >> n & 0x1);
            statuses.extend(bits.map(Status::of));
        }
        (true, true) => {
            let pairs = (0..7).rev().map(|n| chunk >> (2 * n) & 0x3);
            statuses.extend(pairs.map(Status::of));
        }
    }
}

/// Writes `number` into the element `id` of a packet's header extensions, which has to be two bytes
/// long. Returns false if the packet has no such element.
pub(crate) fn write_number(packet: &mut [u8], id: u8, number: u16) -> bool {
    element(packet, id)
        .and_then(|data| packet.get_mut(data))
        .map(|place| place.copy_from_slice(&number.to_be_bytes()))
        .is_some()
}

/// Whether a packet has a two-byte element `id`, which [`write_number`] needs.
pub(crate) fn has_number(packet: &[u8], id: u8) -> bool {
    element(packet, id).is_some()
}

/// Where the data of header extension element `id` lies, which must be two bytes long, as a
/// transport-wide sequence number is. `None` if a packet has no such element.
fn element(packet: &[u8], id: u8) -> Option<Range<usize>> {
    header_extension::find(packet, id).filter(|data| data.len() == 2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::rtp::header::RtpHeader;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn head(base: u16, count: u16, reference: u32) -> Vec<u8> {
        let mut fci = Vec::new();
        fci.extend(base.to_be_bytes());
        fci.extend(count.to_be_bytes());
        fci.extend(&reference.to_be_bytes()[1..]);
        fci.push(0);
        fci
    }

    #[test]
    fn every_kind_of_chunk_is_read() {
        let mut log = SendLog::default();
        for n in 0..40 {
            assert_eq!(u64::from(log.record(ms(n), 100)), n);
        }
        let mut fci = head(2, 24, 10);
        // Three small ones; 14 of one bit, of which two arrived; 7 of two bits.
        fci.extend([0x20, 3]);
        fci.extend([0b1010_0000, 0b0000_0001]);
        fci.extend([0b1110_0000, 0b0000_0001]);
        fci.extend([4, 4, 4, 8, 8]);
        fci.extend((-8i16).to_be_bytes());
        fci.push(16);
        let results = log.on_feedback(&fci);
        assert_eq!(results.len(), 24);
        let arrived = |n: usize| results[n - 2].arrived.map(|at| at - 640_000);
        assert_eq!([2, 3, 4].map(arrived), [Some(1000), Some(2000), Some(3000)]);
        assert_eq!([5, 18].map(arrived), [Some(5000), Some(7000)]);
        assert_eq!([6, 17].map(arrived), [None; 2]);
        assert_eq!([19, 20, 25].map(arrived), [Some(5000), None, Some(9000)]);
        assert_eq!(results[3].sent, ms(5));
        assert_eq!(log.on_feedback(&fci), [], "told once");
    }

    #[test]
    fn numbers_and_times_wrap() {
        let mut log = SendLog::default();
        for n in 0..65_540u64 {
            log.record(ms(n), 1);
        }
        let mut fci = head(65_534, 4, (1 << 24) - 1);
        fci.extend([0x20, 4, 0, 0, 0, 0]);
        let before = log.on_feedback(&fci);
        assert_eq!(before.len(), 4);
        assert_eq!(before[3].sent, ms(65_537));
        let mut fci = head(2, 1, 0);
        fci.extend([0x20, 1, 0]);
        let after = log.on_feedback(&fci);
        let passed = after[0].arrived.unwrap() - before[3].arrived.unwrap();
        assert_eq!(passed, REFERENCE);
    }

    #[test]
    fn what_nobody_tells_of_is_forgotten() {
        let mut log = SendLog::default();
        for n in 0..3 * REMEMBERED as u64 {
            log.record(ms(n), 1);
        }
        assert_eq!(log.sent.len(), REMEMBERED);
        assert_eq!(log.oldest_outstanding(), Some(ms(2 * REMEMBERED as u64)));
    }

    #[test]
    fn what_tells_of_more_than_is_remembered_is_not_read() {
        let told = |count: u16| {
            let mut log = SendLog::default();
            for n in 0..100 {
                log.record(ms(n), 1);
            }
            let mut fci = head(0, count, 0);
            // Runs of 8191 packets that have not arrived.
            fci.extend([0x1f, 0xff].repeat(9));
            log.on_feedback(&fci).len()
        };
        assert_eq!(told(REMEMBERED as u16), 100);
        assert_eq!(told(REMEMBERED as u16 + 1), 0);
        assert_eq!(told(u16::MAX), 0);
    }

    #[test]
    fn the_number_is_written_where_the_packet_has_room_for_it() {
        let header = RtpHeader {
            payload_type: 96,
            seq: 1,
            timestamp: 2,
            marker: true,
            ssrc: 3,
        };
        for csrc in [None, Some(7)] {
            let written = |extension| {
                let mut packet = Vec::new();
                header.write(csrc, extension, &mut packet);
                packet.extend(b"payload");
                packet
            };
            let (mut packet, plain) = (written(Some(5)), written(None));
            assert_eq!(packet.len(), plain.len() + 8);
            assert!(packet.ends_with(b"payload"));
            assert!(write_number(&mut packet, 5, 0xabcd));
            assert!(packet.windows(3).any(|w| w == [0x51, 0xab, 0xcd]));
            assert!(!write_number(&mut packet, 6, 1));
            assert!(!write_number(&mut plain.clone(), 5, 1));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(fci in proptest::collection::vec(any::<u8>(), 0..200), n in 0u64..200) {
            let mut log = SendLog::default();
            for n in 0..n {
                log.record(ms(n), 100);
            }
            prop_assert!(log.on_feedback(&fci).len() as u64 <= n);
        }

        #[test]
        fn no_packet_panics(
            mut packet in proptest::collection::vec(any::<u8>(), 0..60),
            id in 1u8..15,
        ) {
            let before = packet.clone();
            write_number(&mut packet, id, 0x1234);
            let changed = before.iter().zip(&packet).filter(|(a, b)| a != b).count();
            prop_assert!(changed <= 2);
        }
    }
}
