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
        hand: false,
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

fn poll(flowing: &[u32], server_ready: bool) -> Input {
    let flow = Flow {
        mic: Some(ms(10)),
        camera: Some(ms(20)),
        screen: None,
    };
    let flows = flowing.iter().map(|n| (p(*n), flow)).collect();
    Input::Poll {
        flows,
        server_ready,
    }
}

use MeshDescriptionKind::{Answer, Offer};

/// A member whose connections with these others are up.
fn meshed(own: u32, others: &[u32]) -> MeshCore {
    let mut core = MeshCore::new(p(own));
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
    let mut core = MeshCore::new(p(2));
    let actions = core.step(ms(0), Input::Room(room(Mode::Mcu, &[1, 2, 3])));
    assert_eq!(actions, []);
    let actions = core.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2, 3])));
    assert_eq!(actions, [Action::Open(p(1), 1, Opening::Offer)]);
    let actions = core.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2, 3])));
    assert_eq!(actions, [], "once");
    let actions = core.step(ms(1), says(1, Answer, "AA"));
    assert_eq!(actions, [Action::Accept(p(1), sdp("AA"))]);
    assert_eq!(core.step(ms(1), says(1, Answer, "AA")), [], "once");
    let actions = core.step(ms(2), says(3, Offer, "CC"));
    assert_eq!(actions, [Action::Open(p(3), 2, Opening::Answer(sdp("CC")))]);
}

#[test]
fn nobody_calls_viewers_or_who_is_not_there() {
    let mut state = room(Mode::P2p, &[1, 2, 3]);
    state.participants[0].viewer = true;
    state.participants[1].connected = false;
    let mut core = MeshCore::new(p(3));
    assert_eq!(core.step(ms(0), Input::Room(state.clone())), []);
    state.participants[1].connected = true;
    let actions = core.step(ms(0), Input::Room(state.clone()));
    assert_eq!(actions, [Action::Open(p(2), 1, Opening::Offer)]);
    // Nor does who is none of them.
    state.participants[2].connected = false;
    assert_eq!(MeshCore::new(p(3)).step(ms(0), Input::Room(state)), []);
    let mut stranger = MeshCore::new(p(3));
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
    let mut polite = MeshCore::new(p(3));
    polite.step(ms(0), Input::Room(room(Mode::P2p, &[2, 3])));
    let actions = polite.step(ms(1), says(2, Offer, "BB"));
    let answers = Action::Open(p(2), 2, Opening::Answer(sdp("BB")));
    assert_eq!(actions, [Action::Close(p(2)), answers]);
    // And the impolite.
    let mut impolite = MeshCore::new(p(1));
    impolite.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2])));
    let mut actions = Vec::new();
    impolite.open(ms(0), p(2), Opening::Offer, None, &mut actions);
    assert_eq!(impolite.step(ms(1), says(2, Offer, "BB")), []);
    assert_eq!(impolite.step(ms(1), candidate("of that offer")), []);
    impolite.step(ms(2), says(2, Answer, "BC"));
    let actions = impolite.step(ms(3), candidate("of the answer"));
    let given = Action::Candidate(p(2), Some(Mid("0".into())), "of the answer".into());
    assert_eq!(actions, [given]);
}

#[test]
fn another_certificate_begins_anew() {
    let mut core = meshed(1, &[2]);
    assert_eq!(core.step(ms(5), says(2, Offer, "2")), [], "the same one");
    let actions = core.step(ms(5), says(2, Offer, "FF"));
    let anew = Action::Open(p(2), 2, Opening::Answer(sdp("FF")));
    assert_eq!(actions, [Action::Close(p(2)), anew]);
    // What is still heard of the last one is of no interest.
    assert_eq!(core.step(ms(6), Input::Lost(p(2), 1)), []);
}

#[test]
fn changes_are_reported_once_and_only_whole_people() {
    let mut core = meshed(2, &[1, 3]);
    assert_eq!(core.step(ms(50), poll(&[], false)), []);
    let actions = core.step(ms(100), poll(&[1], false));
    assert_eq!(actions, [Action::Report(vec![p(1)])]);
    assert_eq!(core.step(ms(150), poll(&[1], false)), []);
    let mut flows = BTreeMap::from([(p(1), Flow::default()), (p(3), Flow::default())]);
    for flow in flows.values_mut() {
        flow.mic = Some(ms(5));
    }
    flows.get_mut(&p(1)).unwrap().camera = Some(ms(30));
    let server_ready = false;
    let flows_later = flows.clone();
    assert_eq!(
        core.step(
            ms(200),
            Input::Poll {
                flows,
                server_ready
            }
        ),
        [],
        "no picture"
    );
    // Not waited for for ever.
    let mut patient = meshed(2, &[1, 3]);
    let flows = flows_later;
    let actions = patient.step(
        ms(1_600),
        Input::Poll {
            flows,
            server_ready,
        },
    );
    assert_eq!(actions[0], Action::Report(vec![p(1), p(3)]));
    let actions = core.step(ms(250), poll(&[1, 3], false));
    assert_eq!(
        actions,
        [Action::Report(vec![p(1), p(3)]), Action::Play(true)]
    );
    // Lost, but played on until the server is there.
    let actions = core.step(ms(300), poll(&[3], true));
    assert_eq!(actions, [Action::Report(vec![p(3)])]);
    assert_eq!(core.step(ms(790), poll(&[3], true)), []);
    assert_eq!(core.step(ms(800), poll(&[3], true)), [Action::Play(false)]);
}

