//! Active speakers by the audio levels in their packets (RFC 6464), reported to the room's state
//! while no mixer detects them. Microphones whose packets carry none are measured.

use std::collections::{BTreeSet, HashMap};

use super::connection::Connection;
use crate::id::{ParticipantId, Role, SourceId};
use crate::media::gst::pipeline::running_time;
use crate::media::gst::template::Templates;
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
        templates: &Templates,
        is_live: impl Fn(ParticipantId) -> bool,
    ) {
        let now = running_time();
        let unmeasured = |who: &ParticipantId| {
            let connection = connections.get(who).filter(|_| is_live(*who))?;
            connection.unmeasured_microphone()
        };
        self.meters.retain(|who, meter| {
            unmeasured(who).is_some_and(|tap| meter.is_of(tap)) && !meter.is_to_be_replaced(now)
        });
        for who in connections.keys() {
            let tap = unmeasured(who).filter(|_| !self.meters.contains_key(who));
            let Some(tap) = tap else {
                continue;
            };
            let source = SourceId {
                participant: *who,
                role: Role::Mic,
            };
            match LevelMeter::start(templates, source, tap) {
                Ok(meter) => _ = self.meters.insert(*who, meter),
                Err(error) => tracing::debug!(%source, %error, "level is not measured"),
            }
        }
        for meter in self.meters.values_mut() {
            meter.measure(now);
        }
    }

    /// The input that reports who speaks, if that has changed. `is_live` is whether somebody is
    /// connected and may be heard. To be called ten times a second
    /// while no mixer runs.
    pub(crate) fn listen(
        &mut self,
        connections: &HashMap<ParticipantId, Connection>,
        templates: &Templates,
        is_live: impl Fn(ParticipantId) -> bool,
    ) -> Option<Input> {
        self.measure(connections, templates, is_live);
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
