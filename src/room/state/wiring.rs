//! The media wiring of a room: everything that runs, and the steps from one wiring to another;
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

/// A downlink slot of a participant (LiveKit's DownTrack, mediasoup's Consumer): one m-line on
/// which the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Downlink {
    /// The slot for the composite picture.
    Video,
    /// The slot for the sound mix.
    Audio,
    /// The n-th slot for a forwarded picture, counted from 0 in the order of the m-lines.
    ForwardVideo(usize),
    /// The n-th slot for a forwarded voice, counted from 0 in the order of the m-lines.
    ForwardAudio(usize),
}

/// The stream that a slot sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// An encoding of this room's mixer.
    Output(Output),
    /// An encoding of an uplink, forwarded without decoding.
    Uplink {
        /// The participant and role of the uplink.
        source: SourceId,
        /// Index of the simulcast encoding, the smallest first; 0 without simulcast.
        layer: usize,
        /// Serial number of the encoding's tap. Another number is another tap, which the slot must
        /// be connected to.
        tap: u32,
    },
}

impl Feed {
    /// Whether `other` continues this feed: it is the same one, or another encoding of the same
    /// uplink. Then the slot delivers without a gap.
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

    /// Whether both are renditions of the composite and this one is on a better rung.
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

/// The stream that a recording of tracks writes of one uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackFeed {
    /// Index of the simulcast encoding, the smallest first; 0 without simulcast.
    pub layer: usize,
    /// Serial number of the encoding's tap. Another number begins another file.
    pub tap: u32,
    /// Whether arriving media is written now.
    pub tracked: Tracked,
}

/// Whether the media of an uplink is written to a recording of tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracked {
    /// Arriving media is written.
    Live,
    /// The uplink is muted: whatever arrives is thrown away.
    Muted,
}

/// One change of the running media. `Wiring::steps_to` makes them, the room's task carries them
/// out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Start the mixer of this room.
    StartMixer,
    /// End the mixer with its sources, outputs and names.
    StopMixer,
    /// Set the name that a participant's tiles show.
    SetName(ParticipantId, String),
    /// Forget the name of a participant who left.
    ForgetName(ParticipantId),
    /// Decode the encoding with this index of an uplink into the mix. Replaces the decoder that the
    /// uplink had.
    AddSource(SourceId, usize),
    /// Stop decoding an uplink.
    RemoveSource(SourceId),
    /// Start an encoder of the mixer.
    StartOutput(Output),
    /// Stop an encoder of the mixer.
    StopOutput(Output),
    /// Set the target bitrate of an encoder, bit/s.
    SetBitrate(Output, u32),
    /// Turn forward error correction of a sound mix on or off.
    SetFec(Output, Fec),
    /// Set the pacing of a participant's composite. `None` sends packets as they come.
    Pace(ParticipantId, Option<Pacing>),
    /// Set the feed of a participant's slot, or none, and how the slot passes from the old feed to
    /// the new one.
    Feed(ParticipantId, Downlink, Option<Feed>, Handoff),
    /// Set how often a participant gets sound levels.
    Levels(ParticipantId, LevelRate),
    /// Tell a participant in which mode they are served and who is in their forward slots.
    Slots(ParticipantId, SlotTable),
    /// Tell a participant whether to send: true resumes their upstream, false pauses it.
    Uplinks(ParticipantId, bool),
    /// Start the task that writes a recording.
    StartRecorder(RecordingId),
    /// Write this encoding of the mixer to a recording, in place of the last one of its kind.
    FeedRecorder(RecordingId, Output),
    /// Set what a recording of tracks writes of an uplink. `None` ends the uplink's file.
    Track(RecordingId, SourceId, Option<TrackFeed>),
    /// Stop the task that writes a recording.
    StopRecorder(RecordingId),
    /// Set what the mixer saves on: the composite's frame rate follows from it.
    SetPressure(Pressure),
    /// Show these tiles in the composite.
    SetScene(Scene),
    /// Tell a participant at which size, frame rate and bitrate to send their camera.
    Capture(ParticipantId, Capture),
}

/// How often a participant gets sound levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LevelRate {
    /// Whenever levels are measured: five times a second.
    #[default]
    Full,
    /// Once a second, for weak links. Each message is a packet, and five a second are a twentieth
    /// of what such a link carries.
    Reduced,
}

/// What a participant is told of their forward slots: who is in which, and in which mode they are
/// served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotTable {
    /// `sfu` if anything is forwarded to them, else `mcu`; `p2p` in a mesh.
    pub mode: Mode,
    /// One entry per forward m-line, audio first.
    pub slots: Vec<SlotState>,
}

