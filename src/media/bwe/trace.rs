//! Estimates of links as lines of JSON; pure.
//!
//! A room writes them to its log (`RUST_LOG=tessera::link=trace`), and [`replay`] reads them again
//! to see what [`super::controller`] makes of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::controller::LinkController;
use super::delay::{Estimate, Usage};
use super::ladder::{Ladder, Rung};

/// Target of these lines in the log.
pub(crate) const TARGET: &str = "tessera::link";

/// An estimate, and when it came. Names in JSON are those of the first traces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TracedEstimate {
    /// Microseconds on the clock of the room.
    at_us: u64,
    #[serde(rename = "arriving_bps")]
    acked_bitrate: u32,
    loss: f32,
    queue_us: u64,
    #[serde(rename = "load")]
    usage: Usage,
    #[serde(rename = "train_bps", default, skip_serializing_if = "Option::is_none")]
    probe_bitrate: Option<u32>,
}

impl TracedEstimate {
    /// An estimate that came at `at`, on the clock of the room.
    pub fn new(at: Duration, estimate: &Estimate) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            at_us: us(at),
            acked_bitrate: estimate.acked_bitrate,
            loss: estimate.loss,
            queue_us: us(estimate.queue),
            usage: estimate.usage,
            probe_bitrate: estimate.probe_bitrate,
        }
    }

    /// When the estimate came, on the clock of the room.
    pub fn at(&self) -> Duration {
        Duration::from_micros(self.at_us)
    }

    /// The estimate, with times in whole microseconds.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            acked_bitrate: self.acked_bitrate,
            loss: self.loss,
            queue: Duration::from_micros(self.queue_us),
            usage: self.usage,
            probe_bitrate: self.probe_bitrate,
        }
    }
}

impl std::fmt::Display for TracedEstimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

/// Gives a new viewer of a composite the estimates of `trace`, a line of JSON each. `audio`
/// is the bitrate of the sound beside the picture, bit/s. Returns when the viewer was
/// moved, and to which rung.
///
/// # Errors
/// A line is no estimate.
pub fn replay(
    trace: &str,
    ladder: &Ladder,
    audio: u32,
) -> Result<Vec<(Duration, Rung)>, serde_json::Error> {
    let mut controller = LinkController::default();
    let mut moves = Vec::new();
    for line in trace.lines() {
        let traced: TracedEstimate = serde_json::from_str(line)?;
        let before = controller.rung();
        let estimate = traced.estimate();
        if controller.cares(&estimate) {
            controller.update(traced.at(), &estimate, ladder, audio);
        }
        if controller.rung() != before {
            moves.push((traced.at(), controller.rung()));
        }
    }
    Ok(moves)
}
