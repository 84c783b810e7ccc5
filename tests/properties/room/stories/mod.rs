//! What the room was written for, told one story at a time. The world checks every step as it
//! does for random histories; what is asserted here is what the story is about.

mod mix;

use std::sync::Arc;
use std::time::Duration;

use tessera::admission::Pressure;
use tessera::codec::VideoCodec;
use tessera::id::SourceId;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{LayoutKind, Size};
use tessera::media::bwe::fec::Fec;
use tessera::media::bwe::ladder::Rung;
use tessera::media::gst::template::Templates;
use tessera::media::mixer::{Content, Mark, MixMinus, Output, Tile};
use tessera::protocol::room::{ByeReason, UplinkState};
use tessera::room::state::wiring::{Downlink, Feed};
use tessera::room::state::{Effect, Input, Lifetime, Settings};
use tessera::room::{Departure, Downlinks, Muter, Reach, Request};
use tessera::topology::Mode;

use super::world::World;

pub(crate) const EVERYTHING: Downlinks = Downlinks {
    mix_video: Some(VideoCodec::H264),
    mix_audio: true,
    mix_fec: Fec::On,
    forward_video: Vec::new(),
    forward_audio: Vec::new(),
};
const NOTHING: Downlinks = Downlinks {
    mix_video: None,
    mix_audio: false,
    mix_fec: Fec::On,
    forward_video: Vec::new(),
    forward_audio: Vec::new(),
};
pub(crate) const SECOND: Duration = Duration::from_secs(1);
const COMMON: Output = Output::Sound(MixMinus::Nobody);

/// The composite at its best.
pub(crate) const TOP: Output = Output::Video {
    codec: VideoCodec::H264,
    rung: Rung::TOP,
};

pub(crate) fn settings() -> Settings {
    let canvas = Size {
        width: 1280,
        height: 720,
    };
    Settings {
        max_participants: 8,
        canvas,
        fps: 30,
        ladder: Arc::new(Templates::default().ladder(canvas, 30, 1_500_000)),
        audio_bitrate: 40_000,
        mode: Mode::Mcu,
        layout: LayoutKind::Grid,
        lifetime: Lifetime::WhileUsed,
        pressure: Pressure::None,
    }
}

pub(crate) fn room() -> World {
    World::new(settings())
}

fn enter(world: &mut World, name: &str) -> ParticipantId {
    let who = world.join(name, None).expect("taken in");
    world.bring_up(who, &[Role::Mic, Role::Camera], EVERYTHING);
    who
}

fn camera(participant: ParticipantId) -> SourceId {
    let role = Role::Camera;
    SourceId { participant, role }
}

fn fed(world: &World, who: ParticipantId, slot: Downlink) -> Option<Output> {
    world.peers[&who].slots[&slot].fed.map(|feed| match feed {
        Feed::Output(output) => output,
        Feed::Uplink { source, .. } => panic!("{source} is forwarded"),
    })
}

fn hears(world: &World, who: ParticipantId) -> Option<Output> {
    fed(world, who, Downlink::Audio)
}

fn tiles(world: &World) -> &[Tile] {
    &world.mixer.as_ref().expect("a mixer").scene.tiles
}

fn shown(world: &World) -> Vec<SourceId> {
    tiles(world).iter().map(|tile| tile.source).collect()
}

/// Whoever has the largest tile.
fn large(world: &World) -> SourceId {
    let largest = tiles(world).iter().max_by_key(|tile| tile.rect.w);
    largest.expect("a tile").source
}

fn decodes(world: &World, source: SourceId) -> bool {
    let mixer = world.mixer.as_ref();
    mixer.is_some_and(|mixer| mixer.sources.contains_key(&source))
}

#[test]
fn join_speak_leave() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let bob = enter(&mut world, "Bob");
    assert_eq!(shown(&world), [camera(ann), camera(bob)]);
    assert_eq!(
        [hears(&world, ann), hears(&world, bob)],
        [Some(COMMON); 2],
        "the silent share one encoding"
    );

    world.give(Input::Heard(ann, true));
    let own = Output::Sound(MixMinus::Participant(ann));
    assert_eq!(hears(&world, ann), Some(own));
    assert_eq!(hears(&world, bob), Some(COMMON));
    let voices = tiles(&world).iter().map(|tile| tile.mark);
    assert_eq!(voices.collect::<Vec<_>>(), [Mark::Speaking, Mark::None]);

    world.give(Input::Heard(ann, false));
    world.pass(SECOND * 2);
    assert_eq!(hears(&world, ann), Some(own), "a pause between sentences");
    world.pass(SECOND);
    assert_eq!(hears(&world, ann), Some(COMMON));

    world.give(Input::Leave(ann, Departure::Left));
    assert_eq!(shown(&world), [camera(bob)], "gone at once");
    world.give(Input::Leave(ann, Departure::Left));
    assert_eq!(world.log, [], "the second time is a no-op");
    world.give(Input::Leave(bob, Departure::Left));
    assert!(world.over);
}