/// All media of a room, as it runs or as it should. The state keeps the running one and computes
/// the desired one after each input.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wiring {
    pub(crate) mixer: Mixing,
    pub(crate) feeds: BTreeMap<(ParticipantId, Downlink), Feed>,
    pub(crate) captures: BTreeMap<ParticipantId, Capture>,
    /// Who is in the forward slots of each participant.
    pub(crate) forwards: BTreeMap<ParticipantId, Forwards>,
    /// What each participant was told of their forward slots.
    pub(crate) tables: BTreeMap<ParticipantId, SlotTable>,
    /// Participants who were told not to send (the wire's `uplinks` with `wanted` false).
    pub(crate) paused_upstreams: BTreeSet<ParticipantId>,
    /// Pacing of the composite per participant. Without an entry, packets go out as they come.
    pub(crate) pacing: BTreeMap<ParticipantId, Pacing>,
    /// Participants who get sound levels at [`LevelRate::Reduced`].
    pub(crate) reduced_levels: BTreeSet<ParticipantId>,
    /// Running recordings, and what each records.
    pub(crate) recorders: BTreeMap<RecordingId, Subject>,
    /// Encoding of the mixer that each recording of the mix writes, per kind of media.
    pub(crate) recorder_feeds: BTreeMap<(RecordingId, MediaKind), Output>,
    /// What each recording of tracks writes of each uplink.
    pub(crate) tracks: BTreeMap<(RecordingId, SourceId), TrackFeed>,
}

/// Who is in a participant's forward slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forwards {
    pub(crate) video: SlotAllocation,
    pub(crate) audio: SlotAllocation,
}

/// Whether the mixer runs, and its contents.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Mixing {
    #[default]
    None,
    Running(Box<Mix>),
}

/// Target bitrate of an encoder of the mixer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Target bitrate, bit/s.
    pub(crate) now: u32,
    /// Bitrate that a new encoder starts with, bit/s. If `now` differs, a step sets it.
    pub(crate) first: u32,
}

/// The contents of the mixer: its sources, encoders and scene.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mix {
    pub(crate) names: BTreeMap<ParticipantId, String>,
    /// The uplinks that are decoded, and which encoding of each.
    pub(crate) sources: BTreeMap<SourceId, Decoded>,
    pub(crate) outputs: BTreeSet<Output>,
    /// Target bitrate of each encoder.
    pub(crate) rates: BTreeMap<Output, Rate>,
    /// Forward error correction of each sound encoder.
    pub(crate) fec: BTreeMap<Output, Fec>,
    /// Encoders that feed nobody any more, and when they stop.
    pub(crate) lingering: BTreeMap<Output, Duration>,
    pub(crate) scene: Scene,
    /// What the mixer saves on while the server is overloaded.
    pub(crate) pressure: Pressure,
}

/// The decoder that an uplink has in the mixer. A different value needs a new decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Index of the simulcast encoding, the smallest first; 0 without simulcast.
    pub(crate) layer: usize,
    /// Serial number of the encoding's tap.
    pub(crate) tap: u32,
    /// How many decoders of the uplink failed before this one.
    pub(crate) failures: u32,
}

impl Wiring {
    /// The scene that the mixer shows. `None` without a mixer.
    pub(crate) fn scene(&self) -> Option<&Scene> {
        match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => Some(&mix.scene),
        }
    }

    /// Target bitrate of an output, bit/s. `None` if it does not run.
    pub(crate) fn rate_of(&self, output: Output) -> Option<u32> {
        match &self.mixer {
            Mixing::Running(mix) => mix.rates.get(&output).map(|rate| rate.now),
            Mixing::None => None,
        }
    }

    /// Whether the mixer decodes an uplink.
    pub(crate) fn decodes(&self, source: SourceId) -> bool {
        self.decoded(source).is_some()
    }

    /// The decoder of an uplink. `None` if the mixer does not decode it.
    pub(crate) fn decoded(&self, source: SourceId) -> Option<Decoded> {
        match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => mix.sources.get(&source).copied(),
        }
    }

    /// The moments at which a waiting source may take a forward slot from another.
    pub(crate) fn reviews(&self) -> impl Iterator<Item = Duration> {
        self.forwards
            .values()
            .flat_map(|forwards| [forwards.video.review, forwards.audio.review])
            .flatten()
    }

    /// The moments at which encoders without viewers stop.
    pub(crate) fn lingering(&self) -> impl Iterator<Item = Duration> {
        let mix = match &self.mixer {
            Mixing::None => None,
            Mixing::Running(mix) => Some(mix),
        };
        mix.into_iter()
            .flat_map(|mix| mix.lingering.values().copied())
    }

    /// Removes an encoder that failed, with every feed from it.
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

    /// Removes everything wired to a participant whose peer has been stopped.
    pub(crate) fn forget_participant(&mut self, who: ParticipantId) {
        self.feeds.retain(|(fed, _), _| *fed != who);
        self.captures.remove(&who);
        self.forwards.remove(&who);
        self.tables.remove(&who);
        self.paused_upstreams.remove(&who);
        self.pacing.remove(&who);
        self.reduced_levels.remove(&who);
    }

    /// Removes a mixer that could not be started, with every feed from it.
    pub(crate) fn forget_mixer(&mut self) {
        self.mixer = Mixing::None;
        self.feeds.retain(|_, fed| !matches!(fed, Feed::Output(_)));
        self.recorder_feeds.clear();
    }
}
