//! How hard the server is pressed, what a join costs it, and what follows from both: samples in,
//! decisions out; pure.
//!
//! Down fast, up slowly: a step of degradation comes as soon as the last one has had its effect,
//! and goes when there has been room for what it saves for long, longer each time it had to come
//! back. What a join will cost is what those before it did; until it shows in the load it is
//! counted as if it did.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::topology::Mode;

/// The share of its cores beyond which the server saves on pictures.
const PRESSED: f64 = 0.80;
/// The share below which it saves less again. What the dearest step saves fits between the two.
const RELIEVED: f64 = 0.55;
/// The share that a join must not bring it beyond.
const FULL: f64 = 0.95;
/// The same once somebody has been refused.
const ROOM_AGAIN: f64 = 0.85;
/// How fast the load follows what is measured: in this time by 63 %.
const INERTIA: Duration = Duration::from_secs(3);
/// Between two steps down: the time the first one takes to show.
const EFFECT: Duration = Duration::from_secs(4);
/// How long there must have been room until a step is taken back; it doubles.
const CALM_FIRST: Duration = Duration::from_secs(10);
const CALM_LONGEST: Duration = Duration::from_secs(160);
/// A step that comes back so soon after it had been taken back should not have been.
const RELAPSE: Duration = Duration::from_secs(60);
/// How much of what costs are wrong by is learnt in a second.
const LEARNING: f64 = 0.2;
/// Cores that somebody is taken to cost before anybody has been seen: a 360p camera and a share of
/// an encoder; a camera passed on to a few; signalling alone.
const GUESS: PerMode<f64> = PerMode {
    mcu: 0.1,
    sfu: 0.03,
    p2p: 0.001,
};
/// Nobody is taken to cost less than this share of that, however idle rooms are.
const LEAST: f64 = 0.2;

/// What is saved on, each step with all those before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Pressure {
    /// Nothing.
    #[default]
    None,
    /// Composites have two thirds of their frames.
    FrameRate,
    /// They have half of them.
    HalfFrameRate,
    /// Their full size is withheld.
    Size,
    /// Of the sizes, every other one is.
    Rungs,
}

impl Pressure {
    /// All of them, the slightest first.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::FrameRate,
        Self::HalfFrameRate,
        Self::Size,
        Self::Rungs,
    ];

    /// Its place among all, 0 for none.
    pub fn level(self) -> u8 {
        self as u8
    }

    fn more(self) -> Self {
        let next = usize::from(self.level()) + 1;
        Self::ALL.get(next).copied().unwrap_or(self)
    }

    fn less(self) -> Self {
        let next = usize::from(self.level()).checked_sub(1);
        next.map_or(self, |n| Self::ALL[n])
    }
}

/// One value for each mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PerMode<T> {
    /// Mixed.
    pub mcu: T,
    /// Forwarded.
    pub sfu: T,
    /// Between participants.
    pub p2p: T,
}

impl<T: Copy> PerMode<T> {
    /// That of one mode.
    pub fn of(&self, mode: Mode) -> T {
        match mode {
            Mode::Mcu => self.mcu,
            Mode::Sfu => self.sfu,
            Mode::P2p => self.p2p,
        }
    }

    /// That of one mode, to change.
    pub fn of_mut(&mut self, mode: Mode) -> &mut T {
        match mode {
            Mode::Mcu => &mut self.mcu,
            Mode::Sfu => &mut self.sfu,
            Mode::P2p => &mut self.p2p,
        }
    }
}

/// All modes.
const MODES: [Mode; 3] = [Mode::Mcu, Mode::Sfu, Mode::P2p];

/// What is measured, about once a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, on any clock that does not go back.
    pub at: Duration,
    /// CPU time that the server has used so far.
    pub cpu: Duration,
    /// How many people are in its rooms.
    pub people: PerMode<u32>,
}

/// Whether joins are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// Somebody was refused, and there is hardly more room since.
    Shut,
}

