//! A token bucket: so much a second on average, and so much at once; pure.

use std::time::Duration;

/// A token bucket, full at first. Time is a parameter; a clock that goes back fills nothing.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    per_second: f64,
    most: f64,
    level: f64,
    /// When it was last filled; `None` before its first use.
    filled: Option<Duration>,
}

impl TokenBucket {
    /// Gives `per_second` on average, and `at_once` at most.
    pub(crate) fn new(per_second: u32, at_once: u32) -> Self {
        Self {
            per_second: per_second.into(),
            most: at_once.into(),
            level: at_once.into(),
            filled: None,
        }
    }

    /// Takes `amount` at `now` if all of it is there.
    pub(crate) fn take(&mut self, now: Duration, amount: u32) -> bool {
        self.fill(now);
        let is_there = self.level >= amount.into();
        if is_there {
            self.level -= f64::from(amount);
        }
        is_there
    }

    /// Whether anything is there at `now`.
    pub(crate) fn has_any(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.level > 0.0
    }

    /// Takes `amount`, there or not. What is not there has to come first before anything is there
    /// again.
    pub(crate) fn owe(&mut self, amount: u32) {
        self.level -= f64::from(amount);
    }

    fn fill(&mut self, now: Duration) {
        let passed = self
            .filled
            .map_or(Duration::ZERO, |at| now.saturating_sub(at));
        self.filled = self.filled.max(Some(now));
        self.level = (self.level + self.per_second * passed.as_secs_f64()).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn it_gives_what_it_holds_at_once_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, 5);
        let begin = 1_000_000;
        let taken = |bucket: &mut TokenBucket, at: u64| {
            std::iter::repeat_with(|| bucket.take(ms(at), 1))
                .take_while(|is_taken| *is_taken)
                .count()
        };
        assert_eq!(taken(&mut bucket, begin), 5);
        assert_eq!(taken(&mut bucket, begin + 90), 0);
        assert_eq!(taken(&mut bucket, begin + 300), 3);
        assert_eq!(taken(&mut bucket, begin), 0, "the clock goes back");
        assert_eq!(taken(&mut bucket, begin + 100_000), 5);
        assert!(
            !bucket.clone().take(ms(begin + 200_000), 6),
            "more than it can hold"
        );
    }

    #[test]
    fn a_debt_is_paid_first() {
        let mut bucket = TokenBucket::new(10, 5);
        assert!(bucket.has_any(ms(0)));
        bucket.owe(15);
        assert!(!bucket.has_any(ms(1_000)));
        assert!(bucket.has_any(ms(1_100)));
    }
}
