//! How old a recording is, and how long it took: by two clocks, of which the wall clock can be set;
//! pure but for [`Clocks::read`].
//!
//! Times in the catalogue are those of the wall clock. They tell an age only as long as that clock
//! has gone on as the other one has. A wall clock that was set makes nothing old: what is there
//! stays, until the clock is set back or the server starts again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::protocol::recording::RecordingId;

/// How far the wall clock may be from where it should be by the other one and still tells ages. NTP
/// corrects a clock that runs badly by some seconds a day; leap seconds are one.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::from_secs(600);

/// How long both clocks have to have agreed before the wall clock tells the age of what this process
/// has not recorded itself. A machine may start with a clock that is years ahead, and set it once it
/// has a network.
pub(super) const SETTLED: Duration = Duration::from_secs(3600);

/// Both clocks of a machine, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clocks {
    /// The time of day, as somebody has set it.
    pub(super) wall: SystemTime,
    /// Time since the machine started, sleep included. Nobody sets it.
    pub(super) steady: Duration,
}

/// Where a catalogue gets the time from.
pub(super) type Clock = Arc<dyn Fn() -> Clocks + Send + Sync>;

impl Clocks {
    /// What the machine says now.
    pub(super) fn read() -> Self {
        let steady = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(steady.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(steady.tv_nsec).unwrap_or_default();
        Self {
            wall: SystemTime::now(),
            steady: Duration::new(seconds, nanoseconds),
        }
    }

    /// The time of day at `now` by the wall clock as it went at `self`.
    fn goes_on_to(self, now: Self) -> SystemTime {
        let passed = now.steady.saturating_sub(self.steady);
        self.wall.checked_add(passed).unwrap_or(self.wall)
    }

    /// Whether the wall clock has gone from `self` to `now` as the other one has.
    fn agree_with(self, now: Self) -> bool {
        let expected = self.goes_on_to(now);
        let off = match now.wall.duration_since(expected) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        off <= CLOCK_TOLERANCE
    }
}

/// The clocks at the times that ages are counted from.
#[derive(Debug)]
pub(super) struct Ages {
    /// When the catalogue was opened. Times of recordings that ended before are taken to be of that
    /// clock.
    opened: Clocks,
    /// When each recording began that this process has begun.
    begun: BTreeMap<RecordingId, Clocks>,
}

impl Ages {
    pub(super) fn new(opened: Clocks) -> Self {
        Self {
            opened,
            begun: BTreeMap::new(),
        }
    }

    /// Notes that a recording begins.
    pub(super) fn begin(&mut self, id: RecordingId, now: Clocks) {
        self.begun.insert(id, now);
    }

    /// Forgets a recording that is not there any more.
    pub(super) fn forget(&mut self, id: &RecordingId) {
        self.begun.remove(id);
    }

    /// The time of day at which a recording ends that ends now, by the clock that it began by; never
    /// before `started`.
    pub(super) fn end(&self, id: &RecordingId, started: SystemTime, now: Clocks) -> SystemTime {
        let ended = match self.begun.get(id) {
            Some(begun) => begun.goes_on_to(now),
            None => now.wall,
        };
        ended.max(started)
    }

