//! Times in a file that only go on; pure.
//!
//! The times of what comes can go back: when a sender first says how its streams lie to one another
//! (RFC 3550 section 6.4.1), or when another source takes over. Two pictures of one time are what no
//! player shows and what ffmpeg refuses to copy.

use std::time::Duration;

/// The unit of Matroska's times, as its muxer writes them.
const STEP: Duration = Duration::from_millis(1);

/// What was placed last.
#[derive(Debug, Default)]
pub(crate) struct MonotonicTimes {
    last: Option<(u32, Duration)>,
}

impl MonotonicTimes {
    /// Where a packet belongs that would belong at `time`: with the one before where they share their
    /// RTP timestamp, being of one picture, and behind it otherwise.
    pub(crate) fn place(&mut self, timestamp: u32, time: Duration) -> Duration {
        let time = match self.last {
            Some((last, at)) if last == timestamp => at,
            Some((_, at)) => time.max(at + STEP),
            None => time,
        };
        self.last = Some((timestamp, time));
        time
    }

    /// Where the last one went.
    pub(crate) fn last(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pictures_have_one_time() {
        let mut line = MonotonicTimes::default();
        assert_eq!(line.last(), Duration::ZERO);
        let came = [(1, 0), (1, 0), (2, 40), (3, 20), (3, 20), (4, 30), (5, 80)];
        let placed: Vec<u128> = came
            .iter()
            .map(|(stamp, ms)| line.place(*stamp, Duration::from_millis(*ms)).as_millis())
            .collect();
        assert_eq!(placed, [0, 0, 40, 41, 41, 42, 80]);
        assert_eq!(line.last(), Duration::from_millis(80));
    }
}
