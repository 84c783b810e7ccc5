//! Stories of the mix: what is decoded and encoded, what of it fails, and who gets which of it.

use std::time::Duration;

use tessera::admission::Pressure;
use tessera::codec::Container;
use tessera::codec::VideoCodec;
use tessera::id::Role;
use tessera::media::bwe::delay::{Estimate, Usage};
use tessera::media::bwe::fec::Fec;
use tessera::media::bwe::ladder::Rung;
use tessera::media::mixer::{Content, MixMinus, Output};
use tessera::media::stream::slot::Handoff;
use tessera::protocol::recording::RecordingId;
use tessera::protocol::room::Limits;
use tessera::room::state::wiring::{Downlink, Feed, Step};
use tessera::room::state::{Effect, Input};
use tessera::room::{Departure, Downlinks, Request};

use super::{
    COMMON, EVERYTHING, NOTHING, SECOND, TOP, camera, decodes, enter, fed, room, shown, tiles,
};
use crate::room::world::{Fault, World};

/// The composite on some rung.
fn at(rung: Rung) -> Output {
    let codec = VideoCodec::H264;
    Output::Video { codec, rung }
}

fn position(log: &[Effect], wanted: impl Fn(&Effect) -> bool) -> usize {
    log.iter().position(wanted).expect("among the effects")
}

#[test]
fn a_mix_is_started_before_it_is_fed_and_switched_before_the_old_one_stops() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let own = Output::Sound(MixMinus::Participant(ann));
    world.give(Input::Heard(ann, true));
    let step = |wanted: Step| position(&world.log, |e| *e == Effect::Media(wanted.clone()));
    let started = step(Step::StartOutput(own));
    let fed = step(Step::Feed(
        ann,
        Downlink::Audio,
        Some(Feed::Output(own)),
        Handoff::WhenReady,
    ));
    let stopped = step(Step::StopOutput(COMMON));
    assert!(started < fed && fed < stopped);
}

#[test]
fn a_decoder_that_keeps_failing_is_tried_less_and_less_and_forgiven_in_the_end() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        world.give(Input::SourceFailed(camera(ann)));
        assert!(!decodes(&world, camera(ann)));
        world.give(Input::SourceFailed(camera(ann)));
        assert_eq!(world.log, [], "one failure, however often it is told");
        assert_eq!(tiles(&world)[0].content, Content::Avatar);
        let failed_at = world.now;
        world.now = world.state.next_deadline(failed_at).expect("a retry");
        world.give(Input::Tick);
        assert!(decodes(&world, camera(ann)));
        pauses.push((world.now - failed_at).as_millis());
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);

    world.pass(SECOND * 30);
    world.give(Input::SourceFailed(camera(ann)));
    world.pass(Duration::from_millis(250));
    assert!(decodes(&world, camera(ann)), "a first failure again");

    world.give(Input::SourceFailed(camera(ann)));
    world.give(Input::UplinkBegan(ann, Role::Camera, 0));
    assert!(decodes(&world, camera(ann)), "a new stream is innocent");
}

#[test]
fn an_encoder_that_fails_is_stood_in_for_by_the_next_rung_and_tried_again() {
    let mut world = room();
    let ann = world.join("Ann", None).expect("taken in");
    let picture_only = Downlinks {
        mix_video: Some(VideoCodec::H264),
        mix_audio: false,
        ..NOTHING
    };
    world.bring_up(ann, &[Role::Camera], picture_only);
    world.give(Input::OutputFailed(TOP));
    let below = at(Rung::TOP.below());
    let start = Effect::Media(Step::StartOutput(below));
    let feed = Step::Feed(
        ann,
        Downlink::Video,
        Some(Feed::Output(below)),
        Handoff::WhenReady,
    );
    assert_eq!(world.log, [start, Effect::Media(feed)], "nothing else");
    world.pass(SECOND);
    let video = |world: &World| fed(world, ann, Downlink::Video);
    assert_eq!(video(&world), Some(TOP));

    for rung in 0..6 {
        world.give(Input::OutputFailed(at(Rung(rung))));
    }
    assert_eq!(video(&world), None, "there is none left");
    assert!(decodes(&world, camera(ann)));
    world.pass(SECOND);
    assert_eq!(video(&world), Some(TOP));
}

#[test]
fn a_room_under_pressure_saves_step_by_step() {
    let mut world = room();
    let [ann, bob] = ["Ann", "Bob"].map(|name| enter(&mut world, name));
    // Bob draws it small.
    let small = Limits {
        max_height: Some(400),
        ..Limits::default()
    };
    let asked = world.asks(Request::Limits(bob, small));
    world.give(asked);
    let seen = |world: &World| {
        let of = |who| match fed(world, who, Downlink::Video) {
            Some(Output::Video { rung, .. }) => rung.0,
            other => panic!("{other:?}"),
        };
        let capture = world.peers[&ann].capture.as_ref().expect("a capture");
        (capture.fps, of(ann), of(bob))
    };
    for (pressure, then) in [
        (Pressure::FrameRate, (20, 0, 2)),
        (Pressure::HalfFrameRate, (15, 0, 2)),
        (Pressure::Size, (15, 1, 2)),
        (Pressure::Rungs, (15, 2, 2)),
        (Pressure::Size, (15, 1, 2)),
        (Pressure::None, (30, 0, 2)),
    ] {
        world.give(Input::Pressed(pressure));
        assert_eq!(seen(&world), then, "{pressure:?}");
    }
    // What is encoded for a recording costs nothing more with a viewer.
    world.give(Input::Pressed(Pressure::Rungs));
    let id = RecordingId::new("take").expect("an id");
    world.give(Input::Asked(
        1_000,
        Request::Record(id, Container::Mp4.into()),
    ));
    assert_eq!(seen(&world), (15, 0, 2));
}

