//! What the room was written for, told one story at a time. The world checks every step as it
//! does for random histories; what is asserted here is what the story is about.

use std::sync::Arc;
use std::time::Duration;

use tessera::admission::Pressure;
use tessera::archive::{RecordingId, Subject};
use tessera::config::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{LayoutKind, Size};
use tessera::media::estimate::{Estimate, Load};
use tessera::media::ladder::Rung;
use tessera::media::mixer::{Content, Output, SourceId, Tile, Without};
use tessera::media::recorder::Container;
use tessera::media::template::Templates;
use tessera::room::state::{Effect, Input, Lifetime, Settings};
use tessera::room::view::{ByeReason, Limits, UplinkState};
use tessera::room::wiring::{Downlink, Feed, Step};
use tessera::room::{Departure, Downlinks, Muter};
use tessera::topology::Mode;

use super::world::{Fault, World};

pub(crate) const EVERYTHING: Downlinks = Downlinks {
    mix_video: Some(VideoCodec::H264),
    mix_audio: true,
    forward_video: Vec::new(),
    forward_audio: Vec::new(),
};
const NOTHING: Downlinks = Downlinks {
    mix_video: None,
    mix_audio: false,
    forward_video: Vec::new(),
    forward_audio: Vec::new(),
};
pub(crate) const SECOND: Duration = Duration::from_secs(1);
const COMMON: Output = Output::Sound(Without::Nobody);

/// The composite at its best.
pub(crate) const TOP: Output = Output::Video {
    codec: VideoCodec::H264,
    rung: Rung::TOP,
};

/// The composite on some rung.
fn at(rung: Rung) -> Output {
    let codec = VideoCodec::H264;
    Output::Video { codec, rung }
}

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

fn position(log: &[Effect], wanted: impl Fn(&Effect) -> bool) -> usize {
    log.iter().position(wanted).expect("among the effects")
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
    let own = Output::Sound(Without::Participant(ann));
    assert_eq!(hears(&world, ann), Some(own));
    assert_eq!(hears(&world, bob), Some(COMMON));
    assert!(tiles(&world)[0].speaking && !tiles(&world)[1].speaking);

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
fn a_mix_is_started_before_it_is_fed_and_switched_before_the_old_one_stops() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    let own = Output::Sound(Without::Participant(ann));
    world.give(Input::Heard(ann, true));
    let step = |wanted: Step| position(&world.log, |e| *e == Effect::Media(wanted.clone()));
    let started = step(Step::StartOutput(own));
    let fed = step(Step::Feed(ann, Downlink::Audio, Some(Feed::Output(own))));
    let stopped = step(Step::StopOutput(COMMON));
    assert!(started < fed && fed < stopped);
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
    let frozen = &world.state.view().participants[1];
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
        world.give(Input::Mute {
            request,
            who: ann,
            role,
            by,
            muted,
        });
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
fn the_spotlight_goes_to_the_pinned_then_a_screen_then_the_last_speaker() {
    let mut world = room();
    let people = ["Ann", "Bob", "Cem", "Dua"].map(|name| {
        let who = world.join(name, None).expect("taken in");
        world.bring_up(who, &[Role::Mic, Role::Camera, Role::Screen], EVERYTHING);
        who
    });
    let request = world.request();
    world.give(Input::SetLayout(request, LayoutKind::Spotlight));
    let screen = SourceId {
        participant: people[0],
        role: Role::Screen,
    };
    world.give(Input::Heard(people[2], true));
    assert_eq!(large(&world), screen);
    assert_eq!(shown(&world).len(), 6, "the strip holds five");

    let request = world.request();
    world.give(Input::Pin(request, Some(people[1])));
    assert_eq!(large(&world), camera(people[1]));
    world.give(Input::Leave(people[1], Departure::Removed));
    assert_eq!(large(&world), screen, "the pin went with them");
    assert_eq!(world.state.view().pinned, None);

    for who in [people[0], people[2], people[3]] {
        let request = world.request();
        let (role, by) = (Role::Screen, Muter::Operator);
        world.give(Input::Mute {
            request,
            who,
            role,
            by,
            muted: true,
        });
    }
    assert_eq!(large(&world), camera(people[2]), "spoke last");
    world.give(Input::Heard(people[2], false));
    assert_eq!(large(&world), camera(people[2]), "and still did");
    world.give(Input::Heard(people[3], true));
    assert_eq!(large(&world), camera(people[3]));
    world.give(Input::Leave(people[3], Departure::Left));
    assert_eq!(large(&world), camera(people[0]), "nobody in particular");
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
    let feed = Step::Feed(ann, Downlink::Video, Some(Feed::Output(below)));
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
    world.give(Input::Limit(bob, small));
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
    world.give(Input::Record(1_000, id, Subject::Mix(Container::Mp4)));
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
    world.give(Input::Limit(ann, low));
    world.give(Input::Limit(bob, low));
    let small = at(Rung(2));
    let expected = [Some(small), Some(small), Some(TOP)];
    assert_eq!([ann, bob, cem].map(|who| video(&world, who)), expected);
    assert_eq!(renditions(&world), [TOP, small]);

    world.give(Input::Limit(ann, Limits::default()));
    world.give(Input::Leave(bob, Departure::Left));
    assert_eq!(renditions(&world), [TOP, small], "somebody may come back");
    world.pass(SECOND * 4);
    world.give(Input::Limit(cem, low));
    assert_eq!(video(&world, cem), Some(small));
    world.pass(SECOND * 4);
    world.give(Input::Limit(cem, Limits::default()));
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
    assert!(world.mixer.is_none() && world.state.view().tiles.is_empty());
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
    assert!(world.state.view().participants[0].speaking);
    world.give(Input::Leave(player, Departure::Left));
    assert!(world.mixer.is_none());
    assert!(
        world.state.view().participants[0].speaking,
        "by the packets"
    );
    world.give(Input::Heard(sender, false));
    assert!(!world.state.view().participants[0].speaking);
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
    world.give(Input::SetLayout(request, LayoutKind::Spotlight));
    assert_eq!(world.log.len(), 1, "refused, and nothing else");
}

#[test]
fn a_weak_link_has_lean_sound_until_it_is_good_again() {
    let mut world = room();
    let ann = enter(&mut world, "Ann");
    enter(&mut world, "Bob");
    let link = |arriving, load| Estimate {
        arriving,
        loss: 0.0,
        queue: Duration::ZERO,
        load,
        train: None,
    };
    let sound = |world: &World| {
        world.log.iter().rev().find_map(|effect| match effect {
            Effect::Media(Step::SetBitrate(output, bits)) if *output == COMMON => Some(*bits),
            _ => None,
        })
    };
    world.give(Input::Estimated(ann, link(120_000, Load::Heavy)));
    assert_eq!(sound(&world), Some(24_000));

    // What arrives is as much as there is.
    let mut full = None;
    for _ in 0..100 {
        world.pass(SECOND / 5);
        world.give(Input::Estimated(ann, link(2_000_000, Load::Light)));
        full = full.or(sound(&world));
    }
    assert_eq!(full, Some(40_000));
}
