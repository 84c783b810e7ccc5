//! Times in a file, which only increase; pure.
//!
//! The times of packets can go back: when the first sender reports synchronise the streams of a
//! sender (RFC 3550 section 6.4.1), or when another source takes over. No player shows two pictures
//! of the same time, and ffmpeg refuses to copy them.

use std::time::Duration;

/// The resolution of the times that Matroska's muxer writes.
const STEP: Duration = Duration::from_millis(1);

/// Makes the times of one track increase.
#[derive(Debug, Default)]
pub(crate) struct MonotonicTimes {
    last: Option<(u32, Duration)>,
}

impl MonotonicTimes {
    /// The time in the file of a packet that belongs at `time`. It is that of the packet before if
    /// both have the same RTP timestamp, being of one picture, and later otherwise.
    pub(crate) fn place(&mut self, timestamp: u32, time: Duration) -> Duration {
        let time = match self.last {
            Some((last, at)) if last == timestamp => at,
            Some((_, at)) => time.max(at + STEP),
            None => time,
        };
        self.last = Some((timestamp, time));
        time
    }

    /// The time in the file of the last packet; zero before the first.
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
