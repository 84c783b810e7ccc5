//! What should be, said a second time and as plainly as possible: who is in the room, what each
//! of them sends and receives, and what follows from an input. It knows nothing of wiring.

mod mix;
mod person;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::admission::{Busy, Pressure};
use tessera::id::SourceId;
use tessera::id::{ParticipantId, Role};
use tessera::layout::{DominantSpeaker, LayoutKind};
use tessera::media::bwe::fec::FecController;
use tessera::media::mixer::Output;
use tessera::protocol::recording::{RecordingId, Subject};
use tessera::protocol::room::{ByeReason, MeasuredPaths};
use tessera::room::state::{Input, Lifetime, RequestId, Settings};
use tessera::room::{Departure, MAX_RECORDINGS, Muter, Reach, Request, RoomError};
use tessera::topology::{Mode, Paths};

pub(crate) use person::{Person, Uplink, Voice};

const CONNECT: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(4);
const LINGER: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(1);
/// Most people in mode `p2p`.
const MESH: usize = 6;
/// What the words of a refusal are taken for: they are for people.
pub(crate) const WORDS: &str = "...";

/// What an input must bring about, the media apart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) settled: Vec<(RequestId, Result<(), RoomError>)>,
    pub(crate) started: Vec<(RequestId, ParticipantId)>,
    pub(crate) gone: Vec<(ParticipantId, ByeReason)>,
    pub(crate) closed: bool,
    /// Joins of which the server is asked, and in which mode.
    pub(crate) asked: Vec<(RequestId, Mode)>,
    /// Nothing follows, and nothing is looked at.
    pub(crate) ignored: bool,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) people: BTreeMap<ParticipantId, Person>,
    pub(crate) pinned: Option<ParticipantId>,
    pub(crate) layout: LayoutKind,
    pub(crate) mode: Mode,
    pub(crate) pressure: Pressure,
    /// What is being recorded, and since when.
    pub(crate) recordings: BTreeMap<RecordingId, (Subject, Duration)>,
    /// Joins that the server has yet to say something of.
    knocking: BTreeMap<RequestId, Person>,
    /// Who speaks by their packets, as told since the last mixer.
    speaking: Option<BTreeSet<ParticipantId>>,
    /// Whether a mixer runs as the input comes.
    pub(crate) has_mixer: bool,
    counted: Paths,
    dominant: DominantSpeaker,
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
            mode: settings.mode,
            pressure: settings.pressure,
            recordings: BTreeMap::new(),
            knocking: BTreeMap::new(),
            speaking: None,
            has_mixer: false,
            counted: Paths::default(),
            settings,
            people: BTreeMap::new(),
            pinned: None,
            dominant: DominantSpeaker::default(),
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
        if let Input::Loss(who, loss) = input
            && !self.lost(now, *who, *loss)
        {
            return Outcome {
                ignored: true,
                ..outcome
            };
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
        self.listen(now);
        let heard = self
            .people
            .iter()
            .filter(|(_, person)| person.is_speaking());
        let heard = heard.map(|(who, _)| *who);
        let present = |who| self.people.contains_key(&who);
        self.dominant.update(now, heard, present);
        let unused = self.people.is_empty()
            && self.knocking.is_empty()
            && self.settings.lifetime == Lifetime::WhileUsed;
        if unused {
            self.recordings.clear();
        }
        self.over = unused;
        outcome.closed = unused;
        outcome
    }

    fn change(&mut self, now: Duration, input: &Input, outcome: &mut Outcome) {
        match input.clone() {
            Input::Join {
                request,
                name,
                reach,
                mode_override,
                limits,
                own_voice,
                takes_over,
            } => {
                let mut person = Person::new(name, reach, now);
                (person.own, person.limits) = (mode_override, limits);
                person.own_voice = own_voice;
                if let Some(who) = own_voice.filter(|who| !self.people.contains_key(who)) {
                    let refused = Err(RoomError::NoSuchParticipant(who));
                    outcome.settled.push((request, refused));
                    return;
                }
                self.join(request, person, takes_over, outcome);
            }
            Input::Answered {
                who,
                uplinks,
                downlinks,
            } => self.with(who, |person| {
                person.fec = FecController::new(downlinks.mix_fec);
                person.downlinks = downlinks;
                let fresh = uplinks.into_iter().map(|(role, sends)| {
                    let uplink = Uplink {
                        codec: sends.codec,
                        rids: sends.rids,
                        ..Uplink::default()
                    };
                    (role, uplink)
                });
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
                for request in std::mem::take(&mut self.knocking).into_keys() {
                    outcome.settled.push((request, Err(RoomError::Closed)));
                }
                self.settings.lifetime = Lifetime::WhileUsed;
            }
            Input::RecorderEnds(id) => drop(self.recordings.remove(&id)),
            Input::Estimated(who, _) => self.with(who, |person| person.estimated = true),
            Input::Asked(request, asked) => self.ask(now, request, asked, outcome),
            Input::Admitted(request, admitted) => self.admitted(request, admitted, outcome),
            Input::Loss(..) | Input::Tick => {}
            Input::Speaking(speaking) => self.speaking = Some(speaking),
            media => self.media(now, media),
        }
    }

    fn join(
        &mut self,
        request: RequestId,
        person: Person,
        takes_over: Option<ParticipantId>,
        outcome: &mut Outcome,
    ) {
        match takes_over.filter(|who| self.people.contains_key(who)) {
            Some(who) => self.enter(request, person, Some(who), outcome),
            None => {
                let mode = match self.mode {
                    Mode::P2p => Mode::P2p,
                    mode => person.own.unwrap_or(mode),
                };
                outcome.asked.push((request, mode));
                self.knocking.insert(request, person);
            }
        }
    }

    fn admitted(&mut self, request: RequestId, admitted: Result<(), Busy>, outcome: &mut Outcome) {
        let Some(person) = self.knocking.remove(&request) else {
            return;
        };
        match admitted {
            Ok(()) => self.enter(request, person, None, outcome),
            Err(busy) => outcome.settled.push((request, Err(busy.into()))),
        }
    }

    fn enter(
        &mut self,
        request: RequestId,
        person: Person,
        taken: Option<ParticipantId>,
        outcome: &mut Outcome,
    ) {
        let limit = match self.mode {
            Mode::P2p => self.settings.max_participants.min(MESH),
            _ => self.settings.max_participants,
        };
        let no_p2p = person.own == Some(Mode::P2p)
            || (self.mode == Mode::P2p && person.reach == Reach::HttpOnly);
        let refusal = match taken {
            _ if no_p2p => Some(RoomError::ModeUnavailable(Mode::P2p, WORDS)),
            None if self.people.len() >= limit => Some(RoomError::Full { limit }),
            _ => None,
        };
        if let Some(refusal) = refusal {
            outcome.settled.push((request, Err(refusal)));
            return;
        }
        if let Some(who) = taken {
            outcome.gone.push((who, ByeReason::Replaced));
        }
        let who = taken.unwrap_or_else(|| {
            self.joined += 1;
            ParticipantId::new(self.joined)
        });
        self.people.insert(who, person);
        outcome.started.push((request, who));
    }

    fn remove(&mut self, who: ParticipantId, reason: ByeReason, outcome: &mut Outcome) {
        if self.people.remove(&who).is_some() {
            self.pinned = self.pinned.filter(|pinned| *pinned != who);
            for person in self.people.values_mut() {
                person.mesh.remove(&who);
            }
            outcome.gone.push((who, reason));
        }
    }

    fn ask(&mut self, now: Duration, request: RequestId, asked: Request, outcome: &mut Outcome) {
        let known = |who: ParticipantId| match self.people.contains_key(&who) {
            true => Ok(()),
            false => Err(RoomError::NoSuchParticipant(who)),
        };
        let answer = match asked {
            Request::Mode(mode) => self.set_mode(mode),
            Request::Record(id, subject) => {
                let answer = match self.recordings.len() {
                    _ if self.mode == Mode::P2p => Err(RoomError::NothingToRecord),
                    MAX_RECORDINGS => Err(RoomError::TooManyRecordings {
                        limit: MAX_RECORDINGS,
                    }),
                    _ => Ok(()),
                };
                if answer.is_ok() {
                    self.recordings.insert(id, (subject, now));
                }
                answer
            }
            Request::StopRecording(id) => {
                let stopped = self.recordings.remove(&id);
                stopped.map(drop).ok_or(RoomError::NoSuchRecording)
            }
            Request::View(who, own) => {
                let answer = match own {
                    Some(Mode::P2p) => {
                        known(who).and(Err(RoomError::ModeUnavailable(Mode::P2p, WORDS)))
                    }
                    _ => known(who),
                };
                if answer.is_ok() {
                    self.with(who, |person| person.own = own);
                }
                answer
            }
            Request::Layout(layout) => {
                self.layout = layout;
                Ok(())
            }
            Request::Limits(who, limits) => {
                let answer = known(who);
                self.with(who, |person| person.limits = limits);
                answer
            }
            Request::Mesh(who, receiving) => {
                let answer = known(who);
                let others = receiving.into_iter().filter(|other| *other != who);
                let others = others.filter(|other| self.people.contains_key(other));
                let mesh = others.collect();
                if self.mode == Mode::P2p {
                    self.with(who, |person| person.mesh = mesh);
                }
                answer
            }
            Request::Heights(who, _) | Request::Chat(who, _) => known(who),
            Request::Mute {
                who,
                role,
                by,
                muted,
            } => {
                let answer = known(who);
                self.with_uplink(who, role, |uplink| mute(uplink, now, by, muted));
                answer
            }
            Request::Pin(who) => {
                let answer = who.map_or(Ok(()), known);
                if answer.is_ok() {
                    self.pinned = who;
                }
                answer
            }
            Request::Hand(who, raised) => {
                let answer = known(who);
                self.with(who, |person| person.hand = raised);
                answer
            }
            Request::Rename(who, name) => {
                let answer = known(who);
                self.with(who, |person| person.name = name);
                answer
            }
            Request::Signal { from, to, .. } => match from == to {
                true => Err(RoomError::SignalToOneself),
                false => known(from).and(known(to)),
            },
        };
        outcome.settled.push((request, answer));
    }

    fn set_mode(&mut self, mode: Mode) -> Result<(), RoomError> {
        let mut people = self.people.values();
        let forbidden = !self.recordings.is_empty()
            || self.people.len() > MESH
            || people.any(Person::forbids_mesh);
        // Where it is so already there is nothing to refuse.
        if mode == Mode::P2p && self.mode != mode && forbidden {
            return Err(RoomError::ModeUnavailable(mode, WORDS));
        }
        if mode != Mode::P2p {
            self.people.values_mut().for_each(|p| p.mesh.clear());
        }
        self.mode = mode;
        Ok(())
    }

    fn media(&mut self, now: Duration, input: Input) {
        match input {
            Input::Counted(paths) => self.counted = paths,
            Input::Pressed(pressure) => self.pressure = pressure,
            Input::UplinkBegan(who, role, n) => self.with_uplink(who, role, |uplink| {
                if n < uplink.rids.len().max(1) {
                    uplink.layers.insert(n, None);
                    uplink.failure = None;
                }
            }),
            Input::UplinkFlows(who, role, n) => self.with_uplink(who, role, |uplink| {
                uplink.layers.entry(n).and_modify(|silent| *silent = None);
            }),
            Input::UplinkSilent(who, role, n) => self.with_uplink(who, role, |uplink| {
                uplink
                    .layers
                    .entry(n)
                    .and_modify(|silent| *silent = Some(now));
            }),
            Input::SourceFailed(source) if self.decoded.contains(&source) => {
                let SourceId { participant, role } = source;
                self.with_uplink(participant, role, |uplink| uplink.fail(now));
            }
            Input::Heard(who, true) => {
                self.with(who, |person| {
                    if person.voice == Voice::Heard {
                        person.spoke = Some(now);
                    }
                    person.voice = Voice::Heard;
                });
            }
            Input::Heard(who, false) => self.with(who, |person| {
                if person.voice == Voice::Heard {
                    person.voice = Voice::HeardUntil(now + LINGER);
                    person.spoke = Some(now);
                }
            }),
            Input::OutputFailed(output) => _ = self.failed.insert(output, now + RETRY),
            Input::MixerFailed => self.mixer_rests_until = now + RETRY,
            _ => {}
        }
    }

    /// Whether that changes what protects somebody's sound.
    fn lost(&mut self, now: Duration, who: ParticipantId, loss: Option<f32>) -> bool {
        let mut changed = false;
        self.with(who, |person| {
            let before = person.fec.fec();
            changed = person.fec.update(now, loss) != before;
        });
        changed
    }

    /// Where no mixer runs, those are heard whose packets say that they speak and whose microphone
    /// is on.
    fn listen(&mut self, now: Duration) {
        let Some(speaking) = self.speaking.clone().filter(|_| !self.has_mixer) else {
            return;
        };
        for who in self.people.keys().copied().collect::<Vec<_>>() {
            let person = &self.people[&who];
            let live = person.uplinks.get(&Role::Mic).is_some_and(Uplink::is_live);
            let heard = live && speaking.contains(&who);
            if person.is_speaking() != heard {
                self.media(now, Input::Heard(who, heard));
            }
        }
    }

    /// A mixer has begun, and says who is heard from now on.
    pub(crate) fn mixer_listens(&mut self, now: Duration) {
        self.speaking = None;
        for who in self.people.keys().copied().collect::<Vec<_>>() {
            self.media(now, Input::Heard(who, false));
        }
    }

    fn with(&mut self, who: ParticipantId, change: impl FnOnce(&mut Person)) {
        self.people.get_mut(&who).map(change);
    }

    fn with_uplink(&mut self, who: ParticipantId, role: Role, change: impl FnOnce(&mut Uplink)) {
        self.with(who, |person| _ = person.uplinks.get_mut(&role).map(change));
    }

    /// The paths by the arithmetic of the mode, and those that were counted.
    pub(crate) fn paths(&self) -> MeasuredPaths {
        let talks = |p: &&Person| p.connected && !p.uplinks.is_empty();
        let n = self.people.values().filter(talks).count() as u64;
        let outside = match self.mode {
            Mode::Mcu => 2 * n,
            Mode::Sfu => n * n,
            Mode::P2p => n * n.saturating_sub(1),
        };
        let direct: usize = self.people.values().map(|person| person.mesh.len()).sum();
        MeasuredPaths {
            expected: Paths { outside, inside: 0 },
            measured: Paths {
                outside: self.counted.outside + direct as u64,
                inside: self.counted.inside,
            },
        }
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
        if self.layout == LayoutKind::Grid {
            return screen().copied();
        }
        let star = camera(self.pinned).or_else(screen);
        star.or_else(|| camera(self.dominant.who()))
            .or(candidates.first())
            .copied()
    }
}

fn mute(uplink: &mut Uplink, now: Duration, by: Muter, muted: bool) {
    match by {
        Muter::Operator => uplink.by_operator = muted,
        Muter::Owner => {
            if uplink.by_owner && !muted {
                uplink.restart_silence(now);
            }
            uplink.by_owner = muted;
        }
    }
}

/// The request that an input must settle.
pub(crate) fn request_of(input: &Input) -> Option<RequestId> {
    match input {
        Input::Join { request, .. } | Input::Asked(request, _) => Some(*request),
        _ => None,
    }
}
