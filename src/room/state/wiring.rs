//! What media should run for a given state of the room, and the steps from what runs to that;
//! pure. The state never says "start this encoder because somebody joined": it says what should
//! be, and the difference is carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::delivery_path::MediaKind;
use super::slot_allocation::SlotAllocation;
use crate::admission::Pressure;
use crate::id::ParticipantId;
use crate::id::SourceId;
use crate::media::bwe::fec::Fec;
use crate::media::mixer::{Output, Scene};
use crate::media::stream::pacer::Pacing;
use crate::media::stream::slot::Handoff;
use crate::protocol::Capture;
use crate::protocol::recording::{RecordingId, Subject};
use crate::protocol::room::SlotState;
use crate::topology::Mode;

/// A slot of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Downlink {
    /// The composite.
    Video,
    /// The sound.
    Audio,
    /// The n-th one for somebody's picture.
    ForwardVideo(usize),
    /// The n-th one for somebody's voice.
    ForwardAudio(usize),
}

/// What a slot is fed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// An encoding of the mixer.
    Output(Output),
    /// An uplink, as it comes.
    Uplink {
        /// Whose, and which.
        source: SourceId,
        /// The place of the encoding among its rids, else 0.
        layer: usize,
        /// The number of its tap: another one must be connected anew.
        tap: u32,
    },
}

impl Feed {
    /// Whether what came of one goes on until the other is there: it is the same one, or another
    /// encoding of the same picture.
    pub(crate) fn goes_on_in(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Uplink { source, layer, .. },
                Self::Uplink {
                    source: other,
                    layer: other_layer,
                    ..
                },
            ) if layer != other_layer => source == other,
            _ => self == other,
        }
    }

    /// Whether both are the composite, and this one is on a better rung.
    pub(crate) fn is_above(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Output(Output::Video { rung, .. }),
                Self::Output(Output::Video { rung: other, .. }),
            ) => rung < other,
            _ => false,
        }
    }
}

/// What a recording of tracks takes of an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackFeed {
    /// The place of the encoding among its rids, else 0.
    pub layer: usize,
    /// The number of its tap: another one begins another file.
    pub tap: u32,
    /// Whether it is written now.
    pub tracked: Tracked,
}

/// Whether what comes on an uplink is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// It is.
    Live,
    /// It is muted: whatever comes, nobody is to have it.
    Muted,
}

/// A step towards what should run.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Start the room's mixer.
    StartMixer,
    /// End it and everything in it.
    StopMixer,
    /// Set the name on somebody's tiles.
    SetName(ParticipantId, String),
    /// Forget it.
    ForgetName(ParticipantId),
    /// Decode an encoding of an uplink into the mix, instead of what was decoded of it.
    AddSource(SourceId, usize),
    /// Stop that.
    RemoveSource(SourceId),
    /// Start an encoding.
    StartOutput(Output),
    /// End it.
    StopOutput(Output),
    /// Encode video at so many bit/s from now on.
    SetBitrate(Output, u32),
    /// Encode a mix with or without forward error correction from now on.
    SetFec(Output, Fec),
    /// Send a participant's composite at this pace from now on; as it comes if that is `None`.
    Pace(ParticipantId, Option<Pacing>),
    /// Feed a participant's slot from an encoding or an uplink, or from nothing.
    Feed(ParticipantId, Downlink, Option<Feed>, Handoff),
    /// Tell a participant of sound levels this often from now on.
    Levels(ParticipantId, LevelRate),
    /// Tell a participant how they are served and who is in their slots.
    Slots(ParticipantId, SlotTable),
    /// Tell a participant whether what they send is needed.
    Uplinks(ParticipantId, bool),
    /// Begin to write a recording.
    StartRecorder(RecordingId),
    /// Record this encoding from now on, in place of another of its kind.
    FeedRecorder(RecordingId, Output),
    /// Write this uplink to a file of its own in this recording from now on, in place of what was
    /// written of it; or no more, for it has ended.
    Track(RecordingId, SourceId, Option<TrackFeed>),
    /// End a recording.
    StopRecorder(RecordingId),
    /// Save on this from now on.
    SetPressure(Pressure),
    /// Show these tiles.
    SetScene(Scene),
    /// Tell a sender what to send.
    Capture(ParticipantId, Capture),
}

/// How often a participant is told of sound levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LevelRate {
    /// Each time there are any, five times a second.
    #[default]
    Full,
    /// Once a second: each time is a packet, and five a second are a twentieth of what a weak link
    /// carries.
    Reduced,
}

