//! The idle frame rate: how often the composite goes out while nothing in it changes; pure.
//!
//! The first frame that differs goes out at once. Equal ones are sent further and further apart: to
//! a receiver a frame much later than those before it is a freeze (in WebRTC's statistics, later
//! than the mean of thirty by 150 ms), while a gap that has grown slowly is the rate of the stream.

/// Longest time between two frames. The keyframe of a new viewer may have to wait for it.
const MAX_GAP: gst::ClockTime = gst::ClockTime::from_mseconds(200);
/// A gap is longer than the one before it by one part in so many.
const GROWTH_DIVISOR: u64 = 20;

/// Whether the composite differs from the frame before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Something is new, or somebody speaks.
    Active,
    /// Nothing has changed, and nobody speaks.
    Still,
}

/// Chooses which frames of the canvas go out.
#[derive(Debug, Default)]
pub(crate) struct IdleRate {
    /// When a frame went out last.
    last: Option<gst::ClockTime>,
    gap: gst::ClockTime,
}

impl IdleRate {
    /// Whether the frame of time `at` goes out. Frames of the canvas are `period` apart.
    pub(crate) fn is_due(
        &mut self,
        at: gst::ClockTime,
        period: gst::ClockTime,
        activity: Activity,
    ) -> bool {
        // One change in between, as of a keyframe that is a little sharper, is not yet motion.
        if activity == Activity::Active {
            self.gap = (self.gap / 2).max(period);
        }
        // Beats are not exact to the nanosecond.
        let due = self
            .last
            .is_none_or(|last| at + period / 2 >= last + self.gap);
        if due || activity == Activity::Active {
            self.last = Some(at);
            self.gap = (self.gap + self.gap / GROWTH_DIVISOR)
                .min(MAX_GAP)
                .max(period);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: gst::ClockTime = gst::ClockTime::from_nseconds(33_333_333);

    /// The gaps, in frames, between those that go out during `frames` frames of an activity.
    fn gaps(idle: &mut IdleRate, from: u64, frames: u64, activity: Activity) -> Vec<u64> {
        let due = (from..from + frames).filter(|n| idle.is_due(PERIOD * *n, PERIOD, activity));
        let due: Vec<u64> = due.collect();
        due.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn five_frames_a_second_are_left_and_no_gap_is_a_surprise() {
        let mut idle = IdleRate::default();
        let mut all = gaps(&mut idle, 100, 60, Activity::Active);
        assert!(all.iter().all(|gap| *gap == 1), "{all:?}");
        let still = gaps(&mut idle, 160, 600, Activity::Still);
        assert!(still.windows(2).all(|pair| pair[0] <= pair[1]), "{still:?}");
        assert!(still.iter().take(5).all(|gap| *gap == 1), "{still:?}");
        assert!(still.iter().skip(60).all(|gap| *gap == 6), "{still:?}");
        all.extend(still);
        for window in all.windows(31) {
            let mean = window[..30].iter().sum::<u64>() as f64 / 30.0;
            let next = window[30] as f64;
            // 150 ms are four frames and a half.
            assert!(next <= (mean * 3.0).max(mean + 4.5), "{window:?}");
        }
    }

    #[test]
    fn what_is_new_goes_out_at_once_and_the_rate_is_back() {
        let mut idle = IdleRate::default();
        gaps(&mut idle, 0, 600, Activity::Still);
        assert!(idle.is_due(PERIOD * 601, PERIOD, Activity::Active));
        let still = gaps(&mut idle, 602, 30, Activity::Still);
        assert!(
            still.iter().all(|gap| *gap > 2),
            "once is not yet motion: {still:?}"
        );
        let lively = gaps(&mut idle, 632, 9, Activity::Active);
        assert!(lively.iter().all(|gap| *gap == 1), "{lively:?}");
        let still = gaps(&mut idle, 641, 6, Activity::Still);
        assert!(
            still.iter().all(|gap| *gap == 1),
            "it slows down anew: {still:?}"
        );
    }

    #[test]
    fn a_slower_canvas_is_not_made_faster() {
        let slow = gst::ClockTime::from_mseconds(250);
        let mut idle = IdleRate::default();
        let due = (0..20).filter(|n| idle.is_due(slow * *n, slow, Activity::Still));
        assert_eq!(due.count(), 20);
    }
}
