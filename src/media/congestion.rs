//! What a viewer is sent, by what is known of their link: estimates in, a budget and a rung out;
//! pure.
//!
//! Down fast, up slowly: a link that is overloaded costs the viewer their sound, one that is not
//! used fully costs some sharpness. How much more than now a link would carry cannot be seen; it
//! is tried by growing step by step, and a step that failed is tried again later and later. Before a
//! larger picture is sent, other packets have to be carried as fast (`trial.rs`).
//! Sound comes first: the picture gets what is left of the budget.

use std::time::Duration;

use super::estimate::{Estimate, Load};
use super::ladder::{Ladder, Pace, Rung};
use super::probe::{Demand, Probe};
use super::train;
use super::trial::Trial;

/// What is left of a full link so that its queue drains.
const EASE: f64 = 0.85;
/// The same where the queue is longer than [`LONG_QUEUE`].
const EASE_MORE: f64 = 0.7;
const LONG_QUEUE: Duration = Duration::from_millis(150);
/// With a queue beyond that nothing more is tried: it is about to be full.
const CLEAR: Duration = Duration::from_millis(15);
/// Between two reductions: what arrives is counted over a second.
const REACTION: Duration = Duration::from_millis(1300);
const MIXED: Effect = Effect {
    within: REACTION,
    stands: REACTION.saturating_mul(2),
};
/// Senders have to be asked for another encoding first. These are far apart: to give up one more for
/// a queue that stands would cost moves to and fro.
const FORWARDED: Effect = Effect {
    within: Duration::from_millis(2500),
    stands: Duration::MAX,
};
/// A queue that has grown by that much since the last reduction was not helped by it.
const WORSE: Duration = Duration::from_millis(20);
/// What is found to be carried is counted over that, ...
const COUNTED: Duration = Duration::from_millis(500);
/// ... in which a receiver may have been held up: then it is so much more when counted again.
const MISTAKEN: f64 = 2.0;
/// Growth a second where it is known when the link was full, and where it is not.
const CAREFUL: f64 = 0.08;
const BOLD: f64 = 0.35;
/// What is near the rate at which the link was full.
const NEAR: f64 = 1.15;
/// A budget may exceed what is sent by this factor: no more has been tried.
const AHEAD: f64 = 1.5;
/// Nor was it, if so many packets are still lost.
const LOSSY: f32 = 0.1;
/// No budget is less, bit/s.
const FLOOR: f64 = 20_000.0;
/// The wait before growing again; it doubles with each time that growing fails.
const WAIT_FIRST: Duration = Duration::from_secs(2);
const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// How much more than it needs a better rung must have.
const MARGIN: f64 = 1.12;
/// The share of a full link that the rung somebody is on may need.
const KEPT: f64 = 0.93;
/// Between a move and one up.
const DWELL: Duration = Duration::from_secs(2);
/// A rung that was left again so soon after it had been climbed to was not reached.
const FALL: Duration = Duration::from_secs(15);
/// The wait before such a rung is tried again; it doubles.
const BAR_FIRST: Duration = Duration::from_secs(15);
const BAR_LONGEST: Duration = Duration::from_secs(120);
/// So much more than a rung needs, and there is no doubt about it.
const BEYOND_DOUBT: f64 = 1.35;

/// What was carried before a step, and something so that it is found to fit again.
const STEP_BACK: f64 = 1.002;

/// A frame larger than others goes out this much faster than the picture on the whole may.
const PACE: f64 = 1.25;
/// bit/s; no picture goes out slower.
const SLOWEST: f64 = 15_000.0;

/// bit/s that headers add to sound of a packet each 20 ms: 20 bytes of RTP, and those of
/// [`super::feedback::OVERHEAD`].
pub const SOUND_HEADERS: u32 = 23_200;
/// What headers leave of the bits of a picture, whose packets have 600 bytes on average.
pub const PICTURE_SHARE: f64 = 0.92;

/// What all that is sent to a viewer may come to.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Budget {
    /// bit/s, all headers included.
    Limited(f64),
    /// Nothing has been heard that speaks against the best.
    Free,
}

impl Budget {
    /// bit/s for an encoder of pictures beside sound of `audio` bit/s; `None` if it is free.
    pub fn for_picture(self, audio: u32) -> Option<f64> {
        match self {
            Self::Limited(bits) => Some(((bits - sound(audio)) * PICTURE_SHARE).max(0.0)),
            Self::Free => None,
        }
    }
}

/// What sound comes to.
fn sound(audio: u32) -> f64 {
    match audio {
        0 => 0.0,
        bits => f64::from(bits.saturating_add(SOUND_HEADERS)),
    }
}

