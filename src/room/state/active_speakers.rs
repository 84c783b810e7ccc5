//! Active speakers: as the mixer detects them where one runs, else by the audio levels in the
//! packets (RFC 6464); pure.

use std::time::Duration;

use super::State;
use super::wiring::Mixing;
use crate::id::ParticipantId;

impl State {
    /// Notes that a participant is heard from `now` on, or no longer.
    pub(crate) fn heard(&mut self, who: ParticipantId, heard: bool, now: Duration) {
        if let Some(participant) = self.participants.get_mut(&who) {
            participant.set_heard(heard, now);
        }
    }

    /// Finds who has the spotlight at `now`.
    pub(crate) fn find_dominant_speaker(&mut self, now: Duration) {
        let heard = self.participants.iter().filter(|(_, p)| p.is_heard());
        let present = |who| self.participants.contains_key(&who);
        self.dominant
            .update(now, heard.map(|(who, _)| *who), present);
    }

    /// Without a mixer: whoever speaks by their packets and is not muted is heard. Until the first
    /// report, the speakers that the last mixer detected stay.
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

    /// Notes that a mixer detects speakers from now on. It reports changes only, so nobody is heard
    /// at first.
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
