//! Which sources get a participant's forward slots when there are more sources than slots
//! (last-N); pure.
//!
//! A source keeps its slot, so that pictures do not jump about. A free slot goes to the source
//! with the highest priority. A slot is taken away only for a source that is urgent, from one that
//! is not, and not before that one has had it for [`MIN_HOLD`].
//!
//! Slots of sound and of pictures are announced in pairs, one stream each (RFC 8830), for a receiver
//! plays in sync what is of one stream. So a participant's microphone should have the slot with the
//! number of their camera's.

use std::time::Duration;

use crate::id::SourceId;

/// Shortest time for which a source keeps a slot that an urgent one waits for.
pub(crate) const MIN_HOLD: Duration = Duration::from_secs(2);

/// Time since somebody was last heard after which their sound may move to another slot: longer than a
/// pause between two sentences.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// An uplink that could be forwarded, and its priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) source: SourceId,
    pub(crate) priority: Priority,
    /// The slot that it should have: the other of the pair that its participant has one of.
    pub(crate) place: Option<usize>,
}

/// How urgently a source should be in a slot. Greater goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// The participant has not been heard yet.
    Silent,
    /// The participant was last heard then.
    Spoke(Duration),
    /// The participant is heard now or pinned, or it is a shared screen.
    Urgent,
}

/// The source in a slot, and since when it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupant {
    pub(crate) source: SourceId,
    pub(crate) since: Duration,
}

/// The allocation of a participant's slots of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotAllocation {
    pub(crate) slots: Vec<Option<Occupant>>,
    /// When an urgent source that waits may take over a slot; `None` if none waits.
    pub(crate) review: Option<Duration>,
}

/// Allocates as many slots as `held` has, going on from the sources in them. Of candidates with
/// equal priority the first gets a slot first.
pub(crate) fn allocate(
    held: &[Option<Occupant>],
    candidates: &[Candidate],
    now: Duration,
) -> SlotAllocation {
    let priority = |source: SourceId| {
        let known = candidates.iter().find(|c| c.source == source);
        known.map(|candidate| candidate.priority)
    };
    let mut slots: Vec<Option<Occupant>> = held
        .iter()
        .map(|slot| slot.filter(|held| priority(held.source).is_some()))
        .collect();
    let mut waiting: Vec<&Candidate> = candidates
        .iter()
        .filter(|c| !slots.iter().flatten().any(|held| held.source == c.source))
        .collect();
    // A stable sort: equals stay in the order they came in.
    waiting.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    let is_place = |n: &usize| candidates.iter().any(|c| c.place == Some(*n));
    let mut review = None;
    for candidate in waiting {
        let fresh = Some(Occupant {
            source: candidate.source,
            since: now,
        });
        let free = |n: &usize| slots.get(*n).is_some_and(Option::is_none);
        let all_free = || (0..slots.len()).filter(free);
        let place = candidate.place.filter(free);
        let place = place.or_else(|| all_free().find(|n| !is_place(n)));
        if let Some(n) = place.or_else(|| all_free().next()) {
            slots[n] = fresh;
            continue;
        }
        if candidate.priority != Priority::Urgent {
            break;
        }
        let takeable = slots
            .iter_mut()
            .enumerate()
            .filter_map(|(n, slot)| {
                let held = (*slot)?;
                let priority =
                    priority(held.source).filter(|priority| *priority != Priority::Urgent)?;
                let is_elsewhere = candidate.place != Some(n);
                Some((held.since + MIN_HOLD, (priority, is_elsewhere), slot))
            })
            .collect::<Vec<_>>();
        let soonest = takeable.iter().map(|(free_at, ..)| *free_at).min();
        let ripe = takeable
            .into_iter()
            .filter(|(free_at, ..)| *free_at <= now)
            .min_by_key(|(_, rank, _)| *rank);
        match ripe {
            Some((_, _, slot)) => *slot = fresh,
            None => review = soonest,
        }
    }
    SlotAllocation { slots, review }
}

