//! What a link carries, by reception reports alone (RFC 3550 section 6.4); pure.
//!
//! For receivers that do not tell of each packet when it arrived. Every one to seven seconds they say
//! of each stream up to where it has come and how much of it is missing. With what has been sent
//! that tells how much arrives, what share is lost, and what is under way: a packet that has not
//! arrived although it was sent long ago waits in a queue. Between reports there are requests for
//! packets (RFC 4585), which tell of losses as they happen.
//!
//! That is coarse and late, so less is made of it than of arrivals ([`super::delay`], whose
//! estimates these are, too): a queue counts when two reports in a row tell of it, and a report is
//! reason to try more for a while only.

mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use stream::{Count, ENOUGH, INTERVAL, Sent, Stream};

use super::delay::{Estimate, Load};
use super::rtcp::Block;
use super::windowed_min::Least;

/// For how long a report is reason to try more. Some receivers send one in five seconds only, but ask
/// for what is missing at once.
const FRESH: Duration = Duration::from_secs(2);
/// For how long a link is full by what has been told: before more is given up, it is to be heard what
/// became of that.
const ALARM: Duration = Duration::from_secs(1);
/// Until less is sent over a full link, and its queue has room again.
const REACTION: Duration = Duration::from_millis(800);
/// For how long what a report counted is the state of the link.
const COUNTS: Duration = Duration::from_secs(15);
/// No report for so long while packets go out: the link is shut, or as good as that.
const SILENCE: Duration = Duration::from_secs(16);
/// A queue as long as that is one. A frame of some size makes one for a moment; who reports and who
/// hears it are late by some milliseconds themselves.
const QUEUE: Duration = Duration::from_millis(60);
/// What is under way is a queue if the newest of it is no older than this: the last packets before a
/// pause may be lost.
const PAUSE: Duration = Duration::from_millis(200);
/// More than that share of lost packets is congestion; radio links lose less at random.
const LOSS: f32 = 0.2;
/// So is that if two reports in a row tell of it: where one in ten is lost, one report may.
const LOSS_AGAIN: f32 = 0.14;
/// The same for a link that has been full before: what it loses is hardly lost at random.
const LOSS_AS_BEFORE: f32 = 0.07;
/// With more than that, nothing more is tried: where a link drops at once what is too much for it,
/// losses are all that tells of that.
const LOSSY: f32 = 0.05;

/// What was told last, and what was before that.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Twice<T> {
    at: Duration,
    last: T,
    before: T,
}

impl<T: Copy + PartialOrd> Twice<T> {
    /// Takes what was told at `at`. What comes at once after it is of the same moment.
    fn note(&mut self, at: Duration, told: T) {
        if at >= self.at + INTERVAL {
            (self.at, self.before) = (at, self.last);
        }
        self.last = told;
    }

    /// Whether it was more than that both times.
    fn exceeds(&self, bound: T) -> bool {
        self.last > bound && self.before > bound
    }
}

/// Watches one link.
#[derive(Debug, Default)]
pub struct Reception {
    streams: BTreeMap<u32, Stream>,
    /// The last report.
    heard: Option<Duration>,
    /// When the newest packet was sent that is known to have arrived.
    arrived: Option<Duration>,
    /// The shortest way there and back.
    way: Least<Duration>,
    /// By reports.
    queue: Twice<Duration>,
    /// When losses were counted last, ...
    counted: Option<Duration>,
    /// ... and the share that was lost.
    loss: Twice<f32>,
    /// When the link was last found to be full, and what share was lost then.
    alarm: Option<(Duration, f32)>,
}

impl Reception {
    /// Notes a packet of `size` bytes, headers included, that leaves at `now`.
    pub fn send(&mut self, now: Duration, ssrc: u32, seq: u16, size: usize) {
        let at = now;
        let stream = self.streams.entry(ssrc).or_default();
        stream.send(Sent { seq, at, size });
    }

