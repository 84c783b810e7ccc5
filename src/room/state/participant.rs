//! One participant as the room's state knows them; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::delivery_path::{DeliveryPath, MediaKind};
use super::layers::{Layers, Media};
use super::request::Reach;
use super::slot_allocation::Priority;
use crate::codec::VideoCodec;
use crate::id::SourceId;
use crate::id::{Mid, ParticipantId, Rid, Role};
use crate::media::bwe::controller;
use crate::media::bwe::controller::Budget;
use crate::media::bwe::fec::{self, Fec};
use crate::protocol::room::Limits;
use crate::protocol::room::{ParticipantState, UplinkState};
use crate::topology::Mode;

/// Longest time from an accepted join until ICE and DTLS are up. After it the participant is
/// evicted.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a participant stays after their WebSocket was lost. A join with their `resume` secret
/// takes them over until then.
pub(crate) const RESUME_GRACE: Duration = Duration::from_secs(4);
/// How long all uplinks of a participant may be silent until their tile is removed. It counts from
/// the report of silence, which comes a second after the last packet.
const VANISH_AFTER: Duration = Duration::from_secs(3);
/// How long a participant who stopped speaking keeps the mix made without their voice, so that a
/// dialogue does not start and stop encoders with every sentence.
const OWN_MIX_LINGER: Duration = Duration::from_secs(3);
/// First pause before an uplink whose decoder failed is decoded again. It doubles with each
/// failure, up to [`RETRY_LONGEST`].
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause before an uplink whose decoder failed is decoded again.
const RETRY_LONGEST: Duration = Duration::from_secs(8);
/// A decoder failure later than this after the previous one counts as the first again.
const RETRY_FORGET: Duration = Duration::from_secs(30);

/// How far a participant's media connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The answer is being made, or ICE and DTLS are not up yet. Evicted at the deadline.
    Joining { deadline: Duration },
    /// ICE and DTLS are up: media may flow.
    Connected,
}

/// State of a participant's signalling connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signalling {
    /// A WebSocket, or an HTTP session, which has none to lose.
    Attached,
    /// The WebSocket was lost. The participant is evicted at the deadline unless taken over.
    Lost { deadline: Duration },
}

/// Whether an uplink can be decoded, by what its decoders reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoding {
    Fine,
    /// A decoder failed at `at`, after `times` failures in a row before it. No decoder is started
    /// before `until`.
    Failed {
        times: u32,
        at: Duration,
        until: Duration,
    },
}

/// How a participant's uplink is encoded, as negotiated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sends {
    /// The video codec. `None` for sound, which is always Opus.
    pub codec: Option<VideoCodec>,
    /// The rids of a simulcast camera, the smallest encoding first. Empty without simulcast.
    pub rids: Vec<Rid>,
}

/// One uplink of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uplink {
    /// The video codec. `None` for sound.
    pub(crate) codec: Option<VideoCodec>,
    pub(crate) layers: Layers,
    decoding: Decoding,
    /// How many decoders of this uplink have failed. A new count makes the mixer decode anew.
    pub(crate) failures: u32,
    muted_by_owner: bool,
    pub(crate) muted_by_operator: bool,
}

impl Uplink {
    pub(crate) fn new(sends: Sends) -> Self {
        Self {
            codec: sends.codec,
            layers: Layers::new(sends.rids),
            decoding: Decoding::Fine,
            failures: 0,
            muted_by_owner: false,
            muted_by_operator: false,
        }
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted_by_owner || self.muted_by_operator
    }

    pub(crate) fn set_muted_by_owner(&mut self, muted: bool, now: Duration) {
        if self.muted_by_owner && !muted {
            // Until now it was silent by intention, which does not count against them.
            self.restart_silence(now);
        }
        self.muted_by_owner = muted;
    }

    /// Notes that a new tap of the encoding `layer` delivers since `now`. Forgives decoder
    /// failures.
    pub(crate) fn begin(&mut self, layer: usize, now: Duration) {
        if layer < self.layers.count() {
            self.layers.begin(layer, now);
            self.decoding = Decoding::Fine;
        }
    }

    /// Whether media has ever arrived on this uplink.
    pub(crate) fn has_begun(&self) -> bool {
        self.layers.media() != Media::Absent
    }

    /// Whether this uplink may be forwarded: media has arrived on it and nobody has muted it.
    pub(crate) fn is_live(&self) -> bool {
        self.has_begun() && !self.is_muted()
    }

    /// Counts silence from `now` on, for an uplink that was silent on purpose until now.
    pub(crate) fn restart_silence(&mut self, now: Duration) {
        self.layers.restart_silence(now);
    }

    /// Notes that the decoder failed at `now`, and sets when decoding is tried again.
    pub(crate) fn fail(&mut self, now: Duration) {
        let times = match self.decoding {
            Decoding::Failed { times, at, .. } if now < at + RETRY_FORGET => times + 1,
            _ => 0,
        };
        let pause = (RETRY_FIRST * 2u32.saturating_pow(times.min(8))).min(RETRY_LONGEST);
        self.failures += 1;
        self.decoding = Decoding::Failed {
            times,
            at: now,
            until: now + pause,
        };
    }