/// The load of a server, and what is done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Cores; `None` without a limit.
    limit: Option<f64>,
    last: Option<Sample>,
    /// Cores in use, smoothed.
    load: f64,
    /// Cores that those will use who joined and do not show in the load yet.
    expected: f64,
    costs: PerMode<f64>,
    pressure: Pressure,
    /// When that changed.
    changed: Duration,
    /// Since when there is room for less of it.
    calm_since: Option<Duration>,
    /// How long there must be.
    calm: Duration,
    /// When a step was last taken back.
    relieved: Option<Duration>,
    door: Door,
}

impl Gauge {
    /// That of an idle server that may use so many cores.
    pub fn new(limit: Option<f64>) -> Self {
        Self {
            limit,
            last: None,
            load: 0.0,
            expected: 0.0,
            costs: GUESS,
            pressure: Pressure::None,
            changed: Duration::ZERO,
            calm_since: None,
            calm: CALM_FIRST,
            relieved: None,
            door: Door::Open,
        }
    }

    /// Takes a sample. One that is no later than the one before says nothing.
    pub fn sample(&mut self, sample: Sample) {
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
        let kept = (-elapsed / INERTIA.as_secs_f64()).exp();
        self.load = self.load * kept + used * (1.0 - kept);
        // It fades from here as it grows into the load.
        self.expected *= kept;
        self.learn(sample.people, elapsed);
        self.press(sample.at);
        if self.share(self.load + self.expected) < ROOM_AGAIN {
            self.door = Door::Open;
        }
    }

    /// Corrects what people are taken to cost by what they do: least mean squares, where those who
    /// are more have the greater part in an error.
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
        let step = (LEARNING * elapsed).min(1.0) * error / squares;
        for (mode, n) in counts {
            let cost = self.costs.of_mut(mode);
            *cost = (*cost + step * n).max(GUESS.of(mode) * LEAST);
        }
    }

    fn press(&mut self, now: Duration) {
        let share = self.share(self.load);
        if share >= RELIEVED || self.pressure == Pressure::None {
            self.calm_since = None;
        } else {
            self.calm_since.get_or_insert(now);
        }
        if share > PRESSED && (self.pressure == Pressure::None || now >= self.changed + EFFECT) {
            let more = self.pressure.more();
            if more != self.pressure {
                let relapsed = self.relieved.take().is_some_and(|at| now < at + RELAPSE);
                self.calm = match relapsed {
                    true => (self.calm * 2).min(CALM_LONGEST),
                    false => CALM_FIRST,
                };
                (self.pressure, self.changed) = (more, now);
            }
        } else if self
            .calm_since
            .is_some_and(|since| now >= since + self.calm)
        {
            (self.pressure, self.changed) = (self.pressure.less(), now);
            self.relieved = Some(now);
            self.calm_since = None;
        }
    }

    /// Whether there is room for one more in `mode`, who is counted on from then on.
    pub fn admit(&mut self, mode: Mode) -> bool {
        let cost = self.costs.of(mode);
        let bound = match self.door {
            Door::Open => FULL,
            Door::Shut => ROOM_AGAIN,
        };
        let fits = self.share(self.load + self.expected + cost) <= bound;
        if fits {
            self.expected += cost;
        } else {
            self.door = Door::Shut;
        }
        fits
    }

    /// What of the limit so many cores are.
    fn share(&self, cores: f64) -> f64 {
        self.limit.map_or(0.0, |limit| cores / limit)
    }

    /// What is saved on now.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// Cores that may be used; `None` without a limit.
    pub fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// Cores in use, over the last seconds.
    pub fn load(&self) -> f64 {
        self.load
    }

    /// Cores that one more is taken to cost.
    pub fn costs(&self) -> PerMode<f64> {
        self.costs
    }

    /// Whether somebody would be taken in now, if they want no more than `mode`.
    pub fn has_room(&self, mode: Mode) -> bool {
        self.clone().admit(mode)
    }

    /// How many are in the rooms.
    pub fn people(&self) -> PerMode<u32> {
        self.last.map(|sample| sample.people).unwrap_or_default()
    }
}
