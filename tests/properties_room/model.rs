//! What should be, said a second time and as plainly as possible: who is in the room, what each
//! of them sends and receives, and what follows from an input. It knows nothing of wiring.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::id::{ParticipantId, Role};
use tessera::layout::LayoutKind;
use tessera::media::mixer::{Output, SourceId, Without};
use tessera::room::state::{Input, Lifetime, RequestId, Settings};
use tessera::room::view::{ByeReason, ParticipantState, UplinkState};
use tessera::room::wiring::Downlink;
use tessera::room::{Departure, Downlinks, Muter, RoomError};
use tessera::topology::Mode;

const CONNECT: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(4);
const VANISH: Duration = Duration::from_secs(3);
const LINGER: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(1);
const FORGIVEN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sound {
    Silent,
    Heard,
    HeardUntil(Duration),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Uplink {
    began: bool,
    silent_since: Option<Duration>,
    by_owner: bool,
    by_operator: bool,
    /// The last failure of its decoder: when, and the pause after it.
    failure: Option<(Duration, Duration)>,
}

impl Uplink {
    pub(crate) fn is_muted(&self) -> bool {
        self.by_owner || self.by_operator
    }

    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        let decodable = self.failure.is_none_or(|(at, pause)| now >= at + pause);
        self.began && !self.is_muted() && decodable
    }

    fn fail(&mut self, now: Duration) {
        let pause = match self.failure {
            Some((at, pause)) if now < at + FORGIVEN => (pause * 2).min(Duration::from_secs(8)),
            _ => Duration::from_millis(250),
        };
        self.failure = Some((now, pause));
    }

    fn view(&self) -> UplinkState {
        match (self.is_muted(), self.began, self.silent_since) {
            (true, ..) => UplinkState::Muted,
            (_, false, _) => UplinkState::None,
            (_, _, None) => UplinkState::Live,
            _ => UplinkState::Stalled,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    joined_at: Duration,
    pub(crate) connected: bool,
    lost_at: Option<Duration>,
    pub(crate) uplinks: BTreeMap<Role, Uplink>,
    pub(crate) downlinks: Downlinks,
    pub(crate) sound: Sound,
}

impl Person {
    fn new(name: String, now: Duration) -> Self {
        Self {
            name,
            joined_at: now,
            connected: false,
            lost_at: None,
            uplinks: BTreeMap::new(),
            downlinks: Downlinks::default(),
            sound: Sound::Silent,
        }
    }

    pub(crate) fn is_usable(&self, role: Role, now: Duration) -> bool {
        self.uplinks.get(&role).is_some_and(|u| u.is_usable(now))
    }

    /// Whether they have a tile, if there is room for it.
    pub(crate) fn is_present(&self, now: Duration) -> bool {
        let delivered = || self.uplinks.values().filter(|u| u.began);
        let gone = |u: &Uplink| !u.by_owner && u.silent_since.is_some_and(|at| now >= at + VANISH);
        let vanished = delivered().count() > 0 && delivered().all(gone);
        self.connected && !self.uplinks.is_empty() && !vanished
    }

    fn has_slot(&self) -> bool {
        self.connected && (self.downlinks.mix_audio || self.downlinks.mix_video.is_some())
    }

    pub(crate) fn view(&self, id: ParticipantId) -> ParticipantState {
        let uplink = |role| {
            self.uplinks
                .get(&role)
                .map_or(UplinkState::None, Uplink::view)
        };
        ParticipantState {
            id,
            name: self.name.clone(),
            speaking: self.sound == Sound::Heard,
            mic: uplink(Role::Mic),
            camera: uplink(Role::Camera),
            screen: uplink(Role::Screen),
            viewer: self.uplinks.is_empty(),
            connected: self.connected,
        }
    }
}

/// What an input must bring about, the media apart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) settled: Vec<(RequestId, Result<(), RoomError>)>,
    pub(crate) started: Vec<(RequestId, ParticipantId)>,
    pub(crate) gone: Vec<(ParticipantId, ByeReason)>,
    pub(crate) closed: bool,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) people: BTreeMap<ParticipantId, Person>,
    pub(crate) pinned: Option<ParticipantId>,
    pub(crate) layout: LayoutKind,
    last_speaker: Option<ParticipantId>,
    mixer_rests_until: Duration,
    failed: BTreeMap<Output, Duration>,
    joined: u32,
    /// What the mixer decodes as the input comes: only that can fail.
    pub(crate) decoded: BTreeSet<SourceId>,
    pub(crate) over: bool,
}

