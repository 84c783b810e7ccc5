//! Commands of the signalling layer: each becomes an input of the state, and its answer waits for
//! the effect that settles it.

use super::connection::Connection;
use super::{Actor, Waiting};
use crate::admission::Demand;
use crate::id::ParticipantId;
use crate::room::error::RoomError;
use crate::room::handle::{Command, Reply};
use crate::room::state::{Departure, Input, Request, RequestId};

impl Actor {
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Join(request, reply) => self.knock(request, reply),
            Command::Candidate(who, mid, candidate) => {
                if let (Some(connection), Some(candidate)) =
                    (self.connections.get_mut(&who), candidate)
                {
                    connection.add_candidate(mid, candidate);
                }
            }
            Command::Ask(request, reply) => self.ask(request, reply),
            Command::Record(archive, recording, reply) => {
                let grant = match self.shared.admission.take(Demand::RECORDING) {
                    Ok(grant) => grant,
                    Err(shortage) => {
                        let _ = reply.send(Err(RoomError::Busy(shortage.into())));
                        return;
                    }
                };
                let (id, subject) = (recording.id.clone(), recording.subject());
                self.recorders.expect(archive, *recording, grant);
                self.ask(Request::Record(id.clone(), subject), Some(reply));
                self.settle();
                // It has begun by now, or was refused.
                self.recorders.refused(&id);
            }
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

    pub(crate) fn wait(&mut self, waiting: Waiting) -> RequestId {
        self.serial += 1;
        self.waiting.insert(self.serial, waiting);
        self.serial
    }

    fn ask(&mut self, request: Request, reply: Option<Reply<()>>) {
        let waiting = reply.map_or(Waiting::Nobody, Waiting::Plain);
        let id = self.wait(waiting);
        self.inputs.push_back(Input::Asked(id, request));
    }

    /// Whether the lost signalling is that of a connection that has been taken over: then the new
    /// connection of the participant still reads its notices.
    pub(crate) fn is_superseded(&self, who: ParticipantId, how: Departure) -> bool {
        let reads = |connection: &Connection| !connection.notices.is_closed();
        how == Departure::SignallingLost && self.connections.get(&who).is_some_and(reads)
    }

    /// The participant who holds this `resume` secret.
    pub(crate) fn holder(&self, secret: &str) -> Option<ParticipantId> {
        self.connections
            .iter()
            .find(|(_, connection)| connection.resume == secret)
            .map(|(who, _)| *who)
    }
}
