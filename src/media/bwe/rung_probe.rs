//! Whether a link carries more than is sent over it, found out before a picture depends on it; pure.
//!
//! Packets that have been sent are sent once more beside what is sent anyway, as many as are missing
//! to what is to be carried. If that is too much, a queue begins to build up and that is all; a larger
//! picture would have come late and frozen, and so would the smaller one after it.

use std::time::Duration;

use super::ladder::Rung;

/// For how long a link has to carry it. A queue of 40 ms builds up meanwhile where it is too much by a
/// thirtieth.
const LASTS: Duration = Duration::from_millis(1200);

/// What is being tried on a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trial {
    rung: Rung,
    since: Duration,
    /// bit/s sent beside what is sent anyway.
    more: f64,
}

impl Trial {
    /// Begins at `now` for a rung that needs `needed` bit/s, while `arriving` bit/s arrive.
    pub(crate) fn begin(now: Duration, rung: Rung, needed: f64, arriving: f64) -> Self {
        Self {
            rung,
            since: now,
            more: (needed - arriving).max(0.0),
        }
    }

    /// What it is about.
    pub(crate) fn rung(&self) -> Rung {
        self.rung
    }

    /// Whether the link has carried it.
    pub(crate) fn is_passed(&self, now: Duration) -> bool {
        now >= self.since + LASTS
    }

    /// How many bytes to send again for the `time` until the next estimate.
    pub(crate) fn bytes(&self, time: Duration) -> usize {
        (self.more * time.as_secs_f64() / 8.0) as usize
    }
}
