//! One of the people as they should be: what they send, what they get, whether they are heard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::codec::VideoCodec;
use tessera::id::{ParticipantId, Rid, Role};
use tessera::media::bwe::fec::FecController;
use tessera::protocol::room::{Limits, ParticipantState, UplinkState};
use tessera::room::{Downlinks, Reach};
use tessera::topology::Mode;

use crate::room::ways::{Course, Kind, Way};

const VANISH: Duration = Duration::from_secs(3);
const FORGIVEN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Voice {
    Silent,
    Heard,
    HeardUntil(Duration),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Uplink {
    pub(crate) codec: Option<VideoCodec>,
    /// The encodings that have begun, and since when each is silent.
    pub(crate) layers: BTreeMap<usize, Option<Duration>>,
    /// What they are called, if there can be several.
    pub(crate) rids: Vec<Rid>,
    pub(super) by_owner: bool,
    pub(super) by_operator: bool,
    /// The last failure of its decoder: when, and the pause after it.
    pub(super) failure: Option<(Duration, Duration)>,
}

impl Uplink {
    pub(crate) fn began(&self) -> bool {
        !self.layers.is_empty()
    }

    /// Since when nothing comes of any encoding.
    fn silent_since(&self) -> Option<Duration> {
        let all: Option<Vec<Duration>> = self.layers.values().copied().collect();
        all?.into_iter().max()
    }

    /// The encodings that flow; if none does, those that ever did.
    pub(crate) fn best(&self) -> BTreeSet<usize> {
        let flowing = self.layers.iter().filter(|(_, silent)| silent.is_none());
        let flowing: BTreeSet<usize> = flowing.map(|(n, _)| *n).collect();
        match flowing.is_empty() {
            true => self.layers.keys().copied().collect(),
            false => flowing,
        }
    }

    pub(super) fn restart_silence(&mut self, now: Duration) {
        for silent in self.layers.values_mut().flatten() {
            *silent = now;
        }
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.by_owner || self.by_operator
    }

    pub(crate) fn is_live(&self) -> bool {
        self.began() && !self.is_muted()
    }

    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        let decodable = self.failure.is_none_or(|(at, pause)| now >= at + pause);
        self.is_live() && decodable
    }

    pub(super) fn fail(&mut self, now: Duration) {
        let pause = match self.failure {
            Some((at, pause)) if now < at + FORGIVEN => (pause * 2).min(Duration::from_secs(8)),
            _ => Duration::from_millis(250),
        };
        self.failure = Some((now, pause));
    }

    fn view(&self, upstream_paused: bool) -> UplinkState {
        match (self.is_muted(), self.began(), self.silent_since()) {
            (true, ..) => UplinkState::Muted,
            (_, false, _) => UplinkState::None,
            (_, _, Some(_)) if !upstream_paused => UplinkState::Stalled,
            _ => UplinkState::Live,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    /// Whether their hand is raised.
    pub(crate) hand: bool,
    pub(super) joined_at: Duration,
    pub(crate) connected: bool,
    pub(super) lost_at: Option<Duration>,
    pub(crate) uplinks: BTreeMap<Role, Uplink>,
    pub(crate) downlinks: Downlinks,
    pub(crate) voice: Voice,
    /// When they were last known to have been heard, apart from now.
    pub(crate) spoke: Option<Duration>,
    pub(super) reach: Reach,
    /// The mode of their own.
    pub(crate) own: Option<Mode>,
    pub(super) limits: Limits,
    /// Whose voice is theirs, if not their own.
    pub(crate) own_voice: Option<ParticipantId>,
    /// Their link has been heard of: what they get is for properties of its own.
    pub(crate) estimated: bool,
    /// What is lost on the way to them, and what should protect their sound.
    pub(crate) fec: FecController,
    pub(crate) mesh: BTreeSet<ParticipantId>,
    pub(crate) courses: BTreeMap<Kind, Course>,
    /// Nothing that they send is needed.
    pub(crate) upstream_paused: bool,
}

impl Person {
    pub(super) fn new(name: String, reach: Reach, now: Duration) -> Self {
        Self {
            name,
            hand: false,
            joined_at: now,
            connected: false,
            lost_at: None,
            uplinks: BTreeMap::new(),
            downlinks: Downlinks::default(),
            voice: Voice::Silent,
            spoke: None,
            reach,
            own: None,
            limits: Limits::default(),
            own_voice: None,
            estimated: false,
            fec: FecController::default(),
            mesh: BTreeSet::new(),
            courses: Kind::BOTH.map(|kind| (kind, Course::default())).into(),
            upstream_paused: false,
        }
    }

    pub(crate) fn is_usable(&self, role: Role, now: Duration) -> bool {
        self.uplinks.get(&role).is_some_and(|u| u.is_usable(now))
    }

    /// Whether they have a tile, if there is room for it.
    pub(crate) fn is_present(&self, now: Duration) -> bool {
        let delivered = || self.uplinks.values().filter(|u| u.began());
        let gone =
            |u: &Uplink| !u.by_owner && u.silent_since().is_some_and(|at| now >= at + VANISH);
        let vanished = !self.upstream_paused && delivered().count() > 0 && delivered().all(gone);
        self.connected && !self.uplinks.is_empty() && !vanished
    }

    /// Until now they were silent because nobody needed them.
    pub(crate) fn silence_counts_from(&mut self, now: Duration) {
        for uplink in self.uplinks.values_mut() {
            uplink.restart_silence(now);
        }
    }

    pub(crate) fn is_speaking(&self) -> bool {
        self.voice == Voice::Heard
    }

    /// Whether they are heard without themselves, if mixed: they speak, or did just now.
    pub(crate) fn spoke_just_now(&self, now: Duration) -> bool {
        match self.voice {
            Voice::Silent => false,
            Voice::Heard => true,
            Voice::HeardUntil(until) => now < until,
        }
    }

    /// Whether the others can call them.
    pub(crate) fn is_callable(&self) -> bool {
        self.connected && self.reach == Reach::Signalling && !self.uplinks.is_empty()
    }

    /// Whether they are the end of any chance to do without the server.
    pub(super) fn forbids_mesh(&self) -> bool {
        self.reach == Reach::HttpOnly || (self.connected && self.uplinks.is_empty())
    }

    /// Whether they get this kind of media by this way, or are about to.
    pub(crate) fn uses(&self, kind: Kind, way: Way) -> bool {
        self.connected && self.courses[&kind].uses(way)
    }

    pub(super) fn needs_mix(&self) -> bool {
        let needs = |kind| self.has_mix(kind) && self.uses(kind, Way::Mix);
        Kind::BOTH.into_iter().any(needs)
    }

    pub(crate) fn has_mix(&self, kind: Kind) -> bool {
        match kind {
            Kind::Picture => self.downlinks.mix_video.is_some(),
            Kind::Sound => self.downlinks.mix_audio,
        }
    }

    pub(crate) fn has_forwards(&self, kind: Kind) -> bool {
        match kind {
            Kind::Picture => !self.downlinks.forward_video.is_empty(),
            Kind::Sound => !self.downlinks.forward_audio.is_empty(),
        }
    }

    pub(crate) fn view(&self, id: ParticipantId) -> ParticipantState {
        let uplink = |role| {
            self.uplinks.get(&role).map_or(UplinkState::None, |uplink| {
                uplink.view(self.upstream_paused)
            })
        };
        ParticipantState {
            id,
            name: self.name.clone(),
            speaking: self.is_speaking(),
            hand: self.hand,
            mic: uplink(Role::Mic),
            camera: uplink(Role::Camera),
            screen: uplink(Role::Screen),
            viewer: self.uplinks.is_empty(),
            connected: self.connected,
            view: self.own,
        }
    }
}
