#![allow(clippy::unwrap_used)]

use super::*;
use crate::layout::{LayoutKind, Size};
use crate::protocol::mesh::MeshCandidate;
use crate::protocol::room::{MeasuredPaths, UplinkState};

fn p(n: u32) -> ParticipantId {
    ParticipantId::new(n)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn member(n: u32) -> ParticipantState {
    ParticipantState {
        id: p(n),
        name: format!("{n}"),
        speaking: false,
        mic: UplinkState::Live,
        camera: UplinkState::Live,
        screen: UplinkState::None,
        viewer: false,
        connected: true,
        view: None,
    }
}

fn room(mode: Mode, members: &[u32]) -> RoomState {
    RoomState {
        mode,
        layout: LayoutKind::Grid,
        canvas: Size {
            width: 1280,
            height: 720,
        },
        pinned: None,
        participants: members.iter().map(|n| member(*n)).collect(),
        tiles: Vec::new(),
        paths: MeasuredPaths::default(),
        recordings: Vec::new(),
    }
}

fn says(from: u32, kind: MeshDescriptionKind, fingerprint: &str) -> Input {
    let sdp = sdp(fingerprint);
    let description = MeshDescription { kind, sdp };
    Input::Signal(p(from), MeshSignal::Description(description))
}

fn sdp(fingerprint: &str) -> String {
    format!("v=0\r\na=fingerprint:sha-256 {fingerprint}\r\n")
}

fn look(flowing: &[u32], served: bool) -> Input {
    let flow = Flow {
        mic: Some(ms(10)),
        camera: Some(ms(20)),
        screen: None,
    };
    let flows = flowing.iter().map(|n| (p(*n), flow)).collect();
    Input::Look { flows, served }
}

use MeshDescriptionKind::{Answer, Offer};

/// A member whose connections with these others are up.
fn meshed(own: u32, others: &[u32]) -> Core {
    let mut core = Core::new(p(own));
    let all: Vec<_> = others.iter().chain([&own]).copied().collect();
    core.step(ms(0), Input::Room(room(Mode::P2p, &all)));
    for other in others {
        if *other < own {
            core.step(ms(1), says(*other, Answer, &other.to_string()));
        } else {
            core.step(ms(1), says(*other, Offer, &other.to_string()));
        }
        let generation = core.generation(p(*other)).unwrap();
        core.step(ms(2), Input::Up(p(*other), generation));
    }
    core
}

#[test]
fn the_larger_number_offers() {
    let mut core = Core::new(p(2));
    let todo = core.step(ms(0), Input::Room(room(Mode::Mcu, &[1, 2, 3])));
    assert_eq!(todo, []);
    let todo = core.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2, 3])));
    assert_eq!(todo, [Action::Open(p(1), 1, Opening::Offer)]);
    let todo = core.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2, 3])));
    assert_eq!(todo, [], "once");
    let todo = core.step(ms(1), says(1, Answer, "AA"));
    assert_eq!(todo, [Action::Accept(p(1), sdp("AA"))]);
    assert_eq!(core.step(ms(1), says(1, Answer, "AA")), [], "once");
    let todo = core.step(ms(2), says(3, Offer, "CC"));
    assert_eq!(todo, [Action::Open(p(3), 2, Opening::Answer(sdp("CC")))]);
}

#[test]
fn nobody_calls_viewers_or_who_is_not_there() {
    let mut state = room(Mode::P2p, &[1, 2, 3]);
    state.participants[0].viewer = true;
    state.participants[1].connected = false;
    let mut core = Core::new(p(3));
    assert_eq!(core.step(ms(0), Input::Room(state.clone())), []);
    state.participants[1].connected = true;
    let todo = core.step(ms(0), Input::Room(state.clone()));
    assert_eq!(todo, [Action::Open(p(2), 1, Opening::Offer)]);
    // Nor does who is none of them.
    state.participants[2].connected = false;
    assert_eq!(Core::new(p(3)).step(ms(0), Input::Room(state)), []);
    let mut stranger = Core::new(p(3));
    stranger.step(ms(0), Input::Room(room(Mode::Sfu, &[3, 4])));
    assert_eq!(stranger.step(ms(0), says(4, Offer, "DD")), [], "no mesh");
}

