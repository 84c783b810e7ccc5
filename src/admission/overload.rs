//! The overload controller: how much CPU the server uses, what a join costs, and what follows from
//! both. Samples in, decisions out; pure.
//!
//! It degrades fast and recovers slowly. A step of degradation is taken as soon as the one before
//! has had its effect. It is taken back once the load has been low for a hold-off time, which
//! doubles each time the step had to come back. A join is expected to cost what those before it
//! did; until it shows in the measured load, that cost is added to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::stats::Pressure;
use crate::topology::Mode;

/// Share of the core limit above which the next step of degradation is taken.
const DEGRADE_ABOVE: f64 = 0.80;
/// Share of the core limit below which steps are taken back, after the hold-off. Between this and
/// [`DEGRADE_ABOVE`] nothing changes; the gap is wider than what the largest step saves, so that
/// taking it back does not call for it again.
const RECOVER_BELOW: f64 = 0.55;
/// Share of the core limit that a join may bring the load to; one that would exceed it is refused.
const ADMIT_UP_TO: f64 = 0.95;
/// The same once a join has been refused, until the load is below it. The hysteresis keeps the
/// server from accepting and refusing in turn.
const READMIT_UP_TO: f64 = 0.85;
/// Time constant of the smoothing of the load: after this time it has followed a change by 63 %.
const SMOOTHING_TIME: Duration = Duration::from_secs(3);
/// Time between two steps of degradation: that which the first takes to show in the smoothed load.
const SETTLE_TIME: Duration = Duration::from_secs(4);
/// Time for which the load must have been below [`RECOVER_BELOW`] before a step is taken back. It
/// doubles with each relapse.
const HOLD_OFF_FIRST: Duration = Duration::from_secs(10);
/// Longest hold-off, however often a step had to come back.
const HOLD_OFF_MAX: Duration = Duration::from_secs(160);
/// Time after taking a step back within which another degradation counts as a relapse, which
/// doubles the hold-off. A later one resets it.
const RELAPSE_WINDOW: Duration = Duration::from_secs(60);
/// Share of the prediction error by which the estimated costs are corrected, per second.
const LEARNING_RATE: f64 = 0.2;
/// Cores that a participant is expected to use before any has been measured: in `mcu` decoding a
/// 360p camera and a share of an encoder, in `sfu` forwarding a camera to a few others, in `p2p`
/// signalling alone.
const INITIAL_COST: PerMode<f64> = PerMode {
    mcu: 0.1,
    sfu: 0.03,
    p2p: 0.001,
};
/// Lower bound of an estimated cost, as a share of [`INITIAL_COST`]. Without it idle rooms would
/// teach the controller that joins are free.
const MIN_COST_SHARE: f64 = 0.2;

impl Pressure {
    /// All steps, from none to the strongest.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::FrameRate,
        Self::HalfFrameRate,
        Self::Size,
        Self::Rungs,
    ];

    /// The number of the step, from 0 for [`Pressure::None`] to 4.
    pub fn level(self) -> u8 {
        self as u8
    }

    /// The next stronger step; itself if there is none.
    fn more(self) -> Self {
        let next = usize::from(self.level()) + 1;
        Self::ALL.get(next).copied().unwrap_or(self)
    }

    /// The next weaker step; itself if there is none.
    fn less(self) -> Self {
        let next = usize::from(self.level()).checked_sub(1);
        next.map_or(self, |n| Self::ALL[n])
    }
}

/// One value for each mode of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PerMode<T> {
    /// In mode `mcu`, where media is mixed.
    pub mcu: T,
    /// In mode `sfu`, where media is forwarded.
    pub sfu: T,
    /// In mode `p2p`, where media goes between participants.
    pub p2p: T,
}

impl<T: Copy> PerMode<T> {
    /// The value of one mode.
    pub fn of(&self, mode: Mode) -> T {
        match mode {
            Mode::Mcu => self.mcu,
            Mode::Sfu => self.sfu,
            Mode::P2p => self.p2p,
        }
    }

