//! Notices to participants: into the queue that their signalling reads.

use std::sync::Arc;

use super::Actor;
use crate::id::ParticipantId;
use crate::protocol::room::{ByeReason, Level};
use crate::room::error::RoomError;
use crate::room::notices::{Notice, Untold};
use crate::room::state::wiring::LevelRate;
use crate::room::state::{Departure, Input};

/// Participants with [`LevelRate::Reduced`] get one in so many level messages.
const LEVELS_APART: u32 = 5;

impl Actor {
    pub(crate) fn tell_levels(&mut self, levels: Arc<[Level]>) {
        self.levels_told = self.levels_told.wrapping_add(1);
        let is_for_all = self.levels_told.is_multiple_of(LEVELS_APART);
        for connection in self.connections.values() {
            if is_for_all || connection.levels == LevelRate::Full {
                // Levels are dropped if the queue is full.
                let _ = connection.notices.send(Notice::Levels(Arc::clone(&levels)));
            }
        }
    }

    /// Sends a notice. A participant whose queue is full is too slow and is evicted; states alone do
    /// not fill it.
    pub(crate) fn tell(&mut self, who: ParticipantId, notice: Notice) {
        let Some(connection) = self.connections.get(&who) else {
            return;
        };
        let input = match connection.notices.send(notice) {
            Ok(()) => return,
            Err(Untold::Full) => Input::PeerLost(who, ByeReason::TooSlow),
            Err(Untold::Closed) => Input::Leave(who, Departure::SignallingLost),
        };
        self.inputs.push_back(input);
    }

    /// Passes a chat text or signal on, or tells its sender that it is refused. A queue that is
    /// half full takes neither: what participants send must not get anybody evicted as too slow.
    pub(crate) fn pass_on(&mut self, from: ParticipantId, to: ParticipantId, notice: Notice) {
        if self.has_time(to) {
            self.tell(to, notice);
        } else if self.connections.contains_key(&to) && self.has_time(from) {
            self.tell(from, Notice::Refused(RoomError::TooFast(to)));
        }
    }

    /// Whether at least half of a participant's queue is free.
    fn has_time(&self, who: ParticipantId) -> bool {
        let connection = self.connections.get(&who);
        connection.is_some_and(|connection| connection.notices.has_time())
    }
}
