//! A steady beat on the pipelines' clock, for the two mixing threads.

use gst::prelude::*;

use crate::media::gst::pipeline::epoch;

/// Beats that are one period of running time apart. A late caller skips the beats that it missed.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: gst::Clock,
    base: gst::ClockTime,
    period: gst::ClockTime,
    next: gst::ClockTime,
}

impl Ticker {
    /// A ticker whose first beat is within one `period` from now. `period` must not be zero.
    pub(crate) fn new(period: gst::ClockTime) -> Self {
        let (clock, base) = epoch();
        let next = clock.time().saturating_sub(base);
        Self {
            clock,
            base,
            period,
            next,
        }
    }

    /// Changes the time between the beats from the last one on. `period` must not be zero.
    pub(crate) fn set_period(&mut self, period: gst::ClockTime) {
        self.period = period;
    }

    pub(crate) fn period(&self) -> gst::ClockTime {
        self.period
    }

    /// Blocks until the next beat and returns its running time; `None` if the clock refuses.
    pub(crate) fn wait(&mut self) -> Option<gst::ClockTime> {
        let now = self.clock.time().saturating_sub(self.base);
        self.next += self.period;
        if self.next + self.period < now {
            let missed = (now - self.next).nseconds() / self.period.nseconds().max(1);
            self.next += self.period * missed;
        }
        let id = self.clock.new_single_shot_id(self.base + self.next);
        let (result, _) = id.wait();
        match result {
            Ok(_) | Err(gst::ClockError::Early) => Some(self.next),
            Err(_) => None,
        }
    }
}
