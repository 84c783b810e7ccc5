//! Whose a decoded frame is: the CSRC of its packets, found again by its timestamp.
//!
//! Decoders pass on a frame's timestamp and nothing else of its packets, and packets of the next
//! participant in a slot may have come while frames of the last one are still being decoded.

use std::collections::VecDeque;

use crate::id::ParticipantId;

/// Changes that are kept; a frame comes out of its decoder long before so many have happened.
const CHANGES: usize = 64;

/// Whose a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// `None` where packets do not say, and in a mix.
    pub(crate) who: Option<ParticipantId>,
    /// False where it may as well be whoever had the slot before.
    pub(crate) settled: bool,
}

impl Source {
    /// Of one whom the m-line has always.
    pub(crate) fn always(who: Option<ParticipantId>) -> Self {
        Self { who, settled: true }
    }
}

#[derive(Debug)]
struct Change {
    from: gst::ClockTime,
    /// The last timestamp of whom the m-line carried before. Jitter buffers smooth timestamps, so
    /// that it may lie after the first one now.
    before: Option<gst::ClockTime>,
    whose: Option<ParticipantId>,
}

/// The participants an m-line carried, each from a timestamp on.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    changes: VecDeque<Change>,
    /// Of the newest packet.
    newest: Option<gst::ClockTime>,
}

impl Sources {
    /// Notes whose a packet is, as packets come in their order.
    pub(crate) fn packet(&mut self, pts: gst::ClockTime, whose: Option<ParticipantId>) {
        let before = self.newest.replace(pts);
        if self.changes.back().is_some_and(|last| last.whose == whose) {
            return;
        }
        // A change that reaches back: what it covers is its own.
        while self.changes.back().is_some_and(|last| last.from >= pts) {
            self.changes.pop_back();
        }
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change {
            from: pts,
            before,
            whose,
        });
    }

    /// Whose the frame of a timestamp is.
    pub(crate) fn at(&self, pts: gst::ClockTime) -> Source {
        let mut newest = self.changes.iter().rev();
        let change = newest.find(|change| change.from <= pts);
        Source {
            who: change.and_then(|change| change.whose),
            settled: change
                .and_then(|change| change.before)
                .is_none_or(|before| pts > before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(ms)
    }

    #[test]
    fn frames_belong_to_the_sender_of_their_time() {
        let (ann, bob) = (Some(ParticipantId::new(1)), Some(ParticipantId::new(2)));
        let mut sources = Sources::default();
        assert_eq!(sources.at(ms(0)), Source::always(None));
        for pts in [100, 133, 166] {
            sources.packet(ms(pts), ann);
        }
        sources.packet(ms(200), bob);
        // Decoded only now.
        assert_eq!(sources.at(ms(166)), Source::always(ann));
        assert_eq!(sources.at(ms(200)), Source::always(bob));
        assert_eq!(sources.at(ms(240)), Source::always(bob));
        assert_eq!(sources.at(ms(99)), Source::always(None), "before the first");
        sources.packet(ms(300), None);
        assert_eq!(sources.at(ms(300)), Source::always(None));
    }

    #[test]
    fn where_two_have_one_time_nothing_is_settled() {
        let (ann, bob) = (Some(ParticipantId::new(1)), Some(ParticipantId::new(2)));
        let mut sources = Sources::default();
        sources.packet(ms(100), ann);
        sources.packet(ms(205), ann);
        sources.packet(ms(200), bob);
        sources.packet(ms(240), bob);
        let settled = [199, 200, 205, 206].map(|pts| sources.at(ms(pts)).settled);
        assert_eq!(settled, [true, false, false, true]);
        assert_eq!(sources.at(ms(206)).who, bob);
    }

    #[test]
    fn changes_are_bounded_and_may_reach_back() {
        let who = |n: u64| Some(ParticipantId::new(n as u32 % 7));
        let mut sources = Sources::default();
        for n in 0..1000 {
            sources.packet(ms(n), who(n));
        }
        assert_eq!(sources.changes.len(), CHANGES);
        assert_eq!(sources.at(ms(980)).who, who(980));
        sources.packet(ms(990), who(1));
        assert_eq!(
            (sources.at(ms(989)).who, sources.at(ms(995)).who),
            (who(989), who(1))
        );
    }
}
