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
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            held: 0.0,
            rose: None,
            failed: 0.0,
            until: Duration::ZERO,
            wait: WAIT_FIRST,
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
        }
        self.held = held;
    }

    /// The link has become full at `now`. If that is because of a step, what was sent before it,
    /// bit/s.
    pub fn fail(&mut self, now: Duration) -> Option<f64> {
        let rise = self.rose.take()?;
        self.failed = self.held;
        self.until = now + self.wait;
        self.wait = (self.wait * 2).min(WAIT_LONGEST);
        Some(rise.from)
    }

    /// What a budget may grow to. While a step waits it stays short of that: with more it would
    /// be taken.
    pub fn bound(&self, now: Duration, demand: &Demand) -> f64 {
        let waits = now < self.until || self.rose.is_some_and(|rise| now < rise.at + DWELL);
        match demand.next {
            Some(next) if waits => next * SHORT,
            Some(next) => next * REACH,
            None => f64::INFINITY,
        }
    }
}
