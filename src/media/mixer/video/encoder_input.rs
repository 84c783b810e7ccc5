//! From the canvas into one encoder, which may take fewer frames than the canvas draws.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::media::bwe::ladder::Pace;
use crate::media::gst::pool::source::{Hold, PoolSrc};

/// What takes the frames of a canvas.
pub(crate) trait FrameSink: std::fmt::Debug + Send {
    /// Takes a frame.
    fn push(&self, frame: gst::Buffer);

    /// The pad that frames leave by, and that requests for keyframes come to.
    fn pad(&self) -> Option<gst::Pad>;
}

/// Does not block: of frames that wait, a full one drops the oldest.
impl FrameSink for PoolSrc {
    fn push(&self, frame: gst::Buffer) {
        Self::push(self, frame, Hold::Never);
    }

    fn pad(&self) -> Option<gst::Pad> {
        Some(Self::pad(self).clone())
    }
}

/// May block, if that is how it is set.
impl FrameSink for gst_app::AppSrc {
    fn push(&self, frame: gst::Buffer) {
        // A flushing one is going away.
        let _ = self.push_buffer(frame);
    }

    fn pad(&self) -> Option<gst::Pad> {
        self.static_pad("src")
    }
}

/// The input of one encoder, which lets those frames in that are due.
#[derive(Debug)]
pub(crate) struct EncoderInput {
    sink: Box<dyn FrameSink>,
    clock: FrameClock,
    /// Whether a keyframe has been requested since the last frame.
    requested: Arc<AtomicBool>,
}

impl EncoderInput {
    /// Lets frames into `sink` at the rate `pace`.
    pub(crate) fn new(sink: Box<dyn FrameSink>, pace: Pace) -> Self {
        let requested = Arc::new(AtomicBool::new(false));
        if let Some(pad) = sink.pad() {
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
            sink,
            clock: FrameClock::new(pace),
            requested,
        }
    }

    /// Pushes the canvas's frame of time `at` if one is due, without a copy. Frames of the canvas
    /// are `period` apart. The first still is pushed twice, because what the encoder makes of the
    /// first is dropped ([`crate::media::mixer::rendition`]).
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
            // One period ago, as with those that follow: rate control depends on that.
            self.push(frame, at.saturating_sub(self.clock.period()), period);
        }
        self.push(frame, at, period);
    }

    fn push(&self, frame: &gst::Buffer, at: gst::ClockTime, period: gst::ClockTime) {
        let mut buffer = frame.copy();
        let header = buffer.make_mut();
        header.set_pts(at);
        header.set_duration(self.clock.period().max(period));
        self.sink.push(buffer);
    }
}

/// Chooses frames of one rate out of those of another; pure.
#[derive(Debug)]
enum FrameClock {
    /// A frame rate: the first frame of each period is due.
    Steady {
        period: gst::ClockTime,
        /// The number of the period that the last frame fell into.
        last: Option<u64>,
    },
    /// Stills: one each `period`, and one sooner where a keyframe is requested, but not in the
    /// first half of the period, for all viewers pay for it.
    Still {
        period: gst::ClockTime,
        /// The middle of the last frame.
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

    /// Whether the next frame is the first still.
    fn has_made_no_still(&self) -> bool {
        matches!(self, Self::Still { last: None, .. })
    }

    /// How long a frame is shown where no keyframe is requested.
    fn period(&self) -> gst::ClockTime {
        match self {
            Self::Steady { period, .. } | Self::Still { period, .. } => *period,
        }
    }

    /// Whether the frame of time `at` is due, where frames are `frame` long. `requested` is whether
    /// a keyframe has been requested. The first frame is always due.
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
