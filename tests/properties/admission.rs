//! Admission: whatever the load does, the server saves before it refuses, does neither without
//! need, does not flap, and takes nobody in for whom there is no room.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tessera::admission::{LoadSample, OverloadController, PerMode, Pressure};
use tessera::topology::Mode;

const CORES: f64 = 4.0;
const SECOND: Duration = Duration::from_secs(1);

/// A server that uses what it is told.
struct Server {
    controller: OverloadController,
    now: Duration,
    cpu: Duration,
}

impl Server {
    fn new() -> Self {
        let mut server = Self {
            controller: OverloadController::new(Some(CORES)),
            now: Duration::from_secs(100),
            cpu: Duration::from_secs(7),
        };
        server.pass(Duration::ZERO, 0.0, PerMode::default());
        server
    }

    /// Uses so many cores for a while, and is looked at.
    fn pass(&mut self, time: Duration, cores: f64, people: PerMode<u32>) {
        self.now += time;
        self.cpu += time.mul_f64(cores);
        self.controller.update(LoadSample {
            at: self.now,
            cpu: self.cpu,
            people,
        });
    }

    fn pass_seconds(&mut self, seconds: u32, cores: f64) {
        for _ in 0..seconds {
            self.pass(SECOND, cores, mixed(10));
        }
    }
}

fn mixed(mcu: u32) -> PerMode<u32> {
    PerMode {
        mcu,
        ..PerMode::default()
    }
}

fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Mcu, Mode::Sfu, Mode::P2p])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn steps_come_one_by_one_and_not_in_a_hurry(
        loads in vec((0.0..CORES * 1.2, 1u64..3000, 0u32..60), 1..300),
    ) {
        let mut server = Server::new();
        let (mut was, mut fell, mut rose) = (Pressure::None, None, None);
        for (cores, ms, people) in loads {
            server.pass(Duration::from_millis(ms), cores, mixed(people));
            let now = server.controller.pressure();
            let step = i16::from(now.level()) - i16::from(was.level());
            prop_assert!(step.abs() <= 1, "{was:?} to {now:?}");
            if step > 0 {
                prop_assert!(server.controller.load() > CORES * 0.8);
                if was != Pressure::None {
                    let since: Duration = server.now - fell.max(rose).expect("a step before");
                    prop_assert!(since >= Duration::from_secs(4), "{since:?}");
                }
                fell = Some(server.now);
            }
            if step < 0 {
                prop_assert!(server.controller.load() < CORES * 0.55);
                let since: Duration = server.now - fell.max(rose).expect("a step before");
                prop_assert!(since >= Duration::from_secs(10), "{since:?}");
                rose = Some(server.now);
            }
            was = now;
        }
    }

    #[test]
    fn whoever_is_taken_in_fits(
        steps in vec((0.0..CORES, 0u32..40, mode(), 0usize..20), 1..60),
    ) {
        let mut server = Server::new();
        for (cores, people, mode, joins) in steps {
            server.pass(SECOND, cores, mixed(people));
            let mut taken = 0.0;
            let cost = server.controller.costs().of(mode);
            prop_assert!(cost > 0.0);
            for _ in 0..joins {
                let had_room = server.controller.has_room(mode);
                prop_assert_eq!(server.controller.admit(mode), had_room);
                taken += if had_room { cost } else { 0.0 };
            }
            // Those who came since the last look count, though they do not show yet.
            let fits = taken == 0.0 || server.controller.load() + taken <= CORES * 0.951;
            prop_assert!(fits, "{taken} beside {}", server.controller.load());
        }
    }

    #[test]
    fn what_a_join_costs_is_learnt(cost in 0.05..0.4f64, people in 1u32..40) {
        let mut server = Server::new();
        for _ in 0..60 {
            server.pass(SECOND, cost * f64::from(people), mixed(people));
        }
        let learnt = server.controller.costs().mcu;
        prop_assert!((learnt - cost).abs() < 0.02 * cost, "{learnt} for {cost}");
        // Rooms that are not there teach nothing.
        prop_assert_eq!(server.controller.costs().sfu, OverloadController::new(None).costs().sfu);
    }

    #[test]
    fn costs_of_two_modes_are_told_apart(mcu in 0.05..0.3f64, sfu in 0.01..0.05f64) {
        let mut server = Server::new();
        for n in 0..2000u32 {
            let people = PerMode { mcu: n / 20 % 7, sfu: n / 35 % 11, p2p: 0 };
            let cores = mcu * f64::from(people.mcu) + sfu * f64::from(people.sfu);
            server.pass(SECOND, cores, people);
        }
        let learnt = server.controller.costs();
        prop_assert!((learnt.mcu - mcu).abs() < 0.3 * mcu, "{learnt:?}");
        prop_assert!((learnt.sfu - sfu).abs() < 0.04, "{learnt:?}");
    }

    #[test]
    fn a_load_that_does_not_change_leads_to_rest(share in 0.0..1.2f64) {
        let mut server = Server::new();
        server.pass_seconds(60, CORES * share);
        let settled = server.controller.pressure();
        match share {
            s if s < 0.79 => prop_assert_eq!(settled, Pressure::None),
            s if s > 0.81 => prop_assert_eq!(settled, Pressure::Rungs),
            _ => {}
        }
        let full = share > 0.96;
        prop_assert!(!full || !server.controller.has_room(Mode::P2p));
        for _ in 0..100 {
            server.pass_seconds(1, CORES * share);
            prop_assert!(server.controller.pressure() >= settled, "it went back");
        }
    }
}

