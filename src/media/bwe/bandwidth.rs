//! How much may be sent over a link, whether pictures are mixed or forwarded; pure.
//!
//! A full link gets less at once. A link with room gets more step by step, because how much more it
//! would carry cannot be seen.

use std::time::Duration;

use super::budget::Budget;
use super::delay::Estimate;

/// Share of the acked bitrate that a full link is backed off to, so that its queue drains.
const BACK_OFF: f64 = 0.85;
/// Share that a link whose queue is longer than [`LONG_QUEUE`] is backed off to.
const BACK_OFF_MORE: f64 = 0.7;
/// Queue above which a link is backed off by more, and is not trusted with its long-run bitrate.
pub(crate) const LONG_QUEUE: Duration = Duration::from_millis(150);
/// Queue above which nothing more is tried: the link is about to be full.
pub(crate) const CLEAR_QUEUE: Duration = Duration::from_millis(15);
/// Time between a reduction and the next one, where pictures are mixed: the acked bitrate is
/// counted over a second, so the effect is not seen sooner.
const SETTLE_TIME: Duration = Duration::from_millis(1300);
/// Settle time of a link that carries a mix.
pub(crate) const MIXED: SettleTime = SettleTime {
    worse: SETTLE_TIME,
    unchanged: SETTLE_TIME.saturating_mul(2),
};
/// Settle time of a link over which pictures are forwarded. Senders have to be asked for another
/// encoding first. Encodings are far apart: giving one up for a queue that merely stands would
/// cost moves to and fro, so that is never done.
pub(crate) const FORWARDED: SettleTime = SettleTime {
    worse: Duration::from_millis(2500),
    unchanged: Duration::MAX,
};
/// Least share of the budget that is taken to arrive while the queue is short and little is lost.
/// Less than that means that the receiver was held up.
const CLAMP: f64 = 0.75;
/// Factor by which the acked bitrate must exceed what a full link carried for that to be forgotten.
/// What a link carries varies with the other traffic on it.
const BEYOND_FULL: f64 = 1.3;
/// Growth of the queue since a reduction above which the reduction counts as not having helped.
const QUEUE_GREW: Duration = Duration::from_millis(20);
/// Loss share above which a reduction counts as not having helped, 0 to 1.
const STILL_LOSSY: f32 = 0.1;
/// Time after a reduction from which on an overshoot is looked for. The first count may be wrong:
/// the receiver was held up, or the queue was still filling with something else.
const RECOUNT_AFTER: Duration = Duration::from_millis(250);
/// Factor by which a second count must exceed the first for the reduction to be an overshoot.
const OVERSHOT: f64 = 1.25;
/// Growth of the budget a second where it is known at which rate the link was full.
const GROWTH_KNOWN: f64 = 0.08;
/// Growth of the budget a second where nothing is known of when the link is full.
const GROWTH_UNKNOWN: f64 = 0.35;
/// Factor up to which a bitrate is near the one at which the link was full. Also how far a budget
/// must exceed all there is to send for the limit to be dropped.
pub(crate) const NEAR_FULL: f64 = 1.15;
/// bit/s below which no budget falls.
const MIN_BUDGET: f64 = 20_000.0;
/// Wait before growing after a reduction. It doubles each time that growth fails near the
/// same bitrate, up to [`WAIT_LONGEST`].
const WAIT_FIRST: Duration = Duration::from_secs(2);
/// Longest wait before growing again.
pub(crate) const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// Share of what a full link carried that may be used in the long run.
pub(crate) const LONG_RUN: f64 = 0.93;

/// What is remembered of the last time that a link was full.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Full {
    /// bit/s that it carried.
    carried: f64,
    /// Wait before growing after that.
    wait: Duration,
}

/// A reduction whose effect is still awaited.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reduction {
    at: Duration,
    /// The queue at that time.
    queue: Duration,
}

/// How long the effect of a reduction is awaited before the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettleTime {
    /// Where loss or queue have become worse.
    worse: Duration,
    /// Where the queue is merely no shorter. A queue that is as long as it can be does not grow.
    unchanged: Duration,
}

/// Tracks the budget of one link.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bandwidth {
    pub(crate) budget: Budget,
    /// Time of the last estimate.
    updated: Duration,
    full: Option<Full>,
    backed_off: Option<Reduction>,
    /// The budget does not grow before this time.
    waits_until: Duration,
}

impl Bandwidth {
    /// bit/s that the link carries in the long run; `None` if it was never full.
    pub(crate) fn long_run(&self) -> Option<f64> {
        self.full.map(|full| full.carried * LONG_RUN)
    }

    /// Whether less than the link carries is sent for a moment, so that its queue drains.
    pub(crate) fn is_backing_off(&self) -> bool {
        self.backed_off.is_some()
    }

    /// Time of the last estimate.
    pub(crate) fn updated(&self) -> Duration {
        self.updated
    }

    /// Forgets at which bitrate the link was full, because it carries more now.
    pub(crate) fn forget_full(&mut self) {
        self.full = None;
    }

