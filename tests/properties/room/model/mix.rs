//! What of a mix everybody should get, and what recordings should be fed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::admission::Pressure;
use tessera::codec::VideoCodec;
use tessera::id::ParticipantId;
use tessera::id::SourceId;
use tessera::media::bwe::ladder::{Rung, RungSpec};
use tessera::media::mixer::{MixMinus, Output};
use tessera::protocol::recording::{RecordingId, Subject};
use tessera::room::state::wiring::{Downlink, Feed, Tracked};

use super::{Model, Person};
use crate::room::ways::{Kind, Way};

impl Model {
    pub(crate) fn wants_mixer(&self, now: Duration) -> bool {
        let needed = self.is_mix_recorded() || self.people.values().any(Person::needs_mix);
        now >= self.mixer_rests_until && needed
    }

    pub(crate) fn is_mix_recorded(&self) -> bool {
        let mixed = |(subject, _): &(Subject, Duration)| *subject != Subject::Tracks;
        self.recordings.values().any(mixed)
    }

    /// What a recording's picture and sound are to be taken from.
    pub(crate) fn recorded(&self, now: Duration, id: &RecordingId) -> [Option<Output>; 2] {
        let works = |output: &Output| !self.has_failed(*output, now);
        let codec = self
            .recordings
            .get(id)
            .and_then(|(subject, _)| match subject {
                Subject::Mix(format) => Some(format.video()),
                Subject::Tracks => None,
            });
        let renditions = codec.flatten().map(|codec| self.renditions(codec));
        let picture = renditions.and_then(|all| all.into_iter().find(works));
        let sound = codec.map(|_| Output::Sound(MixMinus::Nobody)).filter(works);
        [picture, sound]
    }

    /// The uplinks that a recording is to have as they come, and whether they are written now.
    pub(crate) fn tracked(&self, id: &RecordingId) -> BTreeMap<SourceId, Tracked> {
        let all = self.people.iter().filter(|(_, person)| person.connected);
        let uplinks = all.flat_map(|(who, person)| {
            let uplinks = person.uplinks.iter();
            uplinks.map(|(role, uplink)| ((*who, *role), uplink))
        });
        let tracked = uplinks.filter(|(_, uplink)| uplink.began());
        let tracked = tracked.map(|((participant, role), uplink)| {
            let tracked = match uplink.is_muted() {
                true => Tracked::Muted,
                false => Tracked::Live,
            };
            (SourceId { participant, role }, tracked)
        });
        match self.recordings.get(id) {
            Some((Subject::Tracks, _)) => tracked.collect(),
            _ => BTreeMap::new(),
        }
    }

    /// What of the mix feeds a slot of somebody who has a peer.
    pub(crate) fn mix_feed(
        &self,
        now: Duration,
        who: ParticipantId,
        slot: Downlink,
    ) -> Option<Output> {
        let person = self.people.get(&who)?;
        let output = match slot {
            Downlink::Video if person.uses(Kind::Picture, Way::Mix) => {
                let renditions = self.renditions(person.downlinks.mix_video?);
                let wanted = self.rung(person, person.downlinks.mix_video?, now);
                let (above, below) = renditions.split_at(wanted);
                let mut choice = below.iter().chain(above.iter().rev()).copied();
                return match self.wants_mixer(now) {
                    true => choice.find(|output| !self.has_failed(*output, now)),
                    false => None,
                };
            }
            Downlink::Audio
                if person.has_mix(Kind::Sound) && person.uses(Kind::Sound, Way::Mix) =>
            {
                let voice = person.own_voice.unwrap_or(who);
                let speaker = self.people.get(&voice);
                Output::Sound(match speaker.is_some_and(|p| p.spoke_just_now(now)) {
                    true => MixMinus::Participant(voice),
                    false => MixMinus::Nobody,
                })
            }
            _ => return None,
        };
        (self.wants_mixer(now) && !self.has_failed(output, now)).then_some(output)
    }

    /// Whether a feed is as good as another one for a viewer whose link has been heard of: it may
    /// be worse than what they want, for the link's sake.
    pub(crate) fn will_do(
        &self,
        now: Duration,
        who: ParticipantId,
        fed: Feed,
        wanted: Output,
    ) -> bool {
        let Feed::Output(fed) = fed else {
            return false;
        };
        match (fed, wanted) {
            (Output::Video { codec, rung }, Output::Video { codec: same, .. }) => {
                let person = &self.people[&who];
                let wanted = self.rung(person, codec, now);
                let wanted = Rung(u8::try_from(wanted).expect("a handful"));
                let known = self.settings.ladder.spec(rung).is_some();
                let above = self.renditions(codec)[..usize::from(wanted.0)].to_vec();
                // Above it only if all below have failed.
                person.estimated
                    && codec == same
                    && known
                    && (!above.contains(&fed) || !self.failed.is_empty())
            }
            _ => false,
        }
    }

    /// All renditions in a codec, the best first.
    pub(crate) fn renditions(&self, codec: VideoCodec) -> Vec<Output> {
        let rungs = self.settings.ladder.rungs();
        rungs
            .map(|(rung, _)| Output::Video { codec, rung })
            .collect()
    }

    /// Frames a second of the composite: all, two thirds, or half.
    pub(crate) fn fps(&self) -> u32 {
        match self.pressure {
            Pressure::None => self.settings.fps,
            Pressure::FrameRate => self.settings.fps * 2 / 3,
            _ => self.settings.fps / 2,
        }
    }

    /// Which of the moving rungs nobody is to watch, however good their link: the full size, then
    /// every other one from the last up, which all keep.
    fn withheld(&self) -> BTreeSet<usize> {
        let moving = self.settings.ladder.rungs().count() - 1;
        let below_the_last = |n: &usize| *n + 1 < moving;
        let withheld = |n: &usize| match self.pressure {
            Pressure::Size => *n == 0,
            Pressure::Rungs => *n == 0 || !(moving - 1 - *n).is_multiple_of(2),
            _ => false,
        };
        let candidates = (0..moving).filter(below_the_last);
        candidates.filter(withheld).collect()
    }

    /// Which of them somebody should have: what they want, or the next one below that is not
    /// withheld, or is recorded anyway.
    fn rung(&self, person: &Person, codec: VideoCodec, now: Duration) -> usize {
        let withheld = self.withheld();
        let all = self.renditions(codec);
        let takes = self.recordings.keys();
        let recorded: Vec<_> = takes.filter_map(|id| self.recorded(now, id)[0]).collect();
        let fits = |n: &usize| !withheld.contains(n) || recorded.contains(&all[*n]);
        let wanted = self.wanted_rung(person)..all.len();
        wanted.into_iter().find(fits).expect("the still")
    }

    fn wanted_rung(&self, person: &Person) -> usize {
        let limits = person.limits;
        let specs: Vec<_> = self
            .settings
            .ladder
            .rungs()
            .map(|(_, spec)| *spec)
            .collect();
        let fits = |spec: &RungSpec| {
            let whole = spec.most + self.settings.audio_bitrate;
            let low = limits.max_height.is_none_or(|max| spec.size.height <= max);
            low && limits.max_bitrate.is_none_or(|max| whole <= max)
        };
        let still = specs.len() - 1;
        match limits.audio_only {
            true => still,
            false => specs.iter().position(fits).unwrap_or(still),
        }
    }

    /// Whether an encoding failed a moment ago, or all of them with the mixer.
    pub(crate) fn has_failed(&self, output: Output, now: Duration) -> bool {
        let resting = now < self.mixer_rests_until;
        resting || self.failed.get(&output).is_some_and(|until| now < *until)
    }
}
