//! Who is heard: by the mixer where one runs, else by what the packets say (RFC 6464); pure.

use std::time::Duration;

use super::State;
use super::wiring::Mixing;
use crate::id::ParticipantId;

impl State {
    /// Somebody is heard from now on, or no longer.
    pub(crate) fn heard(&mut self, who: ParticipantId, heard: bool, now: Duration) {
        if let Some(participant) = self.participants.get_mut(&who) {
            participant.set_heard(heard, now);
            if heard {
                self.last_speaker = Some(who);
            }
        }
    }

    /// Where no mixer runs: who speaks by their packets and is not muted is heard. Until that has
    /// been told for the first time, those go on who were heard by the last mixer.
    pub(crate) fn listen_to_packets(&mut self, now: Duration) {
        let Some(speaking) = self.speaking.clone() else {
            return;
        };
        if self.wired.mixer != Mixing::None {
            return;
        }
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for who in everybody {
            let heard = speaking.contains(&who) && self.has_live_voice(who);
            if self.is_heard(who) != heard {
                self.heard(who, heard, now);
            }
        }
    }

    /// A mixer begins to listen. It reports only who is heard from then on, so nobody is.
    pub(crate) fn hand_over_to_mixer(&mut self, now: Duration) {
        self.speaking = None;
        for participant in self.participants.values_mut().filter(|p| p.is_heard()) {
            participant.set_heard(false, now);
        }
    }

    fn is_heard(&self, who: ParticipantId) -> bool {
        self.participants
            .get(&who)
            .is_some_and(|participant| participant.is_heard())
    }
}