impl Model {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            layout: settings.layout,
            settings,
            people: BTreeMap::new(),
            pinned: None,
            last_speaker: None,
            mixer_rests_until: Duration::ZERO,
            failed: BTreeMap::new(),
            joined: 0,
            decoded: BTreeSet::new(),
            over: false,
        }
    }

    pub(crate) fn take(&mut self, now: Duration, input: &Input) -> Outcome {
        let mut outcome = Outcome::default();
        if self.over {
            let closed = |request| (request, Err(RoomError::Closed));
            outcome.settled.extend(request_of(input).map(closed));
            return outcome;
        }
        self.change(now, input, &mut outcome);
        let overdue = |p: &Person| {
            let unconnected = !p.connected && now >= p.joined_at + CONNECT;
            unconnected || p.lost_at.is_some_and(|at| now >= at + GRACE)
        };
        let late = self.people.iter().filter(|(_, p)| overdue(p));
        for who in late.map(|(who, _)| *who).collect::<Vec<_>>() {
            self.remove(who, ByeReason::ConnectionFailed, &mut outcome);
        }
        if !self.wants_mixer(now) {
            self.people
                .values_mut()
                .for_each(|p| p.sound = Sound::Silent);
        }
        let unused = self.people.is_empty() && self.settings.lifetime == Lifetime::WhileUsed;
        self.over = unused;
        outcome.closed = unused;
        outcome
    }

    fn change(&mut self, now: Duration, input: &Input, outcome: &mut Outcome) {
        match input.clone() {
            Input::Join {
                request,
                name,
                takes_over,
            } => {
                self.join(now, request, name, takes_over, outcome);
            }
            Input::Answered {
                who,
                uplinks,
                downlinks,
            } => self.with(who, |person| {
                person.downlinks = downlinks;
                let fresh = uplinks.into_iter().map(|role| (role, Uplink::default()));
                person.uplinks.extend(fresh);
            }),
            Input::Connected(who) => self.with(who, |person| person.connected = true),
            Input::PeerLost(who, reason) => self.remove(who, reason, outcome),
            Input::Leave(who, Departure::Left) => self.remove(who, ByeReason::Left, outcome),
            Input::Leave(who, Departure::Removed) => self.remove(who, ByeReason::Removed, outcome),
            Input::Leave(who, Departure::SignallingLost) => {
                self.with(who, |person| _ = person.lost_at.get_or_insert(now));
            }
            Input::Close(reason) => {
                for who in self.people.keys().copied().collect::<Vec<_>>() {
                    self.remove(who, reason, outcome);
                }
                self.settings.lifetime = Lifetime::WhileUsed;
            }
            Input::Tick | Input::Chat(..) => {}
            other if request_of(&other).is_some() => self.ask(now, other, outcome),
            media => self.media(now, media),
        }
    }

    fn join(
        &mut self,
        now: Duration,
        request: RequestId,
        name: String,
        takes_over: Option<ParticipantId>,
        outcome: &mut Outcome,
    ) {
        let who = match takes_over.filter(|who| self.people.contains_key(who)) {
            Some(who) => {
                outcome.gone.push((who, ByeReason::Replaced));
                who
            }
            None if self.people.len() >= self.settings.max_participants => {
                let limit = self.settings.max_participants;
                outcome
                    .settled
                    .push((request, Err(RoomError::Full { limit })));
                return;
            }
            None => {
                self.joined += 1;
                ParticipantId::new(self.joined)
            }
        };
        self.people.insert(who, Person::new(name, now));
        outcome.started.push((request, who));
    }

    fn remove(&mut self, who: ParticipantId, reason: ByeReason, outcome: &mut Outcome) {
        if self.people.remove(&who).is_some() {
            self.pinned = self.pinned.filter(|pinned| *pinned != who);
            self.last_speaker = self.last_speaker.filter(|speaker| *speaker != who);
            outcome.gone.push((who, reason));
        }
    }

    fn ask(&mut self, now: Duration, input: Input, outcome: &mut Outcome) {
        let known = |who: ParticipantId| match self.people.contains_key(&who) {
            true => Ok(()),
            false => Err(RoomError::NoSuchParticipant(who)),
        };
        let (request, answer) = match input {
            Input::SetMode(request, Mode::Mcu) => (request, Ok(())),
            Input::SetMode(request, mode) => {
                let answer = RoomError::ModeUnavailable(mode, "this version mixes only");
                (request, Err(answer))
            }
            Input::SetLayout(request, layout) => {
                self.layout = layout;
                (request, Ok(()))
            }
            Input::Mute {
                request,
                who,
                role,
                by,
                muted,
            } => {
                let answer = known(who);
                self.with_uplink(who, role, |uplink| mute(uplink, now, by, muted));
                (request, answer)
            }
            Input::Pin(request, who) => {
                let answer = who.map_or(Ok(()), known);
                if answer.is_ok() {
                    self.pinned = who;
                }
                (request, answer)
            }
            Input::Rename(request, who, name) => {
                let answer = known(who);
                self.with(who, |person| person.name = name);
                (request, answer)
            }
            Input::Signal { request, to, .. } => (request, known(to)),
            other => unreachable!("{other:?} asks for nothing"),
        };
        outcome.settled.push((request, answer));
    }

    fn media(&mut self, now: Duration, input: Input) {
        match input {
            Input::UplinkBegan(who, role) => self.with_uplink(who, role, |uplink| {
                uplink.began = true;
                uplink.silent_since = None;
                uplink.failure = None;
            }),
            Input::UplinkFlows(who, role) => {
                self.with_uplink(who, role, |uplink| uplink.silent_since = None);
            }
            Input::UplinkSilent(who, role) => {
                self.with_uplink(who, role, |uplink| uplink.silent_since = Some(now));
            }
            Input::SourceFailed(source) if self.decoded.contains(&source) => {
                let SourceId { participant, role } = source;
                self.with_uplink(participant, role, |uplink| uplink.fail(now));
            }
            Input::Heard(who, true) if self.people.contains_key(&who) => {
                self.last_speaker = Some(who);
                self.with(who, |person| person.sound = Sound::Heard);
            }
            Input::Heard(who, false) => self.with(who, |person| {
                if person.sound == Sound::Heard {
                    person.sound = Sound::HeardUntil(now + LINGER);
                }
            }),
            Input::OutputFailed(output) => _ = self.failed.insert(output, now + RETRY),
            Input::MixerFailed => self.mixer_rests_until = now + RETRY,
            _ => {}
        }
    }

    fn with(&mut self, who: ParticipantId, change: impl FnOnce(&mut Person)) {
        self.people.get_mut(&who).map(change);
    }

    fn with_uplink(&mut self, who: ParticipantId, role: Role, change: impl FnOnce(&mut Uplink)) {
        self.with(who, |person| _ = person.uplinks.get_mut(&role).map(change));
    }

    pub(crate) fn wants_mixer(&self, now: Duration) -> bool {
        now >= self.mixer_rests_until && self.people.values().any(Person::has_slot)
    }

    /// What feeds a slot of somebody who has a peer.
    pub(crate) fn feed(&self, now: Duration, who: ParticipantId, slot: Downlink) -> Option<Output> {
        let person = self.people.get(&who).filter(|person| person.connected)?;
        let output = match slot {
            Downlink::Video => Output::Video(person.downlinks.mix_video?),
            Downlink::Audio if !person.downlinks.mix_audio => return None,
            Downlink::Audio => Output::Sound(match person.sound {
                Sound::Heard => Without::Participant(who),
                Sound::HeardUntil(until) if now < until => Without::Participant(who),
                _ => Without::Nobody,
            }),
        };
        let failed = self.failed.get(&output).is_some_and(|until| now < *until);
        (self.wants_mixer(now) && !failed).then_some(output)
    }

    /// Whoever wants a tile, in the order of joining, screens after their owner's camera.
    pub(crate) fn candidates(&self, now: Duration) -> Vec<SourceId> {
        let mut all = Vec::new();
        for (who, person) in self.people.iter().filter(|(_, p)| p.is_present(now)) {
            let source = |role| SourceId {
                participant: *who,
                role,
            };
            all.push(source(Role::Camera));
            if person.is_usable(Role::Screen, now) {
                all.push(source(Role::Screen));
            }
        }
        all
    }

    /// Who has the spotlight among `candidates`.
    pub(crate) fn star(&self, candidates: &[SourceId]) -> Option<SourceId> {
        let camera = |who: Option<ParticipantId>| {
            let of = |s: &&SourceId| Some(s.participant) == who && s.role == Role::Camera;
            candidates.iter().find(of)
        };
        let screen = || candidates.iter().find(|source| source.role == Role::Screen);
        let star = camera(self.pinned).or_else(screen);
        star.or_else(|| camera(self.last_speaker))
            .or(candidates.first())
            .copied()
    }
}

fn mute(uplink: &mut Uplink, now: Duration, by: Muter, muted: bool) {
    match by {
        Muter::Operator => uplink.by_operator = muted,
        Muter::Owner => {
            if uplink.by_owner && !muted && uplink.silent_since.is_some() {
                uplink.silent_since = Some(now);
            }
            uplink.by_owner = muted;
        }
    }
}

/// The request that an input must settle.
pub(crate) fn request_of(input: &Input) -> Option<RequestId> {
    match input {
        Input::Join { request, .. }
        | Input::Mute { request, .. }
        | Input::Signal { request, .. }
        | Input::SetMode(request, _)
        | Input::SetLayout(request, _)
        | Input::Pin(request, _)
        | Input::Rename(request, ..) => Some(*request),
        _ => None,
    }
}