/// What a rung needs at least, with sound.
fn need(ladder: &Ladder, rung: Rung, audio: u32) -> f64 {
    let least = ladder.spec(rung).map_or(0, |spec| spec.least);
    f64::from(least) / PICTURE_SHARE + sound(audio)
}

/// What a rung needs at most, with sound.
fn all(ladder: &Ladder, rung: Rung, audio: u32) -> f64 {
    let most = ladder.spec(rung).map_or(0, |spec| spec.most);
    f64::from(most) / PICTURE_SHARE + sound(audio)
}

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
    /// The rung before it.
    from: Rung,
}

/// How soon it shows what a reduction has led to.
#[derive(Debug, Clone, Copy)]
struct Effect {
    within: Duration,
    /// When a queue that is no shorter has not been helped: one that is as long as it can be does not
    /// grow.
    stands: Duration,
}

/// A rung that could not be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar {
    rung: Rung,
    until: Duration,
    wait: Duration,
}

/// One viewer's link, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Viewer {
    budget: Budget,
    rung: Rung,
    /// The time of the last estimate.
    updated: Duration,
    full: Option<Full>,
    easing: Option<Reduced>,
    /// No growth before.
    waits_until: Duration,
    /// Since when the budget is enough for a better rung.
    ample: Option<Duration>,
    moved: Duration,
    /// The last climb: to where, and when.
    climbed: Option<(Rung, Duration)>,
    bars: Vec<Bar>,
    /// Of a better rung.
    trial: Option<Trial>,
    probe: Probe,
}

impl Default for Viewer {
    fn default() -> Self {
        Self {
            budget: Budget::Free,
            rung: Rung::TOP,
            updated: Duration::ZERO,
            full: None,
            easing: None,
            waits_until: Duration::ZERO,
            ample: None,
            moved: Duration::ZERO,
            climbed: None,
            bars: Vec::new(),
            trial: None,
            probe: Probe::default(),
        }
    }
}

impl Viewer {
    /// What may be sent.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// bit/s at which a picture beside sound of `audio` bit/s goes out at most, however large its
    /// frames; `None` without a limit.
    pub fn pace(&self, audio: u32) -> Option<u32> {
        let picture = self.budget.for_picture(audio)?;
        // Where it is known what the link carries, a large frame is no reason to exceed that: it
        // would fill the queue in which sound waits, too.
        let carried = self.full.map(|full| Budget::Limited(full.carried * KEPT));
        let carried = carried.and_then(|carried| carried.for_picture(audio));
        let pace = match self.easing {
            Some(_) => picture,
            None => carried.map_or(picture * PACE, |most| (picture * PACE).min(most)),
        };
        Some(pace.max(picture).max(SLOWEST) as u32)
    }

    /// The best rung that their link carries.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Whether an estimate can change anything.
    pub fn cares(&self, estimate: &Estimate) -> bool {
        estimate.load == Load::Heavy || self.budget != Budget::Free
    }

    /// Takes an estimate at `now`, on any clock that does not go back. `audio` is bit/s of the
    /// sound they are sent besides; 0 if there is none. Returns how many bytes should be sent once
    /// more now, so that the next estimates tell more.
    pub fn update(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        ladder: &Ladder,
        audio: u32,
    ) -> usize {
        match estimate.load {
            Load::Heavy => {
                self.correct(now, estimate);
                self.ease(now, estimate, MIXED);
            }
            Load::Light => {
                let above = Rung(self.rung.0.saturating_sub(1));
                let next = need(ladder, above, audio) * MARGIN * 1.01;
                // What others see of this rung may cost all it can, and it is not to be had for less.
                let most = all(ladder, self.rung, audio) * NEAR * 1.01;
                let bound = (f64::from(estimate.arriving) * AHEAD).max(next).max(most);
                self.grow(now, estimate, bound, all(ladder, Rung::TOP, audio));
            }
            Load::Steady => {}
        }
        let passed = now.saturating_sub(self.updated).min(REACTION / 2);
        self.updated = now;
        self.choose(now, estimate, ladder, audio);
        let trial = self.trial.filter(|trial| !trial.is_passed(now));
        trial.map_or(0, |trial| trial.bytes(passed))
    }