    /// The value of one mode, to be changed.
    pub(crate) fn of_mut(&mut self, mode: Mode) -> &mut T {
        match mode {
            Mode::Mcu => &mut self.mcu,
            Mode::Sfu => &mut self.sfu,
            Mode::P2p => &mut self.p2p,
        }
    }
}

const MODES: [Mode; 3] = [Mode::Mcu, Mode::Sfu, Mode::P2p];

/// A measurement of the server, taken about once a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadSample {
    /// Time of the measurement, on any monotonic clock.
    pub at: Duration,
    /// CPU time that all threads of the server have used so far.
    pub cpu: Duration,
    /// Number of participants in the rooms of the server.
    pub people: PerMode<u32>,
}

/// The load that a join was accepted with, for [`OverloadController::withdraw`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Cores.
    cost: f64,
    /// Time of the last sample before.
    at: Duration,
}

/// Which bound joins are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    /// [`ADMIT_UP_TO`].
    Open,
    /// [`READMIT_UP_TO`]: a join was refused, and the load has not fallen since.
    Restricted,
}

/// Estimates the load of a server and the cost of a join; decides on degradation and admission.
#[derive(Debug, Clone, PartialEq)]
pub struct OverloadController {
    /// Cores that may be used; `None` without a limit.
    limit: Option<f64>,
    last: Option<LoadSample>,
    /// Cores in use, smoothed.
    load: f64,
    /// Cores that recent joins are expected to use and that do not show in `load` yet.
    expected: f64,
    /// Cores that one more participant is expected to use.
    costs: PerMode<f64>,
    pressure: Pressure,
    /// Time of the last change of `pressure`.
    changed: Duration,
    /// Since when the load has been below [`RECOVER_BELOW`] while something is degraded.
    low_since: Option<Duration>,
    /// How long the load must be low before the next step is taken back.
    hold_off: Duration,
    /// Time at which a step was last taken back.
    recovered: Option<Duration>,
    joins: Joins,
}

impl OverloadController {
    /// A controller of an idle server that may use `limit` cores. Without a limit nothing is
    /// degraded and every join is accepted.
    pub fn new(limit: Option<f64>) -> Self {
        Self {
            limit,
            last: None,
            load: 0.0,
            expected: 0.0,
            costs: INITIAL_COST,
            pressure: Pressure::None,
            changed: Duration::ZERO,
            low_since: None,
            hold_off: HOLD_OFF_FIRST,
            recovered: None,
            joins: Joins::Open,
        }
    }

    /// Updates the load, the costs and the pressure from a sample. One that is not later than the
    /// one before is ignored.
    pub fn update(&mut self, sample: LoadSample) {
        let Some(last) = self.last.filter(|last| last.at <= sample.at) else {
            self.last = Some(sample);
            return;
        };
        let elapsed = (sample.at - last.at).as_secs_f64();
        if elapsed <= 0.0 {
            return;
        }
        self.last = Some(sample);
        let used = sample.cpu.saturating_sub(last.cpu).as_secs_f64() / elapsed;
        let kept = (-elapsed / SMOOTHING_TIME.as_secs_f64()).exp();
        self.load = self.load * kept + used * (1.0 - kept);
        // It decays as fast as it appears in the load.
        self.expected *= kept;
        self.learn(sample.people, elapsed);
        self.adjust_pressure(sample.at);
        if self.share(self.load + self.expected) < READMIT_UP_TO {
            self.joins = Joins::Open;
        }
    }

    /// Corrects the estimated costs by the error of the load they predict (least mean squares): a
    /// mode takes part in the correction in proportion to its number of participants.
    fn learn(&mut self, people: PerMode<u32>, elapsed: f64) {
        let counts = MODES.map(|mode| (mode, f64::from(people.of(mode))));
        let squares: f64 = counts.iter().map(|(_, n)| n * n).sum();
        if squares == 0.0 {
            return;
        }
        let predicted: f64 = counts
            .iter()
            .map(|(mode, n)| n * self.costs.of(*mode))
            .sum();
        let error = self.load + self.expected - predicted;
        let step = (LEARNING_RATE * elapsed).min(1.0) * error / squares;
        for (mode, n) in counts {
            let cost = self.costs.of_mut(mode);
            *cost = (*cost + step * n).max(INITIAL_COST.of(mode) * MIN_COST_SHARE);
        }
    }

