//! When more is tried over a link over which others' pictures are forwarded; pure.
//!
//! What is sent then comes in steps, the encodings that senders make, and a link that carries one
//! of them says nothing of whether it would carry the next. It is tried, one step at a time, and a
//! step that was too much is tried again later and later. Packet trains
//! ([`super::packet_train`]) say beforehand which steps are hopeless.

use std::time::Duration;

/// Overuse so soon after a step up is the step's fault. Where a step is too much by little, the
/// queue takes long to grow.
const AT_FAULT: Duration = Duration::from_secs(30);
/// Time between two steps: the effect of one is seen before the next.
const DWELL: Duration = Duration::from_secs(3);
/// First wait before a failed step is tried again. It doubles, up to [`WAIT_LONGEST`].
const WAIT_FIRST: Duration = Duration::from_secs(15);
/// Longest wait before a failed step is tried again.
const WAIT_LONGEST: Duration = Duration::from_secs(120);
/// How long the rate of a packet train is believed.
const FRESH: Duration = Duration::from_secs(20);
/// A link that carries less than this share of what a step needs does not carry the step. The need
/// has something to spare in it.
const FAILS_BELOW: f64 = 0.85;
/// After so long without a step one is tried against the word of trains: these
/// may be wrong for ever.
const AGAINST_TRAINS: Duration = Duration::from_secs(240);
/// First time between two trains. It doubles while they say that no more fits, up to
/// [`TRAINS_LONGEST`].
const TRAINS_FIRST: Duration = Duration::from_secs(4);
/// Longest time between two trains.
const TRAINS_LONGEST: Duration = Duration::from_secs(16);
/// Factor of a step's need that the budget may grow to, if the step is to be taken.
const REACH: f64 = 1.02;
/// Factor of a step's need that the budget may grow to, if the step is to wait.
const SHORT: f64 = 0.99;

/// What there is to send over a link, bit/s, RTP headers included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    /// What is sent now.
    pub(crate) held: f64,
    /// What the link must carry for the next larger encoding of one picture to be sent; `None`
    /// where there is no larger one.
    pub(crate) next: Option<f64>,
    /// What the link must carry for all that is wanted.
    pub(crate) all: f64,
}

impl Demand {
    /// This demand, of payload of pictures, as bits on the wire: of these `percent` are payload,
    /// and `sound` bit/s of sound are added.
    pub(crate) fn with_sound(self, sound: u64, percent: u64) -> Self {
        let on_the_wire = |bits: f64| bits * 100.0 / percent as f64 + sound as f64;
        Self {
            held: on_the_wire(self.held),
            next: self.next.map(on_the_wire),
            all: on_the_wire(self.all),
        }
    }
}

/// A step up.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    at: Duration,
    /// bit/s sent before it.
    from: f64,
}

/// What the last packet train says of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrainVerdict {
    Fits,
    Fails,
    /// There was no train lately, nothing came back of it, or the step barely fits.
    Unknown,
}

/// Decides when a larger encoding is tried over one link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LayerProbe {
    /// bit/s sent by the last [`Demand`]; zero before the first.
    held: f64,
    /// The last step, while overuse would be its fault.
    step: Option<Step>,
    /// bit/s that were too much.
    failed: f64,
    /// Time before which no step is taken.
    retry_at: Duration,
    /// How long is waited after the next step that fails.
    wait: Duration,
    /// When a step last failed, and what the trains had said of it.
    last_failure: Option<(Duration, TrainVerdict)>,
    /// When a step was last taken, or the link was overused.
    last_change: Duration,
    /// When the last train arrived, and at how many bit/s.
    last_train: Option<(Duration, f64)>,
    /// Time before which no train is sent.
    next_train: Duration,
    /// Time between the next two trains.
    train_interval: Duration,
}

