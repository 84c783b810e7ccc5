//! What a link carries, by receiver reports alone (RFC 3550 section 6.4); pure.
//!
//! For receivers that send no transport-wide feedback. Every one to seven seconds they say of each
//! stream up to where it has come and how much of it is missing. Together with what has been sent
//! that tells how much arrives, what share is lost, and what is under way: a packet that has not
//! arrived although it was sent long ago waits in a queue. Between reports there are NACKs (RFC
//! 4585), which tell of losses as they happen.
//!
//! That is coarse and late, so less is made of it than of transport-wide feedback
//! ([`super::delay`], which makes the same kind of estimates): a queue counts when two reports in a
//! row tell of it, and a report is a reason to try more for a while only.

mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use stream::{Count, ENOUGH, INTERVAL, Sent, Stream};

use super::delay::{Estimate, Usage};
use super::rtcp::ReportBlock;
use super::windowed_min::WindowedMin;

/// How long a report is a reason to try more. Some receivers send one in five seconds
/// only, but NACK at once.
const FRESH: Duration = Duration::from_secs(2);
/// How long a finding counts as overuse: before more is given up, its effect should be heard.
const ALARM: Duration = Duration::from_secs(1);
/// Time from a finding of overuse until less is sent and the queue has room again.
const REACTION: Duration = Duration::from_millis(800);
/// Longest age of a count of packets and losses. Older ones are ignored: the link may have changed.
const COUNTS: Duration = Duration::from_secs(15);
/// No report for so long while packets go out means that the link is shut, or as good as that.
const SILENCE: Duration = Duration::from_secs(16);
/// Queue above which a link is overused, if two reports in a row tell of it. A large frame makes
/// such a queue for a moment, and both ends are late by some milliseconds themselves.
const QUEUE: Duration = Duration::from_millis(60);
/// What is under way counts as a queue only if its newest packet is no older than this: the last
/// packets before a pause may be lost.
const PAUSE: Duration = Duration::from_millis(200);
/// Loss share above which a link is overused, 0 to 1; radio links lose less at random.
const LOSS: f32 = 0.2;
/// Loss share above which a link is overused if two counts in a row exceed it. Where one packet in
/// ten is lost at random, one count may.
const LOSS_AGAIN: f32 = 0.14;
/// The same as [`LOSS_AGAIN`], for a link that has been overused before: its losses are hardly
/// random.
const LOSS_AS_BEFORE: f32 = 0.07;
/// Loss share above which nothing more is tried. Where a link drops at once what is too much for
/// it, losses are all that tells of that.
const LOSSY: f32 = 0.05;

/// The last two values of something.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct LastTwo<T> {
    /// When the last one came.
    at: Duration,
    last: T,
    before: T,
}

impl<T: Copy + PartialOrd> LastTwo<T> {
    /// Adds a value that came at `at`. Within [`INTERVAL`] it replaces the last one.
    fn record(&mut self, at: Duration, value: T) {
        if at >= self.at + INTERVAL {
            (self.at, self.before) = (at, self.last);
        }
        self.last = value;
    }

    /// Whether both values are more than `bound`.
    fn exceeds(&self, bound: T) -> bool {
        self.last > bound && self.before > bound
    }
}

/// Estimates one link from receiver reports and NACKs.
#[derive(Debug, Default)]
pub struct RrEstimator {
    /// By SSRC.
    streams: BTreeMap<u32, Stream>,
    /// Time of the last report; of the first NACK before any.
    last_report: Option<Duration>,
    /// When the newest packet was sent that is known to have arrived.
    arrived: Option<Duration>,
    /// The shortest round trip.
    base_rtt: WindowedMin<Duration>,
    /// By reports.
    queue: LastTwo<Duration>,
    /// Time of the last count of losses.
    counted: Option<Duration>,
    /// By counts.
    loss: LastTwo<f32>,
    /// When the link was last found to be overused, and the loss then.
    overuse: Option<(Duration, f32)>,
}

impl RrEstimator {
    /// Records a packet of `size` bytes, headers included, that is sent at `now`.
    pub fn record(&mut self, now: Duration, ssrc: u32, seq: u16, size: usize) {
        let at = now;
        let stream = self.streams.entry(ssrc).or_default();
        stream.record(Sent { seq, at, size });
    }

