//! The minimum of what was measured lately; pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Seconds over which the base delay of a link is looked for. Longer than any congestion should
/// last, short enough for the drift of two clocks (100 ppm: 3 ms).
const BASE_DELAY_WINDOW: u64 = 30;

/// The minimum over the last `SECONDS`, in steps of one second.
#[derive(Debug)]
pub(crate) struct WindowedMin<T, const SECONDS: u64 = BASE_DELAY_WINDOW>(VecDeque<(u64, T)>);

impl<T, const SECONDS: u64> Default for WindowedMin<T, SECONDS> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Ord + Copy, const SECONDS: u64> WindowedMin<T, SECONDS> {
    /// Adds a value measured at `now`, on a clock that does not go back.
    pub(crate) fn record(&mut self, now: Duration, value: T) {
        let second = now.as_secs();
        match self.0.back_mut() {
            Some((known, least)) if *known == second => *least = value.min(*least),
            _ => self.0.push_back((second, value)),
        }
        self.forget(now);
    }

    /// Drops values that have left the window by `now`.
    pub(crate) fn forget(&mut self, now: Duration) {
        let oldest = now.as_secs().saturating_sub(SECONDS);
        while self.0.front().is_some_and(|(second, _)| *second < oldest) {
            self.0.pop_front();
        }
    }

    /// Drops all values.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The minimum of the window; `None` if nothing was measured in it.
    pub(crate) fn get(&self) -> Option<T> {
        self.0.iter().map(|(_, value)| *value).min()
    }
}
