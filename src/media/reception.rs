//! What a link carries, by reception reports alone (RFC 3550 section 6.4); pure.
//!
//! For receivers that do not tell of each packet when it arrived. Every one to seven seconds they say
//! of each stream up to where it has come and how much of it is missing. With what has been sent
//! that tells how much arrives, what share is lost, and what is under way: a packet that has not
//! arrived although it was sent long ago waits in a queue. Between reports there are requests for
//! packets (RFC 4585), which tell of losses as they happen.
//!
//! That is coarse and late, so less is made of it than of arrivals ([`super::estimate`], whose
//! estimates these are, too): a queue counts when two reports in a row tell of it, and a report is
//! reason to try more for a while only.

mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use stream::{Count, INTERVAL, Sent, Stream};

use super::estimate::{Estimate, Load};
use super::least::Least;
use super::reports::Block;

/// For how long a report is reason to try more. Some receivers send one in five seconds only, but ask
/// for what is missing at once.
const FRESH: Duration = Duration::from_secs(2);
/// For how long a link is full by what has been told: before more is given up, it is to be heard what
/// became of that.
const ALARM: Duration = Duration::from_secs(1);
/// Until less is sent over a full link, and its queue has room again.
const REACTION: Duration = Duration::from_millis(800);
/// Over what is counted what is sent.
const RECENT: Duration = Duration::from_secs(1);
/// For how long what a report counted is the state of the link.
const COUNTS: Duration = Duration::from_secs(10);
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
/// Fewer packets than that tell nothing of loss.
const ENOUGH: u32 = 50;

/// The state of a link by a report.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Told {
    at: Duration,
    queue: Duration,
    loss: f32,
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
    /// What the last report tells, and what the one before did.
    told: [Told; 2],
    /// When the link was last found to be full.
    alarm: Option<Duration>,
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
        let queue = self.queue(now, arrived, &of);
        self.tell(now, queue);
    }

    /// Takes a request for packets of a stream that came at `now`. They are asked for as soon as
    /// later ones have come, which is long before the next report.
    pub fn miss(&mut self, now: Duration, ssrc: u32, missing: impl Iterator<Item = u16>) {
        let relief = self.relief();
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            return;
        };
        if let Some(block) = stream.without(ssrc, missing) {
            let newest = stream.hear(now, &block, relief);
            self.arrived = self.arrived.max(newest);
            self.heard.get_or_insert(now);
            // What has come since is not said, and so nothing of a queue.
            self.tell(now, self.told[0].queue);
        }
    }

    fn tell(&mut self, now: Duration, queue: Duration) {
        let loss = self.loss(now);
        let [last, before] = self.told;
        let is_new = now >= last.at + INTERVAL;
        // Otherwise nothing has been counted since the last one.
        let at = if is_new { now } else { last.at };
        let before = if is_new { last } else { before };
        self.told = [Told { at, queue, loss }, before];
        if now >= self.relief() && self.is_full() {
            self.alarm = Some(now);
        }
    }

    /// Whether a link is full by what has been told.
    fn is_full(&self) -> bool {
        let [last, before] = self.told;
        let again = match self.alarm {
            Some(_) => LOSS_AS_BEFORE,
            None => LOSS_AGAIN,
        };
        last.loss > LOSS
            || last.loss.min(before.loss) > again
            || last.queue.min(before.queue) > QUEUE
    }

    /// Since when less is sent.
    fn relief(&self) -> Duration {
        self.alarm.map_or(Duration::ZERO, |at| at + REACTION)
    }

    /// How long what is under way has waited beyond the shortest way there and back, by the streams
    /// of a report. What was sent before something that has arrived is lost and not under way.
    fn queue(&self, now: Duration, arrived: Duration, of: &[u32]) -> Duration {
        let streams = of.iter().filter_map(|ssrc| self.streams.get(ssrc));
        let waiting = streams.flat_map(|stream| &stream.sent);
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
        let [Told { queue, loss, .. }, _] = self.told;
        let load = match self.alarm {
            Some(at) if now < at + ALARM => Load::Heavy,
            // What was told before less was sent says nothing of that.
            _ if loss <= LOSSY && now < heard + FRESH && heard >= self.relief() => Load::Light,
            _ => Load::Steady,
        };
        let arriving = match load {
            Load::Heavy => self.carried(now, loss),
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

    /// bit/s that arrive over a link that is full. Of streams nobody asks packets of nothing has been
    /// told since the last report: as much of them is taken to be lost as of the others.
    fn carried(&self, now: Duration, loss: f32) -> f64 {
        let streams = self.streams.values();
        let rates = streams.map(|stream| match stream.lately(now, ALARM + INTERVAL) {
            Some((over, count)) => count.rate(over),
            None => stream.sent_since(now, RECENT) * f64::from(1.0 - loss),
        });
        rates.sum()
    }

    fn lately(&self, now: Duration) -> impl Iterator<Item = (Duration, Count)> {
        self.streams
            .values()
            .filter_map(move |stream| stream.lately(now, COUNTS))
    }

    /// The share of what was sent that is lost. By bytes: where a link drops what it has no room for,
    /// small packets of sound still find some.
    fn loss(&self, now: Duration) -> f32 {
        let packets: u32 = self
            .lately(now)
            .map(|(_, count)| count.packets - count.early)
            .sum();
        let losses = self.lately(now).map(|(_, count)| count.late_bytes());
        let (lost, sent) = losses.fold((0.0, 0.0), |all, of| (all.0 + of.0, all.1 + of.1));
        match packets {
            0..ENOUGH => 0.0,
            _ => (lost / sent) as f32,
        }
    }

    fn has_sent_since(&self, time: Duration) -> bool {
        let newest = self.streams.values().filter_map(|s| s.sent.back());
        newest.map(|sent| sent.at).max() > Some(time)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "reception_tests.rs"]
mod tests;
