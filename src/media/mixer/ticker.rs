//! A steady beat on the pipelines' clock, for the two mixing threads.

use gst::prelude::*;

use crate::media::gst::pipeline::epoch;

/// Beats that are one period of running time apart.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: gst::Clock,
    base: gst::ClockTime,
    period: gst::ClockTime,
    late: Late,
    next: gst::ClockTime,
}

/// What a caller gets who comes late, because the machine had no time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The beats that were missed are left out. A picture less is not seen.
    Skip,
    /// All of them follow at once, unless they are more than this: each sample that is left out is
    /// heard.
    MakeUp(gst::ClockTime),
}

impl Ticker {
    /// A ticker whose first beat is within one `period` from now. `period` must not be zero.
    pub(crate) fn new(period: gst::ClockTime, late: Late) -> Self {
        let (clock, base) = epoch();
        let next = clock.time().saturating_sub(base);
        Self {
            clock,
            base,
            period,
            late,
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
        self.next = after(self.next, now, self.period, self.late);
        let id = self.clock.new_single_shot_id(self.base + self.next);
        let (result, _) = id.wait();
        match result {
            Ok(_) | Err(gst::ClockError::Early) => Some(self.next),
            Err(_) => None,
        }
    }
}

/// The beat after that of `last`, for a caller who asks for it at `now`.
fn after(
    last: gst::ClockTime,
    now: gst::ClockTime,
    period: gst::ClockTime,
    late: Late,
) -> gst::ClockTime {
    let next = last + period;
    let most = match late {
        Late::Skip => period,
        Late::MakeUp(most) => most,
    };
    if next + most >= now {
        return next;
    }
    let missed = (now - next).nseconds() / period.nseconds().max(1);
    next + period * missed
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(20);

    /// The beats, ms, of a caller who asks for five from `now` on, after that at 100 ms.
    fn beats(now: u64, late: Late) -> Vec<u64> {
        let mut last = gst::ClockTime::from_mseconds(100);
        let now = gst::ClockTime::from_mseconds(now);
        let next = |_| {
            last = after(last, now, PERIOD, late);
            last.mseconds()
        };
        (0..5).map(next).collect()
    }

    #[test]
    fn whoever_is_in_time_gets_every_beat() {
        for late in [Late::Skip, Late::MakeUp(PERIOD * 20)] {
            assert_eq!(beats(101, late), [120, 140, 160, 180, 200]);
        }
    }

    #[test]
    fn a_picture_that_was_missed_is_left_out() {
        assert_eq!(beats(205, Late::Skip), [200, 220, 240, 260, 280]);
    }

    #[test]
    fn sound_that_was_missed_follows_at_once_up_to_a_limit() {
        let late = Late::MakeUp(PERIOD * 20);
        assert_eq!(beats(205, late), [120, 140, 160, 180, 200]);
        assert_eq!(beats(520, late), [120, 140, 160, 180, 200]);
        assert_eq!(beats(545, late), [540, 560, 580, 600, 620]);
    }
}
