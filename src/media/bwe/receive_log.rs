//! Transport-wide congestion control as its receiver: remembers when packets arrived, and writes the
//! feedback that tells their sender (draft-holmer-rmcat-transport-wide-cc-extensions-01); pure. Its
//! other side is [`super::twcc`].

use std::collections::BTreeMap;
use std::time::Duration;

/// Unit of the reference time of feedback, microseconds.
const REFERENCE: i64 = 64_000;
/// Unit of arrival deltas, microseconds.
const DELTA: i64 = 250;
/// Packets that one feedback tells of at most, so that it fits into a packet on the way.
const MAX_TOLD: i64 = 400;
/// Numbers that one may be away from the newest: more are those of another sender.
const MAX_AWAY: i64 = 4_096;

/// When the packets of a connection arrived.
#[derive(Debug, Default)]
pub(crate) struct ReceiveLog {
    /// The highest number that has come, without its wraps.
    highest: Option<i64>,
    /// Arrival of those that have not been told of, microseconds.
    untold: BTreeMap<i64, i64>,
    /// The number after the last that was told of.
    next: i64,
    /// How many feedbacks there were, modulo 256.
    count: u8,
}

/// How feedback tells of one packet: not at all, or when it came after the one before, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Missing,
    Small(u8),
    Large(i16),
}

impl Told {
    fn symbol(self) -> u16 {
        match self {
            Self::Missing => 0,
            Self::Small(_) => 1,
            Self::Large(_) => 2,
        }
    }
}

impl ReceiveLog {
    /// Records that the packet with this transport-wide number came at `now`.
    pub(crate) fn record(&mut self, now: Duration, number: u16) {
        let highest = self.highest.unwrap_or(i64::from(number));
        let ahead = i64::from(number.wrapping_sub(highest as u16).cast_signed());
        if ahead.abs() > MAX_AWAY {
            *self = Self {
                count: self.count,
                ..Self::default()
            };
            return self.record(now, number);
        }
        let number = highest + ahead;
        if self.highest.is_none() {
            self.next = number;
        }
        self.highest = Some(highest.max(number));
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        self.untold.entry(number).or_insert(micros);
        while self.untold.len() > MAX_AWAY as usize {
            self.untold.pop_first();
        }
    }

    /// The next feedback (FCI), if there is anything to tell.
    pub(crate) fn feedback(&mut self) -> Option<Vec<u8>> {
        let (&oldest, &first) = self.untold.first_key_value()?;
        // What was told missing may have come meanwhile.
        let base = self.next.min(oldest).max(oldest - MAX_TOLD / 2);
        let mut at = first.div_euclid(REFERENCE) * REFERENCE;
        let reference = at / REFERENCE;
        let mut told = Vec::new();
        while let Some((&number, &arrived)) = self.untold.first_key_value() {
            let units = (arrived - at).div_euclid(DELTA);
            let Some(one) = delta(units) else {
                break;
            };
            let missing = usize::try_from(number - base).unwrap_or_default();
            if missing >= MAX_TOLD as usize {
                break;
            }
            told.resize(missing, Told::Missing);
            told.push(one);
            at += units * DELTA;
            self.untold.pop_first();
        }
        let count = u16::try_from(told.len()).ok().filter(|count| *count > 0)?;
        self.next = self.next.max(base + i64::from(count));
        let mut fci = Vec::with_capacity(16 + 2 * told.len());
        fci.extend((base as u16).to_be_bytes());
        fci.extend(count.to_be_bytes());
        fci.extend(&(reference as u32).to_be_bytes()[1..]);
        fci.push(self.count);
        self.count = self.count.wrapping_add(1);
        write_chunks(&told, &mut fci);
        for one in told {
            match one {
                Told::Missing => {}
                Told::Small(units) => fci.push(units),
                Told::Large(units) => fci.extend(units.to_be_bytes()),
            }
        }
        // RTCP is made of words of 32 bits.
        fci.resize(fci.len().next_multiple_of(4), 0);
        Some(fci)
    }
}