    /// Takes the report blocks of a compound RTCP packet that came at `now`.
    pub fn on_report<'a>(&mut self, now: Duration, blocks: impl Iterator<Item = &'a ReportBlock>) {
        let relief = self.relief();
        let mut reported = Vec::new();
        for block in blocks {
            if let Some(stream) = self.streams.get_mut(&block.ssrc) {
                let newest = stream.on_report(now, block, relief);
                self.arrived = self.arrived.max(newest);
                reported.push(block.ssrc);
            }
        }
        let Some(arrived) = self.arrived.filter(|_| !reported.is_empty()) else {
            return;
        };
        self.last_report = Some(now);
        self.base_rtt.record(now, now.saturating_sub(arrived));
        let queue = self.queue(now, arrived, &reported);
        self.conclude(now, Some(queue));
    }

    /// Takes the sequence numbers of a NACK that came at `now`. Receivers send it as soon as later
    /// packets have come, which is long before the next report.
    pub fn on_nack(&mut self, now: Duration, ssrc: u32, nacked: impl Iterator<Item = u16>) {
        let relief = self.relief();
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            return;
        };
        if let Some(newest) = stream.on_nack(now, nacked, relief) {
            self.arrived = self.arrived.max(Some(newest));
            self.last_report.get_or_insert(now);
            self.conclude(now, None);
        }
    }

    /// Draws conclusions from what is new. `queue` is that of a report: NACKs tell of none, because
    /// they do not say what has come since.
    fn conclude(&mut self, now: Duration, queue: Option<Duration>) {
        let counted = self.streams.values().filter_map(Stream::counted).max();
        let is_counted = counted > self.counted;
        self.counted = counted;
        let loss = self.counted_loss(now).filter(|_| is_counted);
        if let Some(loss) = loss {
            self.loss.record(now, loss);
        }
        if let Some(queue) = queue {
            self.queue.record(now, queue);
        }
        let is_overused =
            loss.is_some() && self.is_lossy() || queue.is_some() && self.queue.exceeds(QUEUE);
        if now >= self.relief() && is_overused {
            self.overuse = Some((now, self.loss.last));
        }
    }

    /// Whether so much is lost that the link is overused.
    fn is_lossy(&self) -> bool {
        let again = match self.overuse {
            Some(_) => LOSS_AS_BEFORE,
            None => LOSS_AGAIN,
        };
        self.loss.last > LOSS || self.loss.exceeds(again)
    }

    /// When the last finding of overuse took effect: less is sent since then.
    fn relief(&self) -> Duration {
        self.overuse.map_or(Duration::ZERO, |(at, _)| at + REACTION)
    }

    /// The queue: how long what is under way has waited beyond the shortest round trip,
    /// by the streams of a report. What was sent before something that has arrived is
    /// lost and not under way.
    fn queue(&self, now: Duration, arrived: Duration, reported: &[u32]) -> Duration {
        let streams = reported.iter().filter_map(|ssrc| self.streams.get(ssrc));
        let under_way = streams.flat_map(|stream| stream.outstanding());
        let mut under_way: Vec<_> = under_way.map(|sent| sent.at).collect();
        under_way.retain(|at| *at > arrived);
        let (Some(oldest), Some(newest)) = (under_way.iter().min(), under_way.iter().max()) else {
            return Duration::ZERO;
        };
        let rtt = self.base_rtt.get().unwrap_or_default();
        match now <= *newest + rtt + PAUSE {
            true => now.saturating_sub(*oldest).saturating_sub(rtt),
            false => Duration::ZERO,
        }
    }

    /// The estimate of the link at `now`. `None` until a stream has been reported twice, for rate
    /// and loss are differences between reports.
    pub fn estimate(&self, now: Duration) -> Option<Estimate> {
        let last_report = self.last_report?;
        // The report of the last packets before a pause may be lost itself.
        let is_silent = now.saturating_sub(last_report) > SILENCE;
        if is_silent && self.has_sent_since(last_report + SILENCE / 2) {
            return Some(Estimate {
                acked_bitrate: 0,
                loss: 1.0,
                queue: SILENCE,
                usage: Usage::Overuse,
                probe_bitrate: None,
            });
        }
        let rates = self
            .recent_counts(now)
            .map(|(over, count)| count.rate(over));
        let counted = rates.reduce(|all, rate| all + rate)?;
        let (queue, loss) = (self.queue.last, self.loss.last);
        let overuse = self.overuse.filter(|(at, _)| now < *at + ALARM);
        let may_grow = loss <= LOSSY
            && now < last_report + FRESH
            // What was reported before less was sent says nothing of that.
            && last_report >= self.relief();
        let usage = match overuse {
            Some(_) => Usage::Overuse,
            None if may_grow => Usage::Underuse,
            None => Usage::Normal,
        };
        // The losses of the finding are not reported again once less is sent.
        let loss = overuse.map_or(loss, |(_, then)| loss.max(then));
        let delivery_rates = self.streams.values().map(|s| s.delivery_rate(now, loss));
        let acked_bitrate = match usage {
            Usage::Overuse => delivery_rates.sum(),
            Usage::Underuse | Usage::Normal => counted,
        };
        Some(Estimate {
            acked_bitrate: acked_bitrate as u32,
            loss,
            queue,
            usage,
            probe_bitrate: None,
        })
    }

    fn recent_counts(&self, now: Duration) -> impl Iterator<Item = (Duration, Count)> {
        self.streams
            .values()
            .filter_map(move |stream| stream.recent_count(now, COUNTS))
    }

    /// Loss share of the last counts, 0 to 1, weighted by bytes: a full queue drops large packets
    /// of video while small ones of audio still fit, so a share of packets would be too low. `None`
    /// for fewer than [`ENOUGH`] packets.
    fn counted_loss(&self, now: Duration) -> Option<f32> {
        let counts = || self.recent_counts(now);
        let packets: u32 = counts().map(|(_, count)| count.late()).sum();
        let losses = counts().map(|(over, count)| count.late_bytes(over));
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