#[test]
fn of_crossing_offers_that_of_the_smaller_number_stands() {
    let candidate = |line: &str| {
        Input::Signal(
            p(2),
            MeshSignal::Candidate(Some(MeshCandidate {
                candidate: line.into(),
                sdp_mid: Some(Mid("0".into())),
            })),
        )
    };
    // Smaller numbers offer when they have just come back.
    let mut polite = Core::new(p(3));
    polite.step(ms(0), Input::Room(room(Mode::P2p, &[2, 3])));
    let todo = polite.step(ms(1), says(2, Offer, "BB"));
    let answers = Action::Open(p(2), 2, Opening::Answer(sdp("BB")));
    assert_eq!(todo, [Action::Close(p(2)), answers]);
    // And the impolite.
    let mut impolite = Core::new(p(1));
    impolite.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2])));
    let mut todo = Vec::new();
    impolite.open(ms(0), p(2), Opening::Offer, None, &mut todo);
    assert_eq!(impolite.step(ms(1), says(2, Offer, "BB")), []);
    assert_eq!(impolite.step(ms(1), candidate("of that offer")), []);
    impolite.step(ms(2), says(2, Answer, "BC"));
    let todo = impolite.step(ms(3), candidate("of the answer"));
    let given = Action::Candidate(p(2), Some(Mid("0".into())), "of the answer".into());
    assert_eq!(todo, [given]);
}

#[test]
fn another_certificate_begins_anew() {
    let mut core = meshed(1, &[2]);
    assert_eq!(core.step(ms(5), says(2, Offer, "2")), [], "the same one");
    let todo = core.step(ms(5), says(2, Offer, "FF"));
    let anew = Action::Open(p(2), 2, Opening::Answer(sdp("FF")));
    assert_eq!(todo, [Action::Close(p(2)), anew]);
    // What is still heard of the last one is of no interest.
    assert_eq!(core.step(ms(6), Input::Lost(p(2), 1)), []);
}

#[test]
fn changes_are_reported_once_and_only_whole_people() {
    let mut core = meshed(2, &[1, 3]);
    assert_eq!(core.step(ms(50), look(&[], false)), []);
    let todo = core.step(ms(100), look(&[1], false));
    assert_eq!(todo, [Action::Report(vec![p(1)])]);
    assert_eq!(core.step(ms(150), look(&[1], false)), []);
    let mut flows = BTreeMap::from([(p(1), Flow::default()), (p(3), Flow::default())]);
    for flow in flows.values_mut() {
        flow.mic = Some(ms(5));
    }
    flows.get_mut(&p(1)).unwrap().camera = Some(ms(30));
    let served = false;
    let flows_later = flows.clone();
    assert_eq!(
        core.step(ms(200), Input::Look { flows, served }),
        [],
        "no picture"
    );
    // Not waited for for ever.
    let mut patient = meshed(2, &[1, 3]);
    let flows = flows_later;
    let todo = patient.step(ms(1_600), Input::Look { flows, served });
    assert_eq!(todo[0], Action::Report(vec![p(1), p(3)]));
    let todo = core.step(ms(250), look(&[1, 3], false));
    assert_eq!(todo, [Action::Report(vec![p(1), p(3)]), Action::Play(true)]);
    // Lost, but played on until the server is there.
    let todo = core.step(ms(300), look(&[3], true));
    assert_eq!(todo, [Action::Report(vec![p(3)])]);
    assert_eq!(core.step(ms(790), look(&[3], true)), []);
    assert_eq!(core.step(ms(800), look(&[3], true)), [Action::Play(false)]);
}