/// Moves sources to the slots that they should have, where that costs nobody theirs and nobody anything
/// that is heard: neither who moves nor who makes room has been heard for [`QUIET`]. Somebody who speaks
/// would be cut off for a moment.
pub(crate) fn pair_up(slots: &mut [Option<Occupant>], candidates: &[Candidate], now: Duration) {
    let known = |held: Occupant| candidates.iter().find(|c| c.source == held.source);
    let is_quiet = |c: &&Candidate| match c.priority {
        Priority::Silent => true,
        Priority::Spoke(at) => at + QUIET <= now,
        Priority::Urgent => false,
    };
    for from in 0..slots.len() {
        // Each turn puts one in its place, and takes none out of it.
        while let Some(to) = slots[from]
            .and_then(known)
            .filter(is_quiet)
            .and_then(|c| c.place)
            && to != from
            && let Some(there) = slots.get(to).copied()
        {
            let makes_room = there.is_none_or(|held| {
                let held = known(held).filter(is_quiet);
                held.is_some_and(|c| c.place != Some(to))
            });
            if !makes_room {
                break;
            }
            slots.swap(from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ParticipantId, Role};

    fn camera(n: u32) -> SourceId {
        SourceId {
            participant: ParticipantId::new(n),
            role: Role::Camera,
        }
    }

    fn candidates(priorities: &[Priority]) -> Vec<Candidate> {
        (1..)
            .zip(priorities)
            .map(|(n, priority)| Candidate {
                source: camera(n),
                priority: *priority,
                place: None,
            })
            .collect()
    }

    fn who(allocation: &SlotAllocation) -> Vec<u32> {
        let ordinal = |held: &Option<Occupant>| held.map_or(0, |h| h.source.participant.ordinal());
        allocation.slots.iter().map(ordinal).collect()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn free_slots_go_by_rank_and_then_stay() {
        let people = candidates(&[Priority::Silent, Priority::Spoke(at(1)), Priority::Urgent]);
        let first = allocate(&[None, None], &people, at(5));
        assert_eq!(who(&first), [3, 2]);
        let calm = candidates(&[Priority::Spoke(at(6)), Priority::Silent, Priority::Silent]);
        let later = allocate(&first.slots, &calm, at(9));
        assert_eq!(later, first, "nobody must be seen now");
    }

    #[test]
    fn a_speaker_takes_the_slot_of_who_was_silent_longest_but_not_at_once() {
        let people = candidates(&[Priority::Spoke(at(1)), Priority::Silent, Priority::Silent]);
        let held = allocate(&[None, None], &people[..2], at(5)).slots;
        let people = candidates(&[Priority::Spoke(at(1)), Priority::Silent, Priority::Urgent]);
        let early = allocate(&held, &people, at(6));
        assert_eq!(who(&early), [1, 2]);
        assert_eq!(early.review, Some(at(7)));
        let ripe = allocate(&held, &people, at(7));
        assert_eq!((who(&ripe), ripe.review), (vec![1, 3], None));
    }

    #[test]
    fn among_speakers_who_has_a_slot_keeps_it() {
        let all = candidates(&[Priority::Urgent, Priority::Urgent, Priority::Urgent]);
        let held = allocate(&[None, None], &all, at(1)).slots;
        let later = allocate(&held, &all, at(9));
        assert_eq!((who(&later), later.review), (vec![1, 2], None));
    }

    #[test]
    fn a_leavers_slot_is_free_at_once() {
        let all = candidates(&[Priority::Silent, Priority::Silent, Priority::Silent]);
        let held = allocate(&[None, None], &all, at(1)).slots;
        assert_eq!(who(&allocate(&held, &all[1..], at(1))), [3, 2]);
        assert_eq!(who(&allocate(&held, &[], at(1))), [0, 0]);
        assert_eq!(who(&allocate(&[], &all, at(1))), Vec::<u32>::new());
    }

    fn placed(priorities: &[(Priority, Option<usize>)]) -> Vec<Candidate> {
        let of = |(n, (priority, place)): (u32, &(Priority, Option<usize>))| Candidate {
            source: camera(n),
            priority: *priority,
            place: *place,
        };
        (1..).zip(priorities).map(of).collect()
    }

    #[test]
    fn a_source_gets_the_slot_of_its_pair_and_leaves_others_theirs() {
        let quiet = Priority::Silent;
        let people = placed(&[
            (quiet, None),
            (quiet, Some(0)),
            (quiet, Some(2)),
            (quiet, Some(9)),
        ]);
        let all = allocate(&[None; 4], &people, at(1));
        assert_eq!(who(&all), [2, 1, 3, 4]);
        // Where there is no other, a slot is had all the same.
        let few = allocate(&[None; 2], &people, at(1));
        assert_eq!(who(&few), [2, 1]);
    }

    #[test]
    fn who_is_quiet_moves_to_the_slot_of_the_pair() {
        let (quiet, loud) = (Priority::Silent, Priority::Urgent);
        let held = allocate(&[None; 3], &candidates(&[quiet; 3]), at(1));
        assert_eq!(who(&held), [1, 2, 3]);
        for (people, expected) in [
            // Round the corner.
            (
                [(quiet, Some(1)), (quiet, Some(2)), (quiet, Some(0))],
                [3, 1, 2],
            ),
            // Who has no pair makes room.
            (
                [(quiet, None), (quiet, Some(0)), (quiet, Some(2))],
                [2, 1, 3],
            ),
            // Nobody is moved while they speak, nor anybody into their slot, nor out of their place.
            ([(loud, Some(1)), (quiet, None), (quiet, None)], [1, 2, 3]),
            ([(quiet, Some(1)), (loud, None), (quiet, None)], [1, 2, 3]),
            (
                [(quiet, Some(1)), (quiet, Some(1)), (quiet, None)],
                [1, 2, 3],
            ),
            ([(quiet, Some(7)), (quiet, None), (quiet, None)], [1, 2, 3]),
            // Nor in a pause, but after it.
            (
                [
                    (Priority::Spoke(at(8)), Some(1)),
                    (quiet, None),
                    (quiet, None),
                ],
                [1, 2, 3],
            ),
            (
                [
                    (quiet, Some(1)),
                    (Priority::Spoke(at(8)), None),
                    (quiet, None),
                ],
                [1, 2, 3],
            ),
            (
                [
                    (Priority::Spoke(at(7)), Some(1)),
                    (quiet, None),
                    (quiet, None),
                ],
                [2, 1, 3],
            ),
        ] {
            let mut allocation = held.clone();
            pair_up(&mut allocation.slots, &placed(&people), at(10));
            assert_eq!(who(&allocation), expected, "{people:?}");
        }
    }
}
