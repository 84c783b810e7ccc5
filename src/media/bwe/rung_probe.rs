//! Whether a link carries more than is sent over it, found out before a picture depends on it;
//! pure.
//!
//! Packets that have been sent are sent once more beside what is sent anyway, as many as are
//! missing between that and what is to be carried. If it is too much, a queue begins to build up
//! and that is all; a larger picture would have come late and frozen, and so would the smaller one
//! after it.

use std::time::Duration;

use super::ladder::Rung;

/// How long a link has to carry the extra packets. Where they are too much by a thirtieth, a queue
/// of 40 ms builds up meanwhile.
const PROBE_TIME: Duration = Duration::from_millis(1200);

/// A bandwidth probe for one rung.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RungProbe {
    rung: Rung,
    since: Duration,
    /// bit/s sent beside what is sent anyway.
    extra: f64,
}

impl RungProbe {
    /// Begins a probe at `now` for a rung that needs `needed` bit/s, while `acked` bit/s arrive.
    pub(crate) fn begin(now: Duration, rung: Rung, needed: f64, acked: f64) -> Self {
        Self {
            rung,
            since: now,
            extra: (needed - acked).max(0.0),
        }
    }

    /// The rung that is probed for.
    pub(crate) fn rung(&self) -> Rung {
        self.rung
    }

    /// Whether the probe has gone on long enough by `now`.
    pub(crate) fn is_passed(&self, now: Duration) -> bool {
        now >= self.since + PROBE_TIME
    }

    /// Bytes to send again for the `time` until the next estimate.
    pub(crate) fn bytes(&self, time: Duration) -> usize {
        (self.extra * time.as_secs_f64() / 8.0) as usize
    }
}