#[test]
fn who_sends_nothing_is_received_when_connected() {
    let mut core = meshed(2, &[1]);
    let mut state = room(Mode::P2p, &[1, 2]);
    state.participants[0].mic = UplinkState::Muted;
    state.participants[0].camera = UplinkState::None;
    core.step(ms(10), Input::Room(state));
    let todo = core.step(ms(50), look(&[], false));
    assert_eq!(todo, [Action::Report(vec![p(1)]), Action::Play(true)]);
    assert_eq!(core.step(ms(60_000), look(&[], false)), [], "for ever");
}

#[test]
fn both_say_done_before_it_ends() {
    let mut core = meshed(2, &[1, 3]);
    core.step(ms(50), look(&[1, 3], false));
    assert_eq!(
        core.step(ms(1000), Input::Room(room(Mode::Mcu, &[1, 2, 3]))),
        []
    );
    assert_eq!(core.step(ms(1050), look(&[1, 3], false)), []);
    let done = |from| Input::Signal(p(from), MeshSignal::Done(true));
    assert_eq!(core.step(ms(1060), done(1)), [], "we still need it");
    assert_eq!(core.step(ms(1100), look(&[1, 3], true)), []);
    let todo = core.step(ms(1600), look(&[1, 3], true));
    let said = [
        Action::SayDone(p(1)),
        Action::SayDone(p(3)),
        Action::Close(p(1)),
    ];
    assert_eq!(todo[0], Action::Play(false));
    assert_eq!(todo[1..], said);
    assert_eq!(core.step(ms(1700), done(3)), [Action::Close(p(3))]);
    assert!(!core.is_busy());
}

#[test]
fn nobody_waits_for_ever() {
    let mut core = meshed(2, &[1]);
    core.step(ms(50), look(&[1], false));
    core.step(ms(1000), Input::Room(room(Mode::Sfu, &[1, 2])));
    assert_eq!(core.step(ms(5_990), look(&[1], false)), []);
    let todo = core.step(ms(6_000), look(&[1], false));
    assert_eq!(todo, [Action::Close(p(1)), Action::Play(false)]);

    let mut core = Core::new(p(2));
    core.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2])));
    assert_eq!(core.step(ms(9_990), look(&[], false)), []);
    let todo = core.step(ms(10_000), look(&[], false));
    assert_eq!(todo, [Action::Close(p(1))], "no answer");
    let todo = core.step(ms(11_000), look(&[], false));
    assert_eq!(todo, [Action::Open(p(1), 2, Opening::Offer)]);
}

#[test]
fn a_change_back_takes_nothing_that_was_said_for_granted() {
    let mut core = meshed(2, &[1]);
    core.step(ms(50), look(&[1], false));
    core.step(ms(1000), Input::Room(room(Mode::Mcu, &[1, 2])));
    core.step(ms(1050), look(&[1], true));
    let todo = core.step(ms(1600), look(&[1], true));
    assert!(todo.contains(&Action::SayDone(p(1))), "{todo:?}");
    core.step(ms(1650), Input::Room(room(Mode::P2p, &[1, 2])));
    // They said so before they knew, and have closed.
    let todo = core.step(ms(1700), Input::Signal(p(1), MeshSignal::Done(true)));
    let anew = Action::Open(p(1), 2, Opening::Offer);
    assert_eq!(todo, [Action::Close(p(1)), anew]);
}

#[test]
fn who_leaves_is_let_go_of_and_who_joins_is_heard_of() {
    let mut core = meshed(2, &[1, 3]);
    let todo = core.step(ms(50), Input::Room(room(Mode::P2p, &[2, 3])));
    assert_eq!(todo, [Action::Close(p(1))]);
    let todo = core.step(ms(60), Input::Room(room(Mode::P2p, &[2, 3, 4])));
    assert_eq!(todo, [], "they call");
    let todo = core.step(ms(70), says(4, Offer, "44"));
    assert_eq!(todo, [Action::Open(p(4), 3, Opening::Answer(sdp("44")))]);
}
