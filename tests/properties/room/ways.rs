//! By which way everybody gets the others' pictures and voices, and how a change of that goes,
//! as the protocol has it: what was shown goes on until what replaces it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use tessera::id::SourceId;
use tessera::id::{ParticipantId, Role};
use tessera::media::mixer::Content;
use tessera::room::state::wiring::Downlink;
use tessera::topology::Mode;

use super::model::{Model, Person};
use super::world::{Mixer, Peer};

/// A new way that does not deliver gets this long.
pub(crate) const LIMIT: Duration = Duration::from_millis(1500);
/// Voices to be forwarded get this long: whoever pauses may send nothing.
const VOICES: Duration = Duration::from_millis(200);
/// The mix gets this long for voices: whoever spoke just now may have stopped.
const SPEAKERS: Duration = Duration::from_millis(600);
/// The mix delivers this long before somebody can be heard in it,
const HEARD_AFTER: Duration = Duration::from_millis(120);
/// and before somebody can be seen in it.
const SEEN_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Picture,
    Sound,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Picture, Self::Sound];

    pub(crate) fn of(slot: Downlink) -> Self {
        match slot {
            Downlink::Video | Downlink::ForwardVideo(_) => Self::Picture,
            Downlink::Audio | Downlink::ForwardAudio(_) => Self::Sound,
        }
    }

    fn mix(self) -> Downlink {
        match self {
            Self::Picture => Downlink::Video,
            Self::Sound => Downlink::Audio,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Mix,
    Forward,
    /// From the others themselves.
    Mesh,
}

impl Way {
    /// By which way a slot is served.
    pub(crate) fn of(slot: Downlink) -> Self {
        match slot {
            Downlink::Video | Downlink::Audio => Self::Mix,
            Downlink::ForwardVideo(_) | Downlink::ForwardAudio(_) => Self::Forward,
        }
    }
}

/// The way somebody gets media by, and the one that is to replace it, since when.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    pub(crate) by: Option<Way>,
    pub(crate) next: Option<(Way, Duration)>,
}

impl Course {
    pub(crate) fn uses(self, way: Way) -> bool {
        self.by == Some(way) || self.next.is_some_and(|(next, _)| next == way)
    }

    fn want(&mut self, way: Way, now: Duration) {
        match self.by {
            // Nothing to keep up, or nothing that the server could.
            None | Some(Way::Mesh) => (self.by, self.next) = (Some(way), None),
            Some(by) if by == way => self.next = None,
            _ if self.next.is_some_and(|(next, _)| next == way) => {}
            _ => self.next = Some((way, now)),
        }
    }
}

/// What is so in the world.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) peers: &'a BTreeMap<ParticipantId, Peer>,
    pub(crate) mixer: Option<&'a Mixer>,
}

impl Model {
    /// The way somebody is to get media by: as they want it, else as the room has it, as far as
    /// their m-lines allow.
    pub(crate) fn wanted(&self, person: &Person, kind: Kind) -> Way {
        let mode = match self.mode {
            Mode::P2p => return Way::Mesh,
            mode => person.own.unwrap_or(mode),
        };
        match (mode, person.has_mix(kind), person.has_forwards(kind)) {
            (_, true, false) => Way::Mix,
            (_, false, true) => Way::Forward,
            (Mode::Sfu, ..) => Way::Forward,
            _ => Way::Mix,
        }
    }

    /// The mode that somebody with forward slots is told.
    pub(crate) fn told(&self, person: &Person) -> Mode {
        let forwarded = |kind| {
            let slots = person.has_mix(kind) || person.has_forwards(kind);
            slots && self.wanted(person, kind) == Way::Forward
        };
        match self.mode {
            Mode::P2p => Mode::P2p,
            _ if Kind::BOTH.into_iter().any(forwarded) => Mode::Sfu,
            _ => Mode::Mcu,
        }
    }

    /// Who has everybody they can have directly.
    fn is_meshed(&self, who: ParticipantId, person: &Person) -> bool {
        let others = self.people.iter().filter(|(other, _)| **other != who);
        let mut callable = others.filter(|(_, p)| p.is_callable());
        callable.all(|(other, _)| person.mesh.contains(other))
    }

