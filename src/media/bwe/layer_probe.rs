//! When more is tried of a link over which others' pictures are forwarded; pure.
//!
//! What is sent then comes in steps, the encodings that senders make, and a link that is used by
//! one of them tells nothing of whether it would carry the next. It is tried, one step at a time,
//! and a step that was too much is tried again later and later.

use std::time::Duration;

/// A link that is full so soon after more was sent over it does not carry that. Where it is too
/// much by little, the queue takes long to grow.
const TRIAL: Duration = Duration::from_secs(30);
/// Between two steps: what one does to a link is seen before the next.
const DWELL: Duration = Duration::from_secs(3);
/// The wait before a step that failed is tried again; it doubles.
const WAIT_FIRST: Duration = Duration::from_secs(15);
const WAIT_LONGEST: Duration = Duration::from_secs(120);
/// What packets sent at once tell is taken for true for so long.
const FRESH: Duration = Duration::from_secs(20);
/// What a step needs has something to spare in it; a link that carries less than that share of it
/// does not carry the step.
const BARELY: f64 = 0.85;
/// They may be wrong for ever: after so long without a step one is tried against their word.
const DOUBT: Duration = Duration::from_secs(240);
/// Between two times that packets are sent at once; it doubles while they tell that a link carries
/// no more.
const TRAINS_FIRST: Duration = Duration::from_secs(4);
const TRAINS_LONGEST: Duration = Duration::from_secs(16);
/// So much more than a step needs is aimed at, and so much less keeps it from being taken.
const REACH: f64 = 1.02;
const SHORT: f64 = 0.99;

/// What there is for a link, bit/s, RTP headers included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// What is sent now.
    pub held: f64,
    /// What the link must carry for the next larger encoding of one picture to be sent; `None`
    /// where there is nothing larger to be had.
    pub next: Option<f64>,
    /// What it must carry for all that is wanted.
    pub all: f64,
}

impl Demand {
    /// For pictures that leave `percent` of their bits to their payload, beside sound of so many
    /// bit/s.
    pub fn with_sound(self, sound: u64, percent: u64) -> Self {
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
struct Rise {
    at: Duration,
    /// bit/s sent before it.
    from: f64,
}

/// What became of the steps up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// bit/s sent when last heard of; zero before.
    held: f64,
    rose: Option<Rise>,
    /// bit/s that were too much.
    failed: f64,
    /// No step before.
    until: Duration,
    /// How long is waited after the next one that fails.
    wait: Duration,
    /// When one last failed, and what packets sent at once had said of it.
    fell: Option<(Duration, Word)>,
    /// When a step was last taken, or the link was full.
    stirred: Duration,
    /// What packets sent at once last told, bit/s, and when.
    told: Option<(Duration, f64)>,
    /// No packets are sent at once before.
    trains_at: Duration,
    /// How long is waited after the next time.
    pause: Duration,
}

/// What packets sent at once say of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Fits,
    Fails,
    /// None were sent, nothing was heard of them, or it barely fits.
    Unknown,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            held: 0.0,
            rose: None,
            failed: 0.0,
            until: Duration::ZERO,
            wait: WAIT_FIRST,
            fell: None,
            stirred: Duration::ZERO,
            told: None,
            trains_at: Duration::ZERO,
            pause: TRAINS_FIRST,
        }
    }
}

impl Probe {
    /// So much is sent at `now`.
    pub fn note(&mut self, now: Duration, held: f64) {
        if self.rose.is_some_and(|rise| now >= rise.at + TRIAL) {
            self.rose = None;
            // To be back at what was carried all along says nothing of what failed.
            if self.held >= self.failed {
                self.wait = WAIT_FIRST;
            }
        }
        if self.held > 0.0 && held > self.held {
            let from = self.held;
            self.rose = Some(Rise { at: now, from });
            self.stirred = now;
        }
        self.held = held;
    }

    /// The link has become full at `now`. If that is because of a step, what was sent before it,
    /// bit/s.
    pub fn fail(&mut self, now: Duration) -> Option<f64> {
        self.stirred = now;
        let rise = self.rose.take()?;
        self.failed = self.held;
        self.fell = Some((now, self.word(now, self.held)));
        self.until = now + self.wait;
        self.wait = (self.wait * 2).min(WAIT_LONGEST);
        Some(rise.from)
    }

    /// Packets that were sent at once have arrived at so many bit/s.
    pub fn hear(&mut self, now: Duration, train: Option<u32>) {
        self.told = train.map(|rate| (now, f64::from(rate))).or(self.told);
    }

    fn word(&self, now: Duration, needed: f64) -> Word {
        match self.told {
            Some((at, rate)) if now < at + FRESH && rate < needed * BARELY => Word::Fails,
            Some((at, rate)) if now < at + FRESH && rate >= needed => Word::Fits,
            _ => Word::Unknown,
        }
    }

    /// Whether the next step fits by what packets sent at once have told.
    pub fn is_told_to_fit(&self, now: Duration, demand: &Demand) -> bool {
        let fits = |next| self.word(now, next) == Word::Fits;
        demand.next.is_some_and(fits)
    }

    /// Whether a step that needs so many bit/s is still to wait.
    fn waits(&self, now: Duration, needed: f64) -> bool {
        match (self.word(now, needed), self.fell) {
            (Word::Fails, _) => now < self.stirred + DOUBT,
            // They have been wrong before.
            (Word::Fits, Some((_, Word::Fits))) | (Word::Unknown, _) => now < self.until,
            (Word::Fits, Some((at, _))) => now < at + WAIT_FIRST,
            (Word::Fits, None) => false,
        }
    }

    /// Whether packets should be sent at once now, to learn whether the link carries more.
    pub fn wants_train(&mut self, now: Duration, demand: &Demand) -> bool {
        let Some(next) = demand.next else {
            return false;
        };
        if now < self.trains_at {
            return false;
        }
        self.pause = match self.word(now, next) {
            Word::Fails => (self.pause * 2).min(TRAINS_LONGEST),
            _ => TRAINS_FIRST,
        };
        self.trains_at = now + self.pause;
        true
    }

    /// What a budget may grow to. While a step waits it stays short of that: with more it would
    /// be taken.
    pub fn bound(&self, now: Duration, demand: &Demand) -> f64 {
        let rests = self.rose.is_some_and(|rise| now < rise.at + DWELL);
        match demand.next {
            Some(next) if rests || self.waits(now, next) => next * SHORT,
            Some(next) => next * REACH,
            None => f64::INFINITY,
        }
    }
}
