//! Which packets of one stream are missing, and when to ask for them (NACK, RFC 4585 section 6.2.1);
//! pure.
//!
//! What is missing is asked for at once, as browsers do, and again when an answer would have come by
//! then: for as long as it is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

/// Most packets that are asked for. A larger gap is made good by a keyframe.
const MAX_MISSING: usize = 500;
/// The round trip before any was measured: that of most links or more.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Shortest time between two requests for one packet.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);
/// Share of a measured round trip in their mean.
const MEAN_OF: u32 = 8;

/// A packet that is missing.
#[derive(Debug, Clone, Copy)]
struct Request {
    noticed: Duration,
    last: Option<Duration>,
    times: u32,
}

/// The missing packets of one stream, by their numbers that do not wrap ([`super::sequence`]).
#[derive(Debug)]
pub(crate) struct Missing {
    /// How long one is asked for.
    wait: Duration,
    highest: Option<i64>,
    requests: BTreeMap<i64, Request>,
    round_trip: Duration,
}

impl Missing {
    /// For a stream whose missing packets are waited for that long.
    pub(crate) fn new(wait: Duration) -> Self {
        Self {
            wait,
            highest: None,
            requests: BTreeMap::new(),
            round_trip: ASSUMED_ROUND_TRIP,
        }
    }

    /// Takes a packet that came at `now`, perhaps later than others that were sent after it.
    pub(crate) fn came(&mut self, now: Duration, number: i64) {
        self.requests.remove(&number);
        let highest = *self.highest.get_or_insert(number);
        if number > highest {
            self.notice(now, highest + 1..number);
            self.highest = Some(number);
        }
    }

    /// Takes a packet that was sent again and came at `now`. Returns whether it had been asked for.
    pub(crate) fn came_again(&mut self, now: Duration, number: i64) -> bool {
        let request = self.requests.remove(&number);
        // The answer to the only request: of several it is not known which was answered.
        if let Some(Request {
            last: Some(asked),
            times: 1,
            ..
        }) = request
        {
            let measured = now.saturating_sub(asked);
            self.round_trip = (self.round_trip * (MEAN_OF - 1) + measured) / MEAN_OF;
        }
        self.came(now, number);
        request.is_some_and(|request| request.times > 0)
    }

    fn notice(&mut self, now: Duration, gap: std::ops::Range<i64>) {
        let length = usize::try_from(gap.end - gap.start).unwrap_or(usize::MAX);
        if length.saturating_add(self.requests.len()) > MAX_MISSING {
            self.requests.clear();
            return;
        }
        let request = Request {
            noticed: now,
            last: None,
            times: 0,
        };
        self.requests.extend(gap.map(|number| (number, request)));
    }

    /// Whether none is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether a packet of that number is missing.
    pub(crate) fn misses(&self, number: i64) -> bool {
        self.requests.contains_key(&number)
    }

    /// The numbers to ask for at `now`, in their order.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<i64> {
        if self.requests.is_empty() {
            return Vec::new();
        }
        let wait = self.wait;
        self.requests
            .retain(|_, request| now < request.noticed + wait);
        let interval = (self.round_trip * 5 / 4).max(LEAST_INTERVAL);
        let due = self.requests.iter_mut().filter_map(|(number, request)| {
            if request.last.is_some_and(|last| now < last + interval) {
                return None;
            }
            request.last = Some(now);
            request.times += 1;
            Some(*number)
        });
        due.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(250);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes_or_is_too_late() {
        let mut missing = Missing::new(WAIT);
        missing.came(ms(0), 5);
        missing.came(ms(10), 8);
        assert_eq!(missing.due(ms(10)), [6, 7]);
        assert!(missing.due(ms(60)).is_empty(), "it has just been asked for");
        assert!(missing.came_again(ms(70), 6));
        assert!(missing.misses(7));
        let again: Vec<u64> = (71..400).filter(|at| missing.due(ms(*at)) == [7]).collect();
        assert!((1..=3).contains(&again.len()), "{again:?}");
        assert!(again.iter().all(|at| *at < 260));
        assert!(!missing.misses(7));
    }

    #[test]
    fn a_short_way_is_asked_more_often() {
        let mut missing = Missing::new(WAIT);
        missing.came(ms(0), 0);
        let mut number = 0;
        for n in 0..40 {
            number += 2;
            let at = ms(1_000 * n);
            missing.came(at, number);
            assert_eq!(missing.due(at), [number - 1]);
            assert!(missing.came_again(at + ms(4), number - 1));
        }
        missing.came(ms(60_000), number + 2);
        let asked = (0..250).filter(|at| !missing.due(ms(60_000 + at)).is_empty());
        assert!(asked.count() > 10);
    }

    #[test]
    fn a_large_gap_is_not_asked_for() {
        let mut missing = Missing::new(WAIT);
        missing.came(ms(0), 0);
        missing.came(ms(0), 1_000);
        assert!(missing.due(ms(0)).is_empty());
    }
}
