use std::collections::VecDeque;

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const VIDEO: u32 = 7;
const SOUND: u32 = 9;
/// Numbers wrap around.
const FIRST: u16 = 65_500;

/// A link of so many bit/s with a queue of half a second, that loses one packet in n, and a
/// receiver who reports each second, or less often, and asks for one in n of the packets it misses.
struct Link {
    now: Duration,
    rate: u64,
    busy_until: Duration,
    lose: Option<u64>,
    sent: u64,
    next: BTreeMap<u32, u16>,
    /// The highest sequence number that came, and how many did.
    come: BTreeMap<u32, (u16, i32)>,
    on_the_way: VecDeque<(Duration, u32, u16)>,
    report: Duration,
    reports_every: Duration,
    asks: Option<u64>,
    estimator: RrEstimator,
}

impl Link {
    fn new(rate: u64) -> Self {
        Self {
            now: ms(5000),
            rate,
            busy_until: Duration::ZERO,
            lose: None,
            sent: 0,
            next: [(VIDEO, FIRST), (SOUND, FIRST)].into(),
            come: BTreeMap::new(),
            on_the_way: VecDeque::new(),
            report: ms(5700),
            reports_every: ms(1000),
            asks: None,
            estimator: RrEstimator::default(),
        }
    }

    /// The same in each run, and as good as random.
    fn noise(&self) -> u64 {
        self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
    }

    fn send(&mut self, ssrc: u32, size: u64) {
        self.sent += 1;
        let seq = self.next[&ssrc].wrapping_add(1);
        self.next.insert(ssrc, seq);
        self.estimator.record(self.now, ssrc, seq, size as usize);
        let begin = self.busy_until.max(self.now);
        let is_full = begin > self.now + ms(500);
        if is_full || self.lose.is_some_and(|n| self.noise().is_multiple_of(n)) {
            return;
        }
        self.busy_until = begin + Duration::from_micros(size * 8_000_000 / self.rate);
        self.on_the_way
            .push_back((self.busy_until + ms(20), ssrc, seq));
    }

    fn hear(&mut self) {
        while self
            .on_the_way
            .front()
            .is_some_and(|(at, ..)| *at <= self.now)
        {
            let (_, ssrc, seq) = self.on_the_way.pop_front().unwrap();
            let (highest, come) = self.come.entry(ssrc).or_insert((FIRST, 0));
            let missing = (1..seq.wrapping_sub(*highest)).map(|n| seq.wrapping_sub(n));
            (*highest, *come) = (seq, *come + 1);
            if let Some(n) = self.asks {
                let asked = missing.filter(|seq| u64::from(*seq).is_multiple_of(n));
                self.estimator.on_nack(self.now, ssrc, asked);
            }
        }
        if self.now < self.report {
            return;
        }
        self.report += self.reports_every;
        let blocks = self.come.iter().map(|(ssrc, (highest, come))| ReportBlock {
            ssrc: *ssrc,
            fraction_lost: 0,
            lost: i32::from(highest.wrapping_sub(FIRST)) - come,
            highest: *highest,
            last_sender_report: 0,
        });
        let blocks: Vec<ReportBlock> = blocks.collect();
        self.estimator.on_report(self.now, blocks.iter());
    }

    /// Sends frames of video, 25 a second, every 50th a keyframe, and sound of 60 kbit/s.
    fn carry(&mut self, rate: u64, time: Duration) -> Estimate {
        let end = self.now + time;
        while self.now < end {
            let tick = self.now.as_millis() / 20;
            self.send(SOUND, 150);
            let key = if tick.is_multiple_of(100) { 6 } else { 1 };
            let mut bytes = if tick.is_multiple_of(2) {
                rate * key / 8 / 28
            } else {
                0
            };
            while bytes > 0 {
                let size = bytes.min(1200);
                bytes -= size;
                self.send(VIDEO, size);
            }
            self.now += ms(20);
            self.hear();
        }
        self.estimator.estimate(self.now).unwrap()
    }
}

impl Link {
    /// What is known while it is found to be full.
    fn when_full(&mut self, rate: u64, time: Duration) -> Vec<Estimate> {
        let steps = time.as_millis() / 100;
        let all = (0..steps).map(|_| self.carry(rate, ms(100)));
        all.filter(|known| known.usage == Usage::Overuse).collect()
    }
}

#[test]
fn a_link_with_room_is_light_just_after_a_report() {
    let mut link = Link::new(3_000_000);
    link.carry(1_200_000, ms(3000));
    for _ in 0..20 {
        let estimate = link.carry(1_200_000, ms(1000));
        assert_eq!(estimate.usage, Usage::Underuse, "{estimate:?}");
        assert!(
            (1_000_000..1_900_000).contains(&estimate.acked_bitrate),
            "{estimate:?}"
        );
    }
    let later = link.now + FRESH + ms(100);
    let stale = link.estimator.estimate(later).unwrap();
    assert_eq!(stale.usage, Usage::Normal, "{stale:?}");
}

#[test]
fn a_link_that_is_full_says_what_it_carries() {
    for rate in [150_000, 300_000, 800_000] {
        let mut link = Link::new(20_000_000);
        link.carry(1_200_000, ms(5000));
        link.rate = rate;
        let estimate = link.carry(1_200_000, ms(4000));
        assert_eq!(estimate.usage, Usage::Overuse, "{estimate:?}");
        let (least, most) = (rate as u32 * 8 / 10, rate as u32 * 12 / 10);
        assert!(
            (least..most).contains(&estimate.acked_bitrate),
            "{estimate:?}"
        );
        // It drains, and is light again.
        let estimate = link.carry(rate / 3, ms(4000));
        assert_ne!(estimate.usage, Usage::Overuse, "{estimate:?}");
        assert_eq!(estimate.queue, Duration::ZERO);
    }
}

