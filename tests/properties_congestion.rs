//! What viewers are sent over links of any kind: it fits soon, does not flap, and comes back when
//! the link does. The links are simulated at the level of estimates, and by a trace.

use std::time::Duration;

use proptest::prelude::*;
use tessera::layout::Size;
use tessera::media::congestion::Viewer;
use tessera::media::estimate::{Estimate, Load};
use tessera::media::ladder::{Ladder, Rung};
use tessera::media::template::Templates;

/// When a link begins.
const START: Duration = Duration::from_secs(100);
const AUDIO: u32 = 40_000;
/// As often as a room asks.
const STEP: Duration = Duration::from_millis(200);
/// What is sent as sound with its headers.
const SOUND: f64 = 63_200.0;

fn ladder() -> Ladder {
    let canvas = Size {
        width: 1280,
        height: 720,
    };
    Templates::default().ladder(canvas, 30, 1_500_000)
}

/// A viewer alone on their renditions, behind a link with a queue.
struct Link {
    ladder: Ladder,
    viewer: Viewer,
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
    moves: Vec<(Duration, Rung)>,
}

impl Link {
    fn new(rate: f64, depth: Duration) -> Self {
        let ladder = ladder();
        let most = f64::from(ladder.spec(Rung::TOP).expect("a top").most);
        Self {
            ladder,
            viewer: Viewer::default(),
            now: START,
            rate,
            depth,
            queued: 0.0,
            arrived: [0.0; 5],
            dropped: [0.0; 5],
            sent: [0.0; 5],
            sending: most + SOUND,
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
        picture / 0.92 + SOUND
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
            arriving: (self.arrived.iter().sum::<f64>() / watched) as u32,
            loss: loss as f32,
            queue,
            load: if heavy { Load::Heavy } else { Load::Light },
            train: None,
        };
        let before = self.viewer.rung();
        self.sending = self.wanted();
        self.viewer.update(self.now, &estimate, &self.ladder, AUDIO);
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
            over += u32::from(link.sending > rate);
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
    fn a_link_that_recovers_has_the_best_again_soon(rate in rates(), depth in depths(), time in 5u64..300) {
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
        (any::<u32>(), 0.0..=1.0f32, 0u64..5_000, any::<bool>(), 0u64..3_000), 1..200)) {
        let (ladder, mut viewer) = (ladder(), Viewer::default());
        let mut now = Duration::ZERO;
        for (arriving, loss, queue, heavy, passed) in estimates {
            now += Duration::from_millis(passed);
            let estimate = Estimate {
                arriving,
                loss,
                queue: Duration::from_millis(queue),
                load: if heavy { Load::Heavy } else { Load::Light },
                train: None,
            };
            let before = viewer.clone();
            viewer.update(now, &estimate, &ladder, AUDIO);
            prop_assert!(ladder.spec(viewer.rung()).is_some());
            if heavy {
                prop_assert!(viewer.budget() <= before.budget() && viewer.rung() >= before.rung());
            } else {
                prop_assert!(viewer.budget() >= before.budget());
            }
            let moved = (viewer.rung(), viewer.budget()) != (before.rung(), before.budget());
            prop_assert!(before.cares(&estimate) || !moved);
        }
    }
}

/// Found by [`any_estimates_do`].
#[test]
fn nobody_climbs_on_a_full_link() {
    let (ladder, mut viewer) = (ladder(), Viewer::default());
    let mut now = Duration::ZERO;
    for (arriving, load, passed) in [
        (275_855, Load::Heavy, 0),
        (0, Load::Light, 0),
        (3_238_571_740, Load::Heavy, 0),
        (0, Load::Light, 32),
        (0, Load::Light, 649),
        (0, Load::Light, 468),
        (398_365, Load::Heavy, 851),
    ] {
        now += Duration::from_millis(passed);
        let estimate = Estimate {
            arriving,
            loss: 0.0,
            queue: Duration::ZERO,
            load,
            train: None,
        };
        let before = viewer.rung();
        viewer.update(now, &estimate, &ladder, AUDIO);
        assert!(load == Load::Light || viewer.rung() >= before);
    }
}
