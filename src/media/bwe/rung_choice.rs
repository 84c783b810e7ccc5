//! Which rung a viewer of a composite is on; pure.

use std::time::Duration;

use super::bandwidth::{Bandwidth, CLEAR, LONG_QUEUE, WAIT_LONGEST};
use super::budget::{Budget, need};
use super::delay::{Estimate, Load};
use super::ladder::{Ladder, Rung};
use super::rung_probe::Trial;

/// How much more than it needs a better rung must have.
pub(crate) const MARGIN: f64 = 1.12;
/// Between a move and one up.
const DWELL: Duration = Duration::from_secs(2);
/// A rung that was left again so soon after it had been climbed to was not reached.
const FALL: Duration = Duration::from_secs(15);
/// The wait before such a rung is tried again; it doubles.
const BAR_FIRST: Duration = Duration::from_secs(15);
const BAR_LONGEST: Duration = Duration::from_secs(120);
/// The same each time where there are but stills below: a picture is worth a trial now and then.
const BAR_LAST: Duration = Duration::from_secs(10);
/// So much more than a rung needs, and there is no doubt about it.
const BEYOND_DOUBT: f64 = 1.35;

/// A rung that could not be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar {
    rung: Rung,
    until: Duration,
    wait: Duration,
}

/// A rung, and what became of others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    rung: Rung,
    /// The rung before the last reduction.
    before: Rung,
    moved: Duration,
    /// The last climb: to where, and when.
    climbed: Option<(Rung, Duration)>,
    bars: Vec<Bar>,
    /// Of a better rung.
    trial: Option<Trial>,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            rung: Rung::TOP,
            before: Rung::TOP,
            moved: Duration::ZERO,
            climbed: None,
            bars: Vec::new(),
            trial: None,
        }
    }
}

impl Choice {
    /// The best rung that their link carries.
    pub(crate) fn rung(&self) -> Rung {
        self.rung
    }

    /// When it last became another.
    pub(crate) fn moved(&self) -> Duration {
        self.moved
    }

    /// Less is sent from now on.
    pub(crate) fn note_reduction(&mut self) {
        self.before = self.rung;
    }

    /// What was given up is had again.
    pub(crate) fn take_back(&mut self) {
        self.rung = self.before;
    }

    /// How many bytes to send again for the `time` until the next estimate.
    pub(crate) fn tried(&self, now: Duration, time: Duration) -> usize {
        let trial = self.trial.filter(|trial| !trial.is_passed(now));
        trial.map_or(0, |trial| trial.bytes(time))
    }

    /// Moves to what fits `link`, beside sound of `audio` bit/s.
    pub(crate) fn update(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        link: &mut Bandwidth,
        ladder: &Ladder,
        audio: u32,
    ) {
        let Budget::Limited(bits) = link.budget else {
            self.climb(now, Rung::TOP);
            return;
        };
        let mut rungs = ladder.rungs().map(|(rung, _)| rung);
        // Easing is for a moment: what the link carries in the long run is what counts, unless
        // that would keep a long queue waiting. The last rung that moves drains it all the same,
        // if slowly, and a still is worse than that.
        let carried = link.carried().unwrap_or_default();
        let fits = |rung: Rung| {
            let is_last = rung.below() >= ladder.still();
            let may_queue = estimate.queue <= LONG_QUEUE || is_last;
            let most = if may_queue { bits.max(carried) } else { bits };
            need(ladder, rung, audio) <= most
        };
        let queues = estimate.load == Load::Heavy || estimate.queue > CLEAR;
        if let Some(trial) = self.trial.take_if(|_| queues) {
            self.bar(now, trial.rung(), ladder);
            // The budget was ahead of what the link carries: it grows to that once more.
            link.budget.lower_to(estimate.arriving.into());
            link.wait_until(now + WAIT_LONGEST);
        }
        if !fits(self.rung) {
            let fits = |rung: &Rung| *rung > self.rung && fits(*rung);
            self.fall(now, rungs.find(fits).unwrap_or(ladder.still()), ladder);
        } else if now >= self.moved + DWELL && estimate.load == Load::Light && !queues {
            let barred = |rung: Rung, ratio: f64| {
                let bar = self.bars.iter().find(|bar| bar.rung == rung);
                bar.is_some_and(|bar| now < bar.until && ratio < BEYOND_DOUBT)
            };
            let better = rungs.find(|rung| {
                let ratio = bits / need(ladder, *rung, audio);
                *rung < self.rung && ratio >= MARGIN && !barred(*rung, ratio)
            });
            let Some(rung) = better else {
                self.trial = None;
                return;
            };
            let needed = need(ladder, rung, audio) * MARGIN;
            let arriving = estimate.arriving.into();
            if self.has_carried(now, rung, needed, arriving) {
                // The budget may be ahead of what has ever been sent.
                link.budget.lower_to(needed.max(arriving));
                self.climb(now, rung);
            }
        }
    }

    /// Whether the link has carried what a rung needs, which is tried otherwise.
    fn has_carried(&mut self, now: Duration, rung: Rung, needed: f64, arriving: f64) -> bool {
        let trial = self.trial.filter(|trial| trial.rung() == rung);
        let trial = trial.unwrap_or_else(|| Trial::begin(now, rung, needed, arriving));
        self.trial = Some(trial);
        trial.is_passed(now)
    }

    fn climb(&mut self, now: Duration, rung: Rung) {
        if rung < self.rung {
            self.rung = rung;
            self.trial = None;
            self.moved = now;
            self.climbed = Some((rung, now));
        }
    }

    fn fall(&mut self, now: Duration, rung: Rung, ladder: &Ladder) {
        let left = std::mem::replace(&mut self.rung, rung);
        if rung != left {
            self.moved = now;
        }
        let Some((climbed, at)) = self.climbed.take().filter(|(to, _)| *to == left) else {
            return;
        };
        match now < at + FALL {
            true => self.bar(now, climbed, ladder),
            false => self.bars.retain(|bar| bar.rung != climbed),
        }
    }

    /// Has a rung wait that the link does not carry, longer each time.
    fn bar(&mut self, now: Duration, rung: Rung, ladder: &Ladder) {
        let before = self.bars.iter().position(|bar| bar.rung == rung);
        let before = before.map(|n| self.bars.swap_remove(n));
        let wait = match before {
            _ if rung.below() >= ladder.still() => BAR_LAST,
            Some(bar) => (bar.wait * 2).min(BAR_LONGEST),
            None => BAR_FIRST,
        };
        let until = now + wait;
        self.bars.push(Bar { rung, until, wait });
    }
}
