//! Packet trains (libwebrtc: probe clusters): packets that are sent at once show how much a link
//! carries at most; pure.
//!
//! A link that carries what is sent over it says nothing of how much more it would carry. But
//! packets that leave together arrive as far apart as the narrowest part of the way lets them
//! through, and a few of them are no burden.

use std::time::Duration;

use super::twcc::PacketResult;

/// Packets that leave further apart than this are not of one train.
const MAX_GAP: Duration = Duration::from_millis(1);
/// Trains of fewer bytes say nothing: what limits links lets some bytes through at once.
const MIN_BYTES: usize = 4_500;
/// Bytes that a train is made of; more would hold up sound for longer.
pub(crate) const TARGET_BYTES: usize = 6_000;
/// Packets that a train is made of at most; more would say no more.
pub(crate) const MAX_PACKETS: usize = 24;
/// Shortest time over which a rate is computed, microseconds: twice the unit of feedback.
const RESOLUTION: i64 = 500;

/// The rate at which the newest train of packets arrived, bit/s; `None` if there was none.
/// `results` are in the order of sending.
pub(crate) fn measure<'a>(
    results: impl DoubleEndedIterator<Item = &'a PacketResult>,
) -> Option<u32> {
    let mut train: Vec<(i64, usize)> = Vec::new();
    let (mut next_sent, mut bytes) = (None, 0);
    for result in results.rev() {
        let is_apart = |next: Duration| next.saturating_sub(result.sent) > MAX_GAP;
        if next_sent.is_some_and(is_apart) {
            if bytes >= MIN_BYTES {
                break;
            }
            train.clear();
            bytes = 0;
        }
        next_sent = Some(result.sent);
        if let Some(at) = result.arrived {
            train.push((at, result.size));
            bytes += result.size;
        }
    }
    if bytes < MIN_BYTES {
        return None;
    }
    // From the newest back: only the later half counts, because the first packets may have been
    // let through at once.
    let (last, _) = *train.first()?;
    let (mut counted, mut span) = (0, RESOLUTION);
    for (at, size) in &train {
        span = span.max(last - at);
        if counted >= bytes / 2 {
            break;
        }
        counted += size;
    }
    Some((8.0 * counted as f64 / (span as f64 / 1e6)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets that leave at once over a link of so many bit/s, which lets
    /// `spare` bytes through for nothing.
    fn over(rate: f64, sizes: &[usize], spare: usize) -> Vec<PacketResult> {
        let mut queued = 0;
        let results = sizes.iter().enumerate().map(|(n, size)| {
            queued += size;
            let waits = 8.0 * queued.saturating_sub(spare) as f64 / rate;
            PacketResult {
                sent: Duration::from_secs(7) + Duration::from_micros(50 * n as u64),
                size: *size,
                arrived: Some(((waits * 4000.0) as i64) * 250 - 33_000_000),
            }
        });
        results.collect()
    }

    #[test]
    fn packets_that_leave_together_tell_how_wide_the_way_is() {
        for rate in [150e3, 600e3, 3e6] {
            for spare in [0, 2_000] {
                for sizes in [
                    &[600; 10][..],
                    &[1200; 5],
                    &[1200, 300, 1200, 1200, 300, 1200, 600],
                ] {
                    let told = f64::from(measure(over(rate, sizes, spare).iter()).expect("told"));
                    assert!((0.8..1.3).contains(&(told / rate)), "{told} of {rate}");
                }
            }
        }
        let wide = measure(over(1e9, &[600; 10], 0).iter());
        assert!(wide.is_some_and(|rate| rate > 20_000_000), "{wide:?}");
    }

    #[test]
    fn few_packets_and_those_that_leave_one_by_one_tell_nothing() {
        assert_eq!(measure([].iter()), None);
        assert_eq!(measure(over(600e3, &[600; 7], 0).iter()), None);
        let mut one_by_one = over(600e3, &[600; 20], 0);
        for (n, result) in one_by_one.iter_mut().enumerate() {
            result.sent += Duration::from_millis(2 * n as u64);
        }
        assert_eq!(measure(one_by_one.iter()), None);
    }

    #[test]
    fn what_came_before_and_after_does_not_matter() {
        let mut results = over(600e3, &[600; 10], 0);
        let alone = measure(results.iter());
        let (first, last) = (results[0], results[9]);
        let at = |result: PacketResult, ms: i64| PacketResult {
            sent: result.sent + Duration::from_millis(500)
                - Duration::from_millis((500 - ms) as u64),
            arrived: result.arrived.map(|at| at + ms * 1000),
            ..result
        };
        results.push(at(last, 40));
        results.insert(
            0,
            PacketResult {
                sent: first.sent - Duration::from_millis(30),
                ..first
            },
        );
        assert_eq!(measure(results.iter()), alone);
    }
}
