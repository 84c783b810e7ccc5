use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::id::Rid;
use crate::layout::Size;
use crate::media::bwe::controller::{Budget, LinkController};
use crate::media::bwe::delay::{Estimate, Usage};
use crate::room::state::layers::{LayerSizes, LayerTarget, Layers};

const LAYER_SIZES: LayerSizes = LayerSizes {
    canvas: Size {
        width: 1280,
        height: 720,
    },
    fps: 30,
};
/// As often as a room asks.
const STEP: Duration = Duration::from_millis(200);
const SOUND: u64 = 48_000;
/// How long a sender takes to send an encoding it did not send.
const STARTS: Duration = Duration::from_secs(2);

fn costs_of(costs: &[u64]) -> LayerCosts {
    LayerCosts {
        costs: costs.to_vec(),
        current: 0,
    }
}

#[test]
fn what_one_cannot_use_others_get() {
    let (small, large) = (costs_of(&[100]), costs_of(&[100, 300, 900]));
    let bitrates = |budget, pictures: &[&LayerCosts]| {
        let pictures: Vec<LayerCosts> = pictures.iter().map(|picture| (*picture).clone()).collect();
        allocate(budget, &pictures).bitrates
    };
    assert_eq!(
        bitrates(0, &[&small, &large]),
        [100, 100],
        "there is no less"
    );
    assert_eq!(bitrates(400, &[&small, &large]), [100, 300]);
    assert_eq!(bitrates(999, &[&small, &large]), [100, 300]);
    assert_eq!(bitrates(1000, &[&small, &large]), [100, 900]);
    assert_eq!(bitrates(1000, &[&large, &large]), [300, 300]);
    assert_eq!(bitrates(1200, &[&large, &large]), [900, 300]);
    assert_eq!(bitrates(9, &[&costs_of(&[]), &small]), [0, 100]);
}

/// A viewer of forwarded pictures behind a link with a queue.
#[derive(Clone)]
struct Link {
    viewer: LinkController,
    now: Duration,
    /// bit/s.
    rate: f64,
    depth: Duration,
    queued: f64,
    arrived: [f64; 5],
    layers: Layers,
    /// Which encoding of each picture is sent, and those asked for since when.
    current: Vec<usize>,
    asked: Vec<(usize, Duration)>,
    /// What is sent of what is announced.
    honesty: f64,
    /// What packets that are sent at once tell, as a bitrate of the truth, if they tell anything.
    candour: Option<f64>,
    probe_bitrate: Option<u32>,
    moves: usize,
}

impl Link {
    fn new(rate: f64, depth: Duration, pictures: usize, honesty: f64) -> Self {
        let rids = ["q", "h", "f"].map(|rid| Rid::new(rid).expect("a rid"));
        let now = Duration::from_secs(100);
        Self {
            viewer: LinkController::default(),
            now,
            rate,
            depth,
            queued: 0.0,
            arrived: [0.0; 5],
            layers: Layers::new(rids.to_vec()),
            current: vec![2; pictures],
            asked: vec![(2, now); pictures],
            honesty,
            candour: None,
            probe_bitrate: None,
            moves: 0,
        }
    }

    fn target(&self, n: usize, max_bitrate: Option<u32>) -> LayerTarget {
        LayerTarget {
            height: 720,
            max_bitrate,
            current: Some(self.current[n]),
            current_bitrate: None,
        }
    }

    fn picture_costs(&self) -> Vec<LayerCosts> {
        let picture = |n| self.layers.costs(self.target(n, None), LAYER_SIZES);
        (0..self.current.len()).map(picture).collect()
    }

    fn allocate(&self) -> BandwidthAllocation {
        let most = match self.viewer.budget() {
            Budget::Limited(bits) => (bits as u64).saturating_sub(SOUND) * 97 / 100,
            Budget::Free => u64::MAX,
        };
        allocate(most, &self.picture_costs())
    }

    fn sent(&self) -> f64 {
        let bits: u64 = self
            .picture_costs()
            .iter()
            .map(|picture| picture.current)
            .sum();
        bits as f64 * self.honesty / 0.97 + SOUND as f64
    }

    /// Whether encodings come to what the link carries and up to a hundredth more.
    fn is_nearly_carried(&self) -> bool {
        let pictures = u32::try_from(self.current.len()).expect("a few");
        (0..3usize.pow(pictures)).any(|n| {
            let digit = |place: u32| n / 3usize.pow(place) % 3;
            let current = (0..pictures).map(digit).collect();
            let link = Self {
                current,
                ..self.clone()
            };
            (1.0..1.01).contains(&(link.sent() / self.rate))
        })
    }

    /// So many moves, or more where what is too much by so little that its queue takes half a
    /// minute to grow is not known for what it was.
    fn most_moves(&self, moves: usize) -> usize {
        match self.is_nearly_carried() {
            true => 80,
            false => moves,
        }
    }

    fn carry(&mut self) -> Estimate {
        let seconds = STEP.as_secs_f64();
        let offered = self.queued + self.sent() * seconds;
        let carried = offered.min(self.rate * seconds);
        self.queued = (offered - carried).min(self.rate * self.depth.as_secs_f64());
        self.arrived.rotate_left(1);
        self.arrived[4] = carried;
        self.now += STEP;
        let queue = Duration::from_secs_f64(self.queued / self.rate);
        let heavy = queue > Duration::from_millis(40);
        Estimate {
            acked_bitrate: self.arrived.iter().sum::<f64>() as u32,
            loss: 0.0,
            queue,
            usage: if heavy {
                Usage::Overuse
            } else {
                Usage::Underuse
            },
            probe_bitrate: self.probe_bitrate.take(),
        }
    }

