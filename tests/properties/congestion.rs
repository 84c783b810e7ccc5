//! What viewers are sent over links of any kind: it fits soon, does not flap, and comes back when
//! the link does. The links are simulated at the level of estimates and, for receivers that send no
//! more than reception reports, packet by packet.

use std::time::Duration;

use proptest::prelude::*;
use tessera::layout::Size;
use tessera::media::bwe::controller::{Budget, LinkController};
use tessera::media::bwe::delay::{Estimate, Usage};
use tessera::media::bwe::ladder::{Ladder, Rung};
use tessera::media::gst::template::Templates;

use crate::reporting_link::Reported;

/// When a link begins.
pub(crate) const START: Duration = Duration::from_secs(100);
pub(crate) const AUDIO: u32 = 40_000;
/// As often as a room asks.
const STEP: Duration = Duration::from_millis(200);
/// What is sent as sound with its headers.
pub(crate) const SOUND: f64 = 63_200.0;

pub(crate) fn ladder() -> Ladder {
    let canvas = Size {
        width: 1280,
        height: 720,
    };
    Templates::default().ladder(canvas, 30, 1_500_000)
}

/// A viewer alone on their renditions, behind a link with a queue.
struct Link {
    ladder: Ladder,
    viewer: LinkController,
    now: Duration,
    /// bit/s.
    rate: f64,
    /// How long it queues at most before it drops.
    depth: Duration,
    /// Bits waiting.
    queued: f64,
    /// What arrived in each step of the last second.
    arrived: [f64; 5],
    dropped: [f64; 5],
    sent: [f64; 5],
    /// A switch takes a moment: what was sent in the step before.
    sending: f64,
    /// The share of its bits that the picture makes use of.
    used: f64,
    moves: Vec<(Duration, Rung)>,
}

impl Link {
    fn new(rate: f64, depth: Duration) -> Self {
        let ladder = ladder();
        let most = f64::from(ladder.spec(Rung::TOP).expect("a top").most);
        Self {
            ladder,
            viewer: LinkController::default(),
            now: START,
            rate,
            depth,
            queued: 0.0,
            arrived: [0.0; 5],
            dropped: [0.0; 5],
            sent: [0.0; 5],
            sending: most + SOUND,
            used: 1.0,
            moves: Vec::new(),
        }
    }

    /// What is sent now: the rung's bitrate as the budget has it, and sound.
    fn wanted(&self) -> f64 {
        let spec = self.ladder.spec(self.viewer.rung()).expect("a rung");
        let picture = match self.viewer.budget().for_picture(AUDIO) {
            Some(bits) => bits.clamp(spec.least.into(), spec.most.into()),
            None => spec.most.into(),
        };
        picture * self.used / 0.92 + SOUND
    }