#[test]
fn who_publishes_and_plays_does_not_hear_the_own_voice() {
    let mut world = room();
    let ann = world.join("Ann", None).expect("taken in");
    world.bring_up(ann, &[Role::Mic, Role::Camera], NOTHING);
    let player = world.knock_with_voice("Ann", Reach::HttpOnly, None, None, Some(ann));
    let player = player.expect("taken in");
    world.bring_up(player, &[], EVERYTHING);
    assert_eq!(hears(&world, player), Some(COMMON));
    world.give(Input::Heard(ann, true));
    let without = Output::Sound(MixMinus::Participant(ann));
    assert_eq!(hears(&world, player), Some(without));
    world.give(Input::Leave(ann, Departure::Left));
    assert_eq!(hears(&world, player), Some(COMMON), "their voice is gone");
    let stranger = world.knock_with_voice("Ann", Reach::HttpOnly, None, None, Some(ann));
    assert_eq!(stranger, None, "she has left");
}

#[test]
fn a_killed_browser_loses_its_tile_in_time_and_its_place_later() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let bob = enter(&mut world, "Bob");
    world.give(Input::Leave(bob, Departure::SignallingLost));
    world.pass(SECOND);
    for role in [Role::Mic, Role::Camera] {
        world.give(Input::UplinkSilent(bob, role, 0));
    }
    let frozen = &world.state.published().participants[1];
    assert_eq!(frozen.camera, UplinkState::Stalled);
    assert_eq!(shown(&world), [camera(ann), camera(bob)]);
    world.pass(SECOND * 3);
    assert_eq!(shown(&world), [camera(ann)]);
    assert!(!world.peers.contains_key(&bob), "nobody came back for them");
}

#[test]
fn a_frozen_sender_who_still_signals_keeps_the_place_and_gets_the_tile_back() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let bob = enter(&mut world, "Bob");
    world.give(Input::UplinkSilent(bob, Role::Mic, 0));
    world.pass(SECOND);
    world.give(Input::UplinkSilent(bob, Role::Camera, 0));
    world.pass(Duration::from_millis(2999));
    assert_eq!(shown(&world), [camera(ann), camera(bob)]);
    world.pass(Duration::from_millis(1));
    assert_eq!(shown(&world), [camera(ann)]);
    assert!(!decodes(&world, camera(bob)));
    world.give(Input::UplinkFlows(bob, Role::Camera, 0));
    assert_eq!(shown(&world), [camera(ann), camera(bob)]);
    assert!(decodes(&world, camera(bob)));
}

#[test]
fn the_silence_of_a_muted_camera_does_not_count_when_it_is_released() {
    let mut world = room();
    let ann = world.join("Ann", None).expect("taken in");
    world.bring_up(ann, &[Role::Camera], EVERYTHING);
    let mute = |world: &mut World, muted| {
        let request = world.request();
        let (role, by) = (Role::Camera, Muter::Owner);
        world.give(Input::Asked(
            request,
            Request::Mute {
                who: ann,
                role,
                by,
                muted,
            },
        ));
    };
    mute(&mut world, true);
    world.give(Input::UplinkSilent(ann, Role::Camera, 0));
    world.pass(SECOND * 60);
    assert_eq!(tiles(&world)[0].content, Content::Avatar);
    mute(&mut world, false);
    assert_eq!(shown(&world), [camera(ann)], "RTP is still on its way");
    world.pass(SECOND * 3);
    assert_eq!(shown(&world), []);
}

