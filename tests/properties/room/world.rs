//! A world in which the room's effects happen as the room's task carries them out: peers with
//! slots, and a mixer with decoders, encodings, names and a scene. It refuses whatever could not
//! be carried out at that point, and plays the failures that the task would report.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tessera::admission::Pressure;
use tessera::archive::RecordingId;
use tessera::id::{ParticipantId, Role};
use tessera::media::mixer::{Content, Output, Scene, SourceId};
use tessera::room::state::{Effect, Input, RequestId, Settings, State};
use tessera::room::view::{ByeReason, RoomState};
use tessera::room::wiring::{Downlink, Feed, SlotTable, Step, TrackFeed};
use tessera::room::{Capture, Departure, Downlinks};

use super::check;
use super::handover::{self, Handovers};
use super::model::{Model, Outcome, request_of};
use super::slots::{self, Holding};
use super::ways::Facts;

/// Something that goes wrong the next time it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Mixer,
    Decoder,
    Encoder,
    /// Somebody does not read their notices.
    Reader,
    /// Somebody has gone away without a word.
    Notices,
}

/// How soon what is fed delivers, and what is decoded is in the mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    AtOnce,
    After(Duration),
    Never,
}

/// The connection of a participant.
#[derive(Debug)]
pub(crate) struct Peer {
    bye: Option<ByeReason>,
    pub(crate) answered: bool,
    /// The slots that were negotiated.
    pub(crate) slots: BTreeMap<Downlink, Slot>,
    /// How many taps each encoding of an uplink that was negotiated has had.
    pub(crate) taps: BTreeMap<(Role, usize), u32>,
    pub(crate) capture: Option<Capture>,
    /// What they were told last of their forward slots.
    pub(crate) table: Option<SlotTable>,
    /// What they send is wanted, as they were told last.
    pub(crate) wanted: bool,
}

/// A slot of a peer.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) fed: Option<Feed>,
    /// Since when that is delivered, as the room has heard.
    pub(crate) opened: Option<Duration>,
}

impl Slot {
    fn cut(&mut self) {
        *self = Self::default();
    }
}

/// The slots that an answer makes.
fn slots_of(downlinks: &Downlinks) -> impl Iterator<Item = Downlink> {
    let video = downlinks.mix_video.map(|_| Downlink::Video);
    let audio = downlinks.mix_audio.then_some(Downlink::Audio);
    let mixed = video.into_iter().chain(audio);
    let videos = (0..downlinks.forward_video.len()).map(Downlink::ForwardVideo);
    let audios = (0..downlinks.forward_audio.len()).map(Downlink::ForwardAudio);
    mixed.chain(videos).chain(audios)
}

