//! Histories: what people, networks, decoders and operators do to a room, at random.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tessera::config::VideoCodec;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{LayoutKind, Size};
use tessera::media::mixer::{Output, SourceId, Without};
use tessera::room::state::{Input, Lifetime, Settings};
use tessera::room::view::ByeReason;
use tessera::room::{Departure, Downlinks, Muter};
use tessera::topology::Mode;

use super::world::{Fault, World};

const UPLINKS: [Role; 3] = [Role::Mic, Role::Camera, Role::Screen];

/// Somebody, to be found when the time comes: mostly one of those present.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who(u8);

/// What somebody's offer has in it.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    uplinks: Vec<Role>,
    downlinks: Downlinks,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Joins, is answered, connected, and sends on everything there is.
    Enter(u8, Links),
    Join(u8, Option<Who>),
    Answer(Who, Links),
    Connect(Who),
    PeerLost(Who, ByeReason),
    Begin(Who, Role),
    Flow(Who, Role),
    Silence(Who, Role),
    /// Every uplink at once, as when a browser is killed.
    FreezeUp(Who),
    Heard(Who, bool),
    SourceFails(Who, Role),
    OutputFails(u8),
    Leave(Who, Departure),
    SetMode(Mode),
    SetLayout(LayoutKind),
    Mute(Who, Role, Muter, bool),
    Pin(Option<Who>),
    Rename(Who, u8),
    Chat(Who),
    Signal(Who, Who),
    Close,
    Arm(Fault),
    /// Time passes, and is noticed.
    Pass(Duration),
    /// Time passes, and nobody looks until the next action.
    Jump(Duration),
}

impl Who {
    pub(crate) fn find(self, world: &World) -> ParticipantId {
        let here: Vec<ParticipantId> = world.peers.keys().copied().collect();
        let n = usize::from(self.0);
        match (n % 16, here.len()) {
            (0, _) | (_, 0) => ParticipantId::new(u32::from(self.0)),
            (_, len) => here[n % len],
        }
    }
}

fn who() -> impl Strategy<Value = Who> {
    any::<u8>().prop_map(Who)
}

fn role() -> impl Strategy<Value = Role> {
    select(&UPLINKS[..])
}

fn links() -> impl Strategy<Value = Links> {
    let codec = select(vec![None, Some(VideoCodec::H264), Some(VideoCodec::Vp8)]);
    let uplinks = prop_oneof![
        2 => Just(UPLINKS.to_vec()),
        2 => subsequence(UPLINKS.to_vec(), 0..=3),
    ];
    (uplinks, codec, any::<bool>()).prop_map(|(uplinks, mix_video, mix_audio)| Links {
        uplinks,
        downlinks: Downlinks {
            mix_video,
            mix_audio,
        },
    })
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (1u64..400).prop_map(Duration::from_millis),
        (400u64..5000).prop_map(Duration::from_millis),
        (1u64..60).prop_map(Duration::from_secs),
    ]
}

fn media() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (who(), role()).prop_map(|(w, r)| Action::Begin(w, r)),
        2 => (who(), role()).prop_map(|(w, r)| Action::Flow(w, r)),
        2 => (who(), role()).prop_map(|(w, r)| Action::Silence(w, r)),
        2 => who().prop_map(Action::FreezeUp),
        5 => (who(), any::<bool>()).prop_map(|(w, heard)| Action::Heard(w, heard)),
        3 => (who(), role()).prop_map(|(w, r)| Action::SourceFails(w, r)),
        2 => any::<u8>().prop_map(Action::OutputFails),
        2 => select(vec![
            Fault::Mixer,
            Fault::Decoder,
            Fault::Encoder,
            Fault::Reader,
            Fault::Notices,
        ])
        .prop_map(Action::Arm),
    ]
}

fn people() -> impl Strategy<Value = Action> {
    let departure = select(vec![
        Departure::Left,
        Departure::SignallingLost,
        Departure::SignallingLost,
        Departure::Removed,
    ]);
    let reason = select(vec![
        ByeReason::ConnectionFailed,
        ByeReason::FingerprintMismatch,
    ]);
    prop_oneof![
        8 => (any::<u8>(), links()).prop_map(|(name, links)| Action::Enter(name, links)),
        2 => (any::<u8>(), proptest::option::of(who())).prop_map(|(n, t)| Action::Join(n, t)),
        2 => (who(), links()).prop_map(|(w, links)| Action::Answer(w, links)),
        2 => who().prop_map(Action::Connect),
        1 => (who(), reason).prop_map(|(w, r)| Action::PeerLost(w, r)),
        2 => (who(), departure).prop_map(|(w, d)| Action::Leave(w, d)),
    ]
}

fn requests() -> impl Strategy<Value = Action> {
    let layout = select(vec![LayoutKind::Grid, LayoutKind::Spotlight]);
    let muter = select(vec![Muter::Owner, Muter::Operator]);
    let mode = select(vec![Mode::Mcu, Mode::Sfu, Mode::P2p]);
    prop_oneof![
        6 => (who(), role(), muter, any::<bool>())
            .prop_map(|(w, r, by, muted)| Action::Mute(w, r, by, muted)),
        2 => layout.prop_map(Action::SetLayout),
        2 => proptest::option::of(who()).prop_map(Action::Pin),
        1 => (who(), any::<u8>()).prop_map(|(w, n)| Action::Rename(w, n)),
        1 => mode.prop_map(Action::SetMode),
        1 => who().prop_map(Action::Chat),
        1 => (who(), who()).prop_map(|(a, b)| Action::Signal(a, b)),
    ]
}