fn delta(units: i64) -> Option<Told> {
    let small = u8::try_from(units).map(Told::Small);
    small
        .or_else(|_| i16::try_from(units).map(Told::Large))
        .ok()
}

/// Packet status chunks (sections 3.1.3 and 3.1.4): a run of one status, or 14 or 7 single ones.
fn write_chunks(mut told: &[Told], fci: &mut Vec<u8>) {
    while let Some(first) = told.first() {
        let symbol = first.symbol();
        let run = told.iter().take_while(|one| one.symbol() == symbol).count();
        let has_large = told.iter().take(14).any(|one| one.symbol() == 2);
        let (chunk, length) = match run {
            14.. => (symbol << 13 | run.min(0x1fff) as u16, run.min(0x1fff)),
            7.. if has_large => (symbol << 13 | run as u16, run),
            _ if has_large => (0xc000 | vector(told, 7, 2), 7),
            _ => (0x8000 | vector(told, 14, 1), 14),
        };
        fci.extend(chunk.to_be_bytes());
        told = told.get(length..).unwrap_or_default();
    }
}

/// The symbols of the first `count` packets, of `bits` bits each; zeros for those that are not there.
fn vector(told: &[Told], count: usize, bits: u16) -> u16 {
    let symbols = (0..count).map(|n| told.get(n).map_or(0, |one| one.symbol()));
    symbols.fold(0, |vector, symbol| vector << bits | symbol)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::bwe::twcc::SendLog;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_packet_that_comes_after_it_was_told_missing_is_told_of() {
        let mut sender = SendLog::default();
        let mut receiver = ReceiveLog::default();
        for _ in 0..4 {
            let _ = sender.record(ms(0), 100);
        }
        for number in [0, 1, 3] {
            receiver.record(ms(10), number);
        }
        let arrived = |sender: &mut SendLog, fci: Option<Vec<u8>>| {
            let results = sender.on_feedback(&fci.expect("feedback"));
            results
                .iter()
                .filter(|result| result.arrived.is_some())
                .count()
        };
        assert_eq!(arrived(&mut sender, receiver.feedback()), 3);
        assert_eq!(receiver.feedback(), None);
        receiver.record(ms(20), 2);
        let _ = sender.record(ms(30), 100);
        receiver.record(ms(40), 4);
        let fci = receiver.feedback().expect("feedback");
        assert_eq!((&fci[..2], &fci[2..4]), (&[0, 2][..], &[0, 3][..]));
    }

    proptest! {
        /// What is written is read as it was: which packets came, and when.
        #[test]
        fn feedback_is_read_as_it_is_written(
            first in any::<u16>(),
            start in 0u64..100_000_000,
            packets in proptest::collection::vec((0u64..4, 0u64..200_000), 1..1_500),
        ) {
            let mut receiver = ReceiveLog::default();
            let mut sender = SendLog::default();
            for _ in 0..first {
                let _ = sender.record(ms(0), 1);
            }
            let mut at = Duration::from_micros(start);
            let mut arrivals = Vec::new();
            let mut read = Vec::new();
            for (n, (fate, pause)) in packets.iter().enumerate() {
                let number = sender.record(ms(0), 1_000 + n);
                at += Duration::from_micros(*pause);
                if n == 0 || *fate > 0 {
                    receiver.record(at, number);
                    arrivals.push((1_000 + n, at.as_micros() as i64));
                }
                if n % 97 == 0 {
                    while let Some(fci) = receiver.feedback() {
                        prop_assert!(fci.len() % 4 == 0 && fci.len() <= 1_000);
                        read.extend(sender.on_feedback(&fci));
                    }
                }
            }
            while let Some(fci) = receiver.feedback() {
                read.extend(sender.on_feedback(&fci));
            }
            let told: Vec<(usize, i64)> = read
                .iter()
                .filter_map(|result| Some((result.size, result.arrived?)))
                .collect();
            prop_assert_eq!(told.len(), arrivals.len());
            for ((size, told), (expected, arrived)) in told.iter().zip(&arrivals) {
                prop_assert_eq!(size, expected);
                prop_assert!((arrived - told).abs() < 300, "{} for {}", told, arrived);
            }
        }
    }
}