    fn step(&mut self) {
        let seconds = STEP.as_secs_f64();
        let sent = self.sending * seconds;
        let deep = self.rate * self.depth.as_secs_f64();
        let carried = (self.queued + sent).min(self.rate * seconds);
        let left = self.queued + sent - carried;
        let dropped = (left - deep).max(0.0);
        self.queued = left - dropped;
        for (list, value) in [
            (&mut self.arrived, carried),
            (&mut self.dropped, dropped),
            (&mut self.sent, sent),
        ] {
            list.rotate_left(1);
            list[4] = value;
        }
        self.now += STEP;
        let queue = Duration::from_secs_f64(self.queued / self.rate);
        let loss = self.dropped.iter().sum::<f64>() / self.sent.iter().sum::<f64>();
        let watched = (self.now - START).as_secs_f64().min(1.0);
        let heavy = queue > Duration::from_millis(40) || loss > 0.2;
        let estimate = Estimate {
            acked_bitrate: (self.arrived.iter().sum::<f64>() / watched) as u32,
            loss: loss as f32,
            queue,
            usage: if heavy {
                Usage::Overuse
            } else {
                Usage::Underuse
            },
            probe_bitrate: None,
        };
        let before = self.viewer.rung();
        self.sending = self.wanted();
        let again = self.viewer.update(self.now, &estimate, &self.ladder, AUDIO);
        self.sending += again as f64 * 8.0 / seconds;
        if self.viewer.rung() != before {
            self.moves.push((self.now, self.viewer.rung()));
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    fn queue(&self) -> Duration {
        Duration::from_secs_f64(self.queued / self.rate)
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// From one that carries sound and the smallest picture to one that nearly carries the best.
fn rates() -> impl Strategy<Value = f64> {
    prop_oneof![
        130_000.0..400_000.0f64,
        200_000.0..1_400_000.0f64,
        Just(150_000.0),
        Just(300_000.0),
        Just(800_000.0),
    ]
}

fn depths() -> impl Strategy<Value = Duration> {
    (60u64..1500).prop_map(Duration::from_millis)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_sent_fits_soon_and_stays(rate in rates(), depth in depths()) {
        let mut link = Link::new(rate, depth);
        link.pass(secs(10));
        // A little more is tried now and then.
        prop_assert!(link.wanted() <= rate * 1.2, "{} of {rate}", link.wanted());
        let mut worst = Duration::ZERO;
        let mut over = 0;
        for _ in 0..600 {
            link.step();
            worst = worst.max(link.queue());
            // By a fiftieth it takes two seconds to be noticed, and as long to be gone.
            over += u32::from(link.sending > rate * 1.02);
        }
        prop_assert!(worst < Duration::from_millis(400), "{worst:?}: {:?}", link.moves);
        prop_assert!(over < 120, "too much in {over} of 600 steps");
    }

    #[test]
    fn a_steady_link_is_used_and_its_viewer_left_in_peace(rate in rates(), depth in depths()) {
        let mut link = Link::new(rate, depth);
        link.pass(secs(60));
        let settled = link.moves.len();
        let mut sent = 0.0;
        for _ in 0..600 {
            link.step();
            sent += link.sending / 600.0;
        }
        let moves = &link.moves[settled..];
        prop_assert!(moves.len() <= 6, "in two minutes: {moves:?}");
        prop_assert!(sent > 0.5 * rate.min(1_600_000.0), "{sent} of {rate}");
    }

    #[test]
    fn a_picture_that_uses_little_is_not_made_larger_in_vain(rate in 180_000.0..1_400_000.0f64, depth in depths(), used in 0.4..0.9f64) {
        let mut link = Link::new(rate, depth);
        link.pass(secs(40));
        link.used = used;
        link.pass(secs(60));
        let settled = link.moves.len();
        let mut worst = Duration::ZERO;
        for _ in 0..600 {
            link.step();
            worst = worst.max(link.queue());
        }
        let moves = &link.moves[settled..];
        prop_assert!(moves.len() <= 6, "in two minutes: {moves:?}");
        prop_assert!(worst < Duration::from_millis(300), "{worst:?}");
    }

    #[test]
    fn a_link_that_recovers_has_the_best_again_soon(rate in rates(), depth in depths(), time in 5u64..300) {
        let mut link = Link::new(rate, depth);
        link.pass(secs(time));
        link.rate = 20_000_000.0;
        link.pass(secs(30));
        prop_assert_eq!(link.viewer.rung(), Rung::TOP, "{:?}", link.moves);
    }

    #[test]
    fn a_link_for_sound_alone_that_recovers_has_the_best_again_soon(rate in 50_000.0..130_000.0f64, depth in depths(), time in 5u64..300) {
        let mut link = Link::new(rate, depth);
        link.pass(secs(time));
        link.rate = 20_000_000.0;
        link.pass(secs(30));
        prop_assert_eq!(link.viewer.rung(), Rung::TOP, "{:?}", link.moves);
    }

    #[test]
    fn a_link_that_worsens_is_relieved_soon(rate in rates(), worse in rates(), depth in depths()) {
        let mut link = Link::new(rate.max(worse), depth);
        link.pass(secs(60));
        link.rate = rate.min(worse);
        link.pass(secs(10));
        prop_assert!(link.wanted() <= link.rate * 1.2, "{} of {}", link.wanted(), link.rate);
    }

    #[test]
    fn any_estimates_do(estimates in proptest::collection::vec(
        (any::<u32>(), 0.0..=1.0f32, 0u64..5_000, 0u8..3, 0u64..3_000), 1..200)) {
        let (ladder, mut viewer) = (ladder(), LinkController::default());
        let mut now = Duration::ZERO;
        for (acked_bitrate, loss, queue, usage, passed) in estimates {
            let usage = [Usage::Overuse, Usage::Normal, Usage::Underuse][usize::from(usage)];
            now += Duration::from_millis(passed);
            let estimate = Estimate {
                acked_bitrate,
                loss,
                queue: Duration::from_millis(queue),
                usage,
                probe_bitrate: None,
            };
            let before = viewer.clone();
            viewer.update(now, &estimate, &ladder, AUDIO);
            prop_assert!(ladder.spec(viewer.rung()).is_some());
            match usage {
                Usage::Overuse => {
                    // A reduction may have been a mistake, which is found out soon.
                    let regained = viewer.budget() > before.budget();
                    prop_assert!(!regained || viewer.budget() < Budget::Limited(acked_bitrate.into()));
                    prop_assert!(regained || viewer.rung() >= before.rung());
                }
                Usage::Normal => {
                    prop_assert!(viewer.budget() == before.budget());
                    prop_assert!(viewer.rung() >= before.rung());
                }
                Usage::Underuse => prop_assert!(viewer.budget() >= before.budget()),
            }
            let moved = (viewer.rung(), viewer.budget()) != (before.rung(), before.budget());
            prop_assert!(before.cares(&estimate) || !moved);
        }
    }
}

/// How often receivers report: browsers each second, others up to five.
fn intervals() -> impl Strategy<Value = Duration> {
    (500u64..5000).prop_map(Duration::from_millis)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_reports_tell_makes_it_fit(rate in rates(), depth in depths(), every in intervals()) {
        let mut link = Reported::new(rate, depth, every);
        link.pass(every * 6 + secs(2));
        // Where there is no queue to be seen, what is lost could as well be lost at random.
        let is_shallow = depth < Duration::from_millis(150);
        let most = if is_shallow { 1.3 } else { 1.1 };
        let mut over = 0;
        for _ in 0..300 {
            link.pass(STEP);
            over += u32::from(link.wanted() > rate * most);
        }
        prop_assert!(over < 150, "too much in {over} of 300 steps");
    }

    #[test]
    fn what_reports_tell_brings_the_best_back(rate in rates(), depth in depths(), every in intervals()) {
        let mut link = Reported::new(rate, depth, every);
        link.pass(secs(40));
        link.rate = 20_000_000.0;
        // Each report is reason for a step.
        link.pass(secs(20) + every * 20);
        prop_assert_eq!(link.viewer.rung(), Rung::TOP);
    }

    #[test]
    fn reports_of_loss_at_random_change_nothing(lossy in 11u32..100, every in intervals()) {
        let mut link = Reported::new(5_000_000.0, Duration::from_millis(300), every);
        link.lossy = Some(lossy);
        for _ in 0..300 {
            link.pass(STEP);
            prop_assert_eq!(link.viewer.rung(), Rung::TOP);
        }
    }
}

/// Found by [`any_estimates_do`].
#[test]
fn nobody_climbs_on_a_full_link() {
    let (ladder, mut viewer) = (ladder(), LinkController::default());
    let mut now = Duration::ZERO;
    for (acked_bitrate, usage, passed) in [
        (275_855, Usage::Overuse, 0),
        (0, Usage::Underuse, 0),
        (3_238_571_740, Usage::Overuse, 0),
        (0, Usage::Underuse, 32),
        (0, Usage::Underuse, 649),
        (0, Usage::Underuse, 468),
        (398_365, Usage::Overuse, 851),
    ] {
        now += Duration::from_millis(passed);
        let estimate = Estimate {
            acked_bitrate,
            loss: 0.0,
            queue: Duration::ZERO,
            usage,
            probe_bitrate: None,
        };
        let before = viewer.rung();
        viewer.update(now, &estimate, &ladder, AUDIO);
        assert!(usage == Usage::Underuse || viewer.rung() >= before);
    }
}