    /// The same for somebody to whom others' pictures are forwarded: what they can be sent are
    /// the encodings there are, and no rung is chosen.
    ///
    /// The bytes that it returns are a train (`train.rs`).
    pub fn update_forwarded(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        demand: &Demand,
    ) -> usize {
        self.probe.note(now, demand.held);
        self.probe.hear(now, estimate.train);
        let mut trains = false;
        match estimate.load {
            Load::Heavy => {
                let is_first = self.easing.is_none();
                self.ease(now, estimate, FORWARDED);
                // What went well until a step was taken will do so again: to give up more would
                // cost moves for nothing. So would it for a queue that goes by itself.
                let passes = f64::from(estimate.arriving) * KEPT >= demand.held
                    && estimate.queue <= LONG_QUEUE;
                if is_first && let Some(before) = self.probe.fail(now) {
                    self.budget = Budget::Limited(before * STEP_BACK);
                } else if is_first && passes {
                    let held = Budget::Limited(demand.held * STEP_BACK);
                    self.budget = if self.budget < held {
                        held
                    } else {
                        self.budget
                    };
                }
            }
            Load::Light => {
                let bound = self.probe.bound(now, demand);
                if self.probe.is_told_to_fit(now, demand) {
                    // It carries more than it did.
                    self.full = None;
                }
                self.grow(now, estimate, bound, demand.all);
                trains = self.budget != Budget::Free && self.probe.wants_train(now, demand);
            }
            Load::Steady => {}
        }
        self.updated = now;
        if trains { train::ENOUGH } else { 0 }
    }

    /// Takes back what was given up for a link that turns out to carry far more, as it goes on being
    /// full.
    fn correct(&mut self, now: Duration, estimate: &Estimate) {
        let carried = f64::from(estimate.arriving);
        let (Some(reduced), Some(full)) = (self.easing, &mut self.full) else {
            return;
        };
        let counted_anew = reduced.at + COUNTED..reduced.at + REACTION;
        if counted_anew.contains(&now) && carried > full.carried * MISTAKEN {
            full.carried = carried;
            self.budget = Budget::Limited(carried * EASE_MORE);
            self.rung = reduced.from;
        }
    }

