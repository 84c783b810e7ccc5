//! How old a camera's pictures are when they come, and how long to wait so that few of them are
//! too late; pure.
//!
//! Where packets are lost some pictures come later than others: a packet that is missing is asked for
//! when the next one has come, which is the next picture where each is a single packet. Both are
//! there at once then, and of two the canvas draws one.

use std::collections::VecDeque;

/// Pictures that are remembered: of some seconds.
const WINDOW: usize = 100;
/// So many of those may be too late: where one packet in ten is lost, far more would be.
const MAX_LATE: usize = 4;
/// Fewer pictures tell nothing.
const MIN_PICTURES: usize = 25;

/// The ages at which the newest pictures came, ns: from the time a picture was taken at to when it
/// could be drawn. Less than nothing where its time lies ahead ([`super::av_sync`]).
#[derive(Debug, Default)]
pub(crate) struct FrameDelay {
    ages: VecDeque<gst::ClockTimeDiff>,
    range: Option<DelayRange>,
}

/// What was found of the newest pictures, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DelayRange {
    /// The age of the one that came soonest.
    pub(crate) least: gst::ClockTimeDiff,
    /// The age at which all but a few had come.
    pub(crate) most: gst::ClockTimeDiff,
}

impl FrameDelay {
    /// Notes a picture that has come at this age.
    pub(crate) fn note(&mut self, age: gst::ClockTimeDiff) {
        if self.ages.len() == WINDOW {
            self.ages.pop_front();
        }
        self.ages.push_back(age);
        self.range = self.count();
    }

    /// `None` before there have been enough.
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