pub(crate) fn history() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        60 => people(),
        80 => media(),
        40 => requests(),
        40 => time().prop_map(Action::Pass),
        15 => time().prop_map(Action::Jump),
        1 => Just(Action::Close),
    ];
    vec(action, 1..70)
}

/// A crowd: more people than there is room for on a canvas.
pub(crate) fn crowd() -> impl Strategy<Value = Vec<Action>> {
    let enter = (any::<u8>(), links()).prop_map(|(name, links)| Action::Enter(name, links));
    let after = prop_oneof![people(), media(), requests(), time().prop_map(Action::Pass)];
    (vec(enter, 20..45), vec(after, 1..20)).prop_map(|(mut crowd, after)| {
        crowd.extend(after);
        crowd
    })
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let size = |width, height| Size { width, height };
    (
        select(vec![1, 2, 4, 64]),
        select(vec![size(1280, 720), size(720, 1280), size(320, 180)]),
        select(vec![LayoutKind::Grid, LayoutKind::Spotlight]),
        select(vec![
            Lifetime::WhileUsed,
            Lifetime::UntilClosed,
            Lifetime::UntilClosed,
        ]),
    )
        .prop_map(|(max_participants, canvas, layout, lifetime)| Settings {
            max_participants,
            canvas,
            fps: 30,
            mode: Mode::Mcu,
            layout,
            lifetime,
        })
}

fn name(n: u8) -> String {
    ["Ann", "Bob", "Cem", "Dua"][usize::from(n % 4)].to_owned()
}

impl World {
    /// A join; returns who that makes, if the room took them in.
    pub(crate) fn join(
        &mut self,
        name: &str,
        takes_over: Option<ParticipantId>,
    ) -> Option<ParticipantId> {
        let request = self.request();
        let name = name.to_owned();
        self.give(Input::Join {
            request,
            name,
            takes_over,
        });
        self.log.iter().find_map(|effect| match effect {
            tessera::room::state::Effect::StartPeer(r, who) if *r == request => Some(*who),
            _ => None,
        })
    }

    /// All that follows a join: negotiation, connection and media.
    pub(crate) fn bring_up(&mut self, who: ParticipantId, uplinks: &[Role], downlinks: Downlinks) {
        self.give(Input::Answered {
            who,
            uplinks: uplinks.to_vec(),
            downlinks,
        });
        self.give(Input::Connected(who));
        for role in uplinks {
            self.give(Input::UplinkBegan(who, *role));
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Enter(n, Links { uplinks, downlinks }) => {
                if let Some(who) = self.join(&name(n), None) {
                    self.bring_up(who, &uplinks, downlinks);
                }
            }
            Action::Join(n, takes_over) => {
                let takes_over = takes_over.map(|who| who.find(self));
                self.join(&name(n), takes_over);
            }
            Action::Answer(who, Links { uplinks, downlinks }) => {
                let who = who.find(self);
                // A peer answers once.
                if self.peers.get(&who).is_none_or(|peer| !peer.answered) {
                    self.give(Input::Answered {
                        who,
                        uplinks,
                        downlinks,
                    });
                }
            }
            Action::FreezeUp(who) => {
                let who = who.find(self);
                for role in UPLINKS {
                    self.give(Input::UplinkSilent(who, role));
                }
            }
            Action::OutputFails(n) => {
                let output = self.some_output(n);
                self.give(Input::OutputFailed(output));
            }
            Action::Arm(fault) => self.arm(fault),
            Action::Pass(time) => self.pass(time),
            Action::Jump(time) => self.now += time,
            other => {
                let input = self.input(other);
                self.give(input);
            }
        }
    }

    fn input(&mut self, action: Action) -> Input {
        match action {
            Action::Connect(who) => Input::Connected(who.find(self)),
            Action::PeerLost(who, reason) => Input::PeerLost(who.find(self), reason),
            Action::Begin(who, role) => Input::UplinkBegan(who.find(self), role),
            Action::Flow(who, role) => Input::UplinkFlows(who.find(self), role),
            Action::Silence(who, role) => Input::UplinkSilent(who.find(self), role),
            Action::Heard(who, heard) => Input::Heard(who.find(self), heard),
            Action::SourceFails(who, role) => {
                let participant = who.find(self);
                Input::SourceFailed(SourceId { participant, role })
            }
            Action::Leave(who, how) => Input::Leave(who.find(self), how),
            Action::SetMode(mode) => Input::SetMode(self.request(), mode),
            Action::SetLayout(layout) => Input::SetLayout(self.request(), layout),
            Action::Mute(who, role, by, muted) => {
                let who = who.find(self);
                Input::Mute {
                    request: self.request(),
                    who,
                    role,
                    by,
                    muted,
                }
            }
            Action::Pin(who) => {
                let who = who.map(|who| who.find(self));
                Input::Pin(self.request(), who)
            }
            Action::Rename(who, n) => {
                let who = who.find(self);
                Input::Rename(self.request(), who, name(n))
            }
            Action::Chat(who) => Input::Chat(who.find(self), "hello".into()),
            Action::Signal(from, to) => {
                let (from, to) = (from.find(self), to.find(self));
                let data = serde_json::Value::Null;
                Input::Signal {
                    request: self.request(),
                    from,
                    to,
                    data,
                }
            }
            _ => Input::Close(ByeReason::RoomClosed),
        }
    }

    fn some_output(&self, n: u8) -> Output {
        let running = self.mixer.iter().flat_map(|mixer| &mixer.outputs);
        let running: Vec<Output> = running.copied().collect();
        match running.len() {
            0 => Output::Sound(Without::Nobody),
            len => running[usize::from(n) % len],
        }
    }
}
