//! What a viewer is sent, by what is known of their link: estimates in, a budget and a rung out;
//! pure.
//!
//! Down fast, up slowly: a link that is overloaded costs the viewer their sound, one that is not
//! used fully costs some sharpness. How much more than now a link would carry cannot be seen; it
//! is tried by growing step by step, and a step that failed is tried again later and later. Before a
//! larger picture is sent, other packets have to be carried as fast (`trial.rs`).
//! Sound comes first: the picture gets what is left of the budget.

use std::time::Duration;

use super::bandwidth::{Bandwidth, FORWARDED, KEPT, LONG_QUEUE, MIXED, NEAR};
pub use super::budget::{Budget, PICTURE_SHARE, SOUND_HEADERS};
use super::budget::{all, need};
use super::rung_choice::{Choice, MARGIN};

use super::delay::{Estimate, Load};
use super::ladder::{Ladder, Rung};
use super::layer_probe::{Demand, Probe};
use super::packet_train;

/// A budget may exceed what is sent by this factor: no more has been tried.
const AHEAD: f64 = 1.5;
/// What was carried before a step, and something so that it is found to fit again.
const STEP_BACK: f64 = 1.002;
/// A frame larger than others goes out this much faster than the picture on the whole may.
const PACE: f64 = 1.25;
/// bit/s; no picture goes out slower.
const SLOWEST: f64 = 15_000.0;
/// How long a rung that somebody has fallen to may wait for the queue of those above to go.
const DRAINS: Duration = Duration::from_secs(4);

/// One viewer's link, and what follows from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Viewer {
    link: Bandwidth,
    /// Of composites.
    choice: Choice,
    /// For others' pictures.
    probe: Probe,
}

impl Viewer {
    /// What may be sent.
    pub fn budget(&self) -> Budget {
        self.link.budget
    }

    /// bit/s at which a picture beside sound of `audio` bit/s goes out at most, however large its
    /// frames; `None` without a limit.
    pub fn pace(&self, audio: u32) -> Option<u32> {
        let picture = self.link.budget.for_picture(audio)?;
        // Where it is known what the link carries, a large frame is no reason to exceed that: it
        // would fill the queue in which sound waits, too.
        let carried = self.link.carried().map(Budget::Limited);
        let carried = carried.and_then(|carried| carried.for_picture(audio));
        let pace = match self.link.is_easing() {
            true => picture,
            false => carried.map_or(picture * PACE, |most| (picture * PACE).min(most)),
        };
        Some(pace.max(picture).max(SLOWEST) as u32)
    }

    /// Whether what was sent on a better rung is still waiting on their link.
    pub fn is_draining(&self) -> bool {
        self.link.is_easing() && self.link.updated() < self.choice.moved() + DRAINS
    }

    /// The best rung that their link carries.
    pub fn rung(&self) -> Rung {
        self.choice.rung()
    }

    /// Whether an estimate can change anything.
    pub fn cares(&self, estimate: &Estimate) -> bool {
        estimate.load == Load::Heavy || self.link.budget != Budget::Free
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
                if self.link.correct(now, estimate) {
                    self.choice.take_back();
                }
                if self.link.ease(now, estimate, MIXED) {
                    self.choice.note_reduction();
                }
            }
            Load::Light => {
                let rung = self.choice.rung();
                let above = Rung(rung.0.saturating_sub(1));
                let next = need(ladder, above, audio) * MARGIN * 1.01;
                // What others see of this rung may cost all it can, and it is not to be had for less.
                let most = all(ladder, rung, audio) * NEAR * 1.01;
                let bound = (f64::from(estimate.arriving) * AHEAD).max(next).max(most);
                let top = all(ladder, Rung::TOP, audio);
                self.link.grow(now, estimate, bound, top);
            }
            Load::Steady => {}
        }
        let passed = self.link.pass(now);
        let (choice, link) = (&mut self.choice, &mut self.link);
        choice.update(now, estimate, link, ladder, audio);
        choice.tried(now, passed)
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
                let is_first = !self.link.is_easing();
                self.link.ease(now, estimate, FORWARDED);
                // What went well until a step was taken will do so again: to give up more would
                // cost moves for nothing. So would it for a queue that goes by itself.
                let passes = f64::from(estimate.arriving) * KEPT >= demand.held
                    && estimate.queue <= LONG_QUEUE;
                if is_first && let Some(before) = self.probe.fail(now) {
                    self.link.budget = Budget::Limited(before * STEP_BACK);
                } else if is_first && passes {
                    self.link.budget.raise_to(demand.held * STEP_BACK);
                }
            }
            Load::Light => {
                let bound = self.probe.bound(now, demand);
                if self.probe.is_told_to_fit(now, demand) {
                    self.link.forget_full();
                }
                self.link.grow(now, estimate, bound, demand.all);
                trains = self.link.budget != Budget::Free && self.probe.wants_train(now, demand);
            }
            Load::Steady => {}
        }
        self.link.pass(now);
        if trains { packet_train::ENOUGH } else { 0 }
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
    use crate::layout::Size;
    use crate::media::gst::template::Templates;

    #[test]
    fn a_still_waits_for_the_queue_before_it_and_not_for_ever() {
        let ms = Duration::from_millis;
        let canvas = Size {
            width: 1280,
            height: 720,
        };
        let ladder = Templates::default().ladder(canvas, 30, 1_500_000);
        let mut viewer = Viewer::default();
        let mut hear = |at, queue, load| {
            let estimate = Estimate {
                arriving: 60_000,
                loss: 0.0,
                queue: ms(queue),
                load,
                train: None,
            };
            viewer.update(ms(at), &estimate, &ladder, 24_000);
            assert_eq!(viewer.rung(), ladder.still());
            viewer.is_draining()
        };
        assert!(hear(5000, 400, Load::Heavy));
        assert!(hear(6000, 200, Load::Heavy));
        assert!(!hear(6200, 10, Load::Light));
        assert!(hear(6400, 60, Load::Heavy), "what is left of the queue");
        assert!(hear(8800, 60, Load::Heavy));
        assert!(!hear(9000, 60, Load::Heavy));
    }

    #[test]
    fn the_greater_half_decides_what_a_rendition_gets() {
        assert_eq!(share(&mut []), None);
        assert_eq!(share(&mut [Some(1.0)]), Some(Some(1.0)));
        assert_eq!(share(&mut [None, Some(1.0)]), Some(None));
        assert_eq!(share(&mut [Some(3.0), None, Some(1.0)]), Some(Some(3.0)));
        assert_eq!(share(&mut [Some(2.0), Some(1.0), None, None]), Some(None));
    }
}
