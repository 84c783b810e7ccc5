//! What the room's task holds of one participant: the way to their signalling, their peer, and
//! the taps of their uplinks.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::id::{Mid, ParticipantId, Role};
use crate::media::bwe::delay::Estimate;
use crate::media::gst::pipeline::running_time;
use crate::media::peer::Peer;
use crate::media::peer::event::{OnPeerEvent, PeerError};
use crate::media::sdp::line::Line;
use crate::media::sdp::offer::{Offer, OfferError, RoleSource};
use crate::media::stream::audio_level::AudioLevel;
use crate::media::stream::pacer::Pacing;
use crate::media::stream::slot::Slot;
use crate::media::stream::tap::Tap;
use crate::protocol::Capture;
use crate::protocol::room::ByeReason;
use crate::protocol::stats::RepairStats;
use crate::room::error::RoomError;
use crate::room::handle::{JoinError, JoinReply, Joined, Notice, Roles};
use crate::room::settings::RoomSettings;
use crate::room::state::Input;
use crate::room::state::participant::{Downlinks, Sends};
use crate::room::state::wiring::{Downlink, Feed, LevelRate};

/// RTP silence after which an uplink counts as silent.
const UPLINK_SILENCE: Duration = Duration::from_secs(1);
/// The same of an encoding while another one of the same picture flows.
const LAYER_SILENCE: Duration = Duration::from_millis(500);
/// Silence of the whole transport after which it counts as gone. RTCP alone breaks it every
/// few seconds (RFC 3550 section 6.2).
const PEER_SILENCE: Duration = Duration::from_secs(20);
/// Most candidates kept for a peer that is still being made.
const EARLY_CANDIDATES: usize = 64;
/// How long a negotiation may take in all.
const NEGOTIATION_DEADLINE: Duration = Duration::from_secs(8);

/// An encoding of an uplink that delivers.
#[derive(Debug)]
pub(crate) struct UplinkFlow {
    pub(crate) tap: Tap,
    flowing: bool,
    /// Of its picture, pixels; zero until its packets say it.
    height: u32,
}

impl UplinkFlow {
    pub(crate) fn new(tap: Tap) -> Self {
        Self {
            tap,
            flowing: true,
            height: 0,
        }
    }

    /// Looks at it at `now`, when the newest packet of any encoding of the uplink is from
    /// `newest`. Whether it flows, and how high its picture is, each if that is news.
    fn look(&mut self, now: gst::ClockTime, newest: gst::ClockTime) -> (Option<bool>, Option<u32>) {
        let last = self.tap.last_packet();
        let flowing = since(now, last) <= UPLINK_SILENCE && since(newest, last) <= LAYER_SILENCE;
        let height = self.tap.picture_size().map_or(0, |size| size.height);
        let news = (
            (flowing != self.flowing).then_some(flowing),
            (height != self.height).then_some(height),
        );
        (self.flowing, self.height) = (flowing, height);
        news
    }
}

fn since(now: gst::ClockTime, then: gst::ClockTime) -> Duration {
    Duration::from_nanos(now.saturating_sub(then).nseconds())
}

/// Whether somebody is asked to send.
#[derive(Debug, Clone, Copy)]
enum UpstreamWatch {
    /// Since that running time.
    Since(gst::ClockTime),
    /// They were told not to: their silence means nothing.
    Paused,
}

/// A peer that has answered.
pub(crate) struct Answered {
    peer: Peer,
    answer: String,
    lines: Vec<Line>,
}

/// A participant's connections.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) serial: u64,
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) resume: String,
    /// By role and place among the rids.
    pub(crate) flows: BTreeMap<(Role, usize), UplinkFlow>,
    /// How often they are told of sound levels.
    pub(crate) levels: LevelRate,
    /// What each slot was fed last.
    pub(crate) fed: BTreeMap<Downlink, Feed>,
    joining: Option<JoinReply>,
    early_candidates: Vec<(Mid, String)>,
    slots: BTreeMap<Downlink, Mid>,
    upstream: UpstreamWatch,
    /// What their camera should take, bit/s.
    camera_bitrate: Option<u32>,
    peer: Option<Peer>,
}

