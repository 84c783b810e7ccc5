//! How the world plays what a history says.

use std::time::Duration;

use tessera::codec::VideoCodec;
use tessera::id::SourceId;
use tessera::id::{ParticipantId, Role};
use tessera::media::mixer::{MixMinus, Output};
use tessera::protocol::recording::RecordingId;
use tessera::protocol::room::{ByeReason, Limits};
use tessera::room::state::{Effect, Input, RequestId};
use tessera::room::{Downlinks, Reach, Request, Sends};
use tessera::topology::{Mode, Paths};

use super::{Action, Guest, Links, UPLINKS, Who, in_codec};
use crate::room::world::World;

fn name(n: u8) -> String {
    ["Ann", "Bob", "Cem", "Dua"][usize::from(n % 4)].to_owned()
}

impl World {
    /// A join over the WebSocket; returns who that makes, if the room took them in.
    pub(crate) fn join(
        &mut self,
        name: &str,
        takes_over: Option<ParticipantId>,
    ) -> Option<ParticipantId> {
        self.knock(name, Reach::Signalling, None, takes_over)
    }

    /// Any join.
    pub(crate) fn knock(
        &mut self,
        name: &str,
        reach: Reach,
        view: Option<Mode>,
        takes_over: Option<ParticipantId>,
    ) -> Option<ParticipantId> {
        self.knock_with_voice(name, reach, view, takes_over, None)
    }

    /// Any join, of somebody whose voice may be another participant's.
    pub(crate) fn knock_with_voice(
        &mut self,
        name: &str,
        reach: Reach,
        view: Option<Mode>,
        takes_over: Option<ParticipantId>,
        own_voice: Option<ParticipantId>,
    ) -> Option<ParticipantId> {
        let request = self.request();
        let name = name.to_owned();
        self.give(Input::Join {
            request,
            name,
            reach,
            mode_override: view,
            limits: Limits::default(),
            own_voice,
            takes_over,
        });
        self.log.iter().find_map(|effect| match effect {
            Effect::StartPeer(r, who) if *r == request => Some(*who),
            _ => None,
        })
    }

    /// All that follows a join: negotiation, connection and media, pictures as VP8.
    pub(crate) fn bring_up(&mut self, who: ParticipantId, uplinks: &[Role], downlinks: Downlinks) {
        self.bring_up_with(who, in_codec(uplinks, VideoCodec::Vp8), downlinks);
    }