    /// Whether a recording that ended at the time of day `ended` is older than `limit`. It is not if
    /// the clocks disagree since that time's clock was read; nor, if another run has recorded it,
    /// before they have agreed for [`SETTLED`]; nor if it ended in the future of the wall clock, which
    /// was wrong then or is now.
    pub(super) fn is_past(
        &self,
        id: &RecordingId,
        ended: SystemTime,
        limit: Duration,
        now: Clocks,
    ) -> bool {
        let begun = self.begun.get(id);
        let since = begun.unwrap_or(&self.opened);
        let is_known = begun.is_some() || now.steady.saturating_sub(since.steady) >= SETTLED;
        let age = now.wall.duration_since(ended);
        is_known && since.agree_with(now) && age.is_ok_and(|age| age >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

    fn id(text: &str) -> RecordingId {
        let json = serde_json::Value::from(text);
        serde_json::from_value(json).expect("an id")
    }

    /// Both clocks, a while after the machine started and the wall clock was right.
    fn at(since: Duration) -> Clocks {
        Clocks {
            wall: SystemTime::UNIX_EPOCH + 1000 * DAY + since,
            steady: since,
        }
    }

    fn set_by(clocks: Clocks, ahead: Duration) -> Clocks {
        Clocks {
            wall: clocks.wall + ahead,
            ..clocks
        }
    }

    #[test]
    fn what_is_old_by_both_clocks_is_old() {
        let ages = Ages::new(at(DAY));
        let ended = at(DAY).wall - 20 * DAY;
        let is_past = |now| ages.is_past(&id("old"), ended, MONTH, now);
        assert!(!is_past(at(DAY)) && !is_past(at(10 * DAY)));
        assert!(is_past(at(11 * DAY)));
        let drifted = set_by(at(11 * DAY), Duration::from_secs(60));
        assert!(is_past(drifted), "no clock is perfect");
    }

    #[test]
    fn a_wall_clock_that_was_set_makes_nothing_old() {
        let mut ages = Ages::new(at(DAY));
        let (before, new) = (id("before"), id("new"));
        ages.begin(new.clone(), at(2 * DAY));
        let ended = at(2 * DAY).wall;
        for id in [&before, &new] {
            let jumped = set_by(at(3 * DAY), 60 * DAY);
            assert!(!ages.is_past(id, ended, MONTH, jumped));
            let later = set_by(at(20 * DAY), 60 * DAY);
            assert!(!ages.is_past(id, ended, MONTH, later), "nor later");
            assert!(ages.is_past(id, ended, MONTH, at(32 * DAY)), "set back");
        }
        // What began with the new clock is as old as that says.
        let after = id("after");
        ages.begin(after.clone(), set_by(at(3 * DAY), 60 * DAY));
        let ended = at(63 * DAY).wall;
        let month_later = set_by(at(34 * DAY), 60 * DAY);
        assert!(ages.is_past(&after, ended, MONTH, month_later));
        let back = Clocks {
            wall: at(3 * DAY).wall,
            steady: at(34 * DAY).steady,
        };
        assert!(!ages.is_past(&after, ended, Duration::ZERO, back));
    }

    /// A machine starts with a clock that is years ahead, and sets it a minute later.
    #[test]
    fn a_clock_that_is_wrong_at_the_start_makes_nothing_old() {
        let minute = Duration::from_secs(60);
        let wrong = set_by(at(DAY), 3000 * DAY);
        let ages = Ages::new(wrong);
        let ended = at(DAY).wall - DAY;
        let is_past = |now| ages.is_past(&id("yesterday"), ended, MONTH, now);
        assert!(!is_past(wrong) && !is_past(set_by(at(DAY + minute), 3000 * DAY)));
        assert!(!is_past(at(DAY + 2 * minute)) && !is_past(at(100 * DAY)));
        // Where nobody ever sets it, nothing else is known.
        assert!(is_past(set_by(at(DAY + SETTLED), 3000 * DAY)));
    }

    #[test]
    fn nothing_of_the_future_is_old() {
        let ages = Ages::new(at(DAY));
        let ended = at(DAY).wall + 3000 * DAY;
        for days in [2, 100, 2000] {
            assert!(!ages.is_past(&id("future"), ended, Duration::ZERO, at(days * DAY)));
        }
    }

    #[test]
    fn nothing_ends_before_it_began() {
        let mut ages = Ages::new(at(DAY));
        let one = id("one");
        ages.begin(one.clone(), at(DAY));
        let started = at(DAY).wall;
        let hour = Duration::from_secs(3600);
        for wall in [at(DAY).wall - 2 * DAY, at(DAY).wall + 60 * DAY] {
            let now = Clocks {
                wall,
                steady: DAY + hour,
            };
            assert_eq!(ages.end(&one, started, now), started + hour);
            let of_another_run = ages.end(&id("another"), started, now);
            assert!(of_another_run >= started);
        }
    }
}