    /// Lets the budget not grow before `time`.
    pub(crate) fn wait_until(&mut self, time: Duration) {
        self.waits_until = self.waits_until.max(time);
    }

    /// Ends the processing of an estimate that came at `now`. Returns the time it stands for: that
    /// since the one before, limited as in [`Self::elapsed`].
    pub(crate) fn finish_update(&mut self, now: Duration) -> Duration {
        let elapsed = self.elapsed(now);
        self.updated = now;
        elapsed
    }

    /// Time since the last estimate, at most half of [`SETTLE_TIME`]: time without estimates
    /// is not made up for.
    fn elapsed(&self, now: Duration) -> Duration {
        now.saturating_sub(self.updated).min(SETTLE_TIME / 2)
    }

    /// Takes a reduction back if it was made on too low a count: while the link goes on being full,
    /// far more arrives than was counted then. Returns whether it did.
    pub(crate) fn undo_overshoot(&mut self, now: Duration, estimate: &Estimate) -> bool {
        let acked = f64::from(estimate.acked_bitrate);
        let (Some(reduction), Some(full)) = (self.backed_off, &mut self.full) else {
            return false;
        };
        let recount = reduction.at + RECOUNT_AFTER..reduction.at + SETTLE_TIME;
        let overshot = recount.contains(&now) && acked > full.carried * OVERSHOT;
        if overshot {
            full.carried = acked;
            self.budget = Budget::Limited(acked * BACK_OFF_MORE);
        }
        overshot
    }

    /// Lowers the budget of a full link, at most once within `settle`. Returns whether it did.
    pub(crate) fn back_off(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        settle: SettleTime,
    ) -> bool {
        let acked = self.clamped(estimate);
        if let Some(reduction) = self.backed_off {
            let since = now.saturating_sub(reduction.at);
            let worse =
                estimate.queue > reduction.queue + QUEUE_GREW || estimate.loss > STILL_LOSSY;
            let is_no_shorter = estimate.queue + QUEUE_GREW > reduction.queue;
            // The first estimates of a link that has become narrow may be of how wide it was.
            let was_too_little = self.budget > Budget::Limited(estimate.acked_bitrate.into());
            let stands = since >= settle.unchanged && (is_no_shorter || was_too_little);
            let grew_long = reduction.queue <= LONG_QUEUE && estimate.queue > LONG_QUEUE;
            if !grew_long && (since < settle.worse || !(worse || stands)) {
                return false;
            }
        } else {
            let wait = match self.full {
                // It grew to where it had failed before.
                Some(full) if acked < full.carried * NEAR_FULL => (full.wait * 2).min(WAIT_LONGEST),
                _ => WAIT_FIRST,
            };
            let carried = acked.max(MIN_BUDGET);
            self.full = Some(Full { carried, wait });
        }
        if let Some(full) = &mut self.full {
            // What arrived a second ago may have been more than arrives now.
            full.carried = full.carried.min(acked.max(MIN_BUDGET));
        }
        self.backed_off = Some(Reduction {
            at: now,
            queue: estimate.queue,
        });
        let share = match estimate.queue > LONG_QUEUE {
            true => BACK_OFF_MORE,
            false => BACK_OFF,
        };
        self.budget.lower_to((acked * share).max(MIN_BUDGET));
        let wait = self.full.map_or(WAIT_FIRST, |full| full.wait);
        self.waits_until = now + wait;
        true
    }

    /// The acked bitrate, but at least [`CLAMP`] of the budget while the queue is short and little
    /// is lost: then it is the receiver that was held up, and not its packets.
    fn clamped(&self, estimate: &Estimate) -> f64 {
        let acked = f64::from(estimate.acked_bitrate);
        match self.budget {
            Budget::Limited(bits)
                if estimate.queue <= LONG_QUEUE && estimate.loss <= STILL_LOSSY =>
            {
                acked.max(bits * CLAMP)
            }
            _ => acked,
        }
    }

    /// Lets the budget of a link with room grow towards `bound` bit/s. The limit is dropped where
    /// the budget exceeds `all` bit/s, all there is to send.
    pub(crate) fn grow(&mut self, now: Duration, estimate: &Estimate, bound: f64, all: f64) {
        self.backed_off = None;
        let Budget::Limited(bits) = self.budget else {
            return;
        };
        let acked = f64::from(estimate.acked_bitrate);
        if self
            .full
            .is_some_and(|full| acked > full.carried * BEYOND_FULL)
        {
            self.full = None;
        }
        // Up to what is known to fit there is no wait.
        let known = self.full.map_or(0.0, |full| full.carried * BACK_OFF);
        if (now < self.waits_until || estimate.queue > CLEAR_QUEUE) && bits >= known {
            return;
        }
        let rate = match self.full.is_some() && bits >= known {
            true => GROWTH_KNOWN,
            false => GROWTH_UNKNOWN,
        };
        let grown = bits * (1.0 + rate * self.elapsed(now).as_secs_f64());
        let grown = grown.min(bound).max(bits);
        self.budget = match grown > all * NEAR_FULL {
            true => Budget::Free,
            false => Budget::Limited(grown),
        };
    }
}
