//! Stories of modes: who gets whom by which way, and how that changes under a live room.

mod mesh;

use std::time::Duration;

use proptest::prelude::*;
use tessera::codec::VideoCodec;
use tessera::id::SourceId;
use tessera::id::{Mid, ParticipantId, Role};
use tessera::media::mixer::Output;
use tessera::room::state::wiring::{Downlink, Feed, Step};
use tessera::room::state::{Effect, Input, Settings};
use tessera::room::{Departure, Downlinks, Reach, Request};
use tessera::topology::Mode;

use super::stories::{EVERYTHING, SECOND, room};
use super::world::{Pace, World};

const NOBODY: [u32; 0] = [];
const BOTH: [Role; 2] = [Role::Mic, Role::Camera];

/// A room in this mode.
pub(crate) fn room_in(mode: Mode) -> World {
    World::new(Settings {
        mode,
        ..room().model.settings
    })
}

/// The slots of a browser that takes `n` others of each kind.
pub(crate) fn browser(n: usize) -> Downlinks {
    let mid = |kind: &str, n: usize| Mid(format!("{kind}{n}"));
    Downlinks {
        forward_video: (0..n).map(|n| (mid("v", n), VideoCodec::Vp8)).collect(),
        forward_audio: (0..n).map(|n| mid("a", n)).collect(),
        ..EVERYTHING
    }
}

pub(crate) fn enter(world: &mut World, name: &str, slots: usize) -> ParticipantId {
    let who = world.join(name, None).expect("taken in");
    world.bring_up(who, &BOTH, browser(slots));
    who
}

fn company(world: &mut World, slots: usize) -> [ParticipantId; 3] {
    ["Ann", "Bob", "Cem"].map(|name| enter(world, name, slots))
}

pub(crate) fn set_mode(world: &mut World, mode: Mode) {
    let request = world.request();
    world.give(Input::Asked(request, Request::Mode(mode)));
}

pub(crate) fn set_view(world: &mut World, who: ParticipantId, view: Option<Mode>) {
    let request = world.request();
    world.give(Input::Asked(request, Request::View(who, view)));
}

/// Whose pictures, or voices, are forwarded to somebody, by slot.
fn forwarded(world: &World, who: ParticipantId, role: Role) -> Vec<u32> {
    let slots = world.peers[&who].slots.iter();
    let whose = slots.filter_map(|(slot, state)| match (slot, state.fed) {
        (Downlink::ForwardVideo(_), Some(Feed::Uplink { source, .. })) => Some(source),
        (Downlink::ForwardAudio(_), Some(Feed::Uplink { source, .. })) => Some(source),
        _ => None,
    });
    let whose = whose.filter(|source| source.role == role);
    whose.map(|source| source.participant.ordinal()).collect()
}

fn is_mixed(world: &World, who: ParticipantId, slot: Downlink) -> bool {
    let fed = world.peers[&who].slots[&slot].fed;
    matches!(fed, Some(Feed::Output(_)))
}

/// Reports that everything delivers that somebody's slots of some kind are fed.
fn open(world: &mut World, who: ParticipantId, which: impl Fn(Downlink) -> bool) {
    let slots = world.peers[&who].slots.iter();
    let fed: Vec<_> = slots
        .filter(|(slot, _)| which(**slot))
        .filter_map(|(slot, state)| Some((*slot, state.fed?)))
        .collect();
    for (slot, feed) in fed {
        world.give(Input::SlotOpened(who, slot, feed));
    }
}

fn is_picture(slot: Downlink) -> bool {
    matches!(slot, Downlink::ForwardVideo(_))
}

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_forwarding_room_has_no_mixer_and_shows_everybody_to_everybody() {
    let mut world = room_in(Mode::Sfu);
    let [ann, bob, cem] = company(&mut world, 2);
    assert!(world.mixer.is_none());
    for (who, others) in [(ann, [2, 3]), (bob, [1, 3]), (cem, [1, 2])] {
        for role in BOTH {
            let mut seen = forwarded(&world, who, role);
            seen.sort_unstable();
            assert_eq!(seen, others, "{role} to {who}");
        }
        let table = world.peers[&who].table.as_ref().expect("told");
        assert_eq!((table.mode, table.slots.len()), (Mode::Sfu, 4));
    }
    world.give(Input::Leave(cem, Departure::Left));
    assert_eq!(forwarded(&world, ann, Role::Camera), [2], "gone at once");
}

