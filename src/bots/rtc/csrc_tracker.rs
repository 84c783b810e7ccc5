//! Whose a decoded frame is: finds the CSRC of its packets again by its timestamp.
//!
//! Of a frame's packets, decoders pass on the timestamp alone, and packets of the next participant
//! in a slot may arrive while frames of the former one are still being decoded.

use std::collections::VecDeque;

use crate::bots::observe::detection::Contributor;
use crate::id::ParticipantId;

/// Changes of participant that are kept. A frame leaves its decoder long before there were so many.
const CHANGES: usize = 64;

#[derive(Debug)]
struct Change {
    /// The timestamp of its first packet.
    from: gst::ClockTime,
    /// The last timestamp of the participant before. Jitter buffers smooth timestamps, so that it
    /// may be later than `from`.
    before: Option<gst::ClockTime>,
    whose: Option<ParticipantId>,
}

/// The participants whose packets an m-line carried, each from a timestamp on.
#[derive(Debug, Default)]
pub(crate) struct CsrcTracker {
    changes: VecDeque<Change>,
    /// The timestamp of the newest packet.
    newest: Option<gst::ClockTime>,
}

impl CsrcTracker {
    /// Records whose a packet is. Packets come in their order.
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

    /// Whose the frame with a timestamp is.
    pub(crate) fn at(&self, pts: gst::ClockTime) -> Contributor {
        let mut newest = self.changes.iter().rev();
        let change = newest.find(|change| change.from <= pts);
        Contributor {
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
        let mut tracker = CsrcTracker::default();
        assert_eq!(tracker.at(ms(0)), Contributor::always(None));
        for pts in [100, 133, 166] {
            tracker.packet(ms(pts), ann);
        }
        tracker.packet(ms(200), bob);
        // Decoded only now.
        assert_eq!(tracker.at(ms(166)), Contributor::always(ann));
        assert_eq!(tracker.at(ms(200)), Contributor::always(bob));
        assert_eq!(tracker.at(ms(240)), Contributor::always(bob));
        assert_eq!(
            tracker.at(ms(99)),
            Contributor::always(None),
            "before the first"
        );
        tracker.packet(ms(300), None);
        assert_eq!(tracker.at(ms(300)), Contributor::always(None));
    }

    #[test]
    fn where_two_have_one_time_nothing_is_settled() {
        let (ann, bob) = (Some(ParticipantId::new(1)), Some(ParticipantId::new(2)));
        let mut tracker = CsrcTracker::default();
        tracker.packet(ms(100), ann);
        tracker.packet(ms(205), ann);
        tracker.packet(ms(200), bob);
        tracker.packet(ms(240), bob);
        let settled = [199, 200, 205, 206].map(|pts| tracker.at(ms(pts)).settled);
        assert_eq!(settled, [true, false, false, true]);
        assert_eq!(tracker.at(ms(206)).who, bob);
    }

    #[test]
    fn changes_are_bounded_and_may_reach_back() {
        let who = |n: u64| Some(ParticipantId::new(n as u32 % 7));
        let mut tracker = CsrcTracker::default();
        for n in 0..1000 {
            tracker.packet(ms(n), who(n));
        }
        assert_eq!(tracker.changes.len(), CHANGES);
        assert_eq!(tracker.at(ms(980)).who, who(980));
        tracker.packet(ms(990), who(1));
        assert_eq!(
            (tracker.at(ms(989)).who, tracker.at(ms(995)).who),
            (who(989), who(1))
        );
    }
}
