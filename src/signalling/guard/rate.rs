//! Token buckets: how often something may be done; pure, the time is a parameter.
//!
//! A bucket is kept as the moment at which it is full again (the generic cell rate algorithm), so
//! that one without use costs nothing, and one in use a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Largest number of buckets of one kind that are kept. While so many are in use, what has none yet
/// is refused: memory stays bounded whoever comes from however many addresses.
pub(in crate::signalling) const BUCKETS_LIMIT: usize = 50_000;
/// Least time between two searches for buckets to forget when a place is needed: with as many as may
/// be kept, each takes a while.
const SEARCH_APART: Duration = Duration::from_millis(100);

/// How often something may be done: `burst` times at once, and then again once in `each`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalling) struct Rate {
    each: Duration,
    burst: u32,
}

impl Rate {
    /// `times` a second, and `burst` times at once.
    pub(in crate::signalling) const fn per_second(times: u32, burst: u32) -> Self {
        let times = if times == 0 { 1 } else { times };
        Self {
            each: Duration::from_nanos(1_000_000_000 / times as u64),
            burst,
        }
    }

    /// Once in `each`, and `burst` times at once.
    pub(in crate::signalling) const fn once_in(each: Duration, burst: u32) -> Self {
        Self { each, burst }
    }

    /// The time in which an empty bucket fills.
    fn depth(self) -> Duration {
        self.each.saturating_mul(self.burst)
    }
}

/// One bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::signalling) struct Bucket {
    /// When it is full again; in the past or `None`, it is full.
    full_at: Option<Instant>,
}

impl Bucket {
    /// Whether something may be done now.
    ///
    /// # Errors
    /// The time to wait until it may.
    pub(in crate::signalling) fn check(self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let missing = self.missing(now) + rate.each;
        match missing.checked_sub(rate.depth()) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Takes one out, if something may be done now.
    ///
    /// # Errors
    /// The time to wait until it may.
    pub(in crate::signalling) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.check(rate, now)?;
        self.full_at = Some(now + self.missing(now) + rate.each);
        Ok(())
    }

    /// The time in which it will be full.
    fn missing(self, now: Instant) -> Duration {
        self.full_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

/// A bucket for each key, all with one rate.
#[derive(Debug)]
pub(in crate::signalling) struct Buckets<K> {
    rate: Rate,
    used: HashMap<K, Bucket>,
    searched: Option<Instant>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(in crate::signalling) fn new(rate: Rate) -> Self {
        Self {
            rate,
            used: HashMap::new(),
            searched: None,
        }
    }

    /// Whether `key` may do it now; takes nothing.
    ///
    /// # Errors
    /// The time to wait until it may.
    pub(in crate::signalling) fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        match self.used.get(key) {
            Some(bucket) => bucket.check(self.rate, now),
            None if self.used.len() >= BUCKETS_LIMIT => Err(self.rate.each),
            None => Ok(()),
        }
    }

    /// Takes one out of the bucket of `key`.
    ///
    /// # Errors
    /// The time to wait until one is in it.
    pub(in crate::signalling) fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if self.used.len() >= BUCKETS_LIMIT && !self.used.contains_key(&key) {
            let since = self.searched.map(|at| now.saturating_duration_since(at));
            if since.is_none_or(|since| since >= SEARCH_APART) {
                self.prune(now);
            }
            if self.used.len() >= BUCKETS_LIMIT {
                return Err(self.rate.each);
            }
        }
        self.used.entry(key).or_default().take(self.rate, now)
    }

    /// Whether the bucket of `key` is kept, because it was not full of late.
    pub(in crate::signalling) fn has(&self, key: &K) -> bool {
        self.used.contains_key(key)
    }

    /// Forgets the buckets that are full again.
    pub(in crate::signalling) fn prune(&mut self, now: Instant) {
        self.searched = Some(now);
        self.used.retain(|_, bucket| !bucket.missing(now).is_zero());
        if self.used.capacity() > 4 * self.used.len() {
            self.used.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate::per_second(10, 3);

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let (mut bucket, begin) = (Bucket::default(), Instant::now());
        let mut taken = |ms| {
            let now = begin + Duration::from_millis(ms);
            bucket.take(RATE, now).map_err(|wait| wait.as_millis())
        };
        for _ in 0..3 {
            assert_eq!(taken(0), Ok(()));
        }
        assert_eq!(taken(0), Err(100));
        assert_eq!(taken(40), Err(60));
        assert_eq!(taken(100), Ok(()));
        assert_eq!(taken(100), Err(100), "one at a time");
        for _ in 0..3 {
            assert_eq!(taken(10_000), Ok(()), "full again, and no fuller");
        }
        assert_eq!(taken(10_000), Err(100));
    }

    #[test]
    fn a_check_takes_nothing() {
        let (mut buckets, now) = (
            Buckets::new(Rate::once_in(Duration::from_secs(6), 2)),
            Instant::now(),
        );
        for _ in 0..10 {
            assert_eq!(buckets.check(&1, now), Ok(()));
        }
        for key in [1, 1, 2] {
            assert_eq!(buckets.take(key, now), Ok(()));
        }
        assert_eq!(buckets.check(&1, now), Err(Duration::from_secs(6)));
        assert_eq!(buckets.check(&2, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (mut buckets, now) = (Buckets::new(RATE), Instant::now());
        for key in 0..BUCKETS_LIMIT {
            assert_eq!(buckets.take(key, now), Ok(()));
        }
        assert!(buckets.take(BUCKETS_LIMIT, now).is_err(), "no place");
        assert_eq!(buckets.take(0, now), Ok(()), "who has one keeps it");
        let later = now + Duration::from_millis(150);
        assert_eq!(buckets.take(BUCKETS_LIMIT, later), Ok(()));
        assert_eq!(buckets.used.len(), 2, "the one used twice, and the new one");
        buckets.prune(now + Duration::from_secs(60));
        assert_eq!(buckets.used.capacity(), 0);
    }

    proptest! {
        /// Whatever comes when: in no window more pass than the burst and what was filled in it.
        #[test]
        fn no_window_lets_more_through(gaps in prop::collection::vec(0_u64..300, 1..200)) {
            let (mut bucket, begin) = (Bucket::default(), Instant::now());
            let mut at = Duration::ZERO;
            let mut passed = Vec::new();
            for gap in gaps {
                at += Duration::from_millis(gap);
                if bucket.take(RATE, begin + at).is_ok() {
                    passed.push(at);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, until) in passed.iter().enumerate().skip(first) {
                    let filled = (*until - *from).as_millis() / 100;
                    prop_assert!((last - first) as u128 <= 2 + filled + 1);
                }
            }
        }
    }
}