#[test]
fn from_mixed_to_forwarded_the_mix_goes_on_until_all_slots_deliver() {
    let mut world = room();
    let [ann, bob, cem] = company(&mut world, 2);
    world.set_pace(Pace::Never);
    set_mode(&mut world, Mode::Sfu);
    assert_eq!(forwarded(&world, ann, Role::Camera).len(), 2, "at once");
    assert!(is_mixed(&world, ann, Downlink::Video));

    world.pass(ms(199));
    assert!(is_mixed(&world, ann, Downlink::Audio));
    world.pass(ms(1));
    assert!(
        !is_mixed(&world, ann, Downlink::Audio),
        "who pauses sends nothing"
    );

    open(&mut world, ann, |slot| slot == Downlink::ForwardVideo(0));
    assert!(is_mixed(&world, ann, Downlink::Video), "half is not all");
    open(&mut world, ann, is_picture);
    assert!(!is_mixed(&world, ann, Downlink::Video));
    open(&mut world, bob, is_picture);
    assert!(world.mixer.is_some(), "for Cem");
    open(&mut world, cem, is_picture);
    assert!(world.mixer.is_none(), "in the same step");
    let stopped = world.log.contains(&Effect::Media(Step::StopMixer));
    assert!(stopped, "{:?}", world.log);
}

#[test]
fn a_camera_that_sends_nothing_does_not_keep_a_mixer_alive() {
    let mut world = room();
    company(&mut world, 2);
    world.set_pace(Pace::Never);
    set_mode(&mut world, Mode::Sfu);
    world.pass(ms(1499));
    assert!(world.mixer.is_some());
    world.pass(ms(1));
    assert!(world.mixer.is_none());
}

#[test]
fn from_forwarded_to_mixed_the_slots_go_on_until_everybody_stands_in_the_mix() {
    let mut world = room_in(Mode::Sfu);
    let [ann, bob, cem] = company(&mut world, 2);
    world.set_pace(Pace::Never);
    world.give(Input::Heard(bob, true));
    set_mode(&mut world, Mode::Mcu);
    open(&mut world, ann, |slot| slot == Downlink::Audio);
    world.pass(ms(200));
    assert_eq!(forwarded(&world, ann, Role::Mic).len(), 2, "Bob speaks");
    world.give(Input::SourceMixed(SourceId {
        participant: bob,
        role: Role::Mic,
    }));
    world.pass(ms(119));
    assert_eq!(forwarded(&world, ann, Role::Mic).len(), 2);
    world.pass(ms(1));
    assert_eq!(
        forwarded(&world, ann, Role::Mic),
        NOBODY,
        "all are in the mix now"
    );

    open(&mut world, ann, |slot| slot == Downlink::Video);
    let camera = |participant| SourceId {
        participant,
        role: Role::Camera,
    };
    for who in [ann, bob] {
        world.give(Input::SourceMixed(camera(who)));
    }
    world.pass(ms(200));
    assert_eq!(
        forwarded(&world, ann, Role::Camera).len(),
        2,
        "Cem is missing"
    );
    world.give(Input::SourceMixed(camera(cem)));
    world.pass(ms(99));
    assert_eq!(forwarded(&world, ann, Role::Camera).len(), 2, "on its way");
    world.pass(ms(1));
    assert_eq!(forwarded(&world, ann, Role::Camera), NOBODY);
    let table = world.peers[&ann].table.as_ref().expect("told");
    assert!(table.slots.iter().all(|slot| slot.participant.is_none()));
    assert_eq!(table.mode, Mode::Mcu);
}

#[test]
fn an_encoding_that_fails_on_the_way_there_does_not_count_as_there() {
    let mut world = room_in(Mode::Sfu);
    let [ann, ..] = company(&mut world, 2);
    set_mode(&mut world, Mode::Mcu);
    // No other rung stands in for it.
    for (rung, _) in world.state.ladder().clone().rungs() {
        let codec = VideoCodec::H264;
        world.give(Input::OutputFailed(Output::Video { codec, rung }));
    }
    world.pass(ms(500));
    assert_eq!(forwarded(&world, ann, Role::Camera).len(), 2);
}

#[test]
fn only_what_is_fed_now_counts_as_there_and_only_the_first_time() {
    let mut world = room_in(Mode::Sfu);
    let [ann, ..] = company(&mut world, 2);
    world.set_pace(Pace::Never);
    set_mode(&mut world, Mode::Mcu);
    let slot = Downlink::Audio;
    let common = world.peers[&ann].slots[&slot].fed.expect("the mix");
    world.give(Input::Heard(ann, true));
    let own = world.peers[&ann].slots[&slot]
        .fed
        .expect("a mix of her own");
    world.give(Input::SourceMixed(SourceId {
        participant: ann,
        role: Role::Mic,
    }));
    world.give(Input::SlotOpened(ann, slot, common));
    world.pass(ms(200));
    assert_eq!(
        forwarded(&world, ann, Role::Mic).len(),
        2,
        "that was before"
    );
    world.give(Input::SlotOpened(ann, slot, own));
    world.pass(ms(100));
    world.give(Input::SlotOpened(ann, slot, own));
    world.pass(ms(20));
    assert_eq!(forwarded(&world, ann, Role::Mic), NOBODY);
}

#[test]
fn a_change_of_mind_costs_nothing() {
    let mut world = room();
    let [ann, ..] = company(&mut world, 2);
    world.set_pace(Pace::Never);
    set_mode(&mut world, Mode::Sfu);
    world.pass(ms(100));
    set_mode(&mut world, Mode::Mcu);
    assert!(is_mixed(&world, ann, Downlink::Video));
    assert_eq!(forwarded(&world, ann, Role::Camera), NOBODY);
    assert_eq!(world.state.next_deadline(world.now), None);
}

