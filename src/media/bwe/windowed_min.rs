//! The least of what was measured lately; pure.

use std::collections::VecDeque;
use std::time::Duration;

/// For how many seconds the way of packets is remembered. Longer than any congestion should last,
/// short enough for the drift of two clocks (100 ppm: 3 ms).
const WAY: u64 = 30;

/// The least of the last `SECONDS`.
#[derive(Debug)]
pub(crate) struct Least<T, const SECONDS: u64 = WAY>(VecDeque<(u64, T)>);

impl<T, const SECONDS: u64> Default for Least<T, SECONDS> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Ord + Copy, const SECONDS: u64> Least<T, SECONDS> {
    /// Takes what was measured at `now`.
    pub(crate) fn note(&mut self, now: Duration, value: T) {
        let second = now.as_secs();
        match self.0.back_mut() {
            Some((known, least)) if *known == second => *least = value.min(*least),
            _ => self.0.push_back((second, value)),
        }
        self.forget(now);
    }

    /// Drops what is too old at `now`.
    pub(crate) fn forget(&mut self, now: Duration) {
        let oldest = now.as_secs().saturating_sub(SECONDS);
        while self.0.front().is_some_and(|(second, _)| *second < oldest) {
            self.0.pop_front();
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// `None` if nothing was measured lately.
    pub(crate) fn get(&self) -> Option<T> {
        self.0.iter().map(|(_, value)| *value).min()
    }
}
