//! Puts the packets of one stream back in order; pure.
//!
//! Nothing waits while no packet is missing. Behind one that is, the others wait until it comes, or
//! until it has been waited for long enough.

use std::collections::BTreeMap;
use std::time::Duration;

/// Most packets that wait. Beyond it what is missing is waited for no longer.
const MAX_HELD: usize = 2_048;

/// The packets of one stream, by their numbers that do not wrap ([`super::sequence`]).
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    /// How long a missing packet is waited for.
    wait: Duration,
    /// The number of the packet that is to come next.
    next: Option<i64>,
    /// Those that wait, and when each came.
    held: BTreeMap<i64, (Duration, T)>,
    lost: u64,
}

impl<T> Reorder<T> {
    /// For a stream whose missing packets are waited for that long.
    pub(crate) fn new(wait: Duration) -> Self {
        Self {
            wait,
            next: None,
            held: BTreeMap::new(),
            lost: 0,
        }
    }

    /// Takes a packet that came at `now`, and calls `release` with all whose turn it is. One that comes
    /// again or too late is left out.
    pub(crate) fn push(
        &mut self,
        now: Duration,
        number: i64,
        packet: T,
        mut release: impl FnMut(T),
    ) {
        let next = *self.next.get_or_insert(number);
        if number == next && self.held.is_empty() {
            self.next = Some(next + 1);
            return release(packet);
        }
        if number >= next {
            self.held.entry(number).or_insert((now, packet));
        }
        self.release(now, &mut release);
    }

    /// Calls `release` with what has waited long enough by `now`.
    pub(crate) fn expire(&mut self, now: Duration, mut release: impl FnMut(T)) {
        self.release(now, &mut release);
    }

    /// Whether no packet waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Packets that were waited for in vain so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    fn release(&mut self, now: Duration, release: &mut impl FnMut(T)) {
        while let (Some(entry), Some(next)) = (self.held.first_entry(), self.next) {
            let (number, came) = (*entry.key(), entry.get().0);
            let missing = number - next;
            if missing > 0 && self.held.len() <= MAX_HELD && now < came + self.wait {
                return;
            }
            self.lost += u64::try_from(missing).unwrap_or_default();
            if let Some((number, (_, packet))) = self.held.pop_first() {
                self.next = Some(number + 1);
                release(packet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAIT: Duration = Duration::from_millis(100);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_is_missing_is_waited_for_and_then_not_any_more() {
        let mut reorder = Reorder::new(WAIT);
        let mut out = Vec::new();
        let push = |reorder: &mut Reorder<i64>, at, number, out: &mut Vec<i64>| {
            reorder.push(ms(at), number, number, |packet| out.push(packet));
        };
        push(&mut reorder, 0, 7, &mut out);
        push(&mut reorder, 1, 9, &mut out);
        push(&mut reorder, 2, 10, &mut out);
        assert_eq!(out, [7]);
        push(&mut reorder, 50, 8, &mut out);
        assert_eq!(out, [7, 8, 9, 10]);
        push(&mut reorder, 60, 12, &mut out);
        reorder.expire(ms(159), |packet| out.push(packet));
        assert_eq!(out.last(), Some(&10));
        reorder.expire(ms(160), |packet| out.push(packet));
        assert_eq!(out.last(), Some(&12));
        push(&mut reorder, 170, 11, &mut out);
        assert_eq!(out.last(), Some(&12), "too late");
        assert_eq!(reorder.lost(), 1);
    }

    proptest! {
        /// However packets come, they leave once each, in order, and none waits for ever.
        #[test]
        fn packets_leave_in_order(arrivals in proptest::collection::vec((0i64..400, 0u64..30), 1..300)) {
            let mut reorder = Reorder::new(WAIT);
            let (mut out, mut now) = (Vec::new(), ms(0));
            let first = arrivals[0].0;
            let came: std::collections::BTreeSet<i64> =
                arrivals.iter().map(|(number, _)| *number).filter(|number| *number >= first).collect();
            for (number, pause) in arrivals {
                now += ms(pause);
                reorder.push(now, number, number, |packet| out.push(packet));
            }
            reorder.expire(now + WAIT, |packet| out.push(packet));
            prop_assert!(out.is_sorted_by(|a, b| a < b));
            prop_assert!(out.iter().all(|number| came.contains(number)));
            let newest = came.last().copied();
            prop_assert_eq!(out.last().copied(), newest);
            let all = newest.unwrap_or(first) - first + 1;
            prop_assert_eq!(out.len() as i64 + reorder.lost() as i64, all);
        }

        /// What comes in any order within the time that is waited leaves whole.
        #[test]
        fn nothing_is_lost_that_comes_in_time(order in Just((1i64..60).collect::<Vec<_>>()).prop_shuffle()) {
            let mut reorder = Reorder::new(WAIT);
            let mut out = Vec::new();
            for number in std::iter::once(0).chain(order) {
                reorder.push(ms(1), number, number, |packet| out.push(packet));
            }
            prop_assert_eq!(out, (0..60).collect::<Vec<_>>());
        }
    }
}