#[test]
fn who_sends_nothing_is_received_when_connected() {
    let mut core = meshed(2, &[1]);
    let mut state = room(Mode::P2p, &[1, 2]);
    state.participants[0].mic = UplinkState::Muted;
    state.participants[0].camera = UplinkState::None;
    core.step(ms(10), Input::Room(state));
    let actions = core.step(ms(50), poll(&[], false));
    assert_eq!(actions, [Action::Report(vec![p(1)]), Action::Play(true)]);
    assert_eq!(core.step(ms(60_000), poll(&[], false)), [], "for ever");
}

#[test]
fn both_say_done_before_it_ends() {
    let mut core = meshed(2, &[1, 3]);
    core.step(ms(50), poll(&[1, 3], false));
    assert_eq!(
        core.step(ms(1000), Input::Room(room(Mode::Mcu, &[1, 2, 3]))),
        []
    );
    assert_eq!(core.step(ms(1050), poll(&[1, 3], false)), []);
    let done = |from| Input::Signal(p(from), MeshSignal::Done(true));
    assert_eq!(core.step(ms(1060), done(1)), [], "we still need it");
    assert_eq!(core.step(ms(1100), poll(&[1, 3], true)), []);
    let actions = core.step(ms(1600), poll(&[1, 3], true));
    let said = [
        Action::SayDone(p(1)),
        Action::SayDone(p(3)),
        Action::Close(p(1)),
    ];
    assert_eq!(actions[0], Action::Play(false));
    assert_eq!(actions[1..], said);
    assert_eq!(core.step(ms(1700), done(3)), [Action::Close(p(3))]);
    assert!(!core.is_busy());
}

#[test]
fn nobody_waits_for_ever() {
    let mut core = meshed(2, &[1]);
    core.step(ms(50), poll(&[1], false));
    core.step(ms(1000), Input::Room(room(Mode::Sfu, &[1, 2])));
    assert_eq!(core.step(ms(5_990), poll(&[1], false)), []);
    let actions = core.step(ms(6_000), poll(&[1], false));
    assert_eq!(actions, [Action::Close(p(1)), Action::Play(false)]);

    let mut core = MeshCore::new(p(2));
    core.step(ms(0), Input::Room(room(Mode::P2p, &[1, 2])));
    assert_eq!(core.step(ms(9_990), poll(&[], false)), []);
    let actions = core.step(ms(10_000), poll(&[], false));
    assert_eq!(actions, [Action::Close(p(1))], "no answer");
    let actions = core.step(ms(11_000), poll(&[], false));
    assert_eq!(actions, [Action::Open(p(1), 2, Opening::Offer)]);
}

#[test]
fn a_change_back_takes_nothing_that_was_said_for_granted() {
    let mut core = meshed(2, &[1]);
    core.step(ms(50), poll(&[1], false));
    core.step(ms(1000), Input::Room(room(Mode::Mcu, &[1, 2])));
    core.step(ms(1050), poll(&[1], true));
    let actions = core.step(ms(1600), poll(&[1], true));
    assert!(actions.contains(&Action::SayDone(p(1))), "{actions:?}");
    core.step(ms(1650), Input::Room(room(Mode::P2p, &[1, 2])));
    // They said so before they knew, and have closed.
    let actions = core.step(ms(1700), Input::Signal(p(1), MeshSignal::Done(true)));
    let anew = Action::Open(p(1), 2, Opening::Offer);
    assert_eq!(actions, [Action::Close(p(1)), anew]);
}

#[test]
fn who_leaves_is_let_go_of_and_who_joins_is_heard_of() {
    let mut core = meshed(2, &[1, 3]);
    let actions = core.step(ms(50), Input::Room(room(Mode::P2p, &[2, 3])));
    assert_eq!(actions, [Action::Close(p(1))]);
    let actions = core.step(ms(60), Input::Room(room(Mode::P2p, &[2, 3, 4])));
    assert_eq!(actions, [], "they call");
    let actions = core.step(ms(70), says(4, Offer, "44"));
    assert_eq!(actions, [Action::Open(p(4), 3, Opening::Answer(sdp("44")))]);
}
