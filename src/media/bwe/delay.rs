//! What a link carries, by the results of the packets sent over it; pure.
//!
//! A composite is no bulk transfer: most of the time less is sent than the link could carry, and
//! then nothing can be said of how much more that would be. What can be said is whether a queue
//! has built up on the way, or packets are dropped there; while that is so, what arrives is what
//! the link carries. What follows from it is decided in [`super::controller`].
//!
//! A queue shows in the time that packets travel beyond the least it has been lately. Bursts, a
//! keyframe above all, queue for a moment by themselves: what counts is the *least* delay within
//! half a second, in which the queue of a burst comes and goes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet_train;
use super::twcc::PacketResult;
use super::windowed_min::WindowedMin;

/// Window over which rates and losses are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// Shortest window that a rate is computed over, just after the first feedback.
const SHORTEST: Duration = Duration::from_millis(300);
/// Window whose least delay is that of the queue: what a keyframe adds comes and goes within it.
const QUEUE_WINDOW: Duration = Duration::from_millis(500);
/// Queue above which a link is overused. Above the jitter of radio links, as far as that touches
/// every packet of half a second.
const QUEUE: Duration = Duration::from_millis(40);
/// A queue that stands for so long although less is sent is no queue: the route has become longer.
const DETOUR: Duration = Duration::from_secs(6);
/// Loss share above which a link is overused, 0 to 1; radio links lose less at random.
const LOSS: f32 = 0.25;
/// Fewer packets than this say nothing about loss.
const ENOUGH: usize = 20;
/// No feedback for so long while packets go out means that the link is shut, or as good as that.
/// Some receivers report with every frame only, and stills are five seconds apart.
const SILENCE: Duration = Duration::from_secs(6);

/// What is known of a link at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// bit/s that arrive, all headers included.
    pub acked_bitrate: u32,
    /// Share of packets that do not arrive, 0 to 1.
    pub loss: f32,
    /// How long packets wait on the way.
    pub queue: Duration,
    /// What loss and queue mean.
    pub usage: Usage,
    /// Rate at which the last packet train arrived, bit/s; `None` without one lately.
    pub probe_bitrate: Option<u32>,
}

/// Whether a link carries what is sent over it. In traces these are light, steady and heavy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usage {
    /// It does, and might carry more.
    #[serde(rename = "light")]
    Underuse,
    /// It does as far as is known, but that is no reason to try more.
    #[serde(rename = "steady")]
    Normal,
    /// It does not: what arrives is what it carries.
    #[serde(rename = "heavy")]
    Overuse,
}

/// Estimates one link from transport-wide feedback.
#[derive(Debug, Default)]
pub(crate) struct DelayEstimator {
    /// Results of the last [`WINDOW`], with the time of their feedback.
    recent: VecDeque<(Duration, PacketResult)>,
    /// The base delay, microseconds.
    base_delay: WindowedMin<i64>,
    /// Since when there has been a queue without a pause.
    queued_since: Option<Duration>,
    last_feedback: Option<Duration>,
    first_feedback: Option<Duration>,
}

impl DelayEstimator {
    /// Takes the packet results of feedback that came at `now`.
    pub(crate) fn on_feedback(&mut self, now: Duration, results: &[PacketResult]) {
        self.last_feedback = Some(now);
        self.first_feedback.get_or_insert(now);
        for result in results {
            self.recent.push_back((now, *result));
            if let Some(delay) = delay(result) {
                self.base_delay.record(now, delay);
            }
        }
        self.forget(now);
    }

    /// What is known at `now`. `outstanding` is when the oldest packet without a result was sent.
    /// `None` if there has never been any feedback, or none lately of what is under way.
    pub(crate) fn estimate(
        &mut self,
        now: Duration,
        outstanding: Option<Duration>,
    ) -> Option<Estimate> {
        let last_feedback = self.last_feedback?;
        self.forget(now);
        let is_silent = |sent: Duration| now.saturating_sub(sent.max(last_feedback)) > SILENCE;
        if outstanding.is_some_and(is_silent) {
            return Some(Estimate {
                acked_bitrate: 0,
                loss: 1.0,
                queue: SILENCE,
                usage: Usage::Overuse,
                probe_bitrate: None,
            });
        }
        if self.recent.is_empty() {
            // A link on which nothing is under way is not full.
            return outstanding.is_none().then_some(Estimate {
                acked_bitrate: 0,
                loss: 0.0,
                queue: Duration::ZERO,
                usage: Usage::Underuse,
                probe_bitrate: None,
            });
        }
        let loss = self.loss(now);
        let queue = self.queue(now);
        let usage = match queue > QUEUE || loss > LOSS {
            true => Usage::Overuse,
            false => Usage::Underuse,
        };
        let acked_bitrate = match usage {
            // What came before a link became narrow says nothing of how narrow it is.
            Usage::Overuse => {
                let delivery_rate = self.delivery_rate(now);
                delivery_rate.unwrap_or_else(|| self.acked_bitrate(now, QUEUE_WINDOW))
            }
            Usage::Underuse | Usage::Normal => self.acked_bitrate(now, WINDOW),
        };
        Some(Estimate {
            acked_bitrate,
            loss,
            queue,
            usage,
            probe_bitrate: packet_train::measure(self.recent.iter().map(|(_, result)| result)),
        })
    }

