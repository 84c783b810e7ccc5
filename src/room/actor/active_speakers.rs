//! Who speaks by what the packets say (RFC 6464): told to the room's state while no mixer listens.

use std::collections::{BTreeSet, HashMap};

use super::connection::Connection;
use crate::id::ParticipantId;
use crate::protocol::room::Level;
use crate::room::state::Input;

/// Levels are told every other time somebody listens: five times a second.
const LEVELS_EVERY: u32 = 2;

/// What the state was told last.
#[derive(Debug, Default)]
pub(crate) struct PacketSpeakers {
    /// `None` until it has been told anything since the last mixer.
    told: Option<BTreeSet<ParticipantId>>,
    beats: u32,
}

impl PacketSpeakers {
    /// A mixer begins to listen for itself.
    pub(crate) fn hand_over(&mut self) {
        self.told = None;
    }

    /// Who speaks, if that is news. To be called ten times a second while no mixer listens.
    pub(crate) fn listen(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
    ) -> Option<Input> {
        let speaks = connections
            .iter()
            .filter(|(_, connection)| connection.speaks());
        let speaking: BTreeSet<ParticipantId> = speaks.map(|(who, _)| *who).collect();
        if self.told.as_ref() == Some(&speaking) {
            return None;
        }
        self.told = Some(speaking.clone());
        Some(Input::Speaking(speaking))
    }

    /// The levels of all microphones that tell theirs, when they are due and anybody speaks.
    pub(crate) fn levels(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
    ) -> Vec<Level> {
        self.beats = (self.beats + 1) % LEVELS_EVERY;
        let anybody = self.told.as_ref().is_some_and(|told| !told.is_empty());
        if self.beats != 0 || !anybody {
            return Vec::new();
        }
        let level = |(who, connection): (&ParticipantId, &Connection)| {
            let dbov = connection.level()?;
            Some(Level {
                participant: *who,
                dbov,
            })
        };
        connections.iter().filter_map(level).collect()
    }
}
