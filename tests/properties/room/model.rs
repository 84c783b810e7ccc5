//! What should be, said a second time and as plainly as possible: who is in the room, what each
//! of them sends and receives, and what follows from an input. It knows nothing of wiring.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tessera::admission::Pressure;
use tessera::archive::{RecordingId, Subject};
use tessera::config::VideoCodec;
use tessera::id::{ParticipantId, Rid, Role};
use tessera::layout::LayoutKind;
use tessera::media::ladder::{Rung, RungSpec};
use tessera::media::mixer::{Output, SourceId, Without};
use tessera::room::state::{Input, Lifetime, RequestId, Settings};
use tessera::room::view::{ByeReason, Limits, MeasuredPaths, ParticipantState, UplinkState};
use tessera::room::wiring::{Downlink, Feed, Tracked};
use tessera::room::{Departure, Downlinks, MAX_RECORDINGS, Muter, Reach, RoomError};
use tessera::topology::{Mode, Paths};

use super::ways::{Course, Kind, Way};

const CONNECT: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(4);
const VANISH: Duration = Duration::from_secs(3);
const LINGER: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(1);
const FORGIVEN: Duration = Duration::from_secs(30);
/// Most people in mode `p2p`.
const MESH: usize = 6;
/// What the words of a refusal are taken for: they are for people.
pub(crate) const WORDS: &str = "...";

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
    by_owner: bool,
    by_operator: bool,
    /// The last failure of its decoder: when, and the pause after it.
    failure: Option<(Duration, Duration)>,
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

    fn restart_silence(&mut self, now: Duration) {
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

    fn fail(&mut self, now: Duration) {
        let pause = match self.failure {
            Some((at, pause)) if now < at + FORGIVEN => (pause * 2).min(Duration::from_secs(8)),
            _ => Duration::from_millis(250),
        };
        self.failure = Some((now, pause));
    }

    fn view(&self, excused: bool) -> UplinkState {
        match (self.is_muted(), self.began(), self.silent_since()) {
            (true, ..) => UplinkState::Muted,
            (_, false, _) => UplinkState::None,
            (_, _, Some(_)) if !excused => UplinkState::Stalled,
            _ => UplinkState::Live,
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
    pub(crate) voice: Voice,
    /// When they were last known to have been heard, apart from now.
    pub(crate) spoke: Option<Duration>,
    reach: Reach,
    /// The mode of their own.
    pub(crate) own: Option<Mode>,
    limits: Limits,
    /// Their link has been heard of: what they get is for properties of its own.
    estimated: bool,
    pub(crate) mesh: BTreeSet<ParticipantId>,
    pub(crate) courses: BTreeMap<Kind, Course>,
    /// Nothing that they send is needed.
    pub(crate) excused: bool,
}

impl Person {
    fn new(name: String, reach: Reach, now: Duration) -> Self {
        Self {
            name,
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
            estimated: false,
            mesh: BTreeSet::new(),
            courses: Kind::BOTH.map(|kind| (kind, Course::default())).into(),
            excused: false,
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
        let vanished = !self.excused && delivered().count() > 0 && delivered().all(gone);
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
    fn forbids_mesh(&self) -> bool {
        self.reach == Reach::HttpOnly || (self.connected && self.uplinks.is_empty())
    }

    /// Whether they get this kind of media by this way, or are about to.
    pub(crate) fn uses(&self, kind: Kind, way: Way) -> bool {
        self.connected && self.courses[&kind].uses(way)
    }

    fn needs_mix(&self) -> bool {
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
            self.uplinks
                .get(&role)
                .map_or(UplinkState::None, |uplink| uplink.view(self.excused))
        };
        ParticipantState {
            id,
            name: self.name.clone(),
            speaking: self.is_speaking(),
            mic: uplink(Role::Mic),
            camera: uplink(Role::Camera),
            screen: uplink(Role::Screen),
            viewer: self.uplinks.is_empty(),
            connected: self.connected,
            view: self.own,
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
    pub(crate) mode: Mode,
    pub(crate) pressure: Pressure,
    /// What is being recorded, and since when.
    pub(crate) recordings: BTreeMap<RecordingId, (Subject, Duration)>,
    counted: Paths,
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
            mode: settings.mode,
            pressure: settings.pressure,
            recordings: BTreeMap::new(),
            counted: Paths::default(),
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
        let unused = self.people.is_empty() && self.settings.lifetime == Lifetime::WhileUsed;
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
                view,
                limits,
                takes_over,
            } => {
                let mut person = Person::new(name, reach, now);
                (person.own, person.limits) = (view, limits);
                self.join(request, person, takes_over, outcome);
            }
            Input::Answered {
                who,
                uplinks,
                downlinks,
            } => self.with(who, |person| {
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
                self.settings.lifetime = Lifetime::WhileUsed;
            }
            Input::RecorderEnds(id) => drop(self.recordings.remove(&id)),
            Input::Estimated(who, _) => self.with(who, |person| person.estimated = true),
            Input::Limit(who, limits) => self.with(who, |person| person.limits = limits),
            Input::Tick | Input::Chat(..) => {}
            other if request_of(&other).is_some() => self.ask(now, other, outcome),
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
        let taken = takes_over.filter(|who| self.people.contains_key(who));
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
            self.last_speaker = self.last_speaker.filter(|speaker| *speaker != who);
            for person in self.people.values_mut() {
                person.mesh.remove(&who);
            }
            outcome.gone.push((who, reason));
        }
    }

    fn ask(&mut self, now: Duration, input: Input, outcome: &mut Outcome) {
        let known = |who: ParticipantId| match self.people.contains_key(&who) {
            true => Ok(()),
            false => Err(RoomError::NoSuchParticipant(who)),
        };
        let (request, answer) = match input {
            Input::SetMode(request, mode) => (request, self.set_mode(mode)),
            Input::Record(request, id, subject) => {
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
                (request, answer)
            }
            Input::StopRecording(request, id) => {
                let stopped = self.recordings.remove(&id);
                let answer = stopped.map(drop).ok_or(RoomError::NoSuchRecording);
                (request, answer)
            }
            Input::SetView(request, who, own) => {
                let answer = match own {
                    Some(Mode::P2p) => {
                        known(who).and(Err(RoomError::ModeUnavailable(Mode::P2p, WORDS)))
                    }
                    _ => known(who),
                };
                if answer.is_ok() {
                    self.with(who, |person| person.own = own);
                }
                (request, answer)
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
            Input::Signal {
                request, from, to, ..
            } => match from == to {
                true => (request, Err(RoomError::SignalToOneself)),
                false => (request, known(from).and(known(to))),
            },
            other => unreachable!("{other:?} asks for nothing"),
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
            Input::Mesh(who, receiving) if self.mode == Mode::P2p => {
                let others = receiving.into_iter().filter(|other| *other != who);
                let others = others.filter(|other| self.people.contains_key(other));
                let mesh = others.collect();
                self.with(who, |person| person.mesh = mesh);
            }
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
                let known = self.people.contains_key(&who);
                self.last_speaker = known.then_some(who).or(self.last_speaker);
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

    fn with(&mut self, who: ParticipantId, change: impl FnOnce(&mut Person)) {
        self.people.get_mut(&who).map(change);
    }

    fn with_uplink(&mut self, who: ParticipantId, role: Role, change: impl FnOnce(&mut Uplink)) {
        self.with(who, |person| _ = person.uplinks.get_mut(&role).map(change));
    }

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
                Subject::Mix(format) => Some(format.codec()),
                Subject::Tracks => None,
            });
        let renditions = codec.flatten().map(|codec| self.renditions(codec));
        let picture = renditions.and_then(|all| all.into_iter().find(works));
        let sound = codec.map(|_| Output::Sound(Without::Nobody)).filter(works);
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
                Output::Sound(match person.spoke_just_now(now) {
                    true => Without::Participant(who),
                    false => Without::Nobody,
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
        Input::Join { request, .. }
        | Input::Mute { request, .. }
        | Input::Signal { request, .. }
        | Input::SetMode(request, _)
        | Input::Record(request, ..)
        | Input::StopRecording(request, _)
        | Input::SetView(request, ..)
        | Input::SetLayout(request, _)
        | Input::Pin(request, _)
        | Input::Rename(request, ..) => Some(*request),
        _ => None,
    }
}
