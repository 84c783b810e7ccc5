//! How much a link carries at most, told by packets that are sent over it at once; pure.
//!
//! A link that carries what is sent over it says nothing of how much more it would carry. But
//! packets that leave together arrive as far apart as the narrowest part of the way lets them
//! through, and a few of them are no burden.

use std::time::Duration;

use super::twcc::Fate;

/// Packets that leave further apart do not belong together.
const TOGETHER: Duration = Duration::from_millis(1);
/// Fewer bytes tell nothing: what limits links lets some through at once.
const LEAST: usize = 4_500;
/// So many bytes are worth being sent; more would hold up sound for longer.
pub(crate) const ENOUGH: usize = 6_000;
/// Nor would more packets than that say more.
pub(crate) const MOST: usize = 24;
/// Marks a request for a packet that nobody misses.
pub(crate) const MARK: &str = "train";
/// The least time that is told apart, microseconds: twice the unit of feedback.
const RESOLUTION: i64 = 500;

/// bit/s at which the newest packets that left together arrived; `None` where none did. `fates` are
/// in the order of leaving.
pub(crate) fn measure<'a>(fates: impl DoubleEndedIterator<Item = &'a Fate>) -> Option<u32> {
    let mut together: Vec<(i64, usize)> = Vec::new();
    let (mut left, mut bytes) = (None, 0);
    for fate in fates.rev() {
        let apart = |after: Duration| after.saturating_sub(fate.sent) > TOGETHER;
        if left.is_some_and(apart) {
            if bytes >= LEAST {
                break;
            }
            together.clear();
            bytes = 0;
        }
        left = Some(fate.sent);
        if let Some(at) = fate.arrived {
            together.push((at, fate.size));
            bytes += fate.size;
        }
    }
    if bytes < LEAST {
        return None;
    }
    // From the newest back: only the later half counts, for the first ones may have been let
    // through at once.
    let (last, _) = *together.first()?;
    let (mut counted, mut span) = (0, RESOLUTION);
    for (at, size) in &together {
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

    /// Packets that leave at once over a link of so many bit/s, which lets `spare` bytes through
    /// for nothing.
    fn over(rate: f64, sizes: &[usize], spare: usize) -> Vec<Fate> {
        let mut queued = 0;
        let fates = sizes.iter().enumerate().map(|(n, size)| {
            queued += size;
            let waits = 8.0 * queued.saturating_sub(spare) as f64 / rate;
            Fate {
                sent: Duration::from_secs(7) + Duration::from_micros(50 * n as u64),
                size: *size,
                arrived: Some(((waits * 4000.0) as i64) * 250 - 33_000_000),
            }
        });
        fates.collect()
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
        for (n, fate) in one_by_one.iter_mut().enumerate() {
            fate.sent += Duration::from_millis(2 * n as u64);
        }
        assert_eq!(measure(one_by_one.iter()), None);
    }

    #[test]
    fn what_came_before_and_after_does_not_matter() {
        let mut fates = over(600e3, &[600; 10], 0);
        let alone = measure(fates.iter());
        let (first, last) = (fates[0], fates[9]);
        let at = |fate: Fate, ms: i64| Fate {
            sent: fate.sent + Duration::from_millis(500) - Duration::from_millis((500 - ms) as u64),
            arrived: fate.arrived.map(|at| at + ms * 1000),
            ..fate
        };
        fates.push(at(last, 40));
        fates.insert(
            0,
            Fate {
                sent: first.sent - Duration::from_millis(30),
                ..first
            },
        );
        assert_eq!(measure(fates.iter()), alone);
    }
}