/// Who is in a participant's forward slots, and by which mode they are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotTable {
    /// The mode.
    pub mode: Mode,
    /// One entry per forward m-line.
    pub slots: Vec<SlotState>,
}

/// Everything that runs, or should.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wiring {
    pub(crate) mixer: Mixing,
    pub(crate) feeds: BTreeMap<(ParticipantId, Downlink), Feed>,
    pub(crate) captures: BTreeMap<ParticipantId, Capture>,
    /// Who has which forward slot of whom.
    pub(crate) forwards: BTreeMap<ParticipantId, Forwards>,
    /// What each participant was told of that.
    pub(crate) tables: BTreeMap<ParticipantId, SlotTable>,
    /// Who was told not to send.
    pub(crate) paused_upstreams: BTreeSet<ParticipantId>,
    /// At which pace the composite goes out to whom; to all others as it comes.
    pub(crate) pacing: BTreeMap<ParticipantId, Pacing>,
    /// Who is told of levels less often.
    pub(crate) reduced_levels: BTreeSet<ParticipantId>,
    /// The recordings.
    pub(crate) recorders: BTreeMap<RecordingId, Subject>,
    /// What they record.
    pub(crate) recorder_feeds: BTreeMap<(RecordingId, MediaKind), Output>,
    /// The uplinks that are recorded as they come.
    pub(crate) tracks: BTreeMap<(RecordingId, SourceId), TrackFeed>,
}

/// Who has a participant's forward slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forwards {
    pub(crate) video: SlotAllocation,
    pub(crate) audio: SlotAllocation,
}

/// Whether there is a mixer, and what is in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Mixing {
    #[default]
    None,
    Running(Box<Mix>),
}

/// What an encoder of the mixer is told to encode at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// bit/s from now on.
    pub(crate) now: u32,
    /// bit/s that a new encoder begins with.
    pub(crate) first: u32,
}

/// The contents of a mixer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mix {
    pub(crate) names: BTreeMap<ParticipantId, String>,
    /// With what is decoded of them.
    pub(crate) sources: BTreeMap<SourceId, Decoded>,
    pub(crate) outputs: BTreeSet<Output>,
    /// What those of video are encoded at.
    pub(crate) rates: BTreeMap<Output, Rate>,
    /// What protects those of sound.
    pub(crate) fec: BTreeMap<Output, Fec>,
    /// Those that feed nobody any more, and when they end.
    pub(crate) lingering: BTreeMap<Output, Duration>,
    pub(crate) scene: Scene,
    /// What is saved on.
    pub(crate) pressure: Pressure,
}

/// What is decoded of an uplink; another must be decoded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The place of the encoding among the uplink's rids, else 0.
    pub(crate) layer: usize,
    /// The number of its tap.
    pub(crate) tap: u32,
    /// How many decoders of the uplink failed before.
    pub(crate) failures: u32,
}

