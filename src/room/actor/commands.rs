//! What the server asks of a room: each becomes an input of the state, and its answer waits for the
//! effect that settles it.

use super::connection::Member;
use super::{Actor, Waiting};
use crate::id::ParticipantId;
use crate::room::handle::{Command, Departure, JoinError, JoinRequest, Reply};
use crate::room::state::{Input, RequestId};
use crate::topology::Mode;

impl Actor {
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Join(request, reply) => {
                let takes_over = request
                    .resume
                    .as_ref()
                    .and_then(|secret| self.holder(secret));
                if takes_over.is_none()
                    && let Err(busy) = self.shared.admission.admit(self.mode_for(&request))
                {
                    let _ = reply.send(Err(JoinError::Refused(busy.into())));
                    // It may have been made for them.
                    self.inputs.push_back(Input::Tick);
                    return;
                }
                let name = request.name.clone();
                let (reach, view, limits) = (request.reach, request.view, request.limits);
                let request = self.wait(Waiting::Join(request, reply));
                self.inputs.push_back(Input::Join {
                    request,
                    name,
                    reach,
                    view,
                    limits,
                    takes_over,
                });
            }
            Command::Candidate(who, mid, candidate) => {
                if let (Some(member), Some(candidate)) = (self.members.get_mut(&who), candidate) {
                    member.add_candidate(mid, candidate);
                }
            }
            Command::SetMode(mode, reply) => self.ask(reply, |r| Input::SetMode(r, mode)),
            Command::SetView(who, mode, reply) => self.ask(reply, |r| Input::SetView(r, who, mode)),
            Command::Limit(who, limits) => self.inputs.push_back(Input::Limit(who, limits)),
            Command::Mesh(who, receiving) => self.inputs.push_back(Input::Mesh(who, receiving)),
            Command::Heights(who, heights) => self.inputs.push_back(Input::Heights(who, heights)),
            Command::SetLayout(layout, reply) => self.ask(reply, |r| Input::SetLayout(r, layout)),
            Command::Mute(who, role, by, muted, reply) => self.ask(reply, |request| Input::Mute {
                request,
                who,
                role,
                by,
                muted,
            }),
            Command::Pin(who, reply) => self.ask(reply, |r| Input::Pin(r, who)),
            Command::Rename(who, name, reply) => self.ask(reply, |r| Input::Rename(r, who, name)),
            Command::Record(archive, recording, reply) => {
                let (id, subject) = (recording.id.clone(), recording.subject());
                self.recorders.expect(archive, *recording);
                self.ask(reply, |r| Input::Record(r, id.clone(), subject));
                self.settle();
                // Begun by now, or not at all.
                self.recorders.refused(&id);
            }
            Command::StopRecording(id, reply) => {
                self.ask(reply, |r| Input::StopRecording(r, id));
            }
            Command::Chat(from, text) => self.inputs.push_back(Input::Chat(from, text)),
            Command::Signal(from, to, data, reply) => self.ask(reply, |request| Input::Signal {
                request,
                from,
                to,
                data,
            }),
            Command::Leave(who, how, done) => {
                if !self.is_superseded(who, how) {
                    self.inputs.push_back(Input::Leave(who, how));
                    self.settle();
                }
                let _ = done.send(());
            }
            Command::Stats(reply) => {
                let _ = reply.send(self.stats());
            }
            Command::Close(reason, done) => {
                self.inputs.push_back(Input::Close(reason));
                self.closing.push(done);
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) -> RequestId {
        self.serial += 1;
        self.waiting.insert(self.serial, waiting);
        self.serial
    }

    fn ask(&mut self, reply: Reply<()>, input: impl FnOnce(RequestId) -> Input) {
        let request = self.wait(Waiting::Plain(reply));
        self.inputs.push_back(input(request));
    }

    /// Whether it is a connection that was taken over whose loss is reported: the one that has
    /// the participant now still reads its notices.
    pub(crate) fn is_superseded(&self, who: ParticipantId, how: Departure) -> bool {
        let reads = |member: &Member| !member.notices.is_closed();
        how == Departure::SignallingLost && self.members.get(&who).is_some_and(reads)
    }

    /// By which mode a joiner will be served.
    fn mode_for(&self, request: &JoinRequest) -> Mode {
        let room = self.state.mode();
        request.view.filter(|_| room != Mode::P2p).unwrap_or(room)
    }

    /// Whose `resume` secret this is.
    fn holder(&self, secret: &str) -> Option<ParticipantId> {
        self.members
            .iter()
            .find(|(_, member)| member.resume == secret)
            .map(|(who, _)| *who)
    }
}
