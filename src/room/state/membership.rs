//! Who is in a room: joins, takeovers, departures and evictions; pure.

use std::time::Duration;

use super::State;
use super::input::{Effect, Lifetime};
use super::participant::{Downlinks, Participant, RESUME_GRACE, Sends, Signalling, Uplink};
use super::request::{Departure, RequestId};
use crate::admission::Busy;
use crate::id::{ParticipantId, Role};
use crate::media::bwe::fec;
use crate::protocol::room::ByeReason;
use crate::room::error::RoomError;
use crate::topology::Mode;

impl State {
    pub(crate) fn answered(
        &mut self,
        who: ParticipantId,
        uplinks: Vec<(Role, Sends)>,
        downlinks: Downlinks,
    ) {
        self.with(who, |participant| {
            participant.fec = fec::FecController::new(downlinks.mix_fec);
            participant.downlinks = downlinks;
            for (role, sends) in uplinks {
                let fresh = || Uplink::new(sends);
                participant.uplinks.entry(role).or_insert_with(fresh);
            }
        });
    }

    /// Begins a join. One that takes over a participant adds no load and is decided at once. For
    /// any other, the server is asked for capacity.
    pub(crate) fn knock(
        &mut self,
        request: RequestId,
        participant: Participant,
        takes_over: Option<ParticipantId>,
        effects: &mut Vec<Effect>,
    ) {
        let stranger = participant
            .own_voice
            .filter(|who| !self.participants.contains_key(who));
        if let Some(who) = stranger {
            let refused = Err(RoomError::NoSuchParticipant(who));
            effects.push(Effect::Settle(request, refused));
            return;
        }
        match takes_over.filter(|who| self.participants.contains_key(who)) {
            Some(who) => self.take_over(request, participant, who, effects),
            None => {
                effects.push(Effect::Admit(
                    request,
                    self.mode_of(participant.mode_override),
                ));
                self.knocking.insert(request, participant);
            }
        }
    }

    /// The mode in which a participant with this override would be served.
    fn mode_of(&self, mode_override: Option<Mode>) -> Mode {
        match self.mode {
            Mode::P2p => Mode::P2p,
            mode => mode_override.unwrap_or(mode),
        }
    }

    /// Goes on with a join after the server has said whether it has capacity.
    pub(crate) fn admitted(
        &mut self,
        request: RequestId,
        outcome: Result<(), Busy>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(participant) = self.knocking.remove(&request) else {
            return;
        };
        let outcome = outcome.map_err(RoomError::from);
        if let Err(refusal) = outcome.and_then(|()| self.admit(&participant, None)) {
            effects.push(Effect::Settle(request, Err(refusal)));
            return;
        }
        self.last_ordinal += 1;
        let who = ParticipantId::new(self.last_ordinal);
        self.participants.insert(who, participant);
        effects.push(Effect::StartPeer(request, who));
    }

    fn take_over(
        &mut self,
        request: RequestId,
        participant: Participant,
        who: ParticipantId,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.admit(&participant, Some(who)) {
            effects.push(Effect::Settle(request, Err(refusal)));
            return;
        }
        effects.push(Effect::Bye(who, ByeReason::Replaced));
        effects.push(Effect::StopPeer(who));
        self.wired.forget_participant(who);
        self.participants.insert(who, participant);
        effects.push(Effect::StartPeer(request, who));
    }

    pub(crate) fn leave(
        &mut self,
        now: Duration,
        who: ParticipantId,
        how: Departure,
        effects: &mut Vec<Effect>,
    ) {
        match how {
            Departure::Left => self.evict(who, ByeReason::Left, effects),
            Departure::Removed => self.evict(who, ByeReason::Removed, effects),
            Departure::SignallingLost => {
                if let Some(participant) = self.participants.get_mut(&who)
                    && participant.signalling == Signalling::Attached
                {
                    let deadline = now + RESUME_GRACE;
                    participant.signalling = Signalling::Lost { deadline };
                }
            }
        }
    }

    /// Removes a participant from the room. Doing it twice is a no-op.
    pub(crate) fn evict(
        &mut self,
        who: ParticipantId,
        reason: ByeReason,
        effects: &mut Vec<Effect>,
    ) {
        if self.participants.remove(&who).is_none() {
            return;
        }
        self.wired.forget_participant(who);
        self.pinned = self.pinned.filter(|pinned| *pinned != who);
        for participant in self.participants.values_mut() {
            participant.mesh.remove(&who);
        }
        effects.push(Effect::Bye(who, reason));
        effects.push(Effect::StopPeer(who));
    }

    pub(crate) fn evict_overdue(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let overdue: Vec<ParticipantId> = self
            .participants
            .iter()
            .filter(|(_, participant)| participant.is_overdue(now))
            .map(|(who, _)| *who)
            .collect();
        for who in overdue {
            self.evict(who, ByeReason::ConnectionFailed, effects);
        }
    }

    pub(crate) fn close(&mut self, reason: ByeReason, effects: &mut Vec<Effect>) {
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for who in everybody {
            self.evict(who, reason, effects);
        }
        for request in std::mem::take(&mut self.knocking).into_keys() {
            effects.push(Effect::Settle(request, Err(RoomError::Closed)));
        }
        self.settings.lifetime = Lifetime::WhileUsed;
    }
}
