//! How often something comes, and so after which silence it has stopped; pure.
//!
//! Cameras send from one picture a second to sixty. What is too long for one is usual for another.

use std::time::Duration;

/// Silence that is no end of anything, however often something came before.
const SHORTEST: Duration = Duration::from_secs(1);
/// Silence that is the end of what has come only once: it may come once a second.
const UNKNOWN: Duration = Duration::from_millis(2500);
/// Silence that is the end of anything.
const LONGEST: Duration = Duration::from_secs(10);
/// How long an interval counts. Afterwards shorter ones take its place.
const REMEMBERED: Duration = Duration::from_secs(5);

/// The intervals at which something has come lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cadence {
    last: Option<Duration>,
    /// The longest interval of late, and when it ended.
    longest: Option<(Duration, Duration)>,
}

impl Cadence {
    /// Notes that something has come at `now`.
    pub(crate) fn arrived(&mut self, now: Duration) {
        let Some(last) = self.last.replace(now) else {
            return;
        };
        let interval = now.saturating_sub(last);
        let counts = self.longest.is_none_or(|(longest, since)| {
            interval >= longest || now.saturating_sub(since) > REMEMBERED + interval
        });
        // After a stop the interval says nothing of what follows.
        if counts && interval <= LONGEST {
            self.longest = Some((interval, now));
        }
    }

    /// Silence after which it has stopped: two and a half of its intervals, so that one that is late
    /// or lost is no end; a second at least.
    pub(crate) fn limit(&self) -> Duration {
        self.longest.map_or(UNKNOWN, |(longest, _)| {
            (longest * 5 / 2).clamp(SHORTEST, LONGEST)
        })
    }

    /// Whether it has stopped at `now`. What has never come has.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.last
            .is_none_or(|last| now.saturating_sub(last) > self.limit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn every(interval: u64, count: u64) -> (Cadence, Duration) {
        let mut cadence = Cadence::default();
        for n in 0..count {
            cadence.arrived(ms(n * interval));
        }
        (cadence, ms((count - 1) * interval))
    }

    #[test]
    fn what_comes_often_is_over_after_a_second() {
        let (cadence, last) = every(33, 100);
        assert!(!cadence.is_over(last + ms(1000)));
        assert!(cadence.is_over(last + ms(1001)));
        assert!(Cadence::default().is_over(ms(0)));
    }

    #[test]
    fn what_comes_once_a_second_goes_on_though_it_is_late() {
        let mut cadence = Cadence::default();
        for n in 0..20 {
            let now = ms(n * 1000 + n % 2 * 20);
            assert!(n == 0 || !cadence.is_over(now), "picture {n}");
            cadence.arrived(now);
        }
        assert!(!cadence.is_over(ms(19_020 + 2400)));
        assert!(cadence.is_over(ms(19_020 + 2600)));
    }

    #[test]
    fn a_stop_is_no_interval_and_slow_times_are_forgotten() {
        let (mut cadence, last) = every(33, 100);
        cadence.arrived(last + ms(60_000));
        assert_eq!(cadence.limit(), SHORTEST);
        let (mut slow, last) = every(2000, 4);
        assert_eq!(slow.limit(), ms(5000));
        for n in 1..300 {
            slow.arrived(last + ms(n * 33));
        }
        assert_eq!(slow.limit(), SHORTEST);
    }
}