    /// Loss share of the packets sent in the last [`WINDOW`]: what was lost before says nothing of
    /// what is sent now. 0 for fewer than [`ENOUGH`] packets.
    fn loss(&self, now: Duration) -> f32 {
        let is_recent = |(_, result): &&(Duration, PacketResult)| result.sent + WINDOW > now;
        let missing = self.recent.iter().filter(is_recent);
        let missing = missing.filter(|(_, result)| result.arrived.is_none());
        let missing = missing.count();
        let all = self.recent.iter().filter(is_recent).count();
        match all {
            0..ENOUGH => 0.0,
            _ => missing as f32 / all as f32,
        }
    }

    /// bit/s that arrived in the last `window`.
    fn acked_bitrate(&self, now: Duration, window: Duration) -> u32 {
        let first_feedback = self.first_feedback.unwrap_or(now);
        let arrived = |(reported, result): &(Duration, PacketResult)| {
            let at = result.arrived.filter(|_| *reported + window > now);
            at.map(|at| (at, result.size))
        };
        let recent: Vec<(i64, usize)> = self.recent.iter().filter_map(arrived).collect();
        let bytes: usize = recent.iter().map(|(_, size)| size).sum();
        // Feedback of a receiver that reports seldom spans more than the window.
        let first = recent.iter().map(|(at, _)| *at).min().unwrap_or_default();
        let last = recent.iter().map(|(at, _)| *at).max().unwrap_or_default();
        let spanned = Duration::from_micros(u64::try_from(last - first).unwrap_or_default());
        let watched = now.saturating_sub(first_feedback).clamp(SHORTEST, window);
        (8.0 * bytes as f64 / watched.max(spanned).as_secs_f64()) as u32
    }

    /// bit/s of a link that is busy all the time: how fast one packet follows the other in the last
    /// [`QUEUE_WINDOW`]. `None` if its packets do not span half of that.
    fn delivery_rate(&self, now: Duration) -> Option<u32> {
        let is_recent = |(reported, _): &&(Duration, PacketResult)| *reported + QUEUE_WINDOW > now;
        let recent = self.recent.iter().filter(is_recent);
        let arrived = recent.filter_map(|(_, result)| Some((result.arrived?, result.size)));
        let mut arrived: Vec<(i64, usize)> = arrived.collect();
        arrived.sort_unstable();
        let ((first, _), (last, _)) = (*arrived.first()?, *arrived.last()?);
        let spanned = Duration::from_micros(u64::try_from(last - first).ok()?);
        // The first packet marks the beginning: the time it took lies before that.
        let bytes: usize = arrived.iter().skip(1).map(|(_, size)| size).sum();
        let enough = spanned >= QUEUE_WINDOW / 2;
        enough.then(|| (8.0 * bytes as f64 / spanned.as_secs_f64()) as u32)
    }

    /// The queue: the least delay of the last [`QUEUE_WINDOW`] beyond the base delay.
    fn queue(&mut self, now: Duration) -> Duration {
        let is_recent = |(reported, _): &&(Duration, PacketResult)| *reported + QUEUE_WINDOW > now;
        let recent = self.recent.iter().filter(is_recent);
        let least = recent.filter_map(|(_, result)| delay(result)).min();
        let (Some(least), Some(base_delay)) = (least, self.base_delay.get()) else {
            return Duration::ZERO;
        };
        let queue = u64::try_from(least - base_delay).unwrap_or_default();
        let queue = Duration::from_micros(queue);
        if queue <= QUEUE {
            self.queued_since = None;
            return queue;
        }
        let since = *self.queued_since.get_or_insert(now);
        if now.saturating_sub(since) > DETOUR {
            self.base_delay.clear();
            self.base_delay.record(now, least);
            self.queued_since = None;
            return Duration::ZERO;
        }
        queue
    }

    fn forget(&mut self, now: Duration) {
        while self
            .recent
            .front()
            .is_some_and(|(reported, _)| *reported + WINDOW <= now)
        {
            self.recent.pop_front();
        }
        self.base_delay.forget(now);
    }
}

