//! A world in which the room's effects happen as the room's task carries them out: peers with
//! slots, and a mixer with decoders, encodings, names and a scene. It refuses whatever could not
//! be carried out at that point, and plays the failures that the task would report.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tessera::id::{ParticipantId, Role};
use tessera::media::mixer::{Content, Output, Scene, SourceId};
use tessera::room::state::{Effect, Input, RequestId, Settings, State};
use tessera::room::view::{ByeReason, RoomState};
use tessera::room::wiring::{Downlink, Step};
use tessera::room::{Capture, Departure};

use super::check;
use super::model::{Model, Outcome, request_of};

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

/// The connection of a participant.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    bye: Option<ByeReason>,
    pub(crate) answered: bool,
    /// What feeds each slot that was negotiated.
    pub(crate) slots: BTreeMap<Downlink, Option<Output>>,
    /// The number of the newest tap of each uplink.
    pub(crate) taps: BTreeMap<Role, u32>,
    pub(crate) capture: Option<Capture>,
}

/// A branch that decodes.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) tap: u32,
    /// It has failed and produces nothing any more.
    pub(crate) dead: bool,
    /// It knows the size of its tile.
    pub(crate) told: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Mixer {
    /// It could not be started, which the room has yet to hear.
    broken: bool,
    pub(crate) names: BTreeMap<ParticipantId, String>,
    pub(crate) sources: BTreeMap<SourceId, Decoder>,
    pub(crate) outputs: BTreeSet<Output>,
    pub(crate) scene: Scene,
}

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Duration,
    pub(crate) model: Model,
    pub(crate) peers: BTreeMap<ParticipantId, Peer>,
    pub(crate) mixer: Option<Mixer>,
    pub(crate) published: Option<Arc<RoomState>>,
    pub(crate) over: bool,
    /// What the input given last brought about, in order.
    pub(crate) log: Vec<Effect>,
    waiting: BTreeMap<RequestId, Input>,
    requests: RequestId,
    inputs: VecDeque<Input>,
    faults: BTreeSet<Fault>,
    taps: u32,
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
            log: Vec::new(),
            waiting: BTreeMap::new(),
            requests: 0,
            inputs: VecDeque::new(),
            faults: BTreeSet::new(),
            taps: 0,
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

    /// Lets time pass, with a tick at each deadline and one at the end that must change nothing.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.state.next_deadline(self.now).filter(|at| *at <= end) {
            self.now = at;
            self.give(Input::Tick);
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
        check::everything(self);
    }

    /// What is so in the world before the room hears of it.
    fn happen(&mut self, input: &Input) {
        match input {
            Input::Answered { who, downlinks, .. } => {
                if let Some(peer) = self.peers.get_mut(who) {
                    let video = downlinks.mix_video.map(|_| Downlink::Video);
                    let audio = downlinks.mix_audio.then_some(Downlink::Audio);
                    peer.answered = true;
                    peer.slots = video.into_iter().chain(audio).map(|s| (s, None)).collect();
                }
            }
            Input::UplinkBegan(who, role) => {
                self.taps += 1;
                let peer = self.peers.get_mut(who);
                peer.map(|peer| peer.taps.insert(*role, self.taps));
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
                let slots = self
                    .peers
                    .values_mut()
                    .flat_map(|peer| peer.slots.values_mut());
                for slot in slots.filter(|slot| **slot == Some(*output)) {
                    *slot = None;
                }
            }
            Input::MixerFailed => {
                self.mixer = None;
                let slots = self
                    .peers
                    .values_mut()
                    .flat_map(|peer| peer.slots.values_mut());
                slots.for_each(|slot| *slot = None);
            }
            _ => {}
        }
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
        let old = self.peers.insert(who, Peer::default());
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
                let mut slots = self.peers.values().flat_map(|peer| peer.slots.values());
                assert!(
                    slots.all(Option::is_none),
                    "fed from a mixer that has ended"
                );
            }
            Step::Feed(who, slot, output) => self.feed(who, slot, output),
            Step::Capture(who, capture) => {
                self.peers.get_mut(&who).expect("a sender").capture = Some(capture);
                self.tell(who);
            }
            Step::StopOutput(output) => {
                let mut slots = self.peers.values().flat_map(|peer| peer.slots.values());
                assert!(
                    slots.all(|fed| *fed != Some(output)),
                    "{output:?} is in use"
                );
                assert!(
                    self.mixer().outputs.remove(&output),
                    "{output:?} does not run"
                );
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
            Step::AddSource(source) => self.add_source(source),
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

    fn add_source(&mut self, source: SourceId) {
        let SourceId { participant, role } = source;
        let peer = self.peers.get(&participant).expect("somebody who sends");
        let tap = *peer.taps.get(&role).expect("a tap to decode");
        let dead = !self.mixer().broken && self.faults.remove(&Fault::Decoder);
        if dead {
            self.inputs.push_back(Input::SourceFailed(source));
        }
        let decoder = Decoder {
            tap,
            dead,
            told: false,
        };
        let old = self.mixer().sources.insert(source, decoder);
        assert!(
            old.is_none_or(|old| old.dead || old.tap != tap),
            "{source} for nothing"
        );
    }

    fn feed(&mut self, who: ParticipantId, slot: Downlink, output: Option<Output>) {
        if let Some(output) = output {
            assert!(
                self.mixer().outputs.contains(&output),
                "{output:?} does not run"
            );
        }
        let peer = self.peers.get_mut(&who).expect("a peer to feed");
        let fed = peer.slots.get_mut(&slot).expect("a slot to feed");
        assert_ne!(*fed, output, "fed already");
        *fed = output;
    }

    fn set_scene(&mut self, scene: Scene) {
        let mixer = self.mixer();
        for tile in &scene.tiles {
            let who = tile.source.participant;
            assert!(
                mixer.names.contains_key(&who),
                "{who} has a tile and no name"
            );
            match mixer.sources.get_mut(&tile.source) {
                Some(decoder) => decoder.told = true,
                None => assert_eq!(tile.content, Content::Avatar, "{} is dark", tile.source),
            }
        }
        mixer.scene = scene;
    }

    pub(crate) fn disarm(&mut self) {
        self.faults.clear();
    }

    /// Whether the room has yet to hear that a source failed.
    pub(crate) fn is_failing(&self, source: SourceId) -> bool {
        let failed = |input: &Input| matches!(input, Input::SourceFailed(s) if *s == source);
        self.inputs.iter().any(failed) || self.mixer.as_ref().is_some_and(|m| m.broken)
    }
}