impl Connection {
    pub(crate) fn new(serial: u64, notices: mpsc::Sender<Notice>, reply: JoinReply) -> Self {
        Self {
            serial,
            notices,
            resume: format!("{:032x}", rand::random::<u128>()),
            flows: BTreeMap::new(),
            levels: LevelRate::default(),
            fed: BTreeMap::new(),
            joining: Some(reply),
            early_candidates: Vec::new(),
            slots: BTreeMap::new(),
            upstream: UpstreamWatch::Since(gst::ClockTime::ZERO),
            camera_bitrate: None,
            peer: None,
        }
    }

    /// Takes the outcome of the negotiation, tells the joiner, and says what follows.
    pub(crate) fn answered(
        &mut self,
        who: ParticipantId,
        outcome: Result<Box<Answered>, RoomError>,
    ) -> Input {
        let reply = self.joining.take();
        let answered = match outcome {
            Ok(answered) => answered,
            Err(error) => {
                tracing::info!(participant = %who, %error, "join refused");
                send(reply, Err(error));
                return Input::PeerLost(who, ByeReason::ConnectionFailed);
            }
        };
        let Answered {
            peer,
            answer,
            lines,
        } = *answered;
        for (mid, candidate) in self.early_candidates.drain(..) {
            peer.add_candidate(&mid, &candidate);
        }
        self.peer = Some(peer);
        self.slots = slots(&lines);
        let joined = Joined {
            participant: who,
            resume: self.resume.clone(),
            answer,
        };
        if !send(reply, Ok(joined)) {
            return Input::PeerLost(who, ByeReason::ConnectionFailed);
        }
        Input::Answered {
            who,
            uplinks: lines
                .iter()
                .filter(|line| line.role.is_uplink())
                .map(|line| {
                    let codec = line.format.video();
                    let rids = line.rids.clone();
                    (line.role, Sends { codec, rids })
                })
                .collect(),
            downlinks: downlinks(&lines),
        }
    }

    /// Gives the peer a remote candidate, now or when it is there.
    pub(crate) fn add_candidate(&mut self, mid: Mid, candidate: String) {
        match &self.peer {
            Some(peer) => peer.add_candidate(&mid, &candidate),
            None if self.early_candidates.len() < EARLY_CANDIDATES => {
                self.early_candidates.push((mid, candidate));
            }
            None => {}
        }
    }

    /// A downlink slot.
    pub(crate) fn slot(&mut self, slot: Downlink) -> Option<&mut Slot> {
        let mid = self.slots.get(&slot)?;
        self.peer.as_mut()?.slot(mid)
    }

    /// What has been done about lost packets; `None` before there is a connection.
    pub(crate) fn repair(&self) -> Option<RepairStats> {
        self.peer.as_ref().map(Peer::nack_counters)
    }

    /// How many packets each slot has sent.
    pub(crate) fn slots_sent(&self) -> impl Iterator<Item = (Downlink, u64)> {
        self.slots.iter().filter_map(|(slot, mid)| {
            let peer = self.peer.as_ref()?;
            Some((*slot, peer.slot_ref(mid)?.packets()))
        })
    }

