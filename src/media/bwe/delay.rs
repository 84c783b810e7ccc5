//! What a link carries, by the fates of the packets sent over it; pure.
//!
//! A composite is no bulk transfer: most of the time less is sent than the link could carry, and
//! then nothing can be said of how much more that would be. What can be said is whether a queue
//! has built up on the way, or packets are dropped there; while that is so, what arrives is what
//! the link carries. What follows from it is decided in [`super::controller`].
//!
//! A queue is told by the time packets travel beyond the least it has been lately. Bursts, a
//! keyframe above all, queue for a moment by themselves: what counts is the *least* delay within
//! half a second, in which the queue of a burst comes and goes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet_train;
use super::twcc::Fate;
use super::windowed_min::Least;

/// Over what is counted: rates and losses.
const WINDOW: Duration = Duration::from_secs(1);
/// The same at the very beginning.
const SHORTEST: Duration = Duration::from_millis(300);
/// Within which the least delay is looked for.
const QUEUE_WINDOW: Duration = Duration::from_millis(500);
/// A queue as long as that is one: jitter of radio links lies below it, as far as it touches every
/// packet of half a second.
const QUEUE: Duration = Duration::from_millis(40);
/// A queue that stands for so long although less is sent is no queue: the way has become longer.
const DETOUR: Duration = Duration::from_secs(6);
/// More than that share of lost packets is congestion; radio links lose less at random.
const LOSS: f32 = 0.25;
/// Fewer packets than that tell nothing of loss.
const ENOUGH: usize = 20;
/// No feedback for so long while packets go out: the link is shut, or as good as that. Some
/// receivers report with every frame only, and stills are five seconds apart.
const SILENCE: Duration = Duration::from_secs(6);

/// What is known of a link at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// bit/s that arrive, all headers included.
    pub arriving: u32,
    /// Share of packets that do not, 0 to 1.
    pub loss: f32,
    /// How long packets wait on the way.
    pub queue: Duration,
    /// What that means.
    pub load: Load,
    /// bit/s at which packets arrived that were sent at once lately, if any were.
    pub train: Option<u32>,
}

/// Whether a link carries what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// It does, and perhaps could carry more.
    Light,
    /// It does as far as is known, and that is not enough to try more.
    Steady,
    /// It does not: what arrives is what it carries.
    Heavy,
}

/// Watches one link.
#[derive(Debug, Default)]
pub struct Estimator {
    /// Of the last [`WINDOW`], with the time they were told.
    recent: VecDeque<(Duration, Fate)>,
    /// The least delay, microseconds.
    least: Least<i64>,
    /// Since when there has been a queue without a pause.
    queued_since: Option<Duration>,
    heard: Option<Duration>,
    /// When the first feedback came.
    began: Option<Duration>,
}

impl Estimator {
    /// Takes what feedback tells at `now`.
    pub fn hear(&mut self, now: Duration, fates: &[Fate]) {
        self.heard = Some(now);
        self.began.get_or_insert(now);
        for fate in fates {
            self.recent.push_back((now, *fate));
            if let Some(delay) = delay(fate) {
                self.least.note(now, delay);
            }
        }
        self.forget(now);
    }