/// How long a packet travelled, microseconds, plus the unknown offset of the two clocks.
fn delay(result: &PacketResult) -> Option<i64> {
    let sent = i64::try_from(result.sent.as_micros()).ok()?;
    Some(result.arrived? - sent)
}
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A link of so many bit/s with a queue, that loses every n-th packet.
    struct Link {
        now: Duration,
        rate: u64,
        busy_until: Duration,
        lose: Option<u64>,
        sent: u64,
        longer: Duration,
        estimator: DelayEstimator,
    }

    impl Link {
        fn new(rate: u64) -> Self {
            Self {
                now: Duration::from_secs(5),
                rate,
                busy_until: Duration::ZERO,
                lose: None,
                sent: 0,
                longer: Duration::ZERO,
                estimator: DelayEstimator::default(),
            }
        }

        /// Sends frames of video, 30 a second, for a time, every 60th a keyframe.
        fn carry(&mut self, rate: u64, time: Duration) -> Estimate {
            let end = self.now + time;
            let mut frame = 0;
            let mut on_the_way: VecDeque<(Duration, PacketResult)> = VecDeque::new();
            while self.now < end {
                let key = if frame % 60 == 30 { 6 } else { 1 };
                let mut bytes = rate * key / 8 / 33;
                while bytes > 0 {
                    let size = bytes.min(1200);
                    bytes -= size;
                    self.sent += 1;
                    let begin = self.busy_until.max(self.now);
                    self.busy_until = begin + Duration::from_micros(size * 8_000_000 / self.rate);
                    let at = self.busy_until + ms(20) + self.longer;
                    let lost = self.lose.is_some_and(|n| self.sent.is_multiple_of(n));
                    let result = PacketResult {
                        sent: self.now,
                        size: size as usize,
                        // Its clock is another.
                        arrived: (!lost).then_some(at.as_micros() as i64 - 77_000_000),
                    };
                    on_the_way.push_back((at + ms(20), result));
                }
                frame += 1;
                self.now += ms(33);
                while on_the_way.front().is_some_and(|(at, _)| *at <= self.now) {
                    let (_, result) = on_the_way.pop_front().unwrap();
                    self.estimator.on_feedback(self.now, &[result]);
                }
            }
            self.estimator.estimate(self.now, None).unwrap()
        }
    }

    #[test]
    fn a_link_with_room_is_light_keyframes_or_not() {
        let mut link = Link::new(3_000_000);
        for _ in 0..40 {
            let estimate = link.carry(1_500_000, ms(230));
            assert_eq!(estimate.usage, Usage::Underuse, "{estimate:?}");
        }
        let acked_bitrate = link.carry(1_500_000, ms(1700)).acked_bitrate;
        assert!(
            (1_300_000..2_200_000).contains(&acked_bitrate),
            "{acked_bitrate}"
        );
    }

    #[test]
    fn a_link_that_is_full_says_what_it_carries() {
        let mut link = Link::new(400_000);
        link.carry(200_000, ms(2000));
        let estimate = link.carry(1_000_000, ms(1500));
        assert_eq!(estimate.usage, Usage::Overuse, "{estimate:?}");
        let acked_bitrate = estimate.acked_bitrate;
        assert!(
            (360_000..440_000).contains(&acked_bitrate),
            "{acked_bitrate}"
        );
        assert!(estimate.queue > ms(300), "{estimate:?}");
        // It drains, and is light again.
        let estimate = link.carry(150_000, ms(4500));
        assert_eq!(estimate.usage, Usage::Underuse, "{estimate:?}");
    }

    #[test]
    fn loss_at_random_is_no_congestion_and_a_lot_of_it_is() {
        for (lose, usage) in [
            (10, Usage::Underuse),
            (6, Usage::Underuse),
            (3, Usage::Overuse),
        ] {
            let mut link = Link::new(3_000_000);
            link.lose = Some(lose);
            let estimate = link.carry(500_000, ms(2000));
            assert_eq!(estimate.usage, usage, "{estimate:?}");
            let expected = 1.0 / lose as f32;
            assert!((estimate.loss - expected).abs() < 0.05, "{estimate:?}");
        }
    }

    #[test]
    fn a_longer_way_is_taken_for_a_queue_for_a_while_only() {
        let mut link = Link::new(3_000_000);
        link.carry(300_000, ms(3000));
        link.longer = ms(100);
        assert_eq!(link.carry(300_000, ms(2000)).usage, Usage::Overuse);
        link.carry(300_000, ms(3000));
        // Asked all the time, as a room does.
        for _ in 0..10 {
            link.carry(300_000, ms(200));
        }
        assert_eq!(link.carry(300_000, ms(1000)).usage, Usage::Underuse);
    }

    #[test]
    fn silence_is_the_end_of_a_link() {
        let mut link = Link::new(3_000_000);
        assert_eq!(link.estimator.estimate(link.now, Some(ms(0))), None);
        link.carry(300_000, ms(2000));
        let (now, estimator) = (link.now, &mut link.estimator);
        let estimate = estimator.estimate(now + ms(900), Some(now)).unwrap();
        assert_eq!(estimate.usage, Usage::Underuse);
        assert_eq!(estimator.estimate(now + ms(5000), Some(now)), None);
        let estimate = estimator.estimate(now + ms(6100), Some(now)).unwrap();
        assert_eq!(
            (estimate.usage, estimate.acked_bitrate),
            (Usage::Overuse, 0)
        );
        let idle = estimator.estimate(now + ms(9000), None).unwrap();
        assert_eq!(
            (idle.usage, idle.acked_bitrate),
            (Usage::Underuse, 0),
            "nothing sent"
        );
    }
}