    fn step(&mut self) {
        let estimate = self.carry();
        let demand = self
            .allocate()
            .demand(&self.picture_costs())
            .with_sound(SOUND, 97);
        if self.viewer.cares(&estimate)
            && self.viewer.update_forwarded(self.now, &estimate, &demand) > 0
        {
            self.probe_bitrate = self.candour.map(|share| (self.rate * share) as u32);
        }
        let bitrates = self.allocate().bitrates;
        for (n, bitrate) in bitrates.into_iter().enumerate() {
            let target = self.target(n, Some(bitrate as u32));
            let preferred = self.layers.preferred(target, LAYER_SIZES);
            if self.asked[n].0 != preferred {
                self.asked[n] = (preferred, self.now);
            }
            let there = preferred < self.current[n] || self.now >= self.asked[n].1 + STARTS;
            if preferred != self.current[n] && there {
                self.current[n] = preferred;
                self.moves += 1;
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
        }
    }
}

proptest! {
    #[test]
    fn no_more_is_given_than_there_is_and_nothing_is_left_that_fits(
        budget in 0u64..10_000_000,
        costs in vec(vec(1u64..3_000_000, 0..4), 0..9),
    ) {
        let sorted = |mut costs: Vec<u64>| {
            costs.sort_unstable();
            costs.dedup();
            costs_of(&costs)
        };
        let pictures: Vec<LayerCosts> = costs.into_iter().map(sorted).collect();
        let allocation = allocate(budget, &pictures);
        let given: u64 = allocation.bitrates.iter().sum();
        let least: u64 = pictures.iter().filter_map(|picture| picture.costs.first()).sum();
        prop_assert!(given <= budget.max(least));
        for (picture, bitrate) in pictures.iter().zip(&allocation.bitrates) {
            prop_assert!(picture.costs.contains(bitrate) || picture.costs.is_empty());
            let next = picture.costs.iter().find(|cost| *cost > bitrate);
            prop_assert!(next.is_none_or(|next| given - bitrate + next > budget));
        }
    }

    #[test]
    fn nobody_has_more_if_that_would_do_for_one_with_less(
        budget in 0u64..10_000_000,
        steps in vec(1u64..3_000_000, 1..4),
        pictures in 1usize..9,
    ) {
        let mut costs = steps;
        costs.sort_unstable();
        costs.dedup();
        let allocation = allocate(budget, &vec![costs_of(&costs); pictures]);
        let given: u64 = allocation.bitrates.iter().sum();
        let left = budget.saturating_sub(given);
        for (poor, rich) in allocation.bitrates.iter().flat_map(|a| allocation.bitrates.iter().map(move |b| (a, b))) {
            let next = costs.iter().find(|cost| *cost > poor && *cost < rich);
            let before = costs.iter().rev().find(|cost| *cost < rich);
            if let Some((next, before)) = next.zip(before) {
                prop_assert!(left + rich - before < next - poor, "{:?}", allocation.bitrates);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_steady_link_is_relieved_soon_and_its_viewer_left_in_peace(
        rate in 250_000.0..9_000_000.0f64,
        depth in 100u64..1500,
        pictures in 1usize..5,
        honesty in 0.5..1.05f64,
    ) {
        let mut link = Link::new(rate, Duration::from_millis(depth), pictures, honesty);
        let least = 172_800.0 * 1.1 * pictures as f64 + SOUND as f64;
        let mut relieved = false;
        for _ in 0..50 {
            link.step();
            // A queue that takes longer than this to grow is not found before.
            relieved |= link.sent() <= rate.max(least) * 1.01;
        }
        // At the end of it more may already be tried again.
        prop_assert!(relieved, "{} of {rate}", link.sent());
        link.pass(590);
        // More is tried after 15, 30, 60, and then each 120 seconds: eight times, one move up and
        // one back each; and before that the pictures find what they get.
        let most = link.most_moves(2 * 8 + 3 * pictures);
        prop_assert!(link.moves <= most, "{} moves", link.moves);
    }

    #[test]
    fn packets_sent_at_once_spare_trials_and_tell_of_recovery(
        rate in 250_000.0..3_000_000.0f64,
        depth in 100u64..1500,
        pictures in 1usize..4,
        candour in 0.8..1.25f64,
    ) {
        let mut link = Link::new(rate, Duration::from_millis(depth), pictures, 0.9);
        link.candour = Some(candour);
        link.pass(60);
        let moves = link.moves;
        link.pass(600);
        // Where a step barely fits by what they say, or what they say is wrong, it is tried as
        // without them; else twice, against their word.
        let most = link.most_moves(2 * 8);
        prop_assert!(link.moves <= moves + most, "{} moves", link.moves - moves);
        let began = link.now;
        link.rate = 50_000_000.0;
        while link.current.iter().any(|current| *current != 2) {
            link.step();
            prop_assert!(link.now < began + Duration::from_secs(180), "{:?}", link.viewer);
        }
    }

    #[test]
    fn a_link_that_recovers_has_the_largest_again(
        rate in 250_000.0..3_000_000.0f64,
        depth in 100u64..1500,
        pictures in 1usize..3,
    ) {
        let mut link = Link::new(rate, Duration::from_millis(depth), pictures, 0.9);
        link.pass(10);
        link.rate = 50_000_000.0;
        link.pass(60);
        prop_assert_eq!(&link.current, &vec![2; pictures], "{:?}", link.viewer);
    }
}
