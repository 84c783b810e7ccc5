//! Which rung of the ladder a viewer of a composite is on; pure.

use std::time::Duration;

use super::bandwidth::{Bandwidth, CLEAR_QUEUE, LONG_QUEUE, WAIT_LONGEST};
use super::budget::{Budget, rung_needs};
use super::delay::{Estimate, Usage};
use super::ladder::{Ladder, Rung};
use super::rung_probe::RungProbe;

/// Factor by which the budget must exceed what a better rung needs.
pub(crate) const MARGIN: f64 = 1.12;
/// Time between a move and an upgrade.
const DWELL: Duration = Duration::from_secs(2);
/// A rung that is left sooner than this after the upgrade to it was not reached, and is held off.
const NOT_REACHED: Duration = Duration::from_secs(15);
/// First hold-off of a rung. It doubles each time, up to [`HOLD_OFF_LONGEST`].
const HOLD_OFF_FIRST: Duration = Duration::from_secs(15);
/// Longest hold-off of a rung.
const HOLD_OFF_LONGEST: Duration = Duration::from_secs(120);
/// Hold-off of the last moving rung, each time. There are only stills below it, and a moving
/// picture is worth a probe now and then.
const HOLD_OFF_LAST_MOVING: Duration = Duration::from_secs(10);
/// A budget that exceeds the need of a rung by this factor overrides a hold-off.
const BEYOND_DOUBT: f64 = 1.35;

/// A rung that could not be kept.
#[derive(Debug, Clone, Copy, PartialEq)]
struct HoldOff {
    rung: Rung,
    until: Duration,
    /// How long it lasts.
    wait: Duration,
}

/// Selects a viewer's rendition: down at once, up after a probe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RenditionSelector {
    rung: Rung,
    /// The rung at the last reduction of the budget.
    remembered: Rung,
    moved: Duration,
    /// Rung and time of the last upgrade.
    upgraded: Option<(Rung, Duration)>,
    hold_offs: Vec<HoldOff>,
    /// The probe for a better rung that is going on.
    probe: Option<RungProbe>,
}

impl Default for RenditionSelector {
    fn default() -> Self {
        Self {
            rung: Rung::TOP,
            remembered: Rung::TOP,
            moved: Duration::ZERO,
            upgraded: None,
            hold_offs: Vec::new(),
            probe: None,
        }
    }
}

impl RenditionSelector {
    /// The best rung that the link carries.
    pub(crate) fn rung(&self) -> Rung {
        self.rung
    }

    /// Time of the last change of the rung.
    pub(crate) fn moved(&self) -> Duration {
        self.moved
    }

    /// Remembers the rung at a reduction of the budget, for [`Self::restore_rung`].
    pub(crate) fn remember_rung(&mut self) {
        self.remembered = self.rung;
    }

    /// Goes back to the rung of the last reduction, which turned out to be a mistake.
    pub(crate) fn restore_rung(&mut self) {
        self.rung = self.remembered;
    }

    /// Bytes to send again for the `time` until the next estimate; 0 without a probe.
    pub(crate) fn probe_bytes(&self, now: Duration, time: Duration) -> usize {
        let probe = self.probe.filter(|probe| !probe.is_passed(now));
        probe.map_or(0, |probe| probe.bytes(time))
    }

