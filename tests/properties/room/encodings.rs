//! Stories of a camera that comes in several encodings: who gets which, and what its sender is
//! asked to send.

use tessera::codec::VideoCodec;
use tessera::id::SourceId;
use tessera::id::{ParticipantId, Rid, Role};
use tessera::protocol::recording::{RecordingId, Subject};
use tessera::room::state::Input;
use tessera::room::state::wiring::{Downlink, Feed};
use tessera::room::{Departure, Downlinks, Request};
use tessera::topology::Mode;

use super::modes::{browser, enter, ms, room_in, set_mode, set_view};
use super::script::in_encodings;
use super::stories::{EVERYTHING, SECOND};
use super::world::{Pace, World};

const CAMERA: [Role; 1] = [Role::Camera];
/// The places of the three encodings.
const ALL: [usize; 3] = [0, 1, 2];

/// Ann sends a camera in three encodings, of which the first arrives.
fn ann(world: &mut World) -> SourceId {
    let rids = ["q", "h", "f"].map(|rid| Rid::new(rid).expect("a rid"));
    let participant = world.join("Ann", None).expect("taken in");
    let uplinks = in_encodings(&CAMERA, VideoCodec::Vp8, &rids);
    world.give(Input::Answered {
        who: participant,
        uplinks,
        downlinks: browser(1),
    });
    world.give(Input::Connected(participant));
    let role = Role::Camera;
    SourceId { participant, role }
}

/// What somebody gets of it.
fn layer(world: &World, who: ParticipantId) -> Option<usize> {
    match world.peers[&who].slots[&Downlink::ForwardVideo(0)].fed {
        Some(Feed::Uplink { layer, .. }) => Some(layer),
        _ => None,
    }
}

/// The names and heights of what its sender is asked for.
fn asked(world: &World, ann: SourceId) -> Vec<(String, u32)> {
    let capture = world.peers[&ann.participant].capture.as_ref();
    let layers = capture.expect("asked").layers.iter();
    let layer = layers.map(|layer| (layer.rid.to_string(), layer.height));
    layer.collect()
}

fn names(layers: &[(&str, u32)]) -> Vec<(String, u32)> {
    let named = layers.iter().map(|(rid, h)| ((*rid).to_owned(), *h));
    named.collect()
}

/// Ann does as she is asked: what flowed and is not asked for falls silent, and the other way
/// round; and a second passes.
fn obeys(world: &mut World, ann: SourceId) {
    let SourceId { participant, role } = ann;
    for round in 0..2 {
        let asked = asked(world, ann);
        for n in ALL {
            let height = asked.iter().find(|(rid, _)| *rid == ["q", "h", "f"][n]);
            let began = world.peers[&participant].taps[&(role, n)] > 0;
            world.give(match (height, began) {
                (Some(_), false) => Input::UplinkBegan(participant, role, n),
                (Some(_), true) => Input::UplinkFlows(participant, role, n),
                (None, _) => Input::UplinkSilent(participant, role, n),
            });
            if let Some((_, height)) = height {
                world.give(Input::UplinkSized(participant, role, n, *height));
            }
        }
        if round == 0 {
            world.pass(SECOND);
        }
    }
}

fn draws(world: &mut World, who: ParticipantId, ann: SourceId, height: u32) {
    let asked = world.asks(Request::Heights(who, vec![(ann, height)]));
    world.give(asked);
}

#[test]
fn each_gets_what_fits_their_tile_and_nothing_else_is_sent() {
    let mut world = room_in(Mode::Sfu);
    let ann = ann(&mut world);
    assert_eq!(asked(&world, ann), names(&[("f", 180)]), "nobody watches");
    obeys(&mut world, ann);
    let [bob, cem, dua] = ["Bob", "Cem", "Dua"].map(|name| {
        let who = enter(&mut world, name, 1);
        draws(&mut world, who, ann, 700);
        who
    });
    assert_eq!(
        asked(&world, ann),
        names(&[("f", 720)]),
        "all want the same"
    );
    obeys(&mut world, ann);
    assert_eq!([bob, cem, dua].map(|who| layer(&world, who)), [Some(2); 3]);

    draws(&mut world, bob, ann, 300);
    draws(&mut world, cem, ann, 100);
    let three = names(&[("q", 180), ("h", 360), ("f", 720)]);
    assert_eq!(asked(&world, ann), three);
    assert_eq!(layer(&world, bob), Some(2), "until there is another");
    obeys(&mut world, ann);
    assert_eq!(
        [bob, cem, dua].map(|who| layer(&world, who)),
        [Some(1), Some(0), Some(2)]
    );
    assert_eq!(asked(&world, ann), three);

    world.give(Input::Leave(dua, Departure::Left));
    assert_eq!(asked(&world, ann), names(&[("q", 180), ("h", 360)]));
    obeys(&mut world, ann);
    draws(&mut world, cem, ann, 340);
    obeys(&mut world, ann);
    assert_eq!(layer(&world, cem), Some(1));
    assert_eq!(asked(&world, ann), names(&[("h", 360)]), "nobody is moved");
}

