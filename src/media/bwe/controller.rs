//! What a viewer is sent, by what is known of their link: estimates in, a budget and a rung out;
//! pure.
//!
//! Down fast, up slowly: a link that is overused costs the viewer their sound, one that is not
//! used fully costs some sharpness. How much more than now a link would carry cannot be seen; it
//! is tried by growing step by step, and a step that failed is tried again later and later. Before
//! a larger picture is sent, other packets have to be carried as fast (`rung_probe`).
//! Sound comes first: the picture gets what is left of the budget.

use std::time::Duration;

use super::bandwidth::{Bandwidth, FORWARDED, LONG_QUEUE, LONG_RUN, MIXED, NEAR_FULL};
pub use super::budget::Budget;
pub(crate) use super::budget::{PICTURE_SHARE, SOUND_HEADERS};
use super::budget::{rung_needs, rung_takes};
use super::delay::{Estimate, Usage};
use super::ladder::{Ladder, Rung};
use super::layer_probe::{Demand, LayerProbe};
use super::packet_train;
use super::rendition_selector::{MARGIN, RenditionSelector};

/// Factor by which a budget may exceed the acked bitrate: more than that has never been tried.
const AHEAD: f64 = 1.5;
/// Factor on what was carried before a step up, so that it is found to fit again.
const STEP_BACK: f64 = 1.002;
/// How much faster than the picture's budget a frame larger than others goes out.
const PACE_FACTOR: f64 = 1.25;
/// bit/s; no picture goes out slower.
const MIN_PACE: f64 = 15_000.0;
/// How long a rung that a viewer has been moved down to may wait for the queue of
/// the rungs above to drain.
const MAX_DRAIN: Duration = Duration::from_secs(4);

/// Decides what is sent over the link to one viewer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkController {
    link: Bandwidth,
    /// Where composites are sent.
    selector: RenditionSelector,
    /// Where others' pictures are forwarded.
    probe: LayerProbe,
}

impl LinkController {
    /// What may be sent to the viewer.
    pub fn budget(&self) -> Budget {
        self.link.budget
    }

    /// Rate at which a picture beside sound of `audio` bit/s goes out at most, however large its
    /// frames, bit/s; `None` without a limit.
    pub fn pace(&self, audio: u32) -> Option<u32> {
        let picture = self.link.budget.for_picture(audio)?;
        // Where it is known what the link carries, a large frame is no reason to exceed that: it
        // would fill the queue in which sound waits, too.
        let carried = self.link.long_run().map(Budget::Limited);
        let carried = carried.and_then(|carried| carried.for_picture(audio));
        let pace = match self.link.is_backing_off() {
            true => picture,
            false => carried.map_or(picture * PACE_FACTOR, |most| {
                (picture * PACE_FACTOR).min(most)
            }),
        };
        Some(pace.max(picture).max(MIN_PACE) as u32)
    }

    /// Whether what was sent on a better rung still waits on the link. Ends after four seconds.
    pub(crate) fn is_draining(&self) -> bool {
        self.link.is_backing_off() && self.link.updated() < self.selector.moved() + MAX_DRAIN
    }

    /// The best rung that the link carries.
    pub fn rung(&self) -> Rung {
        self.selector.rung()
    }

    /// Whether an estimate can change anything: it is one of overuse, or the link has a budget.
    /// Others need not be passed to [`Self::update`].
    pub fn cares(&self, estimate: &Estimate) -> bool {
        estimate.usage == Usage::Overuse || self.link.budget != Budget::Free
    }

