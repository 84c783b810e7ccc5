//! How often one address may show a wrong secret; pure, the time is a parameter.
//!
//! To show the same wrong secret again is no guess: a page that was left open with a token of
//! yesterday keeps nobody out who shares its address.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::rate::{Buckets, Rate};

/// Wrong secrets that are remembered of one address.
const KNOWN_WRONG: usize = 8;

/// The wrong secrets of late, by address. Of each a keyed hash is kept, for they are often the right
/// one with a mistake in it.
#[derive(Debug)]
pub(in crate::signalling) struct Guesses {
    buckets: Buckets<IpAddr>,
    known: HashMap<IpAddr, VecDeque<u64>>,
    key: RandomState,
}

impl Guesses {
    pub(in crate::signalling) fn new(rate: Rate) -> Self {
        Self {
            buckets: Buckets::new(rate),
            known: HashMap::new(),
            key: RandomState::new(),
        }
    }

    /// Whether a secret that `address` shows is looked at.
    ///
    /// # Errors
    /// The time to wait until it is.
    pub(in crate::signalling) fn check(
        &self,
        address: IpAddr,
        secret: &str,
        now: Instant,
    ) -> Result<(), Duration> {
        if self.is_known(address, self.key.hash_one(secret)) {
            return Ok(());
        }
        self.buckets.check(&address, now)
    }

    /// Counts a wrong secret that was looked at.
    pub(in crate::signalling) fn wrong(&mut self, address: IpAddr, secret: &str, now: Instant) {
        let hash = self.key.hash_one(secret);
        if self.is_known(address, hash) || self.buckets.take(address, now).is_err() {
            return;
        }
        let known = self.known.entry(address).or_default();
        known.truncate(KNOWN_WRONG - 1);
        known.push_front(hash);
    }

    /// Forgets the addresses that may guess as often as any other.
    pub(in crate::signalling) fn prune(&mut self, now: Instant) {
        self.buckets.prune(now);
        self.known.retain(|address, _| self.buckets.has(address));
    }

    fn is_known(&self, address: IpAddr, hash: u64) -> bool {
        let known = self.known.get(&address);
        known.is_some_and(|known| known.contains(&hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::once_in(Duration::from_secs(6), 3);
    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn who_guesses_waits_and_nobody_else() {
        let (mut guesses, now) = (Guesses::new(RATE), Instant::now());
        for secret in ["a", "b", "c"] {
            assert_eq!(guesses.check(ONE, secret, now), Ok(()));
            guesses.wrong(ONE, secret, now);
        }
        let wait = Err(Duration::from_secs(6));
        assert_eq!(guesses.check(ONE, "the right one", now), wait);
        assert_eq!(guesses.check(OTHER, "the right one", now), Ok(()));
        let later = now + Duration::from_secs(6);
        assert_eq!(guesses.check(ONE, "the right one", later), Ok(()));
    }

    #[test]
    fn the_same_wrong_one_again_and_again_locks_nobody_out() {
        let (mut guesses, begin) = (Guesses::new(RATE), Instant::now());
        for second in 0..600 {
            let now = begin + Duration::from_secs(second);
            for secret in ["stale", "staler"] {
                assert_eq!(guesses.check(ONE, secret, now), Ok(()));
                guesses.wrong(ONE, secret, now);
            }
            assert_eq!(guesses.check(ONE, "the right one", now), Ok(()));
            if second % 5 == 0 {
                guesses.prune(now);
            }
        }
        guesses.prune(begin + Duration::from_secs(700));
        assert!(guesses.known.is_empty());
    }
}
