//! What was known of a link, as lines of JSON: written by a room to its log (`RUST_LOG=tessera::link=trace`)
//! and read again to see what [`super::controller`] makes of it; pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::controller::Viewer;
use super::delay::{Estimate, Load};
use super::ladder::{Ladder, Rung};

/// The target of these lines in the log.
pub const TARGET: &str = "tessera::link";

/// An estimate that came at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Microseconds on the clock of the room.
    pub at_us: u64,
    /// bit/s.
    pub arriving_bps: u32,
    /// Share of packets, 0 to 1.
    pub loss: f32,
    /// Microseconds.
    pub queue_us: u64,
    /// What that means.
    pub load: Load,
    /// bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_bps: Option<u32>,
}

impl Heard {
    /// An estimate that came at `at`.
    pub fn new(at: Duration, estimate: &Estimate) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            at_us: us(at),
            arriving_bps: estimate.arriving,
            loss: estimate.loss,
            queue_us: us(estimate.queue),
            load: estimate.load,
            train_bps: estimate.train,
        }
    }

    /// When it came.
    pub fn at(&self) -> Duration {
        Duration::from_micros(self.at_us)
    }

    /// What came.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            arriving: self.arriving_bps,
            loss: self.loss,
            queue: Duration::from_micros(self.queue_us),
            load: self.load,
            train: self.train_bps,
        }
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

/// Tells a new viewer of a composite what `trace` has, a line of JSON for each estimate. `audio` is bit/s of
/// the sound they are sent besides. Returns when they were moved, and to which rung.
///
/// # Errors
/// A line that is no estimate.
pub fn replay(
    trace: &str,
    ladder: &Ladder,
    audio: u32,
) -> Result<Vec<(Duration, Rung)>, serde_json::Error> {
    let mut viewer = Viewer::default();
    let mut moves = Vec::new();
    for line in trace.lines() {
        let heard: Heard = serde_json::from_str(line)?;
        let before = viewer.rung();
        let estimate = heard.estimate();
        if viewer.cares(&estimate) {
            viewer.update(heard.at(), &estimate, ladder, audio);
        }
        if viewer.rung() != before {
            moves.push((heard.at(), viewer.rung()));
        }
    }
    Ok(moves)
}
