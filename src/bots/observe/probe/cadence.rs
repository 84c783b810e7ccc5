//! How evenly frames or packets arrive.

use std::collections::VecDeque;
use std::time::Duration;

/// How many intervals the freeze rule averages over (W3C webrtc-stats, `freezeCount`).
const WINDOW: usize = 30;

/// An interval is a freeze only if it is at least this much longer than the average.
const FREEZE_MARGIN: Duration = Duration::from_millis(150);

/// Statistics of the intervals between instants, such as the arrivals of frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cadence {
    last: Option<Duration>,
    recent: VecDeque<Duration>,
    count: u64,
    longest: Duration,
    freezes: u32,
    frozen: Duration,
}

impl Cadence {
    /// Records an instant. Instants come in order; one before its predecessor counts as equal.
    pub(crate) fn push(&mut self, at: Duration) {
        self.count += 1;
        let Some(last) = self.last.replace(at) else {
            return;
        };
        let interval = at.saturating_sub(last);
        self.longest = self.longest.max(interval);
        if self.is_freeze(interval) {
            self.freezes += 1;
            self.frozen += interval;
        }
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(interval);
    }

    /// The rule of webrtc-stats: a freeze is an interval of at least max(3 averages, average + 150
    /// ms), averaged over the 30 intervals before it.
    fn is_freeze(&self, interval: Duration) -> bool {
        let Ok(n @ 1..) = u32::try_from(self.recent.len()) else {
            return false;
        };
        let average = self.recent.iter().sum::<Duration>() / n;
        interval >= (3 * average).max(average + FREEZE_MARGIN)
    }

    /// Starts measuring anew at the last instant: the interval in progress still counts.
    pub(crate) fn reset(&mut self) {
        self.count = 0;
        self.longest = Duration::ZERO;
        self.freezes = 0;
        self.frozen = Duration::ZERO;
    }

    /// How many instants were recorded since the last reset.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The longest interval since the last reset, the one in progress at `now` included.
    pub(crate) fn longest(&self, now: Duration) -> Duration {
        let running = self.last.map_or(Duration::ZERO, |l| now.saturating_sub(l));
        self.longest.max(running)
    }

    /// How many freezes there were since the last reset.
    pub(crate) fn freezes(&self) -> u32 {
        self.freezes
    }

    /// The total length of these freezes.
    pub(crate) fn frozen(&self) -> Duration {
        self.frozen
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cadence(intervals: &[u64]) -> Cadence {
        let mut cadence = Cadence::default();
        let mut at = Duration::from_secs(5);
        cadence.push(at);
        for ms in intervals {
            at += Duration::from_millis(*ms);
            cadence.push(at);
        }
        cadence
    }

    #[test]
    fn a_freeze_is_max_of_three_averages_and_150_ms_more() {
        let mut steady = vec![33; 30];
        assert_eq!(cadence(&steady).freezes(), 0);
        steady.push(182);
        assert_eq!(cadence(&steady).freezes(), 0);
        *steady.last_mut().unwrap() = 183;
        let frozen = cadence(&steady);
        assert_eq!(
            (frozen.freezes(), frozen.frozen()),
            (1, Duration::from_millis(183))
        );

        // At 10 frames a second, three averages are the longer rule.
        let mut slow = vec![100; 30];
        slow.push(299);
        assert_eq!(cadence(&slow).freezes(), 0);
        *slow.last_mut().unwrap() = 300;
        assert_eq!(cadence(&slow).freezes(), 1);
    }

    #[test]
    fn the_gap_in_progress_counts() {
        let mut cadence = cadence(&[20, 60, 20]);
        let last = Duration::from_millis(5_100);
        assert_eq!(cadence.longest(last), Duration::from_millis(60));
        assert_eq!(
            cadence.longest(last + Duration::from_millis(400)),
            Duration::from_millis(400)
        );
        cadence.reset();
        assert_eq!(cadence.count(), 0);
        cadence.push(last + Duration::from_millis(90));
        assert_eq!(cadence.longest(Duration::ZERO), Duration::from_millis(90));
    }
}