impl Wiring {
    /// The scene, while there is a mixer.
    pub(crate) fn scene(&self) -> Option<&Scene> {
        match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => Some(&mix.scene),
        }
    }

    /// What an output is encoded at, bit/s.
    pub(crate) fn rate_of(&self, output: Output) -> Option<u32> {
        match &self.mixer {
            Mixing::Running(mix) => mix.rates.get(&output).map(|rate| rate.now),
            Mixing::None => None,
        }
    }

    /// Whether an uplink is being decoded.
    pub(crate) fn decodes(&self, source: SourceId) -> bool {
        self.decoded(source).is_some()
    }

    /// What of an uplink is being decoded.
    pub(crate) fn decoded(&self, source: SourceId) -> Option<Decoded> {
        match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => mix.sources.get(&source).copied(),
        }
    }

    /// When somebody who waits for a forward slot may take one over.
    pub(crate) fn reviews(&self) -> impl Iterator<Item = Duration> {
        self.forwards
            .values()
            .flat_map(|forwards| [forwards.video.review, forwards.audio.review])
            .flatten()
    }

    /// When encodings without viewers end.
    pub(crate) fn lingering(&self) -> impl Iterator<Item = Duration> {
        let mix = match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => Some(mix),
        };
        mix.into_iter()
            .flat_map(|mix| mix.lingering.values().copied())
    }

    /// Forgets an encoding that ended by itself, with whatever it fed.
    pub(crate) fn forget_output(&mut self, output: Output) {
        if let Mixing::Running(mix) = &mut self.mixer {
            mix.outputs.remove(&output);
            mix.lingering.remove(&output);
            mix.rates.remove(&output);
            mix.fec.remove(&output);
        }
        self.feeds.retain(|_, fed| *fed != Feed::Output(output));
        self.recorder_feeds.retain(|_, fed| *fed != output);
    }

    /// Forgets the slots of a participant whose peer is gone.
    pub(crate) fn forget_participant(&mut self, who: ParticipantId) {
        self.feeds.retain(|(fed, _), _| *fed != who);
        self.captures.remove(&who);
        self.forwards.remove(&who);
        self.tables.remove(&who);
        self.paused_upstreams.remove(&who);
        self.pacing.remove(&who);
        self.reduced_levels.remove(&who);
    }

    /// Forgets the mixer, which could not be started, with all it fed.
    pub(crate) fn forget_mixer(&mut self) {
        self.mixer = Mixing::None;
        self.feeds.retain(|_, fed| !matches!(fed, Feed::Output(_)));
        self.recorder_feeds.clear();
    }

    /// The steps from here to `next`: first what starts, then the switch, then what ends, so
    /// that nothing is fed from something that does not run.
    pub(crate) fn steps_to(&self, next: &Self) -> Vec<Step> {
        let mut steps = Vec::new();
        let empty = Mix::default();
        let (old, new) = match (&self.mixer, &next.mixer) {
            (Mixing::None, Mixing::None) => (&empty, &empty),
            (Mixing::Running(old), Mixing::None) => (&**old, &empty),
            (Mixing::None, Mixing::Running(new)) => {
                steps.push(Step::StartMixer);
                (&empty, &**new)
            }
            (Mixing::Running(old), Mixing::Running(new)) => (&**old, &**new),
        };
        let stops = next.mixer == Mixing::None && self.mixer != Mixing::None;
        if old.pressure != new.pressure && !stops {
            steps.push(Step::SetPressure(new.pressure));
        }
        steps.extend(starts(old, new));
        // Before the first keyframe of what is to follow.
        steps.extend(self.pace_steps(next));
        steps.extend(self.feed_steps(next));
        steps.extend(self.recorder_steps(next));
        if stops {
            // It takes its sources, outputs and names with it.
            steps.push(Step::StopMixer);
        } else {
            if old.scene != new.scene || sources_changed(old, new) {
                steps.push(Step::SetScene(new.scene.clone()));
            }
            steps.extend(ends(old, new));
        }
        steps.extend(self.notice_steps(next));
        steps
    }

    /// What participants are told.
    fn notice_steps(&self, next: &Self) -> Vec<Step> {
        let captures = next
            .captures
            .iter()
            .filter(|(who, capture)| self.captures.get(who) != Some(capture))
            .map(|(who, capture)| Step::Capture(*who, capture.clone()));
        let tables = next
            .tables
            .iter()
            .filter(|(who, table)| self.tables.get(who) != Some(table))
            .map(|(who, table)| Step::Slots(*who, table.clone()));
        let paused = next.paused_upstreams.difference(&self.paused_upstreams);
        let resumed = self.paused_upstreams.difference(&next.paused_upstreams);
        let reduced = next.reduced_levels.difference(&self.reduced_levels);
        let full = self.reduced_levels.difference(&next.reduced_levels);
        captures
            .chain(tables)
            .chain(reduced.map(|who| Step::Levels(*who, LevelRate::Reduced)))
            .chain(full.map(|who| Step::Levels(*who, LevelRate::Full)))
            .chain(paused.map(|who| Step::Uplinks(*who, false)))
            .chain(resumed.map(|who| Step::Uplinks(*who, true)))
            .collect()
    }

    fn recorder_steps(&self, next: &Self) -> Vec<Step> {
        let stopped = self
            .recorders
            .keys()
            .filter(|id| !next.recorders.contains_key(id))
            .map(|id| Step::StopRecorder(id.clone()));
        let started = next
            .recorders
            .keys()
            .filter(|id| !self.recorders.contains_key(id))
            .map(|id| Step::StartRecorder(id.clone()));
        let fed = next
            .recorder_feeds
            .iter()
            .filter(|(key, output)| self.recorder_feeds.get(key) != Some(output))
            .map(|((id, _), output)| Step::FeedRecorder(id.clone(), *output));
        let untracked = self
            .tracks
            .keys()
            // The end of a recording is that of its tracks.
            .filter(|key| !next.tracks.contains_key(key) && next.recorders.contains_key(&key.0))
            .map(|(id, source)| Step::Track(id.clone(), *source, None));
        let tracked = next
            .tracks
            .iter()
            .filter(|(key, feed)| self.tracks.get(key) != Some(feed))
            .map(|((id, source), feed)| Step::Track(id.clone(), *source, Some(*feed)));
        let mixed = stopped.chain(started).chain(fed);
        mixed.chain(untracked).chain(tracked).collect()
    }

    fn pace_steps(&self, next: &Self) -> impl Iterator<Item = Step> {
        let all: BTreeSet<ParticipantId> = self
            .pacing
            .keys()
            .chain(next.pacing.keys())
            .copied()
            .collect();
        let paced = all.into_iter().filter_map(|who| {
            let pacing = next.pacing.get(&who).copied();
            (pacing != self.pacing.get(&who).copied()).then_some(Step::Pace(who, pacing))
        });
        paced.collect::<Vec<_>>().into_iter()
    }

    fn feed_steps(&self, next: &Self) -> Vec<Step> {
        let unfed = self
            .feeds
            .keys()
            .filter(|slot| !next.feeds.contains_key(slot))
            .map(|(who, downlink)| Step::Feed(*who, *downlink, None, Handoff::AtOnce));
        let fed = next
            .feeds
            .iter()
            .filter(|(slot, feed)| self.feeds.get(slot) != Some(feed))
            .map(|((who, downlink), feed)| {
                let change = self.handoff_to(*feed, (*who, *downlink), next);
                Step::Feed(*who, *downlink, Some(*feed), change)
            });
        unfed.chain(fed).collect()
    }

    /// How a slot gets from what it is fed to `feed`.
    fn handoff_to(&self, feed: Feed, slot: (ParticipantId, Downlink), next: &Self) -> Handoff {
        let before = self.feeds.get(&slot);
        let paced = next.pacing.contains_key(&slot.0);
        match (before, feed) {
            // What a link does not carry is in the way of what it could.
            (Some(before), _) if paced && before.is_above(&feed) => Handoff::AtOnce,
            (_, Feed::Output(_)) => Handoff::WhenReady,
            // Another encoding of the same picture.
            (Some(before), _) if before.goes_on_in(&feed) => Handoff::WhenReady,
            _ => Handoff::AtOnce,
        }
    }
}

