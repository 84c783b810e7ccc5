//! How old a camera's pictures are when they arrive, and how long to wait so that few of them are
//! too late; pure.
//!
//! Where packets are lost some pictures arrive later than others: a missing packet is asked for
//! when the next one has come, which belongs to the next picture where each is a single packet.
//! Both arrive together then, and the canvas draws one of two.

use std::collections::VecDeque;

/// Number of pictures whose ages are kept: those of some seconds.
const WINDOW: usize = 100;
/// Pictures of a full [`WINDOW`] that may be too late. Where one packet in ten is lost, far more
/// are.
const MAX_LATE: usize = 4;
/// Number of pictures below which there is no range.
const MIN_PICTURES: usize = 25;

/// The ages at which the newest pictures arrived, ns: from the time a picture was taken at to when
/// it could be drawn. Negative where its time lies ahead ([`super::av_sync`]).
#[derive(Debug, Default)]
pub(crate) struct FrameDelay {
    ages: VecDeque<gst::ClockTimeDiff>,
    range: Option<DelayRange>,
}

/// The range of ages of the newest pictures, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DelayRange {
    /// The age of the earliest.
    pub(crate) least: gst::ClockTimeDiff,
    /// The age at which all but a few had arrived ([`MAX_LATE`]).
    pub(crate) most: gst::ClockTimeDiff,
}

impl FrameDelay {
    /// Records a picture that has arrived at this age.
    pub(crate) fn note(&mut self, age: gst::ClockTimeDiff) {
        if self.ages.len() == WINDOW {
            self.ages.pop_front();
        }
        self.ages.push_back(age);
        self.range = self.count();
    }

    /// The range of ages; `None` before there have been [`MIN_PICTURES`].
    pub(crate) fn range(&self) -> Option<DelayRange> {
        self.range
    }

    fn count(&self) -> Option<DelayRange> {
        let count = self.ages.len();
        let in_time = (count >= MIN_PICTURES).then(|| count - 1 - MAX_LATE * count / WINDOW)?;
        let mut ages: Vec<_> = self.ages.iter().copied().collect();
        let (sooner, most, _) = ages.select_nth_unstable(in_time);
        let least = sooner.iter().copied().min()?;
        Some(DelayRange { least, most: *most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(ages: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
        let mut delay = FrameDelay::default();
        ages.for_each(|age| delay.note(age));
        delay.range().map(|range| (range.least, range.most))
    }

    #[test]
    fn a_few_pictures_tell_nothing() {
        assert_eq!(range(0..24), None);
        assert_eq!(range(0..25), Some((0, 23)));
    }

    #[test]
    fn one_in_fifty_may_be_late_and_one_in_ten_may_not() {
        let late_each = |n: i64| (1..500).map(move |k| if k % n == 0 { 40 } else { 5 });
        assert_eq!(range(late_each(50)), Some((5, 5)));
        assert_eq!(range(late_each(10)), Some((5, 40)));
    }

    #[test]
    fn what_was_is_forgotten() {
        assert_eq!(range((0..200).chain([-7; 100])), Some((-7, -7)));
    }
}
