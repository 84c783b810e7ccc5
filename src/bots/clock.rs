//! The machine's monotonic clock, which every process and every pipeline here agrees on.

use std::time::Duration;

use gst::prelude::*;

/// Now, since an arbitrary moment before this machine's processes started.
///
/// `GstSystemClock`, which pipelines of bots run on, so that an instant less a pipeline's base
/// time is its running time.
pub fn now() -> Duration {
    gst::SystemClock::obtain().time().into()
}