#[test]
fn viewers_share_renditions_which_come_and_go_with_them() {
    let mut world = room();
    let [ann, bob, cem] = ["Ann", "Bob", "Cem"].map(|name| enter(&mut world, name));
    let video = |world: &World, who| fed(world, who, Downlink::Video);
    let renditions = |world: &World| {
        let outputs = &world.mixer.as_ref().expect("a mixer").outputs;
        let is_video = |output: &&Output| matches!(output, Output::Video { .. });
        outputs.iter().filter(is_video).copied().collect::<Vec<_>>()
    };
    assert_eq!(
        [ann, bob, cem].map(|who| video(&world, who)),
        [Some(TOP); 3]
    );
    let low = Limits {
        max_height: Some(360),
        ..Limits::default()
    };
    let asked = world.asks(Request::Limits(ann, low));
    world.give(asked);
    let asked = world.asks(Request::Limits(bob, low));
    world.give(asked);
    let small = at(Rung(2));
    let expected = [Some(small), Some(small), Some(TOP)];
    assert_eq!([ann, bob, cem].map(|who| video(&world, who)), expected);
    assert_eq!(renditions(&world), [TOP, small]);

    let asked = world.asks(Request::Limits(ann, Limits::default()));
    world.give(asked);
    world.give(Input::Leave(bob, Departure::Left));
    assert_eq!(renditions(&world), [TOP, small], "somebody may come back");
    world.pass(SECOND * 4);
    let asked = world.asks(Request::Limits(cem, low));
    world.give(asked);
    assert_eq!(video(&world, cem), Some(small));
    world.pass(SECOND * 4);
    let asked = world.asks(Request::Limits(cem, Limits::default()));
    world.give(asked);
    world.pass(SECOND * 4);
    assert_eq!(renditions(&world), [TOP, small]);
    world.pass(SECOND);
    assert_eq!(renditions(&world), [TOP]);
}

#[test]
fn a_mixer_that_does_not_start_is_tried_again() {
    let mut world = room();
    world.arm(Fault::Mixer);
    let ann = enter(&mut world, "Ann");
    assert!(world.mixer.is_none() && world.state.published().tiles.is_empty());
    world.pass(SECOND);
    assert_eq!(shown(&world), [camera(ann)]);
}

#[test]
fn who_is_heard_is_known_without_a_mixer_too() {
    let mut world = room();
    let sender = world.join("a WHIP publisher", None).expect("taken in");
    world.bring_up(sender, &[Role::Mic, Role::Camera], NOTHING);
    assert!(world.mixer.is_none(), "no composite for nobody");
    let player = world.join("a WHEP player", None).expect("taken in");
    world.bring_up(player, &[], EVERYTHING);
    world.give(Input::Heard(sender, true));
    assert!(world.state.published().participants[0].speaking);
    world.give(Input::Leave(player, Departure::Left));
    assert!(world.mixer.is_none());
    assert!(
        world.state.published().participants[0].speaking,
        "by the packets"
    );
    world.give(Input::Heard(sender, false));
    assert!(!world.state.published().participants[0].speaking);
}

#[test]
fn a_weak_link_has_lean_sound_until_it_is_good_again() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    enter(&mut world, "Bob");
    let link = |acked_bitrate, usage| Estimate {
        acked_bitrate,
        loss: 0.0,
        queue: Duration::ZERO,
        usage,
        probe_bitrate: None,
    };
    let sound = |world: &World| {
        world.log.iter().rev().find_map(|effect| match effect {
            Effect::Media(Step::SetBitrate(output, bits)) if *output == COMMON => Some(*bits),
            _ => None,
        })
    };
    world.give(Input::Estimated(ann, link(120_000, Usage::Overuse)));
    assert_eq!(sound(&world), Some(24_000));

    // What arrives is as much as there is.
    let mut full = None;
    for _ in 0..100 {
        world.pass(SECOND / 5);
        world.give(Input::Estimated(ann, link(2_000_000, Usage::Underuse)));
        full = full.or(sound(&world));
    }
    assert_eq!(full, Some(40_000));
}

#[test]
fn a_mix_is_protected_as_the_worst_link_of_its_listeners_needs() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let bob = enter(&mut world, "Bob");
    let fec = |world: &World| {
        let mixer = world.mixer.as_ref().expect("a mixer");
        mixer.fec.get(&COMMON).copied().unwrap_or_default()
    };
    let look = |world: &mut World, losses: [f32; 2]| {
        for _ in 0..50 {
            world.pass(SECOND / 5);
            world.give(Input::Loss(ann, Some(losses[0])));
            world.give(Input::Loss(bob, Some(losses[1])));
        }
    };
    look(&mut world, [0.0, 0.0]);
    assert_eq!(fec(&world), Fec::Off);
    look(&mut world, [0.1, 0.0]);
    assert_eq!(fec(&world), Fec::On, "Ann loses packets");
    world.give(Input::Heard(ann, true));
    assert_eq!(
        fec(&world),
        Fec::Off,
        "she hears another mix, without herself"
    );
    world.give(Input::Heard(ann, false));
    world.pass(SECOND * 4);
    assert_eq!(fec(&world), Fec::On, "and hears this one again");
    world.give(Input::Leave(ann, Departure::Left));
    assert_eq!(fec(&world), Fec::Off, "Bob loses none");
}