/// A branch that decodes.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) layer: usize,
    pub(crate) tap: u32,
    /// It has failed and produces nothing any more.
    pub(crate) dead: bool,
    /// It knows the size of its tile.
    pub(crate) told: bool,
    /// Since when it is in the mix, as the room has heard.
    pub(crate) mixed: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Mixer {
    /// It could not be started, which the room has yet to hear.
    broken: bool,
    pub(crate) names: BTreeMap<ParticipantId, String>,
    pub(crate) sources: BTreeMap<SourceId, Decoder>,
    pub(crate) outputs: BTreeSet<Output>,
    pub(crate) scene: Scene,
    pub(crate) pressure: Pressure,
}

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Duration,
    pub(crate) model: Model,
    pub(crate) peers: BTreeMap<ParticipantId, Peer>,
    pub(crate) mixer: Option<Mixer>,
    pub(crate) published: Option<Arc<RoomState>>,
    pub(crate) over: bool,
    /// Encodings that feed nobody, and since when.
    pub(crate) unwatched: BTreeMap<Output, Duration>,
    /// What each recorder is fed, in the order of picture and sound.
    pub(crate) recorders: BTreeMap<RecordingId, [Option<Output>; 2]>,
    /// The uplinks that recordings are fed as they come.
    pub(crate) tracks: BTreeMap<(RecordingId, SourceId), TrackFeed>,
    /// What the input given last brought about, in order.
    pub(crate) log: Vec<Effect>,
    /// Who has had which forward slot since when.
    pub(crate) holding: Holding,
    pub(crate) handovers: Handovers,
    pace: Pace,
    /// What will be reported, and when.
    coming: Vec<(Duration, Input)>,
    /// What was, which may be reported again: too late.
    reported: VecDeque<Input>,
    waiting: BTreeMap<RequestId, Input>,
    requests: RequestId,
    inputs: VecDeque<Input>,
    faults: BTreeSet<Fault>,
    highest: u32,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            state: State::new(settings.clone()),
            now: Duration::ZERO,
            model: Model::new(settings),
            peers: BTreeMap::new(),
            mixer: None,
            published: None,
            over: false,
            unwatched: BTreeMap::new(),
            recorders: BTreeMap::new(),
            tracks: BTreeMap::new(),
            log: Vec::new(),
            holding: Holding::new(),
            handovers: Handovers::default(),
            pace: Pace::AtOnce,
            coming: Vec::new(),
            reported: VecDeque::new(),
            waiting: BTreeMap::new(),
            requests: 0,
            inputs: VecDeque::new(),
            faults: BTreeSet::new(),
            highest: 0,
        }
    }

    pub(crate) fn request(&mut self) -> RequestId {
        self.requests += 1;
        self.requests
    }

    pub(crate) fn arm(&mut self, fault: Fault) {
        self.faults.insert(fault);
    }

    /// Feeds an input to the room, and whatever that brings about, until all is quiet.
    pub(crate) fn give(&mut self, input: Input) {
        self.log.clear();
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            self.take(input);
        }
        assert!(
            self.waiting.is_empty(),
            "never answered: {:?}",
            self.waiting
        );
    }

    /// From now on media comes about as fast as that.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Something comes about, and will be reported unless nobody can any more.
    fn comes(&mut self, input: Input) {
        match self.pace {
            Pace::AtOnce => self.inputs.push_back(input),
            Pace::After(time) => self.coming.push((self.now + time, input)),
            Pace::Never => {}
        }
    }

    /// Reports the n-th thing that is coming, or something once more that was reported before.
    pub(crate) fn report(&mut self, n: usize) {
        let all = self.coming.len() + self.reported.len();
        let input = match n.checked_rem(all) {
            None => return,
            Some(n) if n < self.coming.len() => self.coming.remove(n).1,
            Some(n) => self.reported[n - self.coming.len()].clone(),
        };
        self.give(input);
    }

    /// Lets time pass, with a tick at each deadline, whatever comes about meanwhile, and a tick
    /// at the end that must change nothing.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let first = self.coming.iter().map(|(at, _)| *at).min();
            let due = self.state.next_deadline(self.now);
            let at = first.into_iter().chain(due).min();
            let Some(at) = at.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            let came = self.coming.iter().position(|(when, _)| *when == at);
            let input = came.map_or(Input::Tick, |n| self.coming.remove(n).1);
            self.give(input);
        }
        self.now = end;
        // A room that has never been asked anything has yet to publish, and perhaps to end.
        let untouched = self.published.is_none();
        self.give(Input::Tick);
        let quiet = untouched || self.log.is_empty();
        assert!(
            quiet,
            "time alone did this, with no deadline: {:?}",
            self.log
        );
    }

    fn take(&mut self, input: Input) {
        self.happen(&input);
        let ways = handover::delivering(self);
        if let Some(request) = request_of(&input) {
            self.waiting.insert(request, input.clone());
        }
        let was_over = self.over;
        let decoded = self.mixer.iter().flat_map(|mixer| mixer.sources.keys());
        self.model.decoded = decoded.copied().collect();
        let expected = self.model.take(self.now, &input);
        let effects = self.state.handle(self.now, input.clone());
        check::outcome(&expected, &effects, &input);
        let settles = |effect: &Effect| matches!(effect, Effect::Settle(..));
        assert!(
            !was_over || effects.iter().all(settles),
            "after the end: {effects:?}"
        );
        check::publication(self.published.as_ref(), &self.state, &effects, was_over);
        for effect in effects {
            self.log.push(effect.clone());
            self.carry_out(effect, &expected);
        }
        let facts = Facts {
            peers: &self.peers,
            mixer: self.mixer.as_ref(),
        };
        self.model.follow(self.now, facts);
        self.note_unwatched();
        check::everything(self);
        self.holding = slots::check(self);
        handover::check(self, &input, &ways);
    }

    /// The encodings that recordings need.
    pub(crate) fn recorded(&self) -> BTreeSet<Output> {
        let recorders = self.model.recordings.keys();
        let all = recorders.flat_map(|id| self.model.recorded(self.now, id));
        all.flatten().collect()
    }

    /// Notes which encodings have lost their last viewer, or got another.
    fn note_unwatched(&mut self) {
        let slots = self.peers.values().flat_map(|peer| peer.slots.values());
        let fed: Vec<Feed> = slots.filter_map(|slot| slot.fed).collect();
        let running = self.mixer.iter().flat_map(|mixer| &mixer.outputs);
        let recorded = self.recorded();
        let idle = running
            .filter(|output| !fed.contains(&Feed::Output(**output)) && !recorded.contains(output));
        let since = |output: &Output| *self.unwatched.get(output).unwrap_or(&self.now);
        self.unwatched = idle.map(|output| (*output, since(output))).collect();
    }

    /// What is so in the world before the room hears of it.
    fn happen(&mut self, input: &Input) {
        match input {
            Input::Answered {
                who,
                uplinks,
                downlinks,
            } => {
                if let Some(peer) = self.peers.get_mut(who) {
                    peer.answered = true;
                    peer.slots = slots_of(downlinks).map(|s| (s, Slot::default())).collect();
                    let layers = uplinks.iter().flat_map(|(role, sends)| {
                        let count = sends.rids.len().max(1);
                        (0..count).map(|n| ((*role, n), 0))
                    });
                    peer.taps = layers.collect();
                }
            }
            Input::UplinkBegan(who, role, n) => {
                let peer = self.peers.get_mut(who);
                let taps = peer.and_then(|peer| peer.taps.get_mut(&(*role, *n)));
                taps.into_iter().for_each(|n| *n += 1);
            }
            Input::SlotOpened(who, slot, feed) => {
                let peer = self.peers.get_mut(who);
                let slot = peer.and_then(|peer| peer.slots.get_mut(slot));
                if let Some(slot) = slot.filter(|slot| slot.fed == Some(*feed)) {
                    slot.opened.get_or_insert(self.now);
                }
                self.remember(input);
            }
            Input::SourceMixed(source) => {
                let mixer = self.mixer.as_mut();
                if let Some(decoder) = mixer.and_then(|m| m.sources.get_mut(source)) {
                    decoder.mixed.get_or_insert(self.now);
                }
                self.remember(input);
            }
            Input::SourceFailed(source) => {
                let mixer = self.mixer.as_mut();
                if let Some(decoder) = mixer.and_then(|m| m.sources.get_mut(source)) {
                    decoder.dead = true;
                }
            }
            Input::OutputFailed(output) => {
                if let Some(mixer) = &mut self.mixer {
                    mixer.outputs.remove(output);
                }
                let fed = self.recorders.values_mut().flatten();
                fed.filter(|fed| **fed == Some(*output))
                    .for_each(|fed| *fed = None);
                let slots = self
                    .peers
                    .values_mut()
                    .flat_map(|peer| peer.slots.values_mut());
                let fed = Some(Feed::Output(*output));
                slots.filter(|slot| slot.fed == fed).for_each(Slot::cut);
            }
            Input::MixerFailed => {
                self.mixer = None;
                let slots = self
                    .peers
                    .values_mut()
                    .flat_map(|peer| peer.slots.values_mut());
                let mixed = |slot: &&mut Slot| matches!(slot.fed, Some(Feed::Output(_)));
                slots.filter(mixed).for_each(Slot::cut);
                self.recorders.values_mut().for_each(|fed| *fed = [None; 2]);
                self.forget_mixed();
            }
            _ => {}
        }
    }

    fn remember(&mut self, input: &Input) {
        self.reported.push_back(input.clone());
        if self.reported.len() > 8 {
            self.reported.pop_front();
        }
    }

    /// Nobody reports what came about in a mixer that is not any more.
    fn forget_mixed(&mut self) {
        let mixed = |input: &Input| matches!(input, Input::SourceMixed(_));
        self.coming.retain(|(_, input)| !mixed(input));
        self.reported.retain(|input| !mixed(input));
        self.inputs.retain(|input| !mixed(input));
    }

    /// Nor at a peer.
    fn forget_slots(&mut self, of: ParticipantId) {
        let opened = |input: &Input| matches!(input, Input::SlotOpened(who, ..) if *who == of);
        self.coming.retain(|(_, input)| !opened(input));
        self.reported.retain(|input| !opened(input));
        self.inputs.retain(|input| !opened(input));
    }

    fn carry_out(&mut self, effect: Effect, expected: &Outcome) {
        match effect {
            Effect::Settle(request, answer) => {
                let asked = self.waiting.remove(&request);
                let asked = asked.unwrap_or_else(|| panic!("{request} is answered twice"));
                let accepted = matches!(asked, Input::Join { .. }) && answer.is_ok();
                assert!(!accepted, "a join is accepted by its peer only");
            }
            Effect::StartPeer(request, who) => self.start_peer(request, who, expected),
            Effect::StopPeer(who) => {
                let peer = self.peers.remove(&who).expect("stopped once");
                assert!(peer.bye.is_some(), "{who} is let go without a bye");
                self.holding.retain(|(viewer, _), _| *viewer != who);
                self.handovers.forget(who);
                self.forget_slots(who);
            }
            Effect::Bye(who, reason) => {
                let peer = self.peers.get_mut(&who).expect("somebody to take leave of");
                assert_eq!(peer.bye.replace(reason), None, "a second bye");
            }
            Effect::Publish(view) => {
                self.published = Some(view);
                for who in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.tell(who);
                }
            }
            Effect::TellChat(to, from, _) => {
                assert!(
                    self.peers.contains_key(&from),
                    "{from} is not here to speak"
                );
                assert_eq!(to, self.peers.keys().copied().collect::<Vec<_>>());
            }
            Effect::TellSignal(to, ..) => self.tell(to),
            Effect::Media(step) => self.wire(step),
            Effect::SendAgain(who, bytes) => {
                assert!(bytes > 0, "nothing to send");
                assert!(self.peers.contains_key(&who), "packets for nobody");
            }
            Effect::Closed => {
                assert!(
                    self.mixer.is_none() && self.peers.is_empty(),
                    "something still runs"
                );
                self.over = true;
            }
        }
    }

    fn start_peer(&mut self, request: RequestId, who: ParticipantId, expected: &Outcome) {
        let asked = self.waiting.remove(&request);
        assert!(
            matches!(asked, Some(Input::Join { .. })),
            "{request} is no join"
        );
        let replaced = expected.gone.contains(&(who, ByeReason::Replaced));
        assert!(
            replaced || who.ordinal() > self.highest,
            "{who} has been somebody else"
        );
        self.highest = self.highest.max(who.ordinal());
        let peer = Peer {
            bye: None,
            answered: false,
            slots: BTreeMap::new(),
            taps: BTreeMap::new(),
            capture: None,
            table: None,
            wanted: true,
        };
        let old = self.peers.insert(who, peer);
        assert!(old.is_none(), "{who} has two peers");
    }

    fn tell(&mut self, who: ParticipantId) {
        assert!(self.peers.contains_key(&who), "nobody to tell: {who}");
        if self.faults.remove(&Fault::Reader) {
            self.inputs
                .push_back(Input::PeerLost(who, ByeReason::TooSlow));
        } else if self.faults.remove(&Fault::Notices) {
            self.inputs
                .push_back(Input::Leave(who, Departure::SignallingLost));
        }
    }

    fn wire(&mut self, step: Step) {
        match step {
            Step::StartMixer => self.start_mixer(),
            Step::StopMixer => {
                assert!(self.mixer.take().is_some(), "no mixer to stop");
                self.forget_mixed();
                let mut slots = self.peers.values().flat_map(|peer| peer.slots.values());
                assert!(
                    slots.all(|slot| !matches!(slot.fed, Some(Feed::Output(_)))),
                    "fed from a mixer that has ended"
                );
                self.recorders.values_mut().for_each(|fed| *fed = [None; 2]);
            }
            Step::Feed(who, slot, feed) => self.feed(who, slot, feed),
            Step::Slots(who, table) => {
                let peer = self.peers.get_mut(&who).expect("somebody to tell");
                assert_ne!(
                    peer.table.as_ref(),
                    Some(&table),
                    "{who} knows this already"
                );
                peer.table = Some(table);
                self.tell(who);
            }
            Step::Uplinks(who, wanted) => {
                let peer = self.peers.get_mut(&who).expect("somebody to tell");
                assert_ne!(peer.wanted, wanted, "{who} knows this already");
                peer.wanted = wanted;
                self.tell(who);
            }
            Step::Capture(who, capture) => {
                self.peers.get_mut(&who).expect("a sender").capture = Some(capture);
                self.tell(who);
            }
            Step::StopOutput(output) => {
                let mut slots = self.peers.values().flat_map(|peer| peer.slots.values());
                assert!(
                    slots.all(|slot| slot.fed != Some(Feed::Output(output))),
                    "{output:?} is in use"
                );
                let mut fed = self.recorders.values().flatten();
                assert!(
                    fed.all(|fed| *fed != Some(output)),
                    "{output:?} is recorded"
                );
                assert!(
                    self.mixer().outputs.remove(&output),
                    "{output:?} does not run"
                );
            }
            Step::SetBitrate(output, bitrate) => {
                assert!(
                    self.mixer().outputs.contains(&output),
                    "{output:?} does not run"
                );
                let settings = &self.model.settings;
                match output {
                    Output::Video { rung, .. } => {
                        let spec = *settings.ladder.spec(rung).expect("a rung");
                        assert_eq!(spec.clamp(bitrate), bitrate, "within {spec:?}");
                    }
                    Output::Sound(_) => {
                        let sound = settings.audio_bitrate / 2..=settings.audio_bitrate;
                        assert!(sound.contains(&bitrate), "{bitrate} bit/s of sound");
                    }
                }
            }
            Step::StartOutput(output) => {
                assert!(
                    self.mixer().outputs.insert(output),
                    "{output:?} runs already"
                );
                if !self.mixer().broken && self.faults.remove(&Fault::Encoder) {
                    self.inputs.push_back(Input::OutputFailed(output));
                }
            }
            Step::AddSource(source, layer) => self.add_source(source, layer),
            Step::RemoveSource(source) => {
                let mixer = self.mixer();
                let mut tiles = mixer.scene.tiles.iter();
                let seen = tiles.any(|t| t.source == source && t.content == Content::Picture);
                assert!(!seen, "{source} is on the canvas");
                assert!(
                    mixer.sources.remove(&source).is_some(),
                    "{source} is not decoded"
                );
            }
            Step::SetName(who, name) => {
                let old = self.mixer().names.insert(who, name.clone());
                assert_ne!(old, Some(name), "{who} has this name already");
            }
            Step::ForgetName(who) => {
                let mixer = self.mixer();
                let mut tiles = mixer.scene.tiles.iter();
                assert!(
                    tiles.all(|t| t.source.participant != who),
                    "{who} is on the canvas"
                );
                assert!(mixer.names.remove(&who).is_some(), "{who} has no name");
            }
            Step::SetScene(scene) => self.set_scene(scene),
            Step::Press(pressure) => {
                let old = std::mem::replace(&mut self.mixer().pressure, pressure);
                assert_ne!(old, pressure, "the mixer knows this already");
            }
            Step::StartRecorder(id) => {
                let old = self.recorders.insert(id.clone(), [None; 2]);
                assert_eq!(old, None, "{id} is being recorded already");
            }
            Step::FeedRecorder(id, output) => {
                assert!(
                    self.mixer().outputs.contains(&output),
                    "{output:?} does not run"
                );
                let fed = self.recorders.get_mut(&id).expect("a recorder");
                let place = usize::from(matches!(output, Output::Sound(_)));
                assert_ne!(fed[place], Some(output), "it is recorded already");
                fed[place] = Some(output);
            }
            Step::Track(id, source, feed) => {
                assert!(self.recorders.contains_key(&id), "{id} is not recorded");
                let key = (id, source);
                let before = match feed {
                    Some(feed) => self.tracks.insert(key, feed),
                    None => self.tracks.remove(&key),
                };
                assert_ne!(before, feed, "{source} is recorded already, or no more");
            }
            Step::StopRecorder(id) => {
                self.tracks.retain(|(of, _), _| *of != id);
                assert!(self.recorders.remove(&id).is_some(), "{id} is not recorded");
            }
        }
    }

    fn start_mixer(&mut self) {
        assert!(self.mixer.is_none(), "there is a mixer already");
        let broken = self.faults.remove(&Fault::Mixer);
        let mixer = Mixer {
            broken,
            ..Mixer::default()
        };
        self.mixer = Some(mixer);
        if broken {
            self.inputs.push_back(Input::MixerFailed);
        }
    }

    fn mixer(&mut self) -> &mut Mixer {
        self.mixer.as_mut().expect("a mixer runs")
    }

    fn add_source(&mut self, source: SourceId, layer: usize) {
        let SourceId { participant, role } = source;
        let peer = self.peers.get(&participant).expect("somebody who sends");
        let tap = *peer.taps.get(&(role, layer)).expect("a tap to decode");
        assert!(tap > 0, "{source} has no tap yet");
        let dead = !self.mixer().broken && self.faults.remove(&Fault::Decoder);
        if dead {
            self.inputs.push_back(Input::SourceFailed(source));
        }
        let decoder = Decoder {
            layer,
            tap,
            dead,
            told: false,
            mixed: None,
        };
        let old = self.mixer().sources.insert(source, decoder);
        assert!(
            old.is_none_or(|old| old.dead || (old.layer, old.tap) != (layer, tap)),
            "{source} for nothing"
        );
        if role == Role::Mic && !dead && !self.mixer().broken {
            self.comes(Input::SourceMixed(source));
        }
    }

    fn feed(&mut self, who: ParticipantId, slot: Downlink, feed: Option<Feed>) {
        match feed {
            None => {}
            Some(Feed::Output(output)) => {
                assert!(
                    self.mixer().outputs.contains(&output),
                    "{output:?} does not run"
                );
                let fits = matches!(
                    (slot, output),
                    (Downlink::Video, Output::Video { .. }) | (Downlink::Audio, Output::Sound(_))
                );
                assert!(fits, "{output:?} in {slot:?}");
            }
            Some(Feed::Uplink { source, layer, tap }) => {
                self.can_forward(who, slot, source, (layer, tap));
            }
        }
        let peer = self.peers.get_mut(&who).expect("a peer to feed");
        let state = peer.slots.get_mut(&slot).expect("a slot to feed");
        assert_ne!(state.fed, feed, "fed already");
        let goes_on = match (state.fed, feed) {
            // Another encoding of the same picture: the one before goes on until it is there.
            (
                Some(Feed::Uplink { source, layer, .. }),
                Some(Feed::Uplink {
                    source: s,
                    layer: l,
                    ..
                }),
            ) => source == s && layer != l,
            _ => false,
        };
        *state = Slot {
            fed: feed,
            opened: state.opened.filter(|_| goes_on),
        };
        let broken = self.mixer.as_ref().is_some_and(|mixer| mixer.broken);
        let dead = broken && matches!(feed, Some(Feed::Output(_)));
        if let Some(feed) = feed.filter(|_| !dead) {
            self.comes(Input::SlotOpened(who, slot, feed));
        }
    }

    /// An uplink goes to others only, as what it is, and from the newest tap.
    fn can_forward(
        &self,
        who: ParticipantId,
        slot: Downlink,
        source: SourceId,
        (layer, tap): (usize, u32),
    ) {
        let SourceId { participant, role } = source;
        assert_ne!(participant, who, "{who} gets their own {role}");
        let taps = &self.peers[&participant].taps;
        let newest = taps.get(&(role, layer));
        assert_eq!(newest, Some(&tap), "the newest tap of {source}");
        assert!(tap > 0, "{source} has no tap yet");
        let codec = self.model.people[&participant].uplinks[&role].codec;
        let downlinks = &self.model.people[&who].downlinks;
        match slot {
            Downlink::ForwardAudio(_) => assert_eq!(role, Role::Mic, "in {slot:?}"),
            Downlink::ForwardVideo(n) => {
                let known = Some(downlinks.forward_video[n].1);
                assert!(role != Role::Mic && codec == known, "{source} in {slot:?}");
            }
            Downlink::Video | Downlink::Audio => panic!("{source} in {slot:?}"),
        }
    }

    fn set_scene(&mut self, scene: Scene) {
        let mut mixed = Vec::new();
        let mixer = self.mixer();
        for tile in &scene.tiles {
            let who = tile.source.participant;
            assert!(
                mixer.names.contains_key(&who),
                "{who} has a tile and no name"
            );
            match mixer.sources.get_mut(&tile.source) {
                Some(decoder) => {
                    if !decoder.told && !decoder.dead && !mixer.broken {
                        mixed.push(Input::SourceMixed(tile.source));
                    }
                    decoder.told = true;
                }
                None => assert_eq!(tile.content, Content::Avatar, "{} is dark", tile.source),
            }
        }
        mixer.scene = scene;
        mixed.into_iter().for_each(|input| self.comes(input));
    }

    /// Nothing fails and nothing comes about any more.
    pub(crate) fn disarm(&mut self) {
        self.faults.clear();
        self.coming.clear();
        self.pace = Pace::Never;
    }

    /// Whether the room has yet to hear that a source failed.
    pub(crate) fn is_failing(&self, source: SourceId) -> bool {
        let failed = |input: &Input| matches!(input, Input::SourceFailed(s) if *s == source);
        self.inputs.iter().any(failed) || self.mixer.as_ref().is_some_and(|m| m.broken)
    }
}