#[test]
fn one_who_wants_the_mix_has_a_mixer_in_a_forwarding_room() {
    let mut world = room_in(Mode::Sfu);
    let [ann, bob, _] = company(&mut world, 2);
    set_view(&mut world, ann, Some(Mode::Mcu));
    world.pass(SECOND);
    assert!(is_mixed(&world, ann, Downlink::Video) && !is_mixed(&world, bob, Downlink::Video));
    assert_eq!(forwarded(&world, ann, Role::Camera), NOBODY);
    assert_eq!(forwarded(&world, bob, Role::Camera).len(), 2);
    assert_eq!(
        world.state.published().participants[0].view,
        Some(Mode::Mcu)
    );

    world.give(Input::Leave(ann, Departure::Left));
    assert!(world.mixer.is_none(), "nobody needs it any more");

    let player = world
        .knock("WHEP", Reach::HttpOnly, None, None)
        .expect("taken in");
    world.bring_up(player, &[], EVERYTHING);
    assert!(
        is_mixed(&world, player, Downlink::Video),
        "they know nothing else"
    );
    world.give(Input::Leave(player, Departure::Left));
    assert!(world.mixer.is_none());
}

#[test]
fn voices_come_mixed_to_whoever_has_slots_for_pictures_only() {
    let mut world = room_in(Mode::Sfu);
    company(&mut world, 2);
    let dua = world.join("Dua", None).expect("taken in");
    let slots = Downlinks {
        mix_video: None,
        forward_audio: Vec::new(),
        ..browser(3)
    };
    world.bring_up(dua, &BOTH, slots);
    assert_eq!(forwarded(&world, dua, Role::Camera).len(), 3);
    assert!(is_mixed(&world, dua, Downlink::Audio));
}

#[test]
fn each_slot_gets_pictures_of_its_own_codec() {
    let mut world = room_in(Mode::Sfu);
    let [ann, ..] = company(&mut world, 2);
    let dua = world.join("Dua", None).expect("taken in");
    let mut slots = browser(2);
    slots.forward_video[0].1 = VideoCodec::H264;
    world.bring_up(dua, &BOTH, slots);
    let fed = |world: &World, n| world.peers[&dua].slots[&Downlink::ForwardVideo(n)].fed;
    assert_eq!(fed(&world, 0), None, "nobody sends that");
    let source = SourceId {
        participant: ann,
        role: Role::Camera,
    };
    assert_eq!(
        fed(&world, 1),
        Some(Feed::Uplink {
            source,
            layer: 0,
            tap: 1
        })
    );
}

#[test]
fn whoever_speaks_gets_a_slot_in_time_and_keeps_it() {
    let mut world = room_in(Mode::Sfu);
    let ann = enter(&mut world, "Ann", 1);
    let [bob, cem] = ["Bob", "Cem"].map(|name| enter(&mut world, name, 1));
    assert_eq!(forwarded(&world, ann, Role::Camera), [bob.ordinal()]);
    world.pass(SECOND);
    world.give(Input::Heard(cem, true));
    world.pass(ms(999));
    assert_eq!(forwarded(&world, ann, Role::Camera), [bob.ordinal()]);
    world.pass(ms(1));
    assert_eq!(forwarded(&world, ann, Role::Camera), [cem.ordinal()]);
    assert_eq!(forwarded(&world, ann, Role::Mic), [cem.ordinal()]);
    world.give(Input::Heard(cem, false));
    world.pass(SECOND * 60);
    assert_eq!(forwarded(&world, ann, Role::Camera), [cem.ordinal()]);
    world.give(Input::Heard(bob, true));
    assert_eq!(
        forwarded(&world, ann, Role::Camera),
        [bob.ordinal()],
        "long enough"
    );
}

proptest! {
    #![proptest_config(super::cases(200))]

    /// However people talk, a slot changes hands once in two seconds at most.
    #[test]
    fn pictures_do_not_jump_about(talk in prop::collection::vec((0usize..6, any::<bool>(), 0u64..700), 1..120)) {
        let mut world = room_in(Mode::Sfu);
        let ann = enter(&mut world, "Ann", 2);
        let others: Vec<_> = (0..6).map(|_| enter(&mut world, "somebody", 0)).collect();
        let began = world.now;
        let mut changes = [0u128; 2];
        let mut seen = forwarded(&world, ann, Role::Camera);
        for (n, heard, time) in talk {
            world.give(Input::Heard(others[n], heard));
            world.pass(ms(time));
            let now = forwarded(&world, ann, Role::Camera);
            for (n, (before, after)) in seen.iter().zip(&now).enumerate() {
                changes[n] += u128::from(before != after);
            }
            seen = now;
        }
        let most = (world.now - began).as_millis() / 2000;
        prop_assert!(changes.into_iter().all(|n| n <= most), "{changes:?} in {most} times two seconds");
    }
}
