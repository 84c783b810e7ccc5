//! Whose a decoded frame is: the CSRC of its packets, found again by its timestamp.
//!
//! Decoders pass on a frame's timestamp and nothing else of its packets, and packets of the next
//! participant in a slot may have come while frames of the last one are still being decoded.

use std::collections::VecDeque;

use crate::id::ParticipantId;

/// Changes that are kept; a frame comes out of its decoder long before so many have happened.
const CHANGES: usize = 64;

/// The participants an m-line carried, each from a timestamp on.
#[derive(Debug, Default)]
pub(super) struct Sources {
    changes: VecDeque<(gst::ClockTime, Option<ParticipantId>)>,
}

impl Sources {
    /// Notes whose a packet is, as packets come in their order.
    pub(super) fn packet(&mut self, pts: gst::ClockTime, whose: Option<ParticipantId>) {
        if self.changes.back().is_some_and(|(_, last)| *last == whose) {
            return;
        }
        // A change that reaches back: what it covers is its own.
        while self.changes.back().is_some_and(|(from, _)| *from >= pts) {
            self.changes.pop_back();
        }
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((pts, whose));
    }

    /// Whose the frame of a timestamp is.
    pub(super) fn at(&self, pts: gst::ClockTime) -> Option<ParticipantId> {
        let mut newest = self.changes.iter().rev();
        newest.find(|(from, _)| *from <= pts)?.1
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
        assert_eq!(sources.at(ms(0)), None);
        for pts in [100, 133, 166] {
            sources.packet(ms(pts), ann);
        }
        sources.packet(ms(200), bob);
        // Decoded only now.
        assert_eq!(sources.at(ms(166)), ann);
        assert_eq!(sources.at(ms(200)), bob);
        assert_eq!(sources.at(ms(240)), bob);
        assert_eq!(sources.at(ms(99)), None, "before the first");
        sources.packet(ms(300), None);
        assert_eq!(sources.at(ms(300)), None);
    }

    #[test]
    fn changes_are_bounded_and_may_reach_back() {
        let who = |n: u64| Some(ParticipantId::new(n as u32 % 7));
        let mut sources = Sources::default();
        for n in 0..1000 {
            sources.packet(ms(n), who(n));
        }
        assert_eq!(sources.changes.len(), CHANGES);
        assert_eq!(sources.at(ms(980)), who(980));
        sources.packet(ms(990), who(1));
        assert_eq!(
            (sources.at(ms(989)), sources.at(ms(995))),
            (who(989), who(1))
        );
    }
}