    /// Takes an estimate that came at `now`, on any clock that does not go back, of a link that
    /// carries a composite. `audio` is the bitrate of the sound beside it, bit/s; 0 for none.
    /// Returns how many bytes of packets should be sent again now, for a rung probe.
    pub fn update(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        ladder: &Ladder,
        audio: u32,
    ) -> usize {
        match estimate.usage {
            Usage::Overuse => {
                if self.link.undo_overshoot(now, estimate) {
                    self.selector.restore_rung();
                }
                if self.link.back_off(now, estimate, MIXED) {
                    self.selector.remember_rung();
                }
            }
            Usage::Underuse => {
                let rung = self.selector.rung();
                let above = Rung(rung.0.saturating_sub(1));
                let next = rung_needs(ladder, above, audio) * MARGIN * 1.01;
                // A rendition is shared: for its other viewers it may take all that its rung
                // allows, and this viewer cannot get it for less.
                let most = rung_takes(ladder, rung, audio) * NEAR_FULL * 1.01;
                let ahead = f64::from(estimate.acked_bitrate) * AHEAD;
                let bound = ahead.max(next).max(most);
                let top = rung_takes(ladder, Rung::TOP, audio);
                self.link.grow(now, estimate, bound, top);
            }
            Usage::Normal => {}
        }
        let elapsed = self.link.finish_update(now);
        let (selector, link) = (&mut self.selector, &mut self.link);
        selector.update(now, estimate, link, ladder, audio);
        selector.probe_bytes(now, elapsed)
    }

    /// Takes an estimate that came at `now` of a link over which others' pictures are forwarded.
    /// Such a viewer has no rung: they can be sent the encodings there are, and those in `demand`.
    /// Returns how many bytes of packets should be sent again at once, for a packet train.
    pub(crate) fn update_forwarded(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        demand: &Demand,
    ) -> usize {
        self.probe.record_sent(now, demand.held);
        self.probe.record_train(now, estimate.probe_bitrate);
        let mut trains = false;
        match estimate.usage {
            Usage::Overuse => {
                let is_first = !self.link.is_backing_off();
                self.link.back_off(now, estimate, FORWARDED);
                // What went well until a step was taken will do so again: giving up more would
                // cost moves for nothing. The same holds for a queue that drains by itself.
                let drains = f64::from(estimate.acked_bitrate) * LONG_RUN >= demand.held
                    && estimate.queue <= LONG_QUEUE;
                if is_first && let Some(before) = self.probe.on_overuse(now) {
                    self.link.budget = Budget::Limited(before * STEP_BACK);
                } else if is_first && drains {
                    self.link.budget.raise_to(demand.held * STEP_BACK);
                }
            }
            Usage::Underuse => {
                let bound = self.probe.bound(now, demand);
                if self.probe.fits_by_train(now, demand) {
                    self.link.forget_full();
                }
                self.link.grow(now, estimate, bound, demand.all);
                trains = self.link.budget != Budget::Free && self.probe.wants_train(now, demand);
            }
            Usage::Normal => {}
        }
        self.link.finish_update(now);
        if trains {
            packet_train::TARGET_BYTES
        } else {
            0
        }
    }
}

/// The bitrate of a rendition by the budgets of its viewers: the upper median. More than half of
/// them can take it; the others are better off a rung below than everybody with less.
///
/// `budgets` are bit/s for the picture, `None` without a limit, and are sorted. Returns
/// `None` if there are none.
pub(crate) fn upper_median(budgets: &mut [Option<f64>]) -> Option<Option<f64>> {
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
        let mut controller = LinkController::default();
        let mut update = |at, queue, usage| {
            let estimate = Estimate {
                acked_bitrate: 60_000,
                loss: 0.0,
                queue: ms(queue),
                usage,
                probe_bitrate: None,
            };
            controller.update(ms(at), &estimate, &ladder, 24_000);
            assert_eq!(controller.rung(), ladder.still());
            controller.is_draining()
        };
        assert!(update(5000, 400, Usage::Overuse));
        assert!(update(6000, 200, Usage::Overuse));
        assert!(!update(6200, 10, Usage::Underuse));
        assert!(
            update(6400, 60, Usage::Overuse),
            "what is left of the queue"
        );
        assert!(update(8800, 60, Usage::Overuse));
        assert!(!update(9000, 60, Usage::Overuse));
    }

    #[test]
    fn the_greater_half_decides_what_a_rendition_gets() {
        assert_eq!(upper_median(&mut []), None);
        assert_eq!(upper_median(&mut [Some(1.0)]), Some(Some(1.0)));
        assert_eq!(upper_median(&mut [None, Some(1.0)]), Some(None));
        assert_eq!(
            upper_median(&mut [Some(3.0), None, Some(1.0)]),
            Some(Some(3.0))
        );
        assert_eq!(
            upper_median(&mut [Some(2.0), Some(1.0), None, None]),
            Some(None)
        );
    }
}