#[test]
fn a_mixed_room_is_sent_one_at_the_size_of_the_tile() {
    let mut world = room_in(Mode::Mcu);
    let ann = ann(&mut world);
    obeys(&mut world, ann);
    assert_eq!(asked(&world, ann), names(&[("f", 720)]), "alone");
    let decoded = |world: &World| {
        let mixer = world.mixer.as_ref().expect("a mixer");
        mixer.sources[&ann].layer
    };
    assert_eq!(decoded(&world), 2);
    for (people, height) in [("Bob", 360), ("Cem", 360), ("Dua", 360), ("Eve", 240)] {
        enter(&mut world, people, 4);
        assert_eq!(asked(&world, ann), names(&[("f", height)]), "{people}");
        obeys(&mut world, ann);
        assert_eq!(decoded(&world), 2, "nobody decodes anew");
    }
}

#[test]
fn from_many_sizes_to_the_mix_one_remains() {
    let mut world = room_in(Mode::Sfu);
    let ann = ann(&mut world);
    obeys(&mut world, ann);
    let [bob, cem] = ["Bob", "Cem"].map(|name| enter(&mut world, name, 1));
    draws(&mut world, bob, ann, 700);
    draws(&mut world, cem, ann, 100);
    obeys(&mut world, ann);
    assert_eq!(asked(&world, ann), names(&[("q", 180), ("f", 720)]));
    set_mode(&mut world, Mode::Mcu);
    world.pass(SECOND);
    obeys(&mut world, ann);
    obeys(&mut world, ann);
    assert_eq!(asked(&world, ann).len(), 1, "{:?}", asked(&world, ann));
    // One who looks on as before has the encoding of the mixer.
    set_view(&mut world, cem, Some(Mode::Sfu));
    obeys(&mut world, ann);
    assert_eq!(asked(&world, ann).len(), 2, "{:?}", asked(&world, ann));
}

#[test]
fn an_encoding_that_the_senders_link_does_not_carry_is_stood_in_for() {
    let mut world = room_in(Mode::Sfu);
    let ann = ann(&mut world);
    obeys(&mut world, ann);
    let [bob, cem] = ["Bob", "Cem"].map(|name| enter(&mut world, name, 1));
    draws(&mut world, bob, ann, 700);
    draws(&mut world, cem, ann, 100);
    obeys(&mut world, ann);
    assert_eq!([bob, cem].map(|who| layer(&world, who)), [Some(2), Some(0)]);
    world.set_pace(Pace::Never);
    let SourceId { participant, role } = ann;
    world.give(Input::UplinkSilent(participant, role, 2));
    assert_eq!(layer(&world, bob), Some(0), "at once");
    let two = names(&[("q", 180), ("f", 720)]);
    assert_eq!(asked(&world, ann), two, "it stays asked for");
    world.give(Input::UplinkFlows(participant, role, 2));
    world.pass(ms(999));
    assert_eq!(layer(&world, bob), Some(0), "it may go again");
    world.pass(ms(1));
    assert_eq!(layer(&world, bob), Some(2));
}

#[test]
fn who_does_not_say_draws_as_the_composite_does() {
    let mut world = room_in(Mode::Sfu);
    let ann = ann(&mut world);
    obeys(&mut world, ann);
    let bob = world.join("Bob", None).expect("taken in");
    world.bring_up(
        bob,
        &[],
        Downlinks {
            mix_video: None,
            mix_audio: false,
            ..browser(1)
        },
    );
    assert_eq!(asked(&world, ann), names(&[("f", 720)]), "the whole canvas");
    let watchers = world.join("Cem", None).expect("taken in");
    world.bring_up(watchers, &CAMERA, EVERYTHING);
    assert_eq!(asked(&world, ann), names(&[("f", 360)]), "half of it");
}

#[test]
fn a_recording_of_tracks_has_the_largest_whatever_viewers_want() {
    let mut world = room_in(Mode::Sfu);
    let ann = ann(&mut world);
    obeys(&mut world, ann);
    let bob = enter(&mut world, "Bob", 1);
    draws(&mut world, bob, ann, 100);
    obeys(&mut world, ann);
    assert_eq!(asked(&world, ann), names(&[("f", 180)]), "nobody is moved");

    let id = RecordingId::new("take").expect("an id");
    let request = world.request();
    world.give(Input::Asked(
        request,
        Request::Record(id.clone(), Subject::Tracks),
    ));
    let recorded = |world: &World| world.tracks.get(&(id.clone(), ann)).map(|feed| feed.layer);
    let both = names(&[("q", 180), ("f", 720)]);
    assert_eq!(
        (asked(&world, ann), recorded(&world)),
        (both.clone(), Some(2))
    );
    obeys(&mut world, ann);
    assert_eq!((layer(&world, bob), recorded(&world)), (Some(0), Some(2)));

    // Her link becomes too narrow for it, and wide enough again.
    world.give(Input::UplinkSilent(ann.participant, ann.role, 2));
    assert_eq!(recorded(&world), Some(0));
    assert_eq!(asked(&world, ann), both, "it is asked for still");
    world.give(Input::UplinkFlows(ann.participant, ann.role, 2));
    assert_eq!(recorded(&world), Some(0), "it may go at once");
    world.pass(SECOND);
    assert_eq!(recorded(&world), Some(2));

    let request = world.request();
    world.give(Input::Asked(request, Request::StopRecording(id.clone())));
    assert_eq!(asked(&world, ann), names(&[("q", 180)]));
}