    /// What is known at `now`; `outstanding` is when the oldest packet was sent whose fate is not
    /// known. `None` where there has never been any feedback, or not lately of what is under way.
    pub fn estimate(&mut self, now: Duration, outstanding: Option<Duration>) -> Option<Estimate> {
        let heard = self.heard?;
        self.forget(now);
        let unheard = |sent: Duration| now.saturating_sub(sent.max(heard)) > SILENCE;
        if outstanding.is_some_and(unheard) {
            return Some(Estimate {
                arriving: 0,
                loss: 1.0,
                queue: SILENCE,
                load: Load::Heavy,
                train: None,
            });
        }
        if self.recent.is_empty() {
            // A link on which nothing is under way is not full.
            return outstanding.is_none().then_some(Estimate {
                arriving: 0,
                loss: 0.0,
                queue: Duration::ZERO,
                load: Load::Light,
                train: None,
            });
        }
        // Of what was sent lately: what was lost before says nothing of what is sent now.
        let sent = |(_, fate): &&(Duration, Fate)| fate.sent + WINDOW > now;
        let missing = self.recent.iter().filter(sent);
        let missing = missing.filter(|(_, fate)| fate.arrived.is_none()).count();
        let all = self.recent.iter().filter(sent).count();
        let loss = match all {
            0..ENOUGH => 0.0,
            _ => missing as f32 / all as f32,
        };
        let queue = self.queue(now);
        let load = match queue > QUEUE || loss > LOSS {
            true => Load::Heavy,
            false => Load::Light,
        };
        let arriving = match load {
            // What came before a link became narrow says nothing of how narrow it is.
            Load::Heavy => {
                let carried = self.carried(now);
                carried.unwrap_or_else(|| self.arriving(now, QUEUE_WINDOW))
            }
            Load::Light | Load::Steady => self.arriving(now, WINDOW),
        };
        Some(Estimate {
            arriving,
            loss,
            queue,
            load,
            train: packet_train::measure(self.recent.iter().map(|(_, fate)| fate)),
        })
    }

    /// bit/s that arrived in the last `window`.
    fn arriving(&self, now: Duration, window: Duration) -> u32 {
        let began = self.began.unwrap_or(now);
        let arrived = |(told, fate): &(Duration, Fate)| {
            let is_recent = *told + window > now;
            fate.arrived.filter(|_| is_recent).map(|at| (at, fate.size))
        };
        let recent: Vec<(i64, usize)> = self.recent.iter().filter_map(arrived).collect();
        let bytes: usize = recent.iter().map(|(_, size)| size).sum();
        // A receiver that reports seldom tells of more than the window.
        let first = recent.iter().map(|(at, _)| *at).min().unwrap_or_default();
        let last = recent.iter().map(|(at, _)| *at).max().unwrap_or_default();
        let spanned = Duration::from_micros(u64::try_from(last - first).unwrap_or_default());
        let watched = now.saturating_sub(began).clamp(SHORTEST, window);
        (8.0 * bytes as f64 / watched.max(spanned).as_secs_f64()) as u32
    }

    /// bit/s of a link that is busy all the time: how fast one packet follows the other, whenever
    /// that is told. `None` if too little has been.
    fn carried(&self, now: Duration) -> Option<u32> {
        let lately = |(told, _): &&(Duration, Fate)| *told + QUEUE_WINDOW > now;
        let lately = self.recent.iter().filter(lately);
        let arrived = lately.filter_map(|(_, fate)| Some((fate.arrived?, fate.size)));
        let mut arrived: Vec<(i64, usize)> = arrived.collect();
        arrived.sort_unstable();
        let ((first, _), (last, _)) = (*arrived.first()?, *arrived.last()?);
        let spanned = Duration::from_micros(u64::try_from(last - first).ok()?);
        // The first one marks the beginning: it took its time before that.
        let bytes: usize = arrived.iter().skip(1).map(|(_, size)| size).sum();
        let enough = spanned >= QUEUE_WINDOW / 2;
        enough.then(|| (8.0 * bytes as f64 / spanned.as_secs_f64()) as u32)
    }

    /// The least delay of the last half second, beyond the least there has been.
    fn queue(&mut self, now: Duration) -> Duration {
        let lately = |(told, _): &&(Duration, Fate)| *told + QUEUE_WINDOW > now;
        let recent = self.recent.iter().filter(lately);
        let now_least = recent.filter_map(|(_, fate)| delay(fate)).min();
        let (Some(now_least), Some(ever_least)) = (now_least, self.least.get()) else {
            return Duration::ZERO;
        };
        let queue = u64::try_from(now_least - ever_least).unwrap_or_default();
        let queue = Duration::from_micros(queue);
        if queue <= QUEUE {
            self.queued_since = None;
            return queue;
        }
        let since = *self.queued_since.get_or_insert(now);
        if now.saturating_sub(since) > DETOUR {
            self.least.clear();
            self.least.note(now, now_least);
            self.queued_since = None;
            return Duration::ZERO;
        }
        queue
    }

    fn forget(&mut self, now: Duration) {
        while self
            .recent
            .front()
            .is_some_and(|(told, _)| *told + WINDOW <= now)
        {
            self.recent.pop_front();
        }
        self.least.forget(now);
    }
}