    /// Whether the mixer may decode this uplink at `now`: it is live and no pause after a decoder
    /// failure is running.
    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        let decodable = match self.decoding {
            Decoding::Fine => true,
            Decoding::Failed { until, .. } => now >= until,
        };
        self.is_live() && decodable
    }

    /// When decoding is tried again after a failure; `None` if that moment has passed.
    fn retry_at(&self, now: Duration) -> Option<Duration> {
        match self.decoding {
            Decoding::Failed { until, .. } if until > now => Some(until),
            _ => None,
        }
    }

    fn published(&self, upstream: Upstream) -> UplinkState {
        match self.layers.media() {
            _ if self.is_muted() => UplinkState::Muted,
            Media::Absent => UplinkState::None,
            Media::Flowing { .. } => UplinkState::Live,
            Media::Silent { .. } if upstream == Upstream::Paused => UplinkState::Live,
            Media::Silent { .. } => UplinkState::Stalled,
        }
    }
}

/// The downlink slots of a participant, as negotiated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downlinks {
    /// The codec of the slot for the composite. `None` without such a slot.
    pub mix_video: Option<VideoCodec>,
    /// Whether there is a slot for the sound mix.
    pub mix_audio: bool,
    /// The forward error correction that the receiver's decoder supports for the sound mix.
    pub mix_fec: Fec,
    /// The slots for forwarded pictures with their codecs, in the order of the m-lines.
    pub forward_video: Vec<(Mid, VideoCodec)>,
    /// The slots for forwarded voices, in the order of the m-lines.
    pub forward_audio: Vec<Mid>,
}

impl Downlinks {
    pub(crate) fn has_mix(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Picture => self.mix_video.is_some(),
            MediaKind::Sound => self.mix_audio,
        }
    }

    pub(crate) fn has_forwards(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Picture => !self.forward_video.is_empty(),
            MediaKind::Sound => !self.forward_audio.is_empty(),
        }
    }
}

/// Whether the server needs the media a participant sends to it. Clients are told with the message
/// `uplinks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// The participant is to send: silence counts against them.
    Active,
    /// The participant was told not to send: silence means nothing.
    Paused,
}

/// Whether a participant gets a mix of their own, without their voice (mix-minus), in place of the
/// mix of everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnMix {
    /// Not heard lately: the mix of everybody does not contain them.
    Off,
    /// Heard now: the own mix.
    WhileHeard,
    /// Not heard any more. The own mix is kept until then.
    Lingering { until: Duration },
}

/// A participant as the state knows them: connection phase, uplinks, downlinks and wishes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) phase: Phase,
    pub(crate) signalling: Signalling,
    pub(crate) uplinks: BTreeMap<Role, Uplink>,
    pub(crate) downlinks: Downlinks,
    pub(crate) reach: Reach,
    /// How the pictures of others reach them.
    pub(crate) picture_path: DeliveryPath,
    /// How the voices of others reach them.
    pub(crate) sound_path: DeliveryPath,
    pub(crate) upstream: Upstream,
    /// Whether their hand is raised.
    pub(crate) hand: bool,
    /// The mode they asked for in place of the room's (the wire's `view`).
    pub(crate) mode_override: Option<Mode>,
    /// Upper limits of height, frame rate and bitrate that they asked for.
    pub(crate) limits: Limits,
    /// The participant whose voice they do not hear, for it is their own; `None` for themselves.
    pub(crate) own_voice: Option<ParticipantId>,
    /// Bandwidth estimation of the link to them: budget, rung and pace.
    pub(crate) link: controller::LinkController,
    /// Loss on the way to them, and whether their mix needs forward error correction.
    pub(crate) fec: fec::FecController,
    /// Participants from whom they receive media directly (mode `p2p`), as they reported.
    pub(crate) mesh: BTreeSet<ParticipantId>,
    /// Height in pixels at which they draw each forwarded picture, as far as they reported it.
    pub(crate) heights: BTreeMap<SourceId, u32>,
    own_mix: OwnMix,
    /// When they last stopped being heard. `None` before that.
    spoke: Option<Duration>,
}

