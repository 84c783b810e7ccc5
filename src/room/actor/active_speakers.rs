//! Active speakers by the audio levels in their packets (RFC 6464), reported to the room's state
//! while no mixer detects them.

use std::collections::{BTreeSet, HashMap};

use super::connection::Connection;
use crate::id::ParticipantId;
use crate::protocol::room::Level;
use crate::room::state::Input;

/// Levels are sent at every second call of [`PacketSpeakers::levels`]: five times a second.
const LEVELS_EVERY: u32 = 2;

/// The speakers that were last reported to the state.
#[derive(Debug, Default)]
pub(crate) struct PacketSpeakers {
    /// `None` until the first report after a mixer.
    reported: Option<BTreeSet<ParticipantId>>,
    calls: u32,
}

impl PacketSpeakers {
    /// Forgets the last report, as a mixer detects speakers from now on.
    pub(crate) fn hand_over(&mut self) {
        self.reported = None;
    }

    /// The input that reports who speaks, if that has changed. To be called ten times a second
    /// while no mixer runs.
    pub(crate) fn listen(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
    ) -> Option<Input> {
        let speaks = connections
            .iter()
            .filter(|(_, connection)| connection.speaks());
        let speaking: BTreeSet<ParticipantId> = speaks.map(|(who, _)| *who).collect();
        if self.reported.as_ref() == Some(&speaking) {
            return None;
        }
        self.reported = Some(speaking.clone());
        Some(Input::Speaking(speaking))
    }

    /// The levels of all microphones whose packets carry one. Empty while nobody speaks, and at
    /// every second call.
    pub(crate) fn levels(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
    ) -> Vec<Level> {
        self.calls = (self.calls + 1) % LEVELS_EVERY;
        let anybody = self
            .reported
            .as_ref()
            .is_some_and(|reported| !reported.is_empty());
        if self.calls != 0 || !anybody {
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
