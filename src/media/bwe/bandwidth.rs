//! How much may be sent over a link, whatever it is; pure.
//!
//! Less at once where the link is full, and more step by step, for how much more it would carry
//! cannot be seen.

use std::time::Duration;

use super::budget::Budget;
use super::delay::Estimate;

/// What is left of a full link so that its queue drains.
const EASE: f64 = 0.85;
/// The same where the queue is longer than [`LONG_QUEUE`].
const EASE_MORE: f64 = 0.7;
pub(crate) const LONG_QUEUE: Duration = Duration::from_millis(150);
/// With a queue beyond that nothing more is tried: it is about to be full.
pub(crate) const CLEAR: Duration = Duration::from_millis(15);
/// Between two reductions: what arrives is counted over a second.
const REACTION: Duration = Duration::from_millis(1300);
pub(crate) const MIXED: Effect = Effect {
    within: REACTION,
    stands: REACTION.saturating_mul(2),
};
/// Senders have to be asked for another encoding first. These are far apart: to give up one more for
/// a queue that stands would cost moves to and fro.
pub(crate) const FORWARDED: Effect = Effect {
    within: Duration::from_millis(2500),
    stands: Duration::MAX,
};
/// The least share of what was sent that is taken to arrive while the queue is short.
const GRADUAL: f64 = 0.75;
/// What is more than a link carried when it was full: that varies with what else there is on it.
const MORE: f64 = 1.3;
/// A queue that has grown by that much since the last reduction was not helped by it.
const WORSE: Duration = Duration::from_millis(20);
/// Nor was it, if so many packets are still lost.
const LOSSY: f32 = 0.1;
/// What is found to be carried is counted over that, ...
const COUNTED: Duration = Duration::from_millis(250);
/// ... in which a receiver may have been held up, or the queue was still filling with something else:
/// then it is so much more when counted again.
const MISTAKEN: f64 = 1.25;
/// Growth a second where it is known when the link was full, and where it is not.
const CAREFUL: f64 = 0.08;
const BOLD: f64 = 0.35;
/// What is near the rate at which the link was full.
pub(crate) const NEAR: f64 = 1.15;
/// No budget is less, bit/s.
const FLOOR: f64 = 20_000.0;
/// The wait before growing again; it doubles with each time that growing fails.
const WAIT_FIRST: Duration = Duration::from_secs(2);
pub(crate) const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// The share of a full link that may be used in the long run.
pub(crate) const KEPT: f64 = 0.93;

/// When a link was full.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Full {
    /// What it carried then, bit/s.
    carried: f64,
    /// How long was waited after that.
    wait: Duration,
}

/// A reduction that has yet to show its effect.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reduced {
    at: Duration,
    queue: Duration,
}

/// How soon it shows what a reduction has led to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect {
    within: Duration,
    /// When a queue that is no shorter has not been helped: one that is as long as it can be does not
    /// grow.
    stands: Duration,
}

/// One link.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bandwidth {
    pub(crate) budget: Budget,
    /// The time of the last estimate.
    updated: Duration,
    full: Option<Full>,
    easing: Option<Reduced>,
    /// No growth before.
    waits_until: Duration,
}

impl Bandwidth {
    /// What the link carries in the long run, bit/s, where it is known.
    pub(crate) fn carried(&self) -> Option<f64> {
        self.full.map(|full| full.carried * KEPT)
    }

    /// Whether less is sent for a moment, so that a queue drains.
    pub(crate) fn is_easing(&self) -> bool {
        self.easing.is_some()
    }

    /// The time of the last estimate.
    pub(crate) fn updated(&self) -> Duration {
        self.updated
    }

    /// It carries more than it did.
    pub(crate) fn forget_full(&mut self) {
        self.full = None;
    }

    /// No growth until `time`, or later.
    pub(crate) fn wait_until(&mut self, time: Duration) {
        self.waits_until = self.waits_until.max(time);
    }

    /// An estimate has been dealt with. Returns for how long it counts.
    pub(crate) fn pass(&mut self, now: Duration) -> Duration {
        let passed = self.elapsed(now);
        self.updated = now;
        passed
    }