impl Default for LayerProbe {
    fn default() -> Self {
        Self {
            held: 0.0,
            step: None,
            failed: 0.0,
            retry_at: Duration::ZERO,
            wait: WAIT_FIRST,
            last_failure: None,
            last_change: Duration::ZERO,
            last_train: None,
            next_train: Duration::ZERO,
            train_interval: TRAINS_FIRST,
        }
    }
}

impl LayerProbe {
    /// Takes that `held` bit/s are sent at `now`. More than before is a step up.
    pub(crate) fn record_sent(&mut self, now: Duration, held: f64) {
        if self.step.is_some_and(|step| now >= step.at + AT_FAULT) {
            self.step = None;
            // To be back at what was carried all along says nothing of what failed.
            if self.held >= self.failed {
                self.wait = WAIT_FIRST;
            }
        }
        if self.held > 0.0 && held > self.held {
            let from = self.held;
            self.step = Some(Step { at: now, from });
            self.last_change = now;
        }
        self.held = held;
    }

    /// Takes that the link is overused at `now`. Returns the bit/s sent before the last step, if
    /// the step is at fault.
    pub(crate) fn on_overuse(&mut self, now: Duration) -> Option<f64> {
        self.last_change = now;
        let step = self.step.take()?;
        self.failed = self.held;
        self.last_failure = Some((now, self.verdict(now, self.held)));
        self.retry_at = now + self.wait;
        self.wait = (self.wait * 2).min(WAIT_LONGEST);
        Some(step.from)
    }

    /// Takes the rate at which a packet train arrived, bit/s, if one did.
    pub(crate) fn record_train(&mut self, now: Duration, rate: Option<u32>) {
        let train = rate.map(|rate| (now, f64::from(rate)));
        self.last_train = train.or(self.last_train);
    }

    /// What the last train says of a step that needs `needed` bit/s.
    fn verdict(&self, now: Duration, needed: f64) -> TrainVerdict {
        match self.last_train {
            Some((at, rate)) if now < at + FRESH && rate < needed * FAILS_BELOW => {
                TrainVerdict::Fails
            }
            Some((at, rate)) if now < at + FRESH && rate >= needed => TrainVerdict::Fits,
            _ => TrainVerdict::Unknown,
        }
    }

    /// Whether the last packet train says that the next step fits.
    pub(crate) fn fits_by_train(&self, now: Duration, demand: &Demand) -> bool {
        let fits = |next| self.verdict(now, next) == TrainVerdict::Fits;
        demand.next.is_some_and(fits)
    }

    /// Whether a step that needs `needed` bit/s has to wait.
    fn waits(&self, now: Duration, needed: f64) -> bool {
        match (self.verdict(now, needed), self.last_failure) {
            (TrainVerdict::Fails, _) => now < self.last_change + AGAINST_TRAINS,
            // Trains have been wrong before.
            (TrainVerdict::Fits, Some((_, TrainVerdict::Fits))) | (TrainVerdict::Unknown, _) => {
                now < self.retry_at
            }
            (TrainVerdict::Fits, Some((at, _))) => now < at + WAIT_FIRST,
            (TrainVerdict::Fits, None) => false,
        }
    }

    /// Whether a packet train should be sent now, to learn whether the link carries more.
    pub(crate) fn wants_train(&mut self, now: Duration, demand: &Demand) -> bool {
        let Some(next) = demand.next else {
            return false;
        };
        if now < self.next_train {
            return false;
        }
        self.train_interval = match self.verdict(now, next) {
            TrainVerdict::Fails => (self.train_interval * 2).min(TRAINS_LONGEST),
            _ => TRAINS_FIRST,
        };
        self.next_train = now + self.train_interval;
        true
    }

    /// What the budget may grow to, bit/s. While a step waits that is less than the step needs:
    /// with more it would be taken.
    pub(crate) fn bound(&self, now: Duration, demand: &Demand) -> f64 {
        let dwells = self.step.is_some_and(|step| now < step.at + DWELL);
        match demand.next {
            Some(next) if dwells || self.waits(now, next) => next * SHORT,
            Some(next) => next * REACH,
            None => f64::INFINITY,
        }
    }
}
