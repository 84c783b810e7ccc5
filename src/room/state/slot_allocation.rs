//! Who gets a participant's forward slots when there are more people than slots; pure.
//!
//! Whoever has a slot keeps it, so that pictures do not jump about. A free one goes to the
//! first in rank. One is taken away only for somebody who must be seen or heard now, from
//! somebody who need not, and not before they have had it for [`HOLD`].

use std::time::Duration;

use crate::id::SourceId;

/// The least time somebody keeps a slot.
pub(crate) const HOLD: Duration = Duration::from_secs(2);

/// Somebody's uplink that could be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) source: SourceId,
    pub(crate) claim: Claim,
}

/// How good a claim to a slot is; the greater, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// Has not been heard yet.
    Silent,
    /// Was last heard then.
    Spoke(Duration),
    /// Is heard now, is pinned, or is a shared screen.
    Urgent,
}

/// Somebody in a slot, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) source: SourceId,
    pub(crate) since: Duration,
}

/// The slots as they should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) slots: Vec<Option<Held>>,
    /// When somebody who waits may take a slot over.
    pub(crate) review: Option<Duration>,
}

/// Assigns as many slots as `held` has. `candidates` come in the order in which equal claims
/// are served.
pub(crate) fn assign(held: &[Option<Held>], candidates: &[Candidate], now: Duration) -> Assignment {
    let claim = |source: SourceId| {
        let known = candidates.iter().find(|c| c.source == source);
        known.map(|candidate| candidate.claim)
    };
    let mut slots: Vec<Option<Held>> = held
        .iter()
        .map(|slot| slot.filter(|held| claim(held.source).is_some()))
        .collect();
    let mut waiting: Vec<&Candidate> = candidates
        .iter()
        .filter(|c| !slots.iter().flatten().any(|held| held.source == c.source))
        .collect();
    // A stable sort: equals stay in the order they came in.
    waiting.sort_by_key(|candidate| std::cmp::Reverse(candidate.claim));
    let mut review = None;
    for candidate in waiting {
        let fresh = Some(Held {
            source: candidate.source,
            since: now,
        });
        if let Some(free) = slots.iter_mut().find(|slot| slot.is_none()) {
            *free = fresh;
            continue;
        }
        if candidate.claim != Claim::Urgent {
            break;
        }
        let takeable = slots
            .iter_mut()
            .filter_map(|slot| {
                let held = (*slot)?;
                let claim = claim(held.source).filter(|claim| *claim != Claim::Urgent)?;
                Some((held.since + HOLD, claim, slot))
            })
            .collect::<Vec<_>>();
        let soonest = takeable.iter().map(|(free_at, ..)| *free_at).min();
        let ripe = takeable
            .into_iter()
            .filter(|(free_at, ..)| *free_at <= now)
            .min_by_key(|(_, claim, _)| *claim);
        match ripe {
            Some((_, _, slot)) => *slot = fresh,
            None => review = soonest,
        }
    }
    Assignment { slots, review }
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

    fn candidates(claims: &[Claim]) -> Vec<Candidate> {
        (1..)
            .zip(claims)
            .map(|(n, claim)| Candidate {
                source: camera(n),
                claim: *claim,
            })
            .collect()
    }

    fn who(assignment: &Assignment) -> Vec<u32> {
        let ordinal = |held: &Option<Held>| held.map_or(0, |h| h.source.participant.ordinal());
        assignment.slots.iter().map(ordinal).collect()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn free_slots_go_by_rank_and_then_stay() {
        let people = candidates(&[Claim::Silent, Claim::Spoke(at(1)), Claim::Urgent]);
        let first = assign(&[None, None], &people, at(5));
        assert_eq!(who(&first), [3, 2]);
        let calm = candidates(&[Claim::Spoke(at(6)), Claim::Silent, Claim::Silent]);
        let later = assign(&first.slots, &calm, at(9));
        assert_eq!(later, first, "nobody must be seen now");
    }

    #[test]
    fn a_speaker_takes_the_slot_of_who_was_silent_longest_but_not_at_once() {
        let people = candidates(&[Claim::Spoke(at(1)), Claim::Silent, Claim::Silent]);
        let held = assign(&[None, None], &people[..2], at(5)).slots;
        let people = candidates(&[Claim::Spoke(at(1)), Claim::Silent, Claim::Urgent]);
        let early = assign(&held, &people, at(6));
        assert_eq!(who(&early), [1, 2]);
        assert_eq!(early.review, Some(at(7)));
        let ripe = assign(&held, &people, at(7));
        assert_eq!((who(&ripe), ripe.review), (vec![1, 3], None));
    }

    #[test]
    fn among_speakers_who_has_a_slot_keeps_it() {
        let all = candidates(&[Claim::Urgent, Claim::Urgent, Claim::Urgent]);
        let held = assign(&[None, None], &all, at(1)).slots;
        let later = assign(&held, &all, at(9));
        assert_eq!((who(&later), later.review), (vec![1, 2], None));
    }

    #[test]
    fn a_leavers_slot_is_free_at_once() {
        let all = candidates(&[Claim::Silent, Claim::Silent, Claim::Silent]);
        let held = assign(&[None, None], &all, at(1)).slots;
        assert_eq!(who(&assign(&held, &all[1..], at(1))), [3, 2]);
        assert_eq!(who(&assign(&held, &[], at(1))), [0, 0]);
        assert_eq!(who(&assign(&[], &all, at(1))), Vec::<u32>::new());
    }
}
