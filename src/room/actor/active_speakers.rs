//! Who is heard while no mixer listens: what the packets themselves say (RFC 6464).

use std::collections::{BTreeSet, HashMap};

use super::connection::Member;
use crate::id::ParticipantId;
use crate::protocol::room::Level;
use crate::room::state::Input;

/// Levels are told every other time somebody listens: five times a second.
const LEVELS_EVERY: u32 = 2;

/// What was last reported to the room's state, by the mixer or from the packets.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    heard: BTreeSet<ParticipantId>,
    beats: u32,
}

impl Ears {
    /// Notes what a mixer reports.
    pub(crate) fn note(&mut self, who: ParticipantId, heard: bool) {
        match heard {
            true => self.heard.insert(who),
            false => self.heard.remove(&who),
        };
    }

    /// A mixer begins to listen. It reports only who is heard from then on, so nobody is.
    pub(crate) fn hand_over(&mut self) -> Vec<Input> {
        let heard = std::mem::take(&mut self.heard);
        let silent = |who| Input::Heard(who, false);
        heard.into_iter().map(silent).collect()
    }

    /// What has changed since, by the packets of those who are `live`. To be called ten times a
    /// second while no mixer listens.
    pub(crate) fn listen(
        &mut self,
        members: &HashMap<ParticipantId, Member>,
        live: impl Fn(ParticipantId) -> bool,
    ) -> Vec<Input> {
        let speaking: BTreeSet<ParticipantId> = members
            .iter()
            .filter(|(who, member)| member.speaks() && live(**who))
            .map(|(who, _)| *who)
            .collect();
        let stopped = self.heard.difference(&speaking);
        let began = speaking.difference(&self.heard);
        let changes = stopped
            .map(|who| Input::Heard(*who, false))
            .chain(began.map(|who| Input::Heard(*who, true)))
            .collect();
        self.heard = speaking;
        changes
    }

    /// The levels of all microphones that tell theirs, when they are due.
    pub(crate) fn levels(&mut self, members: &HashMap<ParticipantId, Member>) -> Vec<Level> {
        self.beats = (self.beats + 1) % LEVELS_EVERY;
        if self.beats != 0 || self.heard.is_empty() {
            return Vec::new();
        }
        let level = |(who, member): (&ParticipantId, &Member)| {
            let dbov = member.level()?;
            Some(Level {
                participant: *who,
                dbov,
            })
        };
        members.iter().filter_map(level).collect()
    }
}