    /// Takes a step of degradation, or takes one back, where the load calls for it.
    fn adjust_pressure(&mut self, now: Duration) {
        let share = self.share(self.load);
        if share >= RECOVER_BELOW || self.pressure == Pressure::None {
            self.low_since = None;
        } else {
            self.low_since.get_or_insert(now);
        }
        if share > DEGRADE_ABOVE
            && (self.pressure == Pressure::None || now >= self.changed + SETTLE_TIME)
        {
            let more = self.pressure.more();
            if more != self.pressure {
                let relapsed = self
                    .recovered
                    .take()
                    .is_some_and(|at| now < at + RELAPSE_WINDOW);
                self.hold_off = match relapsed {
                    true => (self.hold_off * 2).min(HOLD_OFF_MAX),
                    false => HOLD_OFF_FIRST,
                };
                (self.pressure, self.changed) = (more, now);
            }
        } else if self
            .low_since
            .is_some_and(|since| now >= since + self.hold_off)
        {
            (self.pressure, self.changed) = (self.pressure.less(), now);
            self.recovered = Some(now);
            self.low_since = None;
        }
    }

    /// Whether one more participant in `mode` fits. If so, their expected cost counts from now on;
    /// if not, joins are restricted until the load has fallen.
    pub fn admit(&mut self, mode: Mode) -> bool {
        self.reserve(mode).is_some()
    }

    /// Accepts one more participant in `mode`, whose expected cost counts from now on until it shows
    /// in the load, or is withdrawn ([`OverloadController::withdraw`]). `None` if they do not fit:
    /// joins are restricted then until the load has fallen.
    pub fn reserve(&mut self, mode: Mode) -> Option<Expected> {
        let cost = self.costs.of(mode);
        let bound = match self.joins {
            Joins::Open => ADMIT_UP_TO,
            Joins::Restricted => READMIT_UP_TO,
        };
        let fits = self.share(self.load + self.expected + cost) <= bound;
        if fits {
            self.expected += cost;
        } else {
            self.joins = Joins::Restricted;
        }
        let at = self.last.map(|sample| sample.at).unwrap_or_default();
        fits.then_some(Expected { cost, at })
    }

    /// Takes back what is left of the expected cost of a participant who has not come after all.
    pub fn withdraw(&mut self, expected: Expected) {
        let now = self.last.map(|sample| sample.at).unwrap_or_default();
        let passed = now.saturating_sub(expected.at).as_secs_f64();
        let left = expected.cost * (-passed / SMOOTHING_TIME.as_secs_f64()).exp();
        self.expected = (self.expected - left).max(0.0);
        if self.share(self.load + self.expected) < READMIT_UP_TO {
            self.joins = Joins::Open;
        }
    }

    /// A number of cores as a share of the limit; 0 without a limit.
    fn share(&self, cores: f64) -> f64 {
        self.limit.map_or(0.0, |limit| cores / limit)
    }

    /// The step of degradation in force.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// Number of cores that may be used; `None` without a limit.
    pub(crate) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// Number of cores in use, smoothed over the last seconds.
    pub fn load(&self) -> f64 {
        self.load
    }

    /// Cores that one more participant is expected to use.
    pub fn costs(&self) -> PerMode<f64> {
        self.costs
    }

    /// Whether a join in `mode` would be accepted now. Changes nothing.
    pub fn has_room(&self, mode: Mode) -> bool {
        self.clone().admit(mode)
    }

    /// Number of participants in the last sample.
    pub fn people(&self) -> PerMode<u32> {
        self.last.map(|sample| sample.people).unwrap_or_default()
    }
}
