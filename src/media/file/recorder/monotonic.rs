//! Times in a file; pure.
//!
//! The times of packets can go back: when the first sender reports synchronise the streams of a
//! sender (RFC 3550 section 6.4.1), or when another source takes over. No player shows two pictures
//! of the same time, and ffmpeg refuses to copy them. So times only increase, but for pictures that
//! are sent after others that are shown after them (B-frames): their RTP timestamps go back, too.

use std::time::Duration;

/// The resolution of the times that Matroska's muxer writes.
const STEP: Duration = Duration::from_millis(1);

/// Furthest that the timestamp of a picture goes back behind the newest, for it to be one that is
/// shown earlier than it is sent: 16 pictures at 10 a second.
const MAX_REORDERED: Duration = Duration::from_millis(1600);

/// Gives the packets of one track their times.
#[derive(Debug)]
pub(crate) struct MonotonicTimes {
    /// RTP timestamp units per second.
    clock_rate: u32,
    /// Timestamp and time of the packet with the highest time.
    newest: Option<(u32, Duration)>,
}

impl MonotonicTimes {
    /// For a track of this RTP clock rate, Hz.
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            newest: None,
        }
    }

    /// The time in the file of a packet that belongs at `time`. It is that of the packet before if
    /// both have the same RTP timestamp, being of one picture; earlier by what the timestamp is
    /// earlier; and otherwise later.
    pub(crate) fn place(&mut self, timestamp: u32, time: Duration) -> Duration {
        let time = match self.newest {
            Some((newest, at)) if newest == timestamp => at,
            Some((newest, at)) => match self.earlier(newest, timestamp) {
                // Where it would lie before the file begins, the picture is one that cannot be
                // decoded either.
                Some(earlier) => return at.saturating_sub(earlier),
                None => time.max(at + STEP),
            },
            None => time,
        };
        self.newest = Some((timestamp, time));
        time
    }

    /// By how much a timestamp is earlier than the newest, if so little that it is of a picture that
    /// was sent late on purpose.
    fn earlier(&self, newest: u32, timestamp: u32) -> Option<Duration> {
        let units = u64::from(newest.wrapping_sub(timestamp));
        let earlier = Duration::from_micros(units * 1_000_000 / u64::from(self.clock_rate));
        (earlier <= MAX_REORDERED).then_some(earlier)
    }

    /// The highest time so far; zero before the first packet.
    pub(crate) fn last(&self) -> Duration {
        self.newest.map_or(Duration::ZERO, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(came: &[(u32, u64)]) -> Vec<u128> {
        let mut times = MonotonicTimes::new(90_000);
        let place = |(stamp, ms): &(u32, u64)| times.place(*stamp, Duration::from_millis(*ms));
        came.iter()
            .map(place)
            .map(|time| time.as_millis())
            .collect()
    }

    #[test]
    fn no_two_pictures_have_one_time() {
        assert_eq!(MonotonicTimes::new(1).last(), Duration::ZERO);
        let came = [
            (0, 0),
            (0, 0),
            (3600, 40),
            (7200, 20),
            (7200, 20),
            (10_800, 30),
            (14_400, 80),
        ];
        assert_eq!(placed(&came), [0, 0, 40, 41, 41, 42, 80]);
    }

    #[test]
    fn pictures_sent_late_keep_their_own_times() {
        // I P B B as they are sent, shown as I B B P: all of them come when they are sent.
        let came = [
            (0, 0),
            (10_800, 120),
            (3600, 121),
            (7200, 122),
            (21_600, 240),
        ];
        assert_eq!(placed(&came), [0, 120, 40, 80, 240]);
        let wrapped = [(u32::MAX - 3599, 0), (7200, 120), (0, 121)];
        assert_eq!(placed(&wrapped), [0, 120, 40]);
    }

    #[test]
    fn another_source_is_no_picture_sent_late() {
        assert_eq!(
            placed(&[(900_000, 100), (500_000, 110), (503_600, 150)]),
            [100, 110, 150]
        );
    }
}