    pub(crate) fn bring_up_with(
        &mut self,
        who: ParticipantId,
        uplinks: Vec<(Role, Sends)>,
        downlinks: Downlinks,
    ) {
        let layers = uplinks.iter().flat_map(|(role, sends)| {
            let count = sends.rids.len().max(1);
            (0..count).map(|n| (*role, n))
        });
        let layers: Vec<_> = layers.collect();
        self.give(Input::Answered {
            who,
            uplinks,
            downlinks,
        });
        self.give(Input::Connected(who));
        for (role, n) in layers {
            self.give(Input::UplinkBegan(who, role, n));
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Enter(guest, Links { uplinks, downlinks }) => {
                let Guest {
                    name: n,
                    reach,
                    view,
                } = guest;
                // A player may be somebody who publishes with another connection.
                let plays = reach == Reach::HttpOnly && uplinks.is_empty();
                let voice = plays.then(|| self.peers.keys().next().copied()).flatten();
                if let Some(who) = self.knock_with_voice(&name(n), reach, view, None, voice) {
                    self.bring_up_with(who, uplinks, downlinks);
                }
            }
            Action::Join(
                Guest {
                    name: n,
                    reach,
                    view,
                },
                takes_over,
            ) => {
                let takes_over = takes_over.map(|who| who.find(self));
                self.knock(&name(n), reach, view, takes_over);
            }
            Action::MeshWithAll(who) => self.mesh_with_all(who.find(self)),
            Action::MeshUp => {
                for who in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.mesh_with_all(who);
                }
            }
            Action::SetPace(pace) => self.set_pace(pace),
            Action::Report(n) => self.report(n.into()),
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
                    for n in 0..3 {
                        self.give(Input::UplinkSilent(who, role, n));
                    }
                }
            }
            Action::OutputFails(n) => {
                let output = self.some_output(n);
                self.give(Input::OutputFailed(output));
            }
            Action::LossFor(who, loss, seconds) => {
                let who = who.find(self);
                for _ in 0..seconds {
                    self.pass(Duration::from_secs(1));
                    self.give(Input::Loss(who, Some(loss)));
                }
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

    /// Has everybody directly who can be called.
    pub(crate) fn mesh_with_all(&mut self, who: ParticipantId) {
        let others = self.model.people.iter().filter(|(other, _)| **other != who);
        let callable = others.filter(|(_, person)| person.is_callable());
        let callable = callable.map(|(other, _)| *other).collect();
        let asked = self.asks(Request::Mesh(who, callable));
        self.give(asked);
    }

    /// A request of somebody.
    pub(crate) fn asks(&mut self, asked: Request) -> Input {
        Input::Asked(self.request(), asked)
    }

    fn input(&mut self, action: Action) -> Input {
        match action {
            Action::Connect(who) => Input::Connected(who.find(self)),
            Action::PeerLost(who, reason) => Input::PeerLost(who.find(self), reason),
            Action::Begin(who, role, n) => Input::UplinkBegan(who.find(self), role, n),
            Action::Flow(who, role, n) => Input::UplinkFlows(who.find(self), role, n),
            Action::Silence(who, role, n) => Input::UplinkSilent(who.find(self), role, n),
            Action::Size(who, role, n, h) => Input::UplinkSized(who.find(self), role, n, h),
            Action::Heights(who, heights) => {
                let camera = |(who, height): (Who, u32)| {
                    let participant = who.find(self);
                    let role = Role::Camera;
                    (SourceId { participant, role }, height)
                };
                let heights = heights.into_iter().map(camera).collect();
                let who = who.find(self);
                self.asks(Request::Heights(who, heights))
            }
            Action::Speaking(all) => {
                let speaking = all.into_iter().map(|who| who.find(self)).collect();
                // Only where no mixer listens is anything told.
                match self.mixer {
                    Some(_) => Input::Tick,
                    None => Input::Speaking(speaking),
                }
            }
            Action::Loss(who, loss) => Input::Loss(who.find(self), loss),
            Action::Heard(who, heard) => Input::Heard(who.find(self), heard),
            Action::SourceFails(who, role) => {
                let participant = who.find(self);
                Input::SourceFailed(SourceId { participant, role })
            }
            Action::Leave(who, how) => Input::Leave(who.find(self), how),
            Action::SetMode(mode) => self.asks(Request::Mode(mode)),
            Action::SetView(who, view) => {
                let who = who.find(self);
                self.asks(Request::View(who, view))
            }
            Action::Limit(who, limits) => {
                let who = who.find(self);
                self.asks(Request::Limits(who, limits))
            }
            Action::Estimate(who, estimate) => Input::Estimated(who.find(self), estimate),
            Action::Press(pressure) => Input::Pressed(pressure),
            Action::Mesh(who, others) => {
                let others = others.into_iter().map(|other| other.find(self));
                let others = others.collect();
                let who = who.find(self);
                self.asks(Request::Mesh(who, others))
            }
            Action::Counted(outside, inside) => Input::Counted(Paths {
                outside: outside.into(),
                inside: inside.into(),
            }),
            Action::SetLayout(layout) => self.asks(Request::Layout(layout)),
            Action::Mute(who, role, by, muted) => {
                let who = who.find(self);
                self.asks(Request::Mute {
                    who,
                    role,
                    by,
                    muted,
                })
            }
            Action::Pin(who) => {
                let who = who.map(|who| who.find(self));
                self.asks(Request::Pin(who))
            }
            Action::Hand(who, raised) => {
                let who = who.find(self);
                self.asks(Request::Hand(who, raised))
            }
            Action::Rename(who, n) => {
                let who = who.find(self);
                self.asks(Request::Rename(who, name(n)))
            }
            Action::Chat(who) => {
                let who = who.find(self);
                self.asks(Request::Chat(who, "hello".into()))
            }
            Action::Signal(from, to) => {
                let (from, to) = (from.find(self), to.find(self));
                let data = serde_json::Value::Null;
                self.asks(Request::Signal { from, to, data })
            }
            Action::Record(subject) => {
                let request = self.request();
                Input::Asked(request, Request::Record(recording_id(request), subject))
            }
            Action::StopRecording(n) => {
                let id = self.some_recording(n);
                self.asks(Request::StopRecording(id))
            }
            Action::RecorderEnds(n) => Input::RecorderEnds(self.some_recording(n)),
            _ => Input::Close(ByeReason::RoomClosed),
        }
    }

    fn some_recording(&self, n: u8) -> RecordingId {
        let running = self.recorders.keys().nth(usize::from(n % 4));
        running.cloned().unwrap_or_else(|| recording_id(0))
    }

    fn some_output(&self, n: u8) -> Output {
        let running = self.mixer.iter().flat_map(|mixer| &mixer.outputs);
        let running: Vec<Output> = running.copied().collect();
        match running.len() {
            0 => Output::Sound(MixMinus::Nobody),
            len => running[usize::from(n) % len],
        }
    }
}

/// The id of the recording that a request began.
fn recording_id(request: RequestId) -> RecordingId {
    RecordingId::new(format!("take-{request}")).expect("an id")
}
