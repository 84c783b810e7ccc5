//! The room's state machine under random histories, in a world that carries out its effects,
//! and the stories it was written for.

mod check;
mod encodings;
mod handover;
mod model;
mod modes;
mod script;
mod slots;
mod stories;
mod ways;
mod world;

use proptest::prelude::*;
use tessera::protocol::room::ByeReason;
use tessera::room::state::{Input, Settings};

use script::{Action, company, crowd, history, settings};
use world::World;

/// Plays a history, then lets everything come to rest, then closes the room.
fn live_and_die(settings: Settings, history: Vec<Action>) {
    let mut world = World::new(settings);
    for action in history {
        world.act(action);
    }
    world.disarm();
    // At most: a connection, a resumption, a mix, a tile and two changes of way each, a retry
    // per uplink, an encoding that settles, and a slot that changes hands once for each who must be seen or heard. A recording begins.
    let n = world.peers.len();
    let mut patience = 16 + 14 * n + 2 * n * n + 2 * world.recorders.len();
    while let Some(at) = world.state.next_deadline(world.now) {
        patience = patience.checked_sub(1).expect("comes to rest");
        world.now = at;
        world.give(Input::Tick);
    }
    world.give(Input::Close(ByeReason::RoomClosed));
    assert!(world.over, "a closed room ends");
    // A latecomer is refused, and a forgotten timer does no harm.
    assert_eq!(world.join("late", None), None);
    world.give(Input::Tick);
}

/// So many cases, or as many as `PROPTEST_CASES` says.
fn cases(cases: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    }
}

proptest! {
    #![proptest_config(cases(6_000))]

    #[test]
    fn every_history_keeps_the_room_in_order(settings in settings(), history in history()) {
        live_and_die(settings, history);
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_crowd_keeps_the_room_in_order(settings in settings(), crowd in crowd()) {
        let settings = Settings { max_participants: 40, ..settings };
        live_and_die(settings, crowd);
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn a_company_switches_modes_as_it_likes(settings in settings(), company in company()) {
        let settings = Settings { max_participants: 8, ..settings };
        live_and_die(settings, company);
    }
}