    /// What is known of the link to them.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        self.peer.as_ref()?.link_monitor().estimate()
    }

    /// Whether they are fed a mix.
    pub(crate) fn hears_mix(&self) -> bool {
        matches!(self.fed.get(&Downlink::Audio), Some(Feed::Output(_)))
    }

    /// Share of the packets of their mix that is lost, 0 to 1: the greatest that anything tells;
    /// `None` where nothing does.
    pub(crate) fn loss(&self, estimate: Option<&Estimate>) -> Option<f32> {
        let reported = || {
            let peer = self.peer.as_ref()?;
            let slot = peer.slot_ref(self.slots.get(&Downlink::Audio)?)?;
            peer.link_monitor().reported_loss(slot.ssrc())
        };
        let told = estimate.map(|known| known.loss).into_iter();
        told.chain(reported()).reduce(f32::max)
    }

    /// Sends them packets of a picture once more and at once, of so many bytes, for the arrival of such
    /// tells what the link carries. They have them already, and throw them away.
    pub(crate) fn send_again(&self, bytes: usize) {
        let Some(peer) = &self.peer else {
            return;
        };
        let pictures = self
            .slots
            .iter()
            .filter(|(slot, _)| matches!(slot, Downlink::Video | Downlink::ForwardVideo(_)));
        let slots = pictures.filter_map(|(_, mid)| peer.slot_ref(mid));
        if let Some(slot) = slots.max_by_key(|slot| slot.last_sent()) {
            peer.retransmit(slot, bytes);
        }
    }

    /// Has the composite go out like this; as it comes if that is `None`.
    pub(crate) fn pace(&self, pacing: Option<Pacing>) {
        let mid = self.slots.get(&Downlink::Video);
        let slot = mid.and_then(|mid| self.peer.as_ref()?.slot_ref(mid));
        if let Some(slot) = slot {
            slot.pace(pacing);
        }
    }

    /// Notes what their camera is to be sent at.
    pub(crate) fn set_camera_target(&mut self, capture: &Capture) {
        let layers = capture.layers.iter().map(|layer| layer.bitrate);
        self.camera_bitrate = Some(match capture.layers.is_empty() {
            true => capture.bitrate,
            false => layers.fold(0, u32::saturating_add),
        });
        self.limit_camera();
    }

    /// A tap of an uplink is there.
    pub(crate) fn add_flow(&mut self, role: Role, n: usize, tap: Tap) {
        self.flows.insert((role, n), UplinkFlow::new(tap));
        self.limit_camera();
    }

    /// Says it to whoever reads no notices.
    fn limit_camera(&self) {
        let cameras = self
            .flows
            .range((Role::Camera, 0)..=(Role::Camera, usize::MAX));
        let ssrcs: Vec<u32> = cameras.filter_map(|(_, flow)| flow.tap.ssrc()).collect();
        if let (Some(bitrate), Some(peer)) = (self.camera_bitrate, &self.peer) {
            peer.limit_sender(bitrate, ssrcs);
        }
    }

    /// Notes whether they are asked to send.
    pub(crate) fn set_upstream(&mut self, wanted: bool) {
        self.upstream = match wanted {
            true => UpstreamWatch::Since(running_time()),
            false => UpstreamWatch::Paused,
        };
    }

    /// Whether they speak, by what their packets say.
    pub(crate) fn speaks(&self) -> bool {
        self.speech()
            .is_some_and(|speech| speech.is_speaking(running_time()))
    }

    /// How loud they are, dBov; `None` without a microphone that says so.
    pub(crate) fn level(&self) -> Option<f32> {
        self.speech()
            .map(|speech| speech.level_dbov(running_time()))
    }

    fn speech(&self) -> Option<&AudioLevel> {
        self.flows.get(&(Role::Mic, 0))?.tap.audio_level()
    }

    /// What has fallen silent, and what flows again.
    pub(crate) fn check_liveness(&mut self, who: ParticipantId) -> Vec<Input> {
        let now = running_time();
        let mut inputs = Vec::new();
        let mut newest = BTreeMap::new();
        for ((role, _), flow) in &self.flows {
            let of_role = newest.entry(*role).or_default();
            *of_role = flow.tap.last_packet().max(*of_role);
        }
        for ((role, n), flow) in &mut self.flows {
            let newest = newest.get(role).copied().unwrap_or_default();
            let (flows, height) = flow.look(now, newest);
            inputs.extend(flows.map(|flows| match flows {
                true => Input::UplinkFlows(who, *role, *n),
                false => Input::UplinkSilent(who, *role, *n),
            }));
            inputs.extend(height.map(|height| Input::UplinkSized(who, *role, *n, height)));
        }
        let gone = |peer: &Peer| match self.upstream {
            // Signalling has a heartbeat of its own.
            UpstreamWatch::Paused => false,
            UpstreamWatch::Since(at) => since(now, peer.last_received().max(at)) > PEER_SILENCE,
        };
        if self.peer.as_ref().is_some_and(gone) {
            inputs.push(Input::PeerLost(who, ByeReason::ConnectionFailed));
        }
        inputs
    }

    /// The last notice. A full queue gets no goodbye: its reader has stopped reading.
    pub(crate) fn say_bye(&self, reason: ByeReason) {
        let _ = self.notices.try_send(Notice::Bye(reason));
    }

    /// Tells a joiner whose negotiation is still under way that it comes to nothing.
    pub(crate) fn refuse_if_joining(mut self) {
        let reason = "the connection was not negotiated in time".to_owned();
        send(self.joining.take(), Err(RoomError::Internal(reason)));
    }
}