/// A branch that has just started must be told its tile, even if no tile moved.
fn sources_changed(old: &Mix, new: &Mix) -> bool {
    new.sources
        .iter()
        .any(|(source, decoded)| old.sources.get(source) != Some(decoded))
}

fn starts(old: &Mix, new: &Mix) -> Vec<Step> {
    let names = new
        .names
        .iter()
        .filter(|(who, name)| old.names.get(who) != Some(name))
        .map(|(who, name)| Step::SetName(*who, name.clone()));
    let sources = new
        .sources
        .iter()
        .filter(|(source, decoded)| old.sources.get(source) != Some(decoded))
        .map(|(source, decoded)| Step::AddSource(*source, decoded.layer));
    let outputs = new.outputs.difference(&old.outputs);
    let rates = new.rates.iter().filter(|(output, rate)| {
        let was = old.rates.get(output).map_or(rate.first, |rate| rate.now);
        was != rate.now
    });
    let fec = new.fec.iter().filter(|(output, wanted)| {
        let was = old.fec.get(output).copied().unwrap_or_default();
        was != **wanted
    });
    names
        .chain(sources)
        .chain(outputs.map(|output| Step::StartOutput(*output)))
        .chain(rates.map(|(output, rate)| Step::SetBitrate(*output, rate.now)))
        .chain(fec.map(|(output, wanted)| Step::SetFec(*output, *wanted)))
        .collect()
}

fn ends(old: &Mix, new: &Mix) -> Vec<Step> {
    let sources = old
        .sources
        .keys()
        .filter(|source| !new.sources.contains_key(source))
        .map(|source| Step::RemoveSource(*source));
    let outputs = old.outputs.difference(&new.outputs);
    let names = old.names.keys().filter(|who| !new.names.contains_key(who));
    sources
        .chain(outputs.map(|output| Step::StopOutput(*output)))
        .chain(names.map(|who| Step::ForgetName(*who)))
        .collect()
}
