//! The room's state machine under random histories, in a world that carries out its effects,
//! and the stories it was written for.

mod check;
mod model;
mod script;
mod stories;
mod world;

use proptest::prelude::*;
use tessera::room::state::{Input, Settings};
use tessera::room::view::ByeReason;

use script::{Action, crowd, history, settings};
use world::World;

/// Plays a history, then lets everything come to rest, then closes the room.
fn live_and_die(settings: Settings, history: Vec<Action>) {
    let mut world = World::new(settings);
    for action in history {
        world.act(action);
    }
    world.disarm();
    // At most: a connection, a resumption, a mix and a tile each, and a retry per uplink.
    let mut patience = 8 * world.peers.len() + 16;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12_000))]

    #[test]
    fn every_history_keeps_the_room_in_order(settings in settings(), history in history()) {
        live_and_die(settings, history);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_crowd_keeps_the_room_in_order(settings in settings(), crowd in crowd()) {
        let settings = Settings { max_participants: 40, ..settings };
        live_and_die(settings, crowd);
    }
}
