//! Median and percentiles of durations, from all of them or from counts.

use std::time::Duration;

use serde::Serialize;

/// Median, 95th percentile and maximum of durations, ms. Percentiles are values that occurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many durations there were.
    pub count: usize,
    /// The median, ms.
    pub p50: f64,
    /// The 95th percentile, ms.
    pub p95: f64,
    /// The longest duration, ms.
    pub max: f64,
}

impl Spread {
    /// Of all these durations; `None` if there are none.
    pub fn of(mut values: Vec<Duration>) -> Option<Self> {
        values.sort_unstable();
        let max = values.last()?.as_secs_f64() * 1000.0;
        let at = |percent| values[rank(values.len(), percent)].as_secs_f64() * 1000.0;
        Some(Self {
            count: values.len(),
            p50: at(50),
            p95: at(95),
            max,
        })
    }
}

/// The index of a percentile among sorted values, by the nearest-rank method.
fn rank(count: usize, percent: usize) -> usize {
    (count * percent).div_ceil(100).max(1) - 1
}

/// Milliseconds from which on a [`Histogram`] no longer tells durations apart.
const LONGEST_MS: usize = 5_000;

/// Counts of durations in whole milliseconds: any number of them in bounded memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
}

impl Histogram {
    /// Adds a duration.
    pub(crate) fn add(&mut self, value: Duration) {
        let ms = usize::try_from(value.as_millis()).unwrap_or(usize::MAX);
        let ms = ms.min(LONGEST_MS);
        if self.counts.len() <= ms {
            self.counts.resize(ms + 1, 0);
        }
        self.counts[ms] = self.counts[ms].saturating_add(1);
    }

    /// Adds all durations of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own = own.saturating_add(*more);
        }
    }

    /// Median, 95th percentile and maximum; `None` if there are no durations.
    pub(crate) fn spread(&self) -> Option<Spread> {
        let count = self.counts.iter().map(|n| *n as usize).sum();
        let max = self.counts.iter().rposition(|n| *n > 0)?;
        let at = |percent| {
            let mut left = rank(count, percent);
            let found = self.counts.iter().position(|n| {
                let here = *n as usize;
                let found = left < here;
                left = left.saturating_sub(here);
                found
            });
            found.unwrap_or(max) as f64
        };
        Some(Spread {
            count,
            p50: at(50),
            p95: at(95),
            max: max as f64,
        })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {:.0} ms, p95 {:.0} ms, longest {:.0} ms ({} samples)",
            self.p50, self.p95, self.max, self.count
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values = (1..=100).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(values).unwrap();
        assert_eq!((spread.p50, spread.p95, spread.max), (50.0, 95.0, 100.0));
        let one = Spread::of(vec![Duration::from_millis(7)]).unwrap();
        assert_eq!((one.p50, one.p95), (7.0, 7.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn counts_say_the_same_as_the_values() {
        let values: Vec<_> = (0..500u64)
            .map(|n| Duration::from_millis(n * n % 701))
            .collect();
        let (mut even, mut odd) = (Histogram::default(), Histogram::default());
        assert_eq!(even.spread(), None);
        for (i, value) in values.iter().enumerate() {
            if i % 2 == 0 { &mut even } else { &mut odd }.add(*value);
        }
        even.merge(&odd);
        assert_eq!(even.spread(), Spread::of(values));
        odd.add(Duration::from_secs(1000));
        assert_eq!(odd.spread().unwrap().max, LONGEST_MS as f64);
    }
}
