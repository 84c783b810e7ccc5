//! The machine's monotonic clock, which every process and every pipeline here agrees on.

use std::time::Duration;

use gst::prelude::*;

/// The time of the machine's monotonic clock, counted from an arbitrary moment before its processes
/// started. All processes of a machine agree on it.
///
/// It is `GstSystemClock`, on which the pipelines of bots run: an instant less a pipeline's base
/// time is that pipeline's running time.
pub fn now() -> Duration {
    gst::SystemClock::obtain().time().into()
}