    /// Moves to the rung that fits `link`, beside sound of `audio` bit/s. A probe that fails
    /// lowers the budget of `link` to what arrives.
    pub(crate) fn update(
        &mut self,
        now: Duration,
        estimate: &Estimate,
        link: &mut Bandwidth,
        ladder: &Ladder,
        audio: u32,
    ) {
        let Budget::Limited(bits) = link.budget else {
            self.upgrade(now, Rung::TOP);
            return;
        };
        let mut rungs = ladder.rungs().map(|(rung, _)| rung);
        // A link is backed off for a moment only: what it carries in the long run counts, unless
        // that would keep a long queue waiting. The last moving rung drains the queue all the
        // same, if slowly, and a still is worse than that.
        let long_run = link.long_run().unwrap_or_default();
        let fits = |rung: Rung| {
            let is_last = rung.below() >= ladder.still();
            let may_queue = estimate.queue <= LONG_QUEUE || is_last;
            let most = if may_queue { bits.max(long_run) } else { bits };
            rung_needs(ladder, rung, audio) <= most
        };
        let queues = estimate.usage == Usage::Overuse || estimate.queue > CLEAR_QUEUE;
        if let Some(probe) = self.probe.take_if(|_| queues) {
            self.hold_off(now, probe.rung(), ladder);
            // The budget was ahead of what the link carries: it grows to that once more.
            link.budget.lower_to(estimate.acked_bitrate.into());
            link.wait_until(now + WAIT_LONGEST);
        }
        if !fits(self.rung) {
            let fits = |rung: &Rung| *rung > self.rung && fits(*rung);
            self.downgrade(now, rungs.find(fits).unwrap_or(ladder.still()), ladder);
        } else if now >= self.moved + DWELL && estimate.usage == Usage::Underuse && !queues {
            let is_held_off = |rung: Rung, ratio: f64| {
                let hold_off = self.hold_offs.iter().find(|held| held.rung == rung);
                hold_off.is_some_and(|held| now < held.until && ratio < BEYOND_DOUBT)
            };
            let better = rungs.find(|rung| {
                let ratio = bits / rung_needs(ladder, *rung, audio);
                *rung < self.rung && ratio >= MARGIN && !is_held_off(*rung, ratio)
            });
            let Some(rung) = better else {
                self.probe = None;
                return;
            };
            let needed = rung_needs(ladder, rung, audio) * MARGIN;
            let acked = estimate.acked_bitrate.into();
            if self.has_passed_probe(now, rung, needed, acked) {
                // The budget may be ahead of what has ever been sent.
                link.budget.lower_to(needed.max(acked));
                self.upgrade(now, rung);
            }
        }
    }

    /// Whether the probe for `rung` has passed; begins one if there is none.
    fn has_passed_probe(&mut self, now: Duration, rung: Rung, needed: f64, acked: f64) -> bool {
        let probe = self.probe.filter(|probe| probe.rung() == rung);
        let probe = probe.unwrap_or_else(|| RungProbe::begin(now, rung, needed, acked));
        self.probe = Some(probe);
        probe.is_passed(now)
    }

    fn upgrade(&mut self, now: Duration, rung: Rung) {
        if rung < self.rung {
            self.rung = rung;
            self.probe = None;
            self.moved = now;
            self.upgraded = Some((rung, now));
        }
    }

    /// Moves down. The rung that is left is held off if the upgrade to it was recent.
    fn downgrade(&mut self, now: Duration, rung: Rung, ladder: &Ladder) {
        let left = std::mem::replace(&mut self.rung, rung);
        if rung != left {
            self.moved = now;
        }
        let Some((upgraded, at)) = self.upgraded.take().filter(|(to, _)| *to == left) else {
            return;
        };
        match now < at + NOT_REACHED {
            true => self.hold_off(now, upgraded, ladder),
            false => self.hold_offs.retain(|held| held.rung != upgraded),
        }
    }

    /// Holds a rung off that the link does not carry, longer each time.
    fn hold_off(&mut self, now: Duration, rung: Rung, ladder: &Ladder) {
        let before = self.hold_offs.iter().position(|held| held.rung == rung);
        let before = before.map(|n| self.hold_offs.swap_remove(n));
        let wait = match before {
            _ if rung.below() >= ladder.still() => HOLD_OFF_LAST_MOVING,
            Some(held) => (held.wait * 2).min(HOLD_OFF_LONGEST),
            None => HOLD_OFF_FIRST,
        };
        let until = now + wait;
        self.hold_offs.push(HoldOff { rung, until, wait });
    }
}
