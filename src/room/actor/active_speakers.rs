//! Active speakers by the audio levels in their packets (RFC 6464), reported to the room's state
//! while no mixer detects them. Microphones whose packets carry none are measured.

use std::collections::{BTreeSet, HashMap};

use super::connection::Connection;
use crate::id::{ParticipantId, Role, SourceId};
use crate::media::mixer::level_meter::LevelMeter;
use crate::protocol::room::Level;
use crate::room::state::Input;

/// Levels are sent at every second call of [`PacketSpeakers::levels`]: five times a second.
const LEVELS_EVERY: u32 = 2;

/// The speakers that were last reported to the state.
#[derive(Debug, Default)]
pub(crate) struct PacketSpeakers {
    /// `None` until the first report after a mixer.
    reported: Option<BTreeSet<ParticipantId>>,
    /// Decoders of the microphones whose packets say nothing.
    meters: HashMap<ParticipantId, LevelMeter>,
    calls: u32,
}

impl PacketSpeakers {
    /// Forgets the last report, as a mixer detects speakers from now on.
    pub(crate) fn hand_over(&mut self) {
        self.reported = None;
        self.meters.clear();
    }

    /// Measures the live microphones whose packets do not say how loud they are.
    fn measure(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
        is_live: impl Fn(ParticipantId) -> bool,
    ) {
        let unmeasured = |who: &ParticipantId| {
            let connection = connections.get(who).filter(|_| is_live(*who))?;
            connection.unmeasured_microphone()
        };
        self.meters
            .retain(|who, meter| unmeasured(who).is_some_and(|tap| meter.is_of(tap)));
        for who in connections.keys() {
            let tap = unmeasured(who).filter(|_| !self.meters.contains_key(who));
            let Some(tap) = tap else {
                continue;
            };
            let source = SourceId {
                participant: *who,
                role: Role::Mic,
            };
            match LevelMeter::start(source, tap) {
                Ok(meter) => _ = self.meters.insert(*who, meter),
                Err(error) => tracing::debug!(%source, %error, "level is not measured"),
            }
        }
    }

    /// The input that reports who speaks, if that has changed. `is_live` is whether somebody is
    /// connected and may be heard. To be called ten times a second
    /// while no mixer runs.
    pub(crate) fn listen(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
        is_live: impl Fn(ParticipantId) -> bool,
    ) -> Option<Input> {
        self.measure(connections, is_live);
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

    /// The levels of all microphones, as packets tell or as they are measured. Empty while nobody speaks, and at
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::layout::DominantSpeaker;
    use crate::media::stream::audio_level::AudioLevel;

    /// Audio levels, -dBov, of each 20 ms of the voices in `assets/media`, as a sender tells them.
    const RECORDED: &str = include_str!("../../../tests/data/levels.json");
    const PACKET: Duration = Duration::from_millis(20);
    /// A quiet room, -dBov.
    const ROOM: u8 = 68;

    /// Microphones of a room, each with what it hears and from when on.
    struct Replay {
        microphones: Vec<Vec<(Duration, Vec<u8>)>>,
    }

    impl Replay {
        /// Who has the spotlight, and since when, until `end`.
        fn dominant(&self, end: Duration) -> Vec<(Duration, u32)> {
            let levels: Vec<AudioLevel> = self
                .microphones
                .iter()
                .map(|_| AudioLevel::unsaid())
                .collect();
            let mut dominant = DominantSpeaker::default();
            let mut history: Vec<(Duration, u32)> = Vec::new();
            let mut now = Duration::ZERO;
            while now < end {
                let clock = gst::ClockTime::try_from(now).expect("short");
                for (level, pieces) in levels.iter().zip(&self.microphones) {
                    level.measured(-f32::from(heard(pieces, now)), clock);
                }
                let speaking = (1..)
                    .zip(&levels)
                    .filter(|(_, level)| level.is_speaking(clock));
                let speaking = speaking.map(|(n, _)| ParticipantId::new(n));
                dominant.update(now, speaking, |_| true);
                let who = dominant.who().map(ParticipantId::ordinal);
                if let Some(who) = who.filter(|who| history.last().map(|last| last.1) != Some(*who))
                {
                    history.push((now, who));
                }
                now += PACKET;
            }
            history
        }
    }

    fn heard(pieces: &[(Duration, Vec<u8>)], now: Duration) -> u8 {
        let piece = pieces.iter().rev().find(|(start, _)| *start <= now);
        let level = piece.and_then(|(start, levels)| {
            let n = (now - *start).as_millis() / PACKET.as_millis();
            levels.get(n as usize)
        });
        level.map_or(ROOM, |level| (*level).min(ROOM))
    }

    fn voice(n: u32) -> Vec<u8> {
        let all: HashMap<String, Vec<u8>> = serde_json::from_str(RECORDED).expect("levels");
        all[&format!("voice-{n}")].clone()
    }

    #[test]
    fn recorded_voices_take_turns_and_who_coughs_takes_none() {
        let s = Duration::from_secs;
        let cough = || vec![12; 3];
        let ada = vec![(s(1), voice(1)), (s(40), cough())];
        // She speaks for 14 s, with pauses of half a second; he coughs in one of them, and agrees.
        let agrees = voice(2)[..19].to_vec();
        let ben = vec![(s(3), cough()), (s(8), agrees), (s(18), voice(2))];
        let cleo = vec![(s(11), cough()), (s(36), voice(3))];
        let replay = Replay {
            microphones: vec![ada, ben, cleo],
        };
        let history = replay.dominant(s(52));
        let who: Vec<u32> = history.iter().map(|(_, who)| *who).collect();
        assert_eq!(who, [1, 2, 3], "{history:?}");
        let delay = |n: usize, began: u64| history[n].0 - s(began);
        assert!(delay(0, 1) <= 3 * PACKET, "the first at once: {history:?}");
        let later = [delay(1, 18), delay(2, 36)];
        assert!(
            later
                .iter()
                .all(|delay| *delay <= Duration::from_millis(1100)),
            "{history:?}"
        );
    }

    #[test]
    fn who_talks_over_somebody_takes_their_turn() {
        let s = Duration::from_secs;
        let replay = Replay {
            microphones: vec![vec![(s(0), voice(1))], vec![(s(4), voice(3))]],
        };
        let history = replay.dominant(s(14));
        assert_eq!(history.len(), 2, "once, not back and forth: {history:?}");
        assert_eq!(history[1].1, 2);
    }
}
