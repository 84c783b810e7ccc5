//! Joins, from the request to the answer: what the server grants, and who is told how it ended.

use std::sync::Arc;

use super::connection::Connection;
use super::negotiation::negotiate;
use super::{Actor, Event, Waiting};
use crate::admission::Busy;
use crate::id::ParticipantId;
use crate::room::error::RoomError;
use crate::room::handle::{JoinError, JoinReply, JoinRequest};
use crate::room::state::{Input, RequestId};
use crate::topology::Mode;

impl Actor {
    /// Takes a request to join. One that takes over a participant is not admitted by the state,
    /// for it adds no load; while both connections are there, it needs as much as any other.
    pub(crate) fn knock(&mut self, request: Box<JoinRequest>, reply: JoinReply) {
        let secret = request.resume.as_ref();
        let takes_over = secret.and_then(|secret| self.holder(secret));
        let grant = match takes_over {
            Some(_) => {
                let admission = &self.shared.admission;
                match admission.admit_again(self.state.mode(), request.client) {
                    Ok(grant) => Some(grant),
                    Err(busy) => {
                        let _ = reply.send(Err(JoinError::Refused(busy.into())));
                        return;
                    }
                }
            }
            None => None,
        };
        let name = request.name.clone();
        let (reach, mode_override, limits) = (request.reach, request.mode_override, request.limits);
        let own_voice = request.own_voice;
        let request = self.wait(Waiting::Join(request, reply, grant));
        self.inputs.push_back(Input::Join {
            request,
            name,
            reach,
            mode_override,
            limits,
            own_voice,
            takes_over,
        });
    }

    /// Asks the server for what a join takes, and keeps it with the join.
    ///
    /// # Errors
    /// [`Busy`]: there is not enough.
    pub(crate) fn admit(&mut self, request: RequestId, mode: Mode) -> Result<(), Busy> {
        if let Some(Waiting::Join(join, _, grant)) = self.waiting.get_mut(&request) {
            *grant = Some(self.shared.admission.admit(mode, join.client)?);
        }
        Ok(())
    }

    pub(crate) fn settle_request(&mut self, request: RequestId, outcome: Result<(), RoomError>) {
        match (self.waiting.remove(&request), outcome) {
            (Some(Waiting::Plain(reply)), outcome) => {
                let _ = reply.send(outcome);
            }
            (Some(Waiting::Join(join, reply, _)), Err(RoomError::Closed)) => {
                let _ = reply.send(Err(JoinError::RoomGone(join)));
            }
            (Some(Waiting::Join(_, reply, _)), Err(error)) => {
                let _ = reply.send(Err(JoinError::Refused(error)));
            }
            // An accepted join is settled by `start_peer`.
            (Some(Waiting::Join(..)), Ok(())) | (Some(Waiting::Nobody) | None, _) => {}
        }
    }

    pub(crate) fn start_peer(&mut self, request: RequestId, who: ParticipantId) {
        let Some(Waiting::Join(join, reply, grant)) = self.waiting.remove(&request) else {
            return;
        };
        self.serial += 1;
        let serial = self.serial;
        let JoinRequest {
            name,
            offer,
            roles,
            notices,
            ..
        } = *join;
        tracing::info!(participant = %who, name, "joins");
        self.connections
            .insert(who, Connection::new(serial, notices, reply, grant));
        let label = format!("{}-{who}", self.id);
        let events = self.events.clone();
        let settings = Arc::clone(&self.shared.settings);
        tokio::spawn(async move {
            let peer_events = events.clone();
            let on_event = Arc::new(move |event| {
                let _ = peer_events.send(Event::Peer(who, serial, event));
            });
            let outcome = negotiate(label, offer, roles, &settings, on_event).await;
            // If the room has ended meanwhile, the peer is dropped with the event.
            let _ = events.send(Event::Answered(who, serial, outcome.map(Box::new)));
        });
    }
}