    /// At most once until that has shown its `effect`.
    fn ease(&mut self, now: Duration, estimate: &Estimate, effect: Effect) {
        let arriving = f64::from(estimate.arriving);
        if let Some(reduced) = self.easing {
            let since = now.saturating_sub(reduced.at);
            let worse = estimate.queue > reduced.queue + WORSE || estimate.loss > LOSSY;
            let stands = since >= effect.stands && estimate.queue + WORSE > reduced.queue;
            if since < effect.within || !(worse || stands) {
                return;
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
        self.ample = None;
        self.easing = Some(Reduced {
            at: now,
            queue: estimate.queue,
            from: self.rung,
        });
        let share = match estimate.queue > LONG_QUEUE {
            true => EASE_MORE,
            false => EASE,
        };
        let eased = Budget::Limited((arriving * share).max(FLOOR));
        if self.budget > eased {
            self.budget = eased;
        }
        let wait = self.full.map_or(WAIT_FIRST, |full| full.wait);
        self.waits_until = now + wait;
    }

    /// Towards `bound`; without a limit where that is more than `all` there is, bit/s.
    fn grow(&mut self, now: Duration, estimate: &Estimate, bound: f64, all: f64) {
        self.easing = None;
        let Budget::Limited(bits) = self.budget else {
            return;
        };
        let arriving = f64::from(estimate.arriving);
        if self.full.is_some_and(|full| arriving > full.carried * NEAR) {
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
        // Estimates that come late are not made up for.
        let elapsed = now.saturating_sub(self.updated).min(REACTION / 2);
        let grown = bits * (1.0 + rate * elapsed.as_secs_f64());
        let grown = grown.min(bound).max(bits);
        self.budget = match grown > all * NEAR {
            true => Budget::Free,
            false => Budget::Limited(grown),
        };
    }

    fn choose(&mut self, now: Duration, estimate: &Estimate, ladder: &Ladder, audio: u32) {
        let Budget::Limited(bits) = self.budget else {
            self.climb(now, Rung::TOP);
            return;
        };
        let mut rungs = ladder.rungs().map(|(rung, _)| rung);
        // Easing is for a moment: what the link carries in the long run is what counts, unless
        // that would keep a long queue waiting. The last rung that moves drains it all the same,
        // if slowly, and a still is worse than that.
        let carried = self.full.map_or(0.0, |full| full.carried * KEPT);
        let fits = |rung: Rung| {
            let is_last = rung.below() >= ladder.still();
            let may_queue = estimate.queue <= LONG_QUEUE || is_last;
            let most = if may_queue { bits.max(carried) } else { bits };
            need(ladder, rung, audio) <= most
        };
        let queues = estimate.load == Load::Heavy || estimate.queue > CLEAR;
        if let Some(trial) = self.trial.take_if(|_| queues) {
            self.bar(now, trial.rung());
            // The budget was ahead of what the link carries: it grows to that once more.
            let carried = Budget::Limited(estimate.arriving.into());
            if self.budget > carried {
                self.budget = carried;
            }
            self.waits_until = self.waits_until.max(now + WAIT_LONGEST);
        }
        if !fits(self.rung) {
            let fits = |rung: &Rung| *rung > self.rung && fits(*rung);
            self.fall(now, rungs.find(fits).unwrap_or(ladder.still()));
        } else if now >= self.moved + DWELL && estimate.load == Load::Light && !queues {
            let barred = |rung: Rung, ratio: f64| {
                let bar = self.bars.iter().find(|bar| bar.rung == rung);
                bar.is_some_and(|bar| now < bar.until && ratio < BEYOND_DOUBT)
            };
            let better = rungs.find(|rung| {
                let ratio = bits / need(ladder, *rung, audio);
                *rung < self.rung && ratio >= MARGIN && !barred(*rung, ratio)
            });
            // Stills show what a link carries only when one is on its way.
            let shown = match ladder.spec(self.rung).map(|spec| spec.pace) {
                Some(Pace::Still(every)) => every + DWELL,
                Some(Pace::Fps(_)) | None => Duration::ZERO,
            };
            match better {
                Some(rung) if now >= *self.ample.get_or_insert(now) + shown => {
                    let needed = need(ladder, rung, audio) * MARGIN;
                    match shown {
                        Duration::ZERO => self.try_out(now, rung, needed, estimate.arriving.into()),
                        _ => self.climb(now, rung),
                    }
                }
                Some(_) => {}
                None => (self.ample, self.trial) = (None, None),
            }
        }
    }

    /// Climbs to a rung once the link has carried what it needs, and with no more than that: the budget
    /// may be ahead of what has ever been sent.
    fn try_out(&mut self, now: Duration, rung: Rung, needed: f64, arriving: f64) {
        let trial = self.trial.filter(|trial| trial.rung() == rung);
        let trial = trial.unwrap_or_else(|| Trial::begin(now, rung, needed, arriving));
        self.trial = Some(trial);
        if trial.is_passed(now) {
            let shown = Budget::Limited(needed.max(arriving));
            if self.budget > shown {
                self.budget = shown;
            }
            self.climb(now, rung);
        }
    }

    fn climb(&mut self, now: Duration, rung: Rung) {
        if rung < self.rung {
            self.rung = rung;
            (self.ample, self.trial) = (None, None);
            self.moved = now;
            self.climbed = Some((rung, now));
        }
    }

    fn fall(&mut self, now: Duration, rung: Rung) {
        let left = self.rung;
        self.rung = rung;
        self.moved = now;
        let Some((climbed, at)) = self.climbed.take().filter(|(to, _)| *to == left) else {
            return;
        };
        match now < at + FALL {
            true => self.bar(now, climbed),
            false => self.bars.retain(|bar| bar.rung != climbed),
        }
    }

    /// Has a rung wait that the link does not carry, longer each time.
    fn bar(&mut self, now: Duration, rung: Rung) {
        let before = self.bars.iter().position(|bar| bar.rung == rung);
        let before = before.map(|n| self.bars.swap_remove(n));
        let wait = before.map_or(BAR_FIRST, |bar| (bar.wait * 2).min(BAR_LONGEST));
        let until = now + wait;
        self.bars.push(Bar { rung, until, wait });
    }
}

/// What a rendition is to be encoded at, by the budgets of those who watch it, and below which
/// budget somebody should not be on it. More than half of them get what they can; the others had
/// better go a rung down than have everybody see less.
///
/// `budgets` are bit/s for the picture, `None` without a limit. Returns `None` for nobody.
pub fn share(budgets: &mut [Option<f64>]) -> Option<Option<f64>> {
    let key = |budget: &Option<f64>| budget.unwrap_or(f64::INFINITY);
    budgets.sort_by(|a, b| key(a).total_cmp(&key(b)));
    budgets.get(budgets.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_half_decides_what_a_rendition_gets() {
        assert_eq!(share(&mut []), None);
        assert_eq!(share(&mut [Some(1.0)]), Some(Some(1.0)));
        assert_eq!(share(&mut [None, Some(1.0)]), Some(None));
        assert_eq!(share(&mut [Some(3.0), None, Some(1.0)]), Some(Some(3.0)));
        assert_eq!(share(&mut [Some(2.0), Some(1.0), None, None]), Some(None));
    }

    #[test]
    fn sound_comes_first() {
        let budget = Budget::Limited(100_000.0);
        assert_eq!(budget.for_picture(40_000), Some(36_800.0 * PICTURE_SHARE));
        assert_eq!(budget.for_picture(0), Some(92_000.0));
        assert_eq!(Budget::Limited(30_000.0).for_picture(40_000), Some(0.0));
        assert_eq!(Budget::Free.for_picture(40_000), None);
    }
}
