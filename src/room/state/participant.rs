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

/// How long a join may take until the connection is up.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long a participant whose WebSocket is gone may come back to be taken over.
pub(crate) const RESUME_GRACE: Duration = Duration::from_secs(4);
/// How long all uplinks may be silent, beyond the second after which silence is noticed, until
/// the tile goes.
const VANISH_AFTER: Duration = Duration::from_secs(3);
/// How long somebody who fell silent keeps the mix made for them, so that a dialogue does not
/// start and stop encoders with every sentence.
const OWN_MIX_LINGER: Duration = Duration::from_secs(3);
/// First pause before a stream that could not be decoded is tried again; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest such pause.
const RETRY_LONGEST: Duration = Duration::from_secs(8);
/// A stream that decoded this long has been forgiven.
const RETRY_FORGET: Duration = Duration::from_secs(30);

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until the answer is made and ICE and DTLS are up, or the deadline.
    Joining { deadline: Duration },
    /// Media may flow.
    Connected,
}

/// The signalling connection beside the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signalling {
    /// A WebSocket, or an HTTP session, which has none to lose.
    Attached,
    /// Lost; gone for good at the deadline.
    Lost { deadline: Duration },
}

/// Whether what arrives can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoding {
    Fine,
    /// It failed `times`, last at `at`, and is not tried before `until`.
    Failed {
        times: u32,
        at: Duration,
        until: Duration,
    },
}

/// In what a participant sends on an uplink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sends {
    /// The codec of video; `None` for sound.
    pub codec: Option<VideoCodec>,
    /// The names of a camera's encodings, the smallest first; empty where there is but one.
    pub rids: Vec<Rid>,
}

/// One uplink of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uplink {
    /// What video is sent in; `None` for sound.
    pub(crate) codec: Option<VideoCodec>,
    pub(crate) layers: Layers,
    decoding: Decoding,
    /// Counts the decoders that failed.
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

    /// A new tap of an encoding delivers.
    pub(crate) fn begin(&mut self, layer: usize, now: Duration) {
        if layer < self.layers.count() {
            self.layers.begin(layer, now);
            self.decoding = Decoding::Fine;
        }
    }

    /// Whether a tap is there.
    pub(crate) fn has_begun(&self) -> bool {
        self.layers.media() != Media::Absent
    }

    /// Whether it may be forwarded.
    pub(crate) fn is_live(&self) -> bool {
        self.has_begun() && !self.is_muted()
    }

    /// Silence from now on counts, whatever it was before.
    pub(crate) fn restart_silence(&mut self, now: Duration) {
        self.layers.restart_silence(now);
    }

    /// The decoder gave up at `now`.
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

    /// Whether this should be decoded at `now`, if anybody sees or hears it.
    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        let decodable = match self.decoding {
            Decoding::Fine => true,
            Decoding::Failed { until, .. } => now >= until,
        };
        self.is_live() && decodable
    }

    /// When a failed decoder is tried again, if that is still to come.
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

/// What a participant receives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downlinks {
    /// The codec of the composite's slot, if there is one.
    pub mix_video: Option<VideoCodec>,
    /// Whether there is a slot for the mix.
    pub mix_audio: bool,
    /// The forward error correction that the decoder behind that slot makes use of.
    pub mix_fec: Fec,
    /// The slots for other people's pictures and their codecs, in the order of the m-lines.
    pub forward_video: Vec<(Mid, VideoCodec)>,
    /// The slots for other people's voices, in the order of the m-lines.
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

/// Whether anything needs what somebody sends to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Their silence says something about them.
    Active,
    /// They were told not to.
    Paused,
}

/// Which mix a participant hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnMix {
    /// Not heard: the common mix.
    Off,
    /// Heard: one without themselves.
    WhileHeard,
    /// Not heard any more, but the own mix is kept until then.
    Lingering { until: Duration },
}

/// One participant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) phase: Phase,
    pub(crate) signalling: Signalling,
    pub(crate) uplinks: BTreeMap<Role, Uplink>,
    pub(crate) downlinks: Downlinks,
    pub(crate) reach: Reach,
    /// How they get the others' pictures.
    pub(crate) picture_path: DeliveryPath,
    /// How they get the others' voices.
    pub(crate) sound_path: DeliveryPath,
    pub(crate) upstream: Upstream,
    /// The mode they asked for instead of the room's.
    pub(crate) mode_override: Option<Mode>,
    /// What they ask for at most.
    pub(crate) limits: Limits,
    /// What is known of the link to them, and follows from it.
    pub(crate) link: controller::LinkController,
    /// What is lost on the way to them, and what should protect their sound from it.
    pub(crate) fec: fec::FecController,
    /// From whom they receive media directly.
    pub(crate) mesh: BTreeSet<ParticipantId>,
    /// How high they draw the pictures that are forwarded to them, pixels, as far as they said.
    pub(crate) heights: BTreeMap<SourceId, u32>,
    own_mix: OwnMix,
    /// When they were last heard, if they are not now.
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
            mode_override: None,
            limits: Limits::default(),
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

    /// Has no uplink at all.
    pub(crate) fn is_viewer(&self) -> bool {
        self.uplinks.is_empty()
    }

    /// What all that is forwarded to them may come to, bit/s, by what their link carries and what
    /// they ask for; `None` without a limit.
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

    /// How good a priority they have to be forwarded.
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

    /// Whether they can be called by others: mode `p2p` is for such only.
    pub(crate) fn is_reachable(&self) -> bool {
        self.reach == Reach::Signalling && !self.is_viewer()
    }

    /// Tells them whether to send. True if that is news.
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

    /// Whether the sound sent to them is made without theirs.
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

    /// When they are taken for gone, if every uplink that ever delivered is silent.
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

    /// The next moment at which time alone changes something about them.
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

    /// Whether a deadline has passed that ends their participation.
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
            mic: uplink(Role::Mic),
            camera: uplink(Role::Camera),
            screen: uplink(Role::Screen),
            viewer: self.is_viewer(),
            connected: self.is_connected(),
            view: self.mode_override,
        }
    }
}
