//! Stories of a mesh: when people do without the server, and when they may not.

use tessera::codec::VideoCodec;
use tessera::id::Role;
use tessera::protocol::room::UplinkState;
use tessera::room::state::wiring::Downlink;
use tessera::room::state::{Effect, Input};
use tessera::room::{Departure, Downlinks, Reach, Request, RoomError};
use tessera::topology::Mode;

use super::{
    BOTH, NOBODY, browser, company, enter, forwarded, is_mixed, ms, room_in, set_mode, set_view,
};
use crate::room::script::in_codec;
use crate::room::stories::{EVERYTHING, SECOND, room};
use crate::room::world::World;

fn refused(world: &World) -> bool {
    let refusal = |effect: &Effect| {
        matches!(
            effect,
            Effect::Settle(_, Err(RoomError::ModeUnavailable(Mode::P2p, _)))
        )
    };
    world.log.iter().any(refusal)
}

#[test]
fn people_alone_do_without_the_server_once_all_have_each_other() {
    let mut world = room();
    let [ann, bob, cem] = company(&mut world, 2);
    set_mode(&mut world, Mode::P2p);
    assert!(!refused(&world));
    world.pass(SECOND * 60);
    assert!(
        is_mixed(&world, ann, Downlink::Video),
        "for as long as it takes"
    );
    for who in [ann, bob] {
        world.mesh_with_all(who);
    }
    assert!(!is_mixed(&world, ann, Downlink::Video), "has everybody");
    assert!(is_mixed(&world, cem, Downlink::Video), "has nobody");
    assert!(world.peers[&ann].wanted, "Cem sees them through the server");
    let asked = world.asks(Request::Mesh(cem, vec![ann]));
    world.give(asked);
    assert!(is_mixed(&world, cem, Downlink::Video), "Bob is missing");
    world.mesh_with_all(cem);
    assert!(world.mixer.is_none());
    assert!(world.peers.values().all(|peer| !peer.wanted));

    for who in [ann, bob, cem] {
        for role in BOTH {
            world.give(Input::UplinkSilent(who, role, 0));
        }
        world.pass(SECOND * 60);
    }
    let shown = world.state.published();
    let live = |p: &tessera::protocol::room::ParticipantState| p.camera == UplinkState::Live;
    assert!(shown.participants.iter().all(live), "as they were told");
    assert_eq!(shown.paths.measured.outside, 6);

    set_mode(&mut world, Mode::Sfu);
    assert!(world.peers.values().all(|peer| peer.wanted));
    assert_eq!(forwarded(&world, ann, Role::Camera).len(), 2, "at once");
    world.pass(ms(2999));
    assert_eq!(forwarded(&world, ann, Role::Camera).len(), 2);
    world.pass(ms(1));
    assert_eq!(
        forwarded(&world, ann, Role::Camera),
        NOBODY,
        "they were asked to send"
    );
}

#[test]
fn somebody_taken_for_gone_is_there_again_once_nobody_needs_what_they_send() {
    let mut world = room();
    let people = company(&mut world, 2);
    let width = |world: &World| {
        world.peers[&people[0]]
            .capture
            .as_ref()
            .map(|size| size.width)
    };
    let of_three = width(&world);
    for who in &people[1..] {
        for role in BOTH {
            world.give(Input::UplinkSilent(*who, role, 0));
        }
    }
    world.pass(SECOND * 3);
    assert!(width(&world) > of_three, "the others have lost their tiles");
    set_mode(&mut world, Mode::P2p);
    people.into_iter().for_each(|who| world.mesh_with_all(who));
    assert_eq!(width(&world), of_three);
}

#[test]
fn what_is_left_of_a_mesh_does_not_serve_the_next() {
    let mut world = room();
    let people = company(&mut world, 2);
    set_mode(&mut world, Mode::P2p);
    people.into_iter().for_each(|who| world.mesh_with_all(who));
    set_mode(&mut world, Mode::Mcu);
    people.into_iter().for_each(|who| world.mesh_with_all(who));
    set_mode(&mut world, Mode::P2p);
    assert!(is_mixed(&world, people[0], Downlink::Video));
}

#[test]
fn peer_to_peer_is_refused_where_somebody_cannot_be_called() {
    let mut world = room();
    enter(&mut world, "Ann", 2);
    let studio = world
        .knock("WHIP", Reach::HttpOnly, None, None)
        .expect("taken in");
    set_mode(&mut world, Mode::P2p);
    assert!(refused(&world), "before it is connected");
    world.bring_up(studio, &BOTH, Downlinks::default());
    set_mode(&mut world, Mode::P2p);
    assert!(refused(&world));
    world.give(Input::Leave(studio, Departure::Left));
    let viewer = world.join("an audience", None).expect("taken in");
    world.bring_up(viewer, &[], EVERYTHING);
    set_mode(&mut world, Mode::P2p);
    assert!(refused(&world));
    world.give(Input::Leave(viewer, Departure::Left));
    set_mode(&mut world, Mode::P2p);
    assert!(!refused(&world));
    assert_eq!(world.knock("WHIP", Reach::HttpOnly, None, None), None);
    assert!(refused(&world));
}

#[test]
fn a_mesh_waits_for_nobody_who_only_watches_or_is_still_joining() {
    let mut world = room();
    let people = company(&mut world, 2);
    set_mode(&mut world, Mode::P2p);
    let viewer = world.join("an audience", None).expect("taken in");
    world.bring_up(viewer, &[], EVERYTHING);
    let late = world.join("Dua", None).expect("taken in");
    world.give(Input::Answered {
        who: late,
        uplinks: in_codec(&BOTH, VideoCodec::Vp8),
        downlinks: browser(2),
    });
    people.into_iter().for_each(|who| world.mesh_with_all(who));
    assert!(world.mixer.is_none());
    world.give(Input::Leave(late, Departure::Left));
    let all = world.peers.values();
    assert!(
        all.into_iter().all(|peer| !peer.wanted),
        "all have each other"
    );
}

#[test]
fn peer_to_peer_is_for_six() {
    let mut world = room();
    let people: Vec<_> = (0..7).map(|_| enter(&mut world, "Ann", 2)).collect();
    set_mode(&mut world, Mode::P2p);
    assert!(refused(&world));
    world.give(Input::Leave(people[0], Departure::Left));
    set_mode(&mut world, Mode::P2p);
    assert!(!refused(&world));
    assert_eq!(world.join("Bob", None), None);
    let full = Err(RoomError::Full { limit: 6 });
    assert!(matches!(&world.log[..], [_, Effect::Settle(_, answer)] if *answer == full));
    assert_eq!(world.join("Ann again", Some(people[1])), Some(people[1]));
}

#[test]
fn nobody_can_have_peer_to_peer_alone() {
    let mut world = room_in(Mode::Sfu);
    let ann = enter(&mut world, "Ann", 2);
    set_view(&mut world, ann, Some(Mode::P2p));
    assert!(refused(&world));
    let view = Some(Mode::P2p);
    assert_eq!(world.knock("Bob", Reach::Signalling, view, None), None);
    assert!(refused(&world));
    assert_eq!(world.knock("Ann", Reach::Signalling, view, Some(ann)), None);
    assert!(
        refused(&world) && world.peers[&ann].answered,
        "Ann is still here"
    );
}