/// Answers a joiner; false if nobody waits any more.
fn send(reply: Option<JoinReply>, outcome: Result<Joined, RoomError>) -> bool {
    let outcome = outcome.map_err(JoinError::Refused);
    reply.is_some_and(|reply| reply.send(outcome).is_ok())
}

fn downlinks(lines: &[Line]) -> Downlinks {
    let mut downlinks = Downlinks::default();
    for line in lines {
        match (line.role, line.format.video()) {
            (Role::MixVideo, codec) => downlinks.mix_video = codec,
            (Role::MixAudio, _) => {
                downlinks.mix_audio = true;
                downlinks.mix_fec = line.fec;
            }
            (Role::ForwardVideo, Some(codec)) => {
                downlinks.forward_video.push((line.mid.clone(), codec));
            }
            (Role::ForwardAudio, _) => downlinks.forward_audio.push(line.mid.clone()),
            _ => {}
        }
    }
    downlinks
}

/// Which m-line each slot is, the n-th of a kind by its place in the offer.
fn slots(lines: &[Line]) -> BTreeMap<Downlink, Mid> {
    let (mut videos, mut voices) = (0.., 0..);
    lines
        .iter()
        .filter_map(|line| {
            let slot = match line.role {
                Role::MixVideo => Downlink::Video,
                Role::MixAudio => Downlink::Audio,
                Role::ForwardVideo => Downlink::ForwardVideo(videos.next()?),
                Role::ForwardAudio => Downlink::ForwardAudio(voices.next()?),
                Role::Mic | Role::Camera | Role::Screen => return None,
            };
            Some((slot, line.mid.clone()))
        })
        .collect()
}

/// Offer in, peer and answer out.
pub(crate) async fn negotiate(
    label: String,
    offer: &str,
    roles: &Roles,
    settings: &RoomSettings,
    on_event: OnPeerEvent,
) -> Result<Answered, RoomError> {
    let offer = Offer::parse(offer, settings.max_mlines)?;
    let roles = match roles {
        Roles::Named(named) => RoleSource::Named(named),
        Roles::Publish => RoleSource::Publish,
        Roles::Play => RoleSource::Play,
    };
    let lines = offer.plan(&roles, &settings.codecs)?;
    let answer = Peer::answer(label, offer, lines.clone(), &settings.transport, on_event);
    let (peer, answer) = tokio::time::timeout(NEGOTIATION_DEADLINE, answer)
        .await
        .map_err(|_| RoomError::Internal("webrtcbin does not answer".to_owned()))??;
    Ok(Answered {
        peer,
        answer,
        lines,
    })
}

impl From<OfferError> for RoomError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Malformed(text) => Self::BadOffer(text),
            OfferError::TooManyMlines { got, limit } => Self::TooManyMlines { got, limit },
            OfferError::Roles(text) => Self::BadTracks(text),
            OfferError::Codec { mid, spoken } => Self::UnsupportedCodec {
                mid: mid.to_string(),
                spoken,
            },
        }
    }
}

impl From<PeerError> for RoomError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Negotiation {
                step: "set-remote-description",
                reason,
            } => Self::BadOffer(reason),
            other => Self::Internal(other.to_string()),
        }
    }
}
