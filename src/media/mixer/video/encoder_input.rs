//! The way from the canvas into one encoder, which may want fewer frames than the canvas draws.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::media::bwe::ladder::Pace;

/// An encoder's input.
#[derive(Debug)]
pub(crate) struct EncoderInput {
    appsrc: gst_app::AppSrc,
    clock: FrameClock,
    /// A keyframe has been requested for since the last frame.
    requested: Arc<AtomicBool>,
}

impl EncoderInput {
    /// Lets as many frames into `appsrc` as `pace` says.
    pub(crate) fn new(appsrc: gst_app::AppSrc, pace: Pace) -> Self {
        let requested = Arc::new(AtomicBool::new(false));
        if let Some(pad) = appsrc.static_pad("src") {
            let requested = requested.clone();
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                let event = info.event();
                if event.is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event)) {
                    requested.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        Self {
            appsrc,
            clock: FrameClock::new(pace),
            requested,
        }
    }

    /// Hands the canvas's frame of `at` on if one is due, uncopied. Frames of the canvas are
    /// `period` apart. The first still is handed on twice, for its encoder keeps one to itself
    /// ([`crate::media::mixer::rendition`]). Does not block.
    pub(crate) fn offer(
        &mut self,
        frame: &gst::Buffer,
        at: gst::ClockTime,
        period: gst::ClockTime,
    ) {
        let requested = self.requested.load(Ordering::Relaxed);
        let is_first = self.clock.has_made_no_still();
        if !self.clock.is_due(at, period, requested) {
            return;
        }
        self.requested.store(false, Ordering::Relaxed);
        if is_first {
            // As long ago as those to come will be: rate control goes by that.
            self.push(frame, at.saturating_sub(self.clock.period()), period);
        }
        self.push(frame, at, period);
    }

    fn push(&self, frame: &gst::Buffer, at: gst::ClockTime, period: gst::ClockTime) {
        let mut buffer = frame.copy();
        let header = buffer.make_mut();
        header.set_pts(at);
        header.set_duration(self.clock.period().max(period));
        // A full queue drops its oldest frame; a flushing one is going away.
        let _ = self.appsrc.push_buffer(buffer);
    }
}

/// Chooses frames of one rate out of those of another; pure.
#[derive(Debug)]
enum FrameClock {
    /// As evenly as the others lie: the first of each period is due.
    Steady {
        period: gst::ClockTime,
        /// In which period the last one fell.
        last: Option<u64>,
    },
    /// One each `period`, and sooner for somebody who waits for one, but not in its first half:
    /// all who watch pay for it.
    Still {
        period: gst::ClockTime,
        /// The middle of the last one.
        last: Option<gst::ClockTime>,
    },
}

impl FrameClock {
    fn new(pace: Pace) -> Self {
        match pace {
            Pace::Fps(fps) => Self::Steady {
                period: gst::ClockTime::SECOND / u64::from(fps.max(1)),
                last: None,
            },
            Pace::Still(every) => {
                let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
                let period = gst::ClockTime::from_nseconds(every);
                Self::Still { period, last: None }
            }
        }
    }

    /// Whether the next frame is the first of stills.
    fn has_made_no_still(&self) -> bool {
        matches!(self, Self::Still { last: None, .. })
    }

    /// How long a frame is shown, as long as nobody asks for one.
    fn period(&self) -> gst::ClockTime {
        match self {
            Self::Steady { period, .. } | Self::Still { period, .. } => *period,
        }
    }

    /// Whether the frame of `at` is due, where they come each `frame`; `requested` is whether somebody
    /// waits for one. The first of all is.
    fn is_due(&mut self, at: gst::ClockTime, frame: gst::ClockTime, requested: bool) -> bool {
        // The middle of the frame: its edges lie next to those of the period, on either side.
        let middle = at + frame / 2;
        match self {
            Self::Steady { period, last } => {
                let number = middle.nseconds() / period.nseconds().max(1);
                last.replace(number) != Some(number)
            }
            Self::Still { period, last } => {
                let wait = if requested { *period / 2 } else { *period };
                let due = last.is_none_or(|last| middle.saturating_sub(last) + frame / 2 > wait);
                if due {
                    *last = Some(middle);
                }
                due
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of 300 frames of the canvas, at 30 a second, one is due.
    fn due(pace: Pace, begin: u64, requested: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut clock = FrameClock::new(pace);
        let period = gst::ClockTime::SECOND / 30;
        let frames = begin..begin + 300;
        frames
            .filter(|n| clock.is_due(period * *n, period, requested(*n)))
            .collect()
    }

    #[test]
    fn frames_are_left_out_evenly() {
        for begin in [0, 1, 7, 1_000_000] {
            for (fps, longest) in [(30, 1), (20, 2), (15, 2), (10, 3), (7, 5)] {
                let frames = due(Pace::Fps(fps), begin, |n| n % 2 == 0);
                let expected = 10 * u64::from(fps);
                let got = frames.len() as u64;
                assert!(got.abs_diff(expected) <= 1, "{got} at {fps}/s");
                let gaps = frames.windows(2).map(|pair| pair[1] - pair[0]);
                assert_eq!(gaps.max(), Some(longest), "at {fps}/s from {begin}");
            }
        }
    }

    #[test]
    fn a_still_comes_at_once_then_now_and_then_and_when_asked_for() {
        let still = Pace::Still(std::time::Duration::from_secs(5));
        assert_eq!(due(still, 10, |_| false), [10, 160]);
        // Somebody comes soon after the first one, and somebody later.
        assert_eq!(due(still, 10, |n| n >= 20), [10, 85, 160, 235]);
        assert_eq!(due(still, 10, |n| n == 100), [10, 100, 250]);
    }
}