    /// Takes the report blocks of a compound packet that came at `now`.
    pub fn hear<'a>(&mut self, now: Duration, blocks: impl Iterator<Item = &'a Block>) {
        let relief = self.relief();
        let mut of = Vec::new();
        for block in blocks {
            if let Some(stream) = self.streams.get_mut(&block.ssrc) {
                let newest = stream.hear(now, block, relief);
                self.arrived = self.arrived.max(newest);
                of.push(block.ssrc);
            }
        }
        let Some(arrived) = self.arrived.filter(|_| !of.is_empty()) else {
            return;
        };
        self.heard = Some(now);
        self.way.note(now, now.saturating_sub(arrived));
        let queue = self.waiting(now, arrived, &of);
        self.tell(now, Some(queue));
    }

    /// Takes a request for packets of a stream that came at `now`. They are asked for as soon as
    /// later ones have come, which is long before the next report.
    pub fn miss(&mut self, now: Duration, ssrc: u32, missing: impl Iterator<Item = u16>) {
        let relief = self.relief();
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            return;
        };
        if let Some(newest) = stream.miss(now, missing, relief) {
            self.arrived = self.arrived.max(Some(newest));
            self.heard.get_or_insert(now);
            self.tell(now, None);
        }
    }

    /// Draws conclusions from what is new. Of a queue only reports tell: what has come since is not
    /// said by requests.
    fn tell(&mut self, now: Duration, queue: Option<Duration>) {
        let counted = self.streams.values().filter_map(Stream::counted).max();
        let is_counted = counted > self.counted;
        self.counted = counted;
        let lost = self.lost(now).filter(|_| is_counted);
        if let Some(lost) = lost {
            self.loss.note(now, lost);
        }
        if let Some(queue) = queue {
            self.queue.note(now, queue);
        }
        let is_full =
            lost.is_some() && self.loses() || queue.is_some() && self.queue.exceeds(QUEUE);
        if now >= self.relief() && is_full {
            self.alarm = Some((now, self.loss.last));
        }
    }

    /// Whether a link loses so much that it is full.
    fn loses(&self) -> bool {
        let again = match self.alarm {
            Some(_) => LOSS_AS_BEFORE,
            None => LOSS_AGAIN,
        };
        self.loss.last > LOSS || self.loss.exceeds(again)
    }

    /// Since when less is sent.
    fn relief(&self) -> Duration {
        self.alarm.map_or(Duration::ZERO, |(at, _)| at + REACTION)
    }

    /// How long what is under way has waited beyond the shortest way there and back, by the streams
    /// of a report. What was sent before something that has arrived is lost and not under way.
    fn waiting(&self, now: Duration, arrived: Duration, of: &[u32]) -> Duration {
        let streams = of.iter().filter_map(|ssrc| self.streams.get(ssrc));
        let waiting = streams.flat_map(|stream| stream.untold());
        let mut waiting: Vec<_> = waiting.map(|sent| sent.at).collect();
        waiting.retain(|at| *at > arrived);
        let (Some(oldest), Some(newest)) = (waiting.iter().min(), waiting.iter().max()) else {
            return Duration::ZERO;
        };
        let way = self.way.get().unwrap_or_default();
        match now <= *newest + way + PAUSE {
            true => now.saturating_sub(*oldest).saturating_sub(way),
            false => Duration::ZERO,
        }
    }

    /// What is known at `now`; `None` where there has never been a report that tells of more than
    /// one before.
    pub fn estimate(&self, now: Duration) -> Option<Estimate> {
        let heard = self.heard?;
        // The report of the last packets before a pause may be lost itself.
        if now.saturating_sub(heard) > SILENCE && self.has_sent_since(heard + SILENCE / 2) {
            return Some(Estimate {
                arriving: 0,
                loss: 1.0,
                queue: SILENCE,
                load: Load::Heavy,
                train: None,
            });
        }
        let rates = self.lately(now).map(|(over, count)| count.rate(over));
        let counted = rates.reduce(|all, rate| all + rate)?;
        let (queue, loss) = (self.queue.last, self.loss.last);
        let full = self.alarm.filter(|(at, _)| now < *at + ALARM);
        let load = match full {
            Some(_) => Load::Heavy,
            // What was told before less was sent says nothing of that.
            None if loss <= LOSSY && now < heard + FRESH && heard >= self.relief() => Load::Light,
            None => Load::Steady,
        };
        // Of what was lost before that, nothing is left to be told once less is sent.
        let loss = full.map_or(loss, |(_, then)| loss.max(then));
        let arriving = match load {
            Load::Heavy => self.streams.values().map(|s| s.carried(now, loss)).sum(),
            Load::Light | Load::Steady => counted,
        };
        Some(Estimate {
            arriving: arriving as u32,
            loss,
            queue,
            load,
            train: None,
        })
    }

    fn lately(&self, now: Duration) -> impl Iterator<Item = (Duration, Count)> {
        self.streams
            .values()
            .filter_map(move |stream| stream.lately(now, COUNTS))
    }

    /// The share of what was sent that is lost. By bytes: where a link drops what it has no room for,
    /// small packets of sound still find some. `None` where too little is known.
    fn lost(&self, now: Duration) -> Option<f32> {
        let packets: u32 = self.lately(now).map(|(_, count)| count.late()).sum();
        let losses = self.lately(now).map(|(over, count)| count.late_bytes(over));
        let (lost, sent) = losses.fold((0.0, 0.0), |all, of| (all.0 + of.0, all.1 + of.1));
        (packets >= ENOUGH).then_some((lost / sent) as f32)
    }

    fn has_sent_since(&self, time: Duration) -> bool {
        self.streams.values().filter_map(Stream::newest).max() > Some(time)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