#[test]
fn pressure_comes_in_seconds_and_goes_in_a_minute() {
    let mut server = Server::new();
    server.pass_seconds(30, CORES * 0.7);
    assert_eq!(server.controller.pressure(), Pressure::None);
    server.pass_seconds(4, CORES);
    assert_eq!(server.controller.pressure(), Pressure::FrameRate);
    server.pass_seconds(14, CORES);
    assert_eq!(server.controller.pressure(), Pressure::Rungs, "the last");
    assert!(!server.controller.admit(Mode::Mcu));
    // Between the two bounds nothing changes.
    server.pass_seconds(300, CORES * 0.7);
    assert_eq!(server.controller.pressure(), Pressure::Rungs);
    server.pass_seconds(15, CORES * 0.3);
    assert_eq!(server.controller.pressure(), Pressure::Size);
    server.pass_seconds(45, CORES * 0.3);
    assert_eq!(server.controller.pressure(), Pressure::None);
    assert!(server.controller.admit(Mode::Mcu));
}

#[test]
fn a_step_that_has_to_come_back_stays_longer_each_time() {
    let mut server = Server::new();
    let mut stayed = Vec::new();
    for _ in 0..4 {
        let press = |server: &mut Server| {
            while server.controller.pressure() == Pressure::None {
                server.pass_seconds(1, CORES);
            }
        };
        press(&mut server);
        let mut seconds = 0;
        while server.controller.pressure() != Pressure::None {
            server.pass_seconds(1, CORES * 0.2);
            seconds += 1;
        }
        stayed.push(seconds);
    }
    assert!(
        stayed.windows(2).all(|pair| pair[1] >= pair[0] + 9),
        "{stayed:?}"
    );
}

#[test]
fn who_was_refused_comes_in_when_there_is_room_to_spare() {
    let mut server = Server::new();
    server.pass_seconds(30, CORES * 0.94);
    assert!(!server.controller.admit(Mode::Mcu));
    server.pass_seconds(30, CORES * 0.88);
    assert!(
        !server.controller.admit(Mode::P2p),
        "less would do if nobody had been refused"
    );
    server.pass_seconds(30, CORES * 0.80);
    assert!(server.controller.admit(Mode::P2p));
}

#[test]
fn a_burst_is_not_taken_in_before_it_shows() {
    let mut server = Server::new();
    for _ in 0..30 {
        server.pass(SECOND, 1.0, mixed(4));
    }
    let taken = (0..100)
        .filter(|_| server.controller.admit(Mode::Mcu))
        .count();
    // A quarter of a core each: three cores less a twentieth are free.
    assert!((10..=11).contains(&taken), "{taken}");
    // They come, and it shows: no more room than before.
    server.pass(SECOND, 1.0 + 0.25 * taken as f64, mixed(4 + taken as u32));
    assert!(!server.controller.has_room(Mode::Mcu));
}

#[test]
fn without_a_limit_nobody_is_refused_and_nothing_is_saved() {
    let mut controller = OverloadController::new(None);
    for n in 0..100 {
        let at = SECOND * n;
        controller.update(LoadSample {
            at,
            cpu: at * 64,
            people: mixed(500),
        });
        assert!(controller.admit(Mode::Mcu));
    }
    assert_eq!(controller.pressure(), Pressure::None);
    assert!(controller.load() > 60.0, "it is measured all the same");
}
