//! A world in which the room's effects happen as the room's task carries them out: peers with
//! slots, and a mixer with decoders, encodings, names and a scene. It refuses whatever could not
//! be carried out at that point, and plays the failures that the task would report.

mod effects;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tessera::admission::Pressure;
use tessera::id::SourceId;
use tessera::id::{ParticipantId, Role};
use tessera::media::bwe::fec::Fec;
use tessera::media::mixer::{Output, Scene};
use tessera::media::stream::pacer::Pacing;
use tessera::protocol::Capture;
use tessera::protocol::recording::RecordingId;
use tessera::protocol::room::{ByeReason, RoomState};
use tessera::room::Downlinks;
use tessera::room::state::wiring::{Downlink, Feed, LevelRate, SlotTable, TrackFeed};
use tessera::room::state::{Effect, Input, RequestId, Settings, State};

use super::check;
use super::handover::{self, Handovers};
use super::model::{Model, request_of};
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
    /// The server has no capacity for one more.
    Full,
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
    /// At which pace the composite goes out to them.
    pub(crate) pacing: Option<Pacing>,
    /// How often they are told of levels.
    pub(crate) levels: LevelRate,
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
    pub(crate) fec: BTreeMap<Output, Fec>,
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
        self.model.has_mixer = self.mixer.is_some();
        let expected = self.model.take(self.now, &input);
        let effects = self.state.handle(self.now, input.clone());
        if expected.ignored {
            assert_eq!(effects, [], "nothing follows from {input:?}");
            return;
        }
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
                    mixer.fec.remove(output);
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
