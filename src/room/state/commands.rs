//! Requests to a room: each is carried out or refused; pure.

use std::time::Duration;

use super::participant::Participant;
use super::{Effect, Muter, Reach, Request, State};
use crate::id::{ParticipantId, Role, SourceId};
use crate::protocol::room::MeasuredPaths;
use crate::room::error::RoomError;
use crate::topology::{Mode, Paths, Topology};

/// Largest number of participants in mode `p2p`: everybody sends to everybody else, and links at
/// home carry no more than five uplinks.
pub const MAX_MESH: usize = 6;

impl State {
    /// Whether `participant` may join. The limit of participants does not count for one who takes
    /// over another (`taken`).
    ///
    /// # Errors
    /// [`RoomError::ModeUnavailable`], [`RoomError::Full`].
    pub(crate) fn admit(
        &self,
        participant: &Participant,
        taken: Option<ParticipantId>,
    ) -> Result<(), RoomError> {
        check_mode_override(participant.mode_override)?;
        let direct = self.mode == Mode::P2p;
        if direct && participant.reach == Reach::HttpOnly {
            let reason = "nobody can call who comes over WHIP or WHEP";
            return Err(RoomError::ModeUnavailable(Mode::P2p, reason));
        }
        let limit = match direct {
            true => self.settings.max_participants.min(MAX_MESH),
            false => self.settings.max_participants,
        };
        match taken.is_some() || self.participants.len() < limit {
            true => Ok(()),
            false => Err(RoomError::Full { limit }),
        }
    }

    /// Carries out a request, or says why not.
    pub(crate) fn requested(
        &mut self,
        now: Duration,
        request: Request,
        effects: &mut Vec<Effect>,
    ) -> Result<(), RoomError> {
        match request {
            Request::Mode(mode) => self.set_mode(mode)?,
            Request::View(who, mode) => self.set_mode_override(who, mode)?,
            Request::Limits(who, limits) => self.participant(who)?.limits = limits,
            Request::Mesh(who, receiving) => self.set_mesh(who, receiving)?,
            Request::Heights(who, heights) => {
                self.participant(who)?.heights = heights.into_iter().collect();
            }
            Request::Layout(layout) => self.layout = layout,
            Request::Mute {
                who,
                role,
                by,
                muted,
            } => {
                self.mute(now, who, role, by, muted)?;
                if !muted {
                    let source = SourceId {
                        participant: who,
                        role,
                    };
                    effects.push(Effect::Forget(source));
                }
            }
            Request::Pin(who) => self.pin(who)?,
            Request::Hand(who, raised) => self.participant(who)?.hand = raised,
            Request::Rename(who, name) => self.participant(who)?.name = name,
            Request::Chat(from, text) => {
                self.participant(from)?;
                let everybody = self.participants.keys().copied().collect();
                effects.push(Effect::TellChat(everybody, from, text));
            }
            Request::Signal { from, to, data } => {
                self.may_signal(from, to)?;
                effects.push(Effect::TellSignal(to, from, data));
            }
            Request::Record(id, subject) => self.record(now, id, subject)?,
            Request::StopRecording(id) => self.stop_recording(&id)?,
        }
        Ok(())
    }

    fn participant(&mut self, who: ParticipantId) -> Result<&mut Participant, RoomError> {
        self.participants
            .get_mut(&who)
            .ok_or(RoomError::NoSuchParticipant(who))
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), RoomError> {
        if mode == Mode::P2p && self.mode != Mode::P2p {
            let refuse = |reason| Err(RoomError::ModeUnavailable(mode, reason));
            if !self.recordings.is_empty() {
                return refuse("it is being recorded, and the server would have no media");
            }
            if self.participants.len() > MAX_MESH {
                return refuse("it is for 6 people at most");
            }
            // Whether a participant only watches is known once they are connected.
            let callable = |participant: &Participant| match participant.is_connected() {
                true => participant.is_reachable(),
                false => participant.reach == Reach::Signalling,
            };
            if !self.participants.values().all(callable) {
                return refuse("somebody only watches, or came over WHIP, and cannot be called");
            }
        }
        if mode != Mode::P2p {
            // What is left of the mesh is on its way out, and says nothing of the next one.
            self.participants.values_mut().for_each(|p| p.mesh.clear());
        }
        self.mode = mode;
        Ok(())
    }

    /// Notes from whom a participant receives directly. Ignored outside mode `p2p`: the report is
    /// of a mesh that is being left.
    fn set_mesh(
        &mut self,
        who: ParticipantId,
        receiving: Vec<ParticipantId>,
    ) -> Result<(), RoomError> {
        let here = |from: &ParticipantId| *from != who && self.participants.contains_key(from);
        let receiving = receiving.into_iter().filter(here).collect();
        let in_mesh = self.mode == Mode::P2p;
        let participant = self.participant(who)?;
        if in_mesh {
            participant.mesh = receiving;
        }
        Ok(())
    }

    /// Refuses a signal to its own sender, or from or to a participant who is not here.
    fn may_signal(&self, from: ParticipantId, to: ParticipantId) -> Result<(), RoomError> {
        if from == to {
            return Err(RoomError::SignalToOneself);
        }
        let missing = [from, to]
            .into_iter()
            .find(|who| !self.participants.contains_key(who));
        match missing {
            Some(who) => Err(RoomError::NoSuchParticipant(who)),
            None => Ok(()),
        }
    }

    fn set_mode_override(
        &mut self,
        who: ParticipantId,
        mode_override: Option<Mode>,
    ) -> Result<(), RoomError> {
        let participant = self.participant(who)?;
        check_mode_override(mode_override)?;
        participant.mode_override = mode_override;
        Ok(())
    }

    fn mute(
        &mut self,
        now: Duration,
        who: ParticipantId,
        role: Role,
        by: Muter,
        muted: bool,
    ) -> Result<(), RoomError> {
        let participant = self.participant(who)?;
        if let Some(uplink) = participant.uplinks.get_mut(&role) {
            match by {
                Muter::Owner => uplink.set_muted_by_owner(muted, now),
                Muter::Operator => uplink.muted_by_operator = muted,
            }
        }
        Ok(())
    }

    fn pin(&mut self, who: Option<ParticipantId>) -> Result<(), RoomError> {
        if let Some(who) = who {
            self.participant(who)?;
        }
        self.pinned = who;
        Ok(())
    }

    /// The media paths that the room's mode needs, and those that were counted.
    pub(crate) fn paths(&self) -> MeasuredPaths {
        let talking = |p: &&Participant| p.is_connected() && !p.is_viewer();
        let direct: usize = self
            .participants
            .values()
            .map(|participant| participant.mesh.len())
            .sum();
        let direct = u64::try_from(direct).unwrap_or(u64::MAX);
        MeasuredPaths {
            expected: Topology::from(self.mode)
                .paths(self.participants.values().filter(talking).count()),
            measured: Paths {
                outside: self.counted.outside.saturating_add(direct),
                inside: self.counted.inside,
            },
        }
    }
}

fn check_mode_override(mode_override: Option<Mode>) -> Result<(), RoomError> {
    match mode_override {
        Some(Mode::P2p) => {
            let reason = "it takes all of a room; one participant alone can have mcu or sfu";
            Err(RoomError::ModeUnavailable(Mode::P2p, reason))
        }
        _ => Ok(()),
    }
}