/// How long a packet travelled, microseconds, plus a constant nobody knows.
fn delay(fate: &Fate) -> Option<i64> {
    let sent = i64::try_from(fate.sent.as_micros()).ok()?;
    Some(fate.arrived? - sent)
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
        estimator: Estimator,
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
                estimator: Estimator::default(),
            }
        }

        /// Sends frames of video, 30 a second, for a time, every 60th a keyframe.
        fn carry(&mut self, rate: u64, time: Duration) -> Estimate {
            let end = self.now + time;
            let mut frame = 0;
            let mut on_the_way: VecDeque<(Duration, Fate)> = VecDeque::new();
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
                    let fate = Fate {
                        sent: self.now,
                        size: size as usize,
                        // Its clock is another.
                        arrived: (!lost).then_some(at.as_micros() as i64 - 77_000_000),
                    };
                    on_the_way.push_back((at + ms(20), fate));
                }
                frame += 1;
                self.now += ms(33);
                while on_the_way.front().is_some_and(|(at, _)| *at <= self.now) {
                    let (_, fate) = on_the_way.pop_front().unwrap();
                    self.estimator.hear(self.now, &[fate]);
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
            assert_eq!(estimate.load, Load::Light, "{estimate:?}");
        }
        let arriving = link.carry(1_500_000, ms(1700)).arriving;
        assert!((1_300_000..2_200_000).contains(&arriving), "{arriving}");
    }

    #[test]
    fn a_link_that_is_full_says_what_it_carries() {
        let mut link = Link::new(400_000);
        link.carry(200_000, ms(2000));
        let estimate = link.carry(1_000_000, ms(1500));
        assert_eq!(estimate.load, Load::Heavy, "{estimate:?}");
        let arriving = estimate.arriving;
        assert!((360_000..440_000).contains(&arriving), "{arriving}");
        assert!(estimate.queue > ms(300), "{estimate:?}");
        // It drains, and is light again.
        let estimate = link.carry(150_000, ms(4500));
        assert_eq!(estimate.load, Load::Light, "{estimate:?}");
    }

    #[test]
    fn loss_at_random_is_no_congestion_and_a_lot_of_it_is() {
        for (lose, load) in [(10, Load::Light), (6, Load::Light), (3, Load::Heavy)] {
            let mut link = Link::new(3_000_000);
            link.lose = Some(lose);
            let estimate = link.carry(500_000, ms(2000));
            assert_eq!(estimate.load, load, "{estimate:?}");
            let expected = 1.0 / lose as f32;
            assert!((estimate.loss - expected).abs() < 0.05, "{estimate:?}");
        }
    }

    #[test]
    fn a_longer_way_is_taken_for_a_queue_for_a_while_only() {
        let mut link = Link::new(3_000_000);
        link.carry(300_000, ms(3000));
        link.longer = ms(100);
        assert_eq!(link.carry(300_000, ms(2000)).load, Load::Heavy);
        link.carry(300_000, ms(3000));
        // Asked all the time, as a room does.
        for _ in 0..10 {
            link.carry(300_000, ms(200));
        }
        assert_eq!(link.carry(300_000, ms(1000)).load, Load::Light);
    }

    #[test]
    fn silence_is_the_end_of_a_link() {
        let mut link = Link::new(3_000_000);
        assert_eq!(link.estimator.estimate(link.now, Some(ms(0))), None);
        link.carry(300_000, ms(2000));
        let (now, estimator) = (link.now, &mut link.estimator);
        let estimate = estimator.estimate(now + ms(900), Some(now)).unwrap();
        assert_eq!(estimate.load, Load::Light);
        assert_eq!(estimator.estimate(now + ms(5000), Some(now)), None);
        let estimate = estimator.estimate(now + ms(6100), Some(now)).unwrap();
        assert_eq!((estimate.load, estimate.arriving), (Load::Heavy, 0));
        let idle = estimator.estimate(now + ms(9000), None).unwrap();
        assert_eq!((idle.load, idle.arriving), (Load::Light, 0), "nothing sent");
    }
}