/// Requests name some of what is missing: where they alone tell of a link it seems to carry more
/// than it does, and only until the next report.
#[test]
fn what_requests_leave_out_reports_tell() {
    for asks in [1, 4, 50] {
        let mut link = Link::new(20_000_000);
        (link.asks, link.reports_every) = (Some(asks), ms(5000));
        link.carry(1_500_000, ms(7000));
        link.rate = 800_000;
        // Two reports come.
        let full = link.when_full(1_500_000, ms(10_000));
        let lost = full.iter().map(|full| full.loss).fold(0.0, f32::max);
        assert!(lost > 0.1, "{asks}: {lost}");
        let carried = full.iter().map(|full| full.acked_bitrate).min();
        assert!(
            (600_000..900_000).contains(&carried.unwrap()),
            "{asks}: {carried:?}"
        );
    }
}

/// Of a small picture too, which is so few packets that a second of them tells nothing.
#[test]
fn requests_tell_of_a_full_link_before_the_next_report() {
    for (sent, rate, within) in [(1_500_000, 800_000, ms(3000)), (170_000, 150_000, ms(9000))] {
        let mut link = Link::new(20_000_000);
        link.asks = Some(1);
        link.carry(sent, ms(6000));
        (link.rate, link.reports_every) = (rate, ms(15_000));
        let full = link.when_full(sent, within);
        let carried = full.first().map(|full| u64::from(full.acked_bitrate));
        let expected = rate * 2 / 3..rate * 6 / 5;
        assert!(expected.contains(&carried.unwrap()), "{carried:?}");
    }
}

/// What was lost before less was sent is no reason to send still less.
#[test]
fn a_report_does_not_tell_twice_what_requests_have_told() {
    let mut link = Link::new(20_000_000);
    (link.asks, link.reports_every) = (Some(2), ms(5000));
    link.carry(1_500_000, ms(6000));
    link.rate = 800_000;
    while link.carry(1_500_000, ms(20)).usage != Usage::Overuse {}
    let (full, _) = link.estimator.overuse.unwrap();
    link.carry(500_000, ms(6000));
    let (again, _) = link.estimator.overuse.unwrap();
    assert_eq!(full, again);
}

#[test]
fn a_queue_is_seen_before_anything_is_lost() {
    let mut link = Link::new(1_000_000);
    link.carry(600_000, ms(5000));
    // Half a second of queue is full after five.
    link.rate = 600_000;
    let estimate = link.carry(600_000, ms(4000));
    assert_eq!(estimate.usage, Usage::Overuse, "{estimate:?}");
    assert_eq!(estimate.loss, 0.0);
    assert!(estimate.queue > QUEUE, "{estimate:?}");
}

#[test]
fn loss_at_random_is_no_congestion_and_a_lot_of_it_is() {
    for (lose, usage) in [
        (40, Usage::Underuse),
        (8, Usage::Normal),
        (4, Usage::Overuse),
    ] {
        let mut link = Link::new(3_000_000);
        link.lose = Some(lose);
        let estimate = link.carry(500_000, ms(4000));
        assert_eq!(estimate.usage, usage, "{estimate:?}");
        let expected = 1.0 / lose as f32;
        assert!((estimate.loss - expected).abs() < 0.05, "{estimate:?}");
    }
}

#[test]
fn the_last_packet_before_a_pause_may_be_lost() {
    let mut link = Link::new(3_000_000);
    link.carry(500_000, ms(5000));
    link.lose = Some(1);
    link.send(SOUND, 150);
    link.lose = None;
    for _ in 0..400 {
        link.now += ms(20);
        link.hear();
    }
    let estimate = link.estimator.estimate(link.now);
    assert!(
        estimate.is_none_or(|known| known.usage != Usage::Overuse),
        "{estimate:?}"
    );
    let LastTwo { last, before, .. } = link.estimator.queue;
    assert_eq!([last, before], [Duration::ZERO; 2]);
}

#[test]
fn silence_is_the_end_of_a_link() {
    let mut link = Link::new(3_000_000);
    assert_eq!(link.estimator.estimate(link.now), None);
    link.carry(300_000, ms(3000));
    let idle = link.estimator.estimate(link.now + SILENCE * 2);
    assert!(
        idle.is_none_or(|known| known.usage != Usage::Overuse),
        "{idle:?}"
    );
    link.report = ms(1_000_000);
    let estimate = link.carry(300_000, SILENCE + ms(1100));
    assert_eq!(
        (estimate.usage, estimate.acked_bitrate),
        (Usage::Overuse, 0)
    );
}

#[test]
fn nothing_that_is_reported_breaks_it() {
    let mut estimator = RrEstimator::default();
    for n in 0u32..3000 {
        let now = ms(u64::from(n) * 7);
        estimator.record(
            now,
            n % 3,
            (n.wrapping_mul(2_654_435_761) >> 16) as u16,
            1200,
        );
        let noise = n.wrapping_mul(2_246_822_519);
        let block = ReportBlock {
            ssrc: n % 4,
            fraction_lost: noise as u8,
            lost: noise as i32 >> (n % 31),
            highest: (noise >> 8) as u16,
            last_sender_report: noise,
        };
        estimator.on_report(now, [block].iter());
        if let Some(estimate) = estimator.estimate(now) {
            assert!((0.0..=1.0).contains(&estimate.loss), "{estimate:?}");
        }
    }
}