    /// Since the last estimate. Those that come late are not made up for.
    fn elapsed(&self, now: Duration) -> Duration {
        now.saturating_sub(self.updated).min(REACTION / 2)
    }

    /// Takes back what was given up for a link that turns out to carry far more, as it goes on being
    /// full. True if there was something.
    pub(crate) fn correct(&mut self, now: Duration, estimate: &Estimate) -> bool {
        let carried = f64::from(estimate.arriving);
        let (Some(reduced), Some(full)) = (self.easing, &mut self.full) else {
            return false;
        };
        let counted_anew = reduced.at + COUNTED..reduced.at + REACTION;
        let is_mistaken = counted_anew.contains(&now) && carried > full.carried * MISTAKEN;
        if is_mistaken {
            full.carried = carried;
            self.budget = Budget::Limited(carried * EASE_MORE);
        }
        is_mistaken
    }

    /// Sends less over a full link, at most once until that has shown its `effect`. True if it does.
    pub(crate) fn ease(&mut self, now: Duration, estimate: &Estimate, effect: Effect) -> bool {
        let arriving = self.believable(estimate);
        if let Some(reduced) = self.easing {
            let since = now.saturating_sub(reduced.at);
            let worse = estimate.queue > reduced.queue + WORSE || estimate.loss > LOSSY;
            let is_no_shorter = estimate.queue + WORSE > reduced.queue;
            // The first estimates of a link that has become narrow may be of how wide it was.
            let was_too_little = self.budget > Budget::Limited(estimate.arriving.into());
            let stands = since >= effect.stands && (is_no_shorter || was_too_little);
            let grew_long = reduced.queue <= LONG_QUEUE && estimate.queue > LONG_QUEUE;
            if !grew_long && (since < effect.within || !(worse || stands)) {
                return false;
            }
        } else {
            let wait = match self.full {
                // It grew to where it had failed before.
                Some(full) if arriving < full.carried * NEAR => (full.wait * 2).min(WAIT_LONGEST),
                _ => WAIT_FIRST,
            };
            let carried = arriving.max(FLOOR);
            self.full = Some(Full { carried, wait });
        }
        if let Some(full) = &mut self.full {
            // What arrived a second ago may have been more than arrives now.
            full.carried = full.carried.min(arriving.max(FLOOR));
        }
        self.easing = Some(Reduced {
            at: now,
            queue: estimate.queue,
        });
        let share = match estimate.queue > LONG_QUEUE {
            true => EASE_MORE,
            false => EASE,
        };
        self.budget.lower_to((arriving * share).max(FLOOR));
        let wait = self.full.map_or(WAIT_FIRST, |full| full.wait);
        self.waits_until = now + wait;
        true
    }

    /// bit/s that arrive, but no less by far than what was sent while the queue is short: then it is the
    /// receiver that was held up.
    fn believable(&self, estimate: &Estimate) -> f64 {
        let arriving = f64::from(estimate.arriving);
        match self.budget {
            Budget::Limited(bits) if estimate.queue <= LONG_QUEUE && estimate.loss <= LOSSY => {
                arriving.max(bits * GRADUAL)
            }
            _ => arriving,
        }
    }

    /// Towards `bound`; without a limit where that is more than `all` there is, bit/s.
    pub(crate) fn grow(&mut self, now: Duration, estimate: &Estimate, bound: f64, all: f64) {
        self.easing = None;
        let Budget::Limited(bits) = self.budget else {
            return;
        };
        let arriving = f64::from(estimate.arriving);
        if self.full.is_some_and(|full| arriving > full.carried * MORE) {
            // It carries more than it did.
            self.full = None;
        }
        // What is known to fit is had at once.
        let known = self.full.map_or(0.0, |full| full.carried * EASE);
        if (now < self.waits_until || estimate.queue > CLEAR) && bits >= known {
            return;
        }
        let rate = match self.full.is_some() && bits >= known {
            true => CAREFUL,
            false => BOLD,
        };
        let grown = bits * (1.0 + rate * self.elapsed(now).as_secs_f64());
        let grown = grown.min(bound).max(bits);
        self.budget = match grown > all * NEAR {
            true => Budget::Free,
            false => Budget::Limited(grown),
        };
    }
}