impl Participant {
    pub(crate) fn new(name: String, reach: Reach, now: Duration) -> Self {
        Self {
            name,
            phase: Phase::Joining {
                deadline: now + CONNECT_DEADLINE,
            },
            signalling: Signalling::Attached,
            uplinks: BTreeMap::new(),
            downlinks: Downlinks::default(),
            reach,
            picture_path: DeliveryPath::default(),
            sound_path: DeliveryPath::default(),
            upstream: Upstream::Active,
            hand: false,
            mode_override: None,
            limits: Limits::default(),
            own_voice: None,
            link: controller::LinkController::default(),
            fec: fec::FecController::default(),
            mesh: BTreeSet::new(),
            heights: BTreeMap::new(),
            own_mix: OwnMix::Off,
            spoke: None,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether they only watch: they have no uplink at all.
    pub(crate) fn is_viewer(&self) -> bool {
        self.uplinks.is_empty()
    }

    /// Upper limit in bit/s of everything forwarded to them: the lesser of their link's budget and
    /// the limit they asked for. `None` without either.
    pub(crate) fn most_forwarded(&self) -> Option<u64> {
        let link = match self.link.budget() {
            Budget::Limited(bits) => Some(bits as u64),
            Budget::Free => None,
        };
        let asked = self.limits.max_bitrate.map(u64::from);
        link.into_iter().chain(asked).min()
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.own_mix == OwnMix::WhileHeard
    }

    /// Their priority in the allocation of forward slots.
    pub(crate) fn priority(&self) -> Priority {
        match self.spoke {
            _ if self.is_heard() => Priority::Urgent,
            Some(at) => Priority::Spoke(at),
            None => Priority::Silent,
        }
    }

    pub(crate) fn set_heard(&mut self, heard: bool, now: Duration) {
        if self.is_heard() {
            self.spoke = Some(now);
        }
        self.own_mix = match (heard, self.own_mix) {
            (true, _) => OwnMix::WhileHeard,
            (false, OwnMix::WhileHeard) => OwnMix::Lingering {
                until: now + OWN_MIX_LINGER,
            },
            (false, other) => other,
        };
    }

    /// Whether others can open a peer connection to them. Mode `p2p` needs it of everybody.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reach == Reach::Signalling && !self.is_viewer()
    }

    /// Notes whether they are to send. True if that changed.
    pub(crate) fn set_upstream(&mut self, upstream: Upstream, now: Duration) -> bool {
        let news = self.upstream != upstream;
        if news && upstream == Upstream::Active {
            for uplink in self.uplinks.values_mut() {
                uplink.restart_silence(now);
            }
        }
        self.upstream = upstream;
        news
    }

    /// Whether they get a mix without their own voice at `now`.
    pub(crate) fn has_own_mix(&self, now: Duration) -> bool {
        match self.own_mix {
            OwnMix::Off => false,
            OwnMix::WhileHeard => true,
            OwnMix::Lingering { until } => now < until,
        }
    }

    /// Whether they have a tile: connected, with something to show or an avatar, and not
    /// silent on every uplink for so long that they must be taken for gone.
    pub(crate) fn is_present(&self, now: Duration) -> bool {
        self.is_connected() && !self.is_viewer() && self.vanishes_at().is_none_or(|at| now < at)
    }

    /// When their tile is removed. `None` unless every uplink that ever delivered is silent without
    /// being muted.
    fn vanishes_at(&self) -> Option<Duration> {
        if self.upstream == Upstream::Paused {
            return None;
        }
        let mut silent = None;
        for uplink in self.uplinks.values() {
            match uplink.layers.media() {
                // A muted uplink is silent by intention.
                Media::Flowing { .. } => return None,
                Media::Silent { .. } if uplink.muted_by_owner => return None,
                Media::Silent { since } => silent = silent.max(Some(since + VANISH_AFTER)),
                Media::Absent => {}
            }
        }
        silent
    }

    /// The next moment after `now` at which time alone changes something about them.
    pub(crate) fn next_deadline(&self, now: Duration) -> Option<Duration> {
        let joining = match self.phase {
            Phase::Joining { deadline } => Some(deadline),
            Phase::Connected => None,
        };
        let lost = match self.signalling {
            Signalling::Lost { deadline } => Some(deadline),
            Signalling::Attached => None,
        };
        let mix = match self.own_mix {
            OwnMix::Lingering { until } => Some(until),
            _ => None,
        };
        let uplinks = self.uplinks.values();
        let retries = uplinks.flat_map(|u| [u.retry_at(now), u.layers.settles_at(now)]);
        [joining, lost, mix, self.vanishes_at()]
            .into_iter()
            .chain(retries)
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// Whether they must be evicted: they did not connect, or did not come back, in time.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        let joining = matches!(self.phase, Phase::Joining { deadline } if now >= deadline);
        let lost = matches!(self.signalling, Signalling::Lost { deadline } if now >= deadline);
        joining || lost
    }

    pub(crate) fn published(&self, id: ParticipantId) -> ParticipantState {
        let uplink = |role| {
            self.uplinks
                .get(&role)
                .map_or(UplinkState::None, |uplink| uplink.published(self.upstream))
        };
        ParticipantState {
            id,
            name: self.name.clone(),
            speaking: self.is_heard(),
            hand: self.hand,
            mic: uplink(Role::Mic),
            camera: uplink(Role::Camera),
            screen: uplink(Role::Screen),
            viewer: self.is_viewer(),
            connected: self.is_connected(),
            view: self.mode_override,
        }
    }
}