#[test]
fn a_takeover_replaces_the_old_connection_and_keeps_the_place() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let bob = enter(&mut world, "Bob");
    world.give(Input::Heard(bob, true));
    world.give(Input::Leave(bob, Departure::SignallingLost));
    world.pass(SECOND);

    assert_eq!(world.join("Bob again", Some(bob)), Some(bob));
    let of_bob = |effect: &&Effect| !matches!(effect, Effect::Media(_) | Effect::Publish(_));
    let of_bob: Vec<&Effect> = world.log.iter().filter(of_bob).collect();
    assert!(
        matches!(
            of_bob[..],
            [
                Effect::Bye(old, ByeReason::Replaced),
                Effect::StopPeer(stopped),
                Effect::StartPeer(_, new)
            ] if [*old, *stopped, *new] == [bob; 3]
        ),
        "{of_bob:?}"
    );
    assert_eq!(shown(&world), [camera(ann)], "the old picture is gone");

    world.bring_up(bob, &[Role::Mic, Role::Camera], EVERYTHING);
    assert_eq!(shown(&world), [camera(ann), camera(bob)]);
    assert_eq!(hears(&world, bob), Some(COMMON));
    world.pass(SECOND * 60);
    assert!(world.peers.contains_key(&bob), "the old loss is forgotten");
    let late = ParticipantId::new(99);
    let new = world.join("Cem", Some(late)).expect("taken in");
    assert_eq!(new.ordinal(), 3, "nobody to take over: somebody new");
}

#[test]
fn a_takeover_that_never_connects_is_over_after_ten_seconds() {
    let mut world = room();
    enter(&mut world, "Ann");
    let bob = enter(&mut world, "Bob");
    world.join("Bob", Some(bob));
    world.pass(Duration::from_millis(9999));
    assert!(world.peers.contains_key(&bob));
    world.pass(Duration::from_millis(1));
    assert!(!world.peers.contains_key(&bob));
}

#[test]
fn the_spotlight_goes_to_the_pinned_then_a_screen_then_the_last_speaker() {
    let mut world = room();
    let people = ["Ann", "Bob", "Cem", "Dua"].map(|name| {
        let who = world.join(name, None).expect("taken in");
        world.bring_up(who, &[Role::Mic, Role::Camera, Role::Screen], EVERYTHING);
        who
    });
    let request = world.request();
    world.give(Input::Asked(
        request,
        Request::Layout(LayoutKind::Spotlight),
    ));
    let screen = SourceId {
        participant: people[0],
        role: Role::Screen,
    };
    world.give(Input::Heard(people[2], true));
    assert_eq!(large(&world), screen);
    assert_eq!(shown(&world).len(), 6, "the strip holds five");

    let request = world.request();
    world.give(Input::Asked(request, Request::Pin(Some(people[1]))));
    assert_eq!(large(&world), camera(people[1]));
    world.give(Input::Leave(people[1], Departure::Removed));
    assert_eq!(large(&world), screen, "the pin went with them");
    assert_eq!(world.state.published().pinned, None);

    for who in [people[0], people[2], people[3]] {
        let request = world.request();
        let (role, by) = (Role::Screen, Muter::Operator);
        world.give(Input::Asked(
            request,
            Request::Mute {
                who,
                role,
                by,
                muted: true,
            },
        ));
    }
    assert_eq!(large(&world), camera(people[2]), "spoke last");
    world.give(Input::Heard(people[2], false));
    assert_eq!(large(&world), camera(people[2]), "and still did");
    world.give(Input::Heard(people[3], true));
    assert_eq!(large(&world), camera(people[2]), "it may be a cough");
    world.pass(Duration::from_secs(1));
    assert_eq!(large(&world), camera(people[3]));
    world.give(Input::Leave(people[3], Departure::Left));
    assert_eq!(large(&world), camera(people[0]), "nobody in particular");
}

#[test]
fn a_deadline_that_passed_unnoticed_is_due_at_once() {
    let mut world = room();
    world.join("Ann", None).expect("taken in");
    let due = SECOND * 10;
    assert_eq!(world.state.next_deadline(world.now), Some(due));
    world.now = due + Duration::from_micros(1);
    assert_eq!(world.state.next_deadline(world.now), Some(world.now));
    world.give(Input::Tick);
    assert!(world.over);
}

#[test]
fn a_room_made_to_last_waits_for_people_until_it_is_closed() {
    let mut world = World::new(Settings {
        lifetime: Lifetime::UntilClosed,
        ..room().model.settings
    });
    let ann = enter(&mut world, "Ann");
    world.give(Input::Leave(ann, Departure::Left));
    world.pass(SECOND * 3600);
    assert!(!world.over);
    world.give(Input::Close(ByeReason::RoomClosed));
    assert!(world.over);
    let request = world.request();
    world.give(Input::Asked(
        request,
        Request::Layout(LayoutKind::Spotlight),
    ));
    assert_eq!(world.log.len(), 1, "refused, and nothing else");
}
