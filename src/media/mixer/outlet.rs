//! The way from the canvas into one encoder, which may want fewer frames than the canvas draws.

use crate::media::ladder::Pace;

/// An encoder's input.
#[derive(Debug)]
pub struct Outlet {
    appsrc: gst_app::AppSrc,
    clock: FrameClock,
}

impl Outlet {
    /// Lets as many frames into `appsrc` as `pace` says.
    pub fn new(appsrc: gst_app::AppSrc, pace: Pace) -> Self {
        Self {
            appsrc,
            clock: FrameClock::new(pace),
        }
    }

    /// Hands the canvas's frame of `at` on if one is due, uncopied. Frames of the canvas are
    /// `period` apart. Does not block.
    pub fn offer(&mut self, frame: &gst::Buffer, at: gst::ClockTime, period: gst::ClockTime) {
        if !self.clock.is_due(at, period) {
            return;
        }
        let mut buffer = frame.copy();
        let header = buffer.make_mut();
        header.set_pts(at);
        header.set_duration(self.clock.period.max(period));
        // A full queue drops its oldest frame; a flushing one is going away.
        let _ = self.appsrc.push_buffer(buffer);
    }
}

/// Chooses frames of one rate out of those of another, as evenly as these lie; pure.
#[derive(Debug)]
struct FrameClock {
    period: gst::ClockTime,
    /// In which period the last one fell.
    last: Option<u64>,
}

impl FrameClock {
    fn new(pace: Pace) -> Self {
        let period = match pace {
            Pace::Fps(fps) => gst::ClockTime::SECOND / u64::from(fps.max(1)),
            Pace::Still(every) => gst::ClockTime::from_nseconds(
                u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1),
            ),
        };
        Self { period, last: None }
    }

    /// Whether the frame of `at` is the first one of its period. The first of all is.
    fn is_due(&mut self, at: gst::ClockTime, period: gst::ClockTime) -> bool {
        // The middle of the frame: its edges lie next to those of the period, on either side.
        let middle = at + period / 2;
        let number = middle.nseconds() / self.period.nseconds().max(1);
        self.last.replace(number) != Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of 300 frames of the canvas, at 30 a second, one is due.
    fn due(pace: Pace, begin: u64) -> Vec<u64> {
        let mut clock = FrameClock::new(pace);
        let period = gst::ClockTime::SECOND / 30;
        let frames = begin..begin + 300;
        frames
            .filter(|n| clock.is_due(period * *n, period))
            .collect()
    }

    #[test]
    fn frames_are_left_out_evenly() {
        for begin in [0, 1, 7, 1_000_000] {
            for (fps, longest) in [(30, 1), (20, 2), (15, 2), (10, 3), (7, 5)] {
                let frames = due(Pace::Fps(fps), begin);
                let expected = 10 * u64::from(fps);
                let got = frames.len() as u64;
                assert!(got.abs_diff(expected) <= 1, "{got} at {fps}/s");
                let gaps = frames.windows(2).map(|pair| pair[1] - pair[0]);
                assert_eq!(gaps.max(), Some(longest), "at {fps}/s from {begin}");
            }
        }
    }

    #[test]
    fn a_still_comes_at_once_and_then_now_and_then() {
        let frames = due(Pace::Still(std::time::Duration::from_secs(5)), 10);
        assert_eq!(frames, [10, 150, 300]);
    }
}