    /// Follows everybody's changes of way, once the input is carried out.
    pub(crate) fn follow(&mut self, now: Duration, facts: Facts<'_>) {
        let mut courses = BTreeMap::new();
        for (who, person) in self.people.iter().filter(|(_, p)| p.connected) {
            for kind in Kind::BOTH {
                let mut course = person.courses[&kind];
                course.want(self.wanted(person, kind), now);
                if let Some((way, since)) = course.next {
                    let there = match way {
                        Way::Mesh => self.is_meshed(*who, person).then_some(since),
                        Way::Forward => Some(forwards_deliver(&facts.peers[who], kind, since)),
                        Way::Mix => Some(mix_delivers(self, now, *who, kind, facts, since)),
                    };
                    if there.is_some_and(|at| at <= now) {
                        (course.by, course.next) = (Some(way), None);
                    }
                }
                courses.insert((*who, kind), course);
            }
        }
        for ((who, kind), course) in courses {
            let person = self.people.get_mut(&who).expect("somebody followed");
            person.courses.insert(kind, course);
        }
        self.excuse(now);
    }

    /// Nobody need send once all have each other directly.
    fn excuse(&mut self, now: Duration) {
        let direct = |p: &Person| {
            let mut courses = p.courses.values();
            courses.all(|course| course.by == Some(Way::Mesh) && course.next.is_none())
        };
        let mut connected = self.people.values().filter(|p| p.connected);
        let all_direct = self.mode == Mode::P2p && connected.all(direct);
        for person in self.people.values_mut() {
            let upstream_paused = all_direct && person.connected;
            if person.upstream_paused && !upstream_paused {
                person.silence_counts_from(now);
            }
            person.upstream_paused = upstream_paused;
        }
    }

    /// Until when a new way is given at most, if it was wanted since `since`.
    pub(crate) fn deadline(way: Way, kind: Kind, since: Duration) -> Option<Duration> {
        match (way, kind) {
            (Way::Mesh, _) => None,
            (Way::Forward, Kind::Sound) => Some(since + VOICES),
            (Way::Mix, Kind::Sound) => Some(since + SPEAKERS),
            _ => Some(since + LIMIT),
        }
    }

    /// Whether what somebody wants is there.
    pub(crate) fn is_there(
        &self,
        now: Duration,
        who: ParticipantId,
        kind: Kind,
        facts: Facts<'_>,
    ) -> bool {
        let person = &self.people[&who];
        let never = Duration::MAX - LIMIT;
        match self.wanted(person, kind) {
            Way::Mesh => self.is_meshed(who, person),
            Way::Forward => forwards_deliver(&facts.peers[&who], kind, never) <= now,
            Way::Mix => mix_delivers(self, now, who, kind, facts, never) <= now,
        }
    }
}

/// When all forward slots of a kind that are fed deliver, at the latest by the deadline.
fn forwards_deliver(peer: &Peer, kind: Kind, since: Duration) -> Duration {
    let limit = Model::deadline(Way::Forward, kind, since).expect("a limit");
    let fed = peer.slots.iter().filter(|(slot, state)| {
        Kind::of(**slot) == kind && Way::of(**slot) == Way::Forward && state.fed.is_some()
    });
    let opened: Option<Vec<Duration>> = fed.map(|(_, state)| state.opened).collect();
    opened.map_or(limit, |opened| {
        let last = opened.into_iter().max();
        last.unwrap_or_default().min(limit)
    })
}

/// When the mix delivers with everybody in it who should be, at the latest by the deadline.
fn mix_delivers(
    model: &Model,
    now: Duration,
    who: ParticipantId,
    kind: Kind,
    facts: Facts<'_>,
    since: Duration,
) -> Duration {
    let limit = Model::deadline(Way::Mix, kind, since).expect("a limit");
    if !model.people[&who].has_mix(kind) {
        return Duration::ZERO;
    }
    let slot = &facts.peers[&who].slots[&kind.mix()];
    let (Some(_), Some(opened), Some(mixer)) = (slot.fed, slot.opened, facts.mixer) else {
        return limit;
    };
    let awaited: Vec<SourceId> = match kind {
        Kind::Picture => {
            let pictures = mixer.scene.tiles.iter();
            let pictures = pictures.filter(|tile| tile.content == Content::Picture);
            pictures.map(|tile| tile.source).collect()
        }
        Kind::Sound => {
            let mics = mixer
                .sources
                .keys()
                .filter(|source| source.role == Role::Mic);
            let speaks = |s: &&SourceId| model.people[&s.participant].spoke_just_now(now);
            mics.filter(speaks).copied().collect()
        }
    };
    let after = match kind {
        Kind::Picture => SEEN_AFTER,
        Kind::Sound => HEARD_AFTER,
    };
    let mixed = awaited
        .iter()
        .map(|source| mixer.sources.get(source).and_then(|d| d.mixed));
    let mixed: Option<Vec<Duration>> = mixed.collect();
    let there = mixed.map(|mixed| mixed.into_iter().fold(opened, Duration::max) + after);
    there.map_or(limit, |at| at.min(limit))
}
