//! The live side of one participant, as the room's task holds it: the queue to their signalling,
//! their peer connection, and the taps of their uplinks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::negotiation::Answered;
use crate::admission::{Busy, Grant};
use crate::id::{Mid, ParticipantId, Role};
use crate::media::bwe::delay::Estimate;
use crate::media::gst::pipeline::running_time;
use crate::media::peer::Peer;
use crate::media::sdp::line::Line;
use crate::media::stream::audio_level::AudioLevel;
use crate::media::stream::pacer::Pacing;
use crate::media::stream::slot::Slot;
use crate::media::stream::tap::Tap;
use crate::protocol::Capture;
use crate::protocol::room::ByeReason;
use crate::protocol::stats::RepairStats;
use crate::room::error::RoomError;
use crate::room::handle::{JoinError, JoinReply, Joined};
use crate::room::notices::{Notice, NoticeSender};
use crate::room::state::Input;
use crate::room::state::participant::{Downlinks, Sends};
use crate::room::state::wiring::{Downlink, Feed, LevelRate};

/// RTP silence after which an encoding counts as silent while another one of its uplink flows.
const LAYER_SILENCE: Duration = Duration::from_millis(500);
/// Silence of the whole transport after which the peer counts as lost. A living peer sends RTCP at
/// least every few seconds (RFC 3550 section 6.2).
const PEER_SILENCE: Duration = Duration::from_secs(20);
/// Largest number of remote candidates kept until the peer is made. Later ones are dropped.
const EARLY_CANDIDATES: usize = 64;

/// The tap of one encoding of an uplink, and what was last reported of it.
#[derive(Debug)]
pub(crate) struct UplinkFlow {
    pub(crate) tap: Tap,
    flowing: bool,
    /// Height of its picture, pixels; 0 until its packets tell it.
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

    /// Checks the tap at `now`, when the newest packet of any encoding of the uplink is from
    /// `newest`. Returns whether it flows and the height of its picture, each only if it changed.
    fn look(&mut self, now: gst::ClockTime, newest: gst::ClockTime) -> (Option<bool>, Option<u32>) {
        let last = self.tap.last_packet();
        let flowing =
            since(now, last) <= self.tap.silence_limit() && since(newest, last) <= LAYER_SILENCE;
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

/// Whether the silence of a participant's transport counts.
#[derive(Debug, Clone, Copy)]
enum UpstreamWatch {
    /// It counts, from this running time at the earliest: since then they are to send.
    Since(gst::ClockTime),
    /// It does not count: they were told not to send.
    Paused,
}

/// The connection of a participant: signalling, peer, taps and slots.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) serial: u64,
    pub(crate) notices: NoticeSender,
    pub(crate) resume: String,
    /// By role and index of the simulcast encoding.
    pub(crate) flows: BTreeMap<(Role, usize), UplinkFlow>,
    pub(crate) levels: LevelRate,
    /// The current feed of each slot.
    pub(crate) fed: BTreeMap<Downlink, Feed>,
    joining: Option<JoinReply>,
    /// What the server has granted, until it is connected.
    grant: Option<Grant>,
    early_candidates: Vec<(Mid, String)>,
    slots: BTreeMap<Downlink, Mid>,
    upstream: UpstreamWatch,
    /// Target bitrate of their camera, all encodings together, bit/s.
    camera_bitrate: Option<u32>,
    peer: Option<Peer>,
}

impl Connection {
    pub(crate) fn new(
        serial: u64,
        notices: NoticeSender,
        reply: JoinReply,
        grant: Option<Grant>,
    ) -> Self {
        Self {
            serial,
            notices,
            resume: format!("{:032x}", rand::random::<u128>()),
            flows: BTreeMap::new(),
            levels: LevelRate::default(),
            fed: BTreeMap::new(),
            joining: Some(reply),
            grant,
            early_candidates: Vec::new(),
            slots: BTreeMap::new(),
            upstream: UpstreamWatch::Since(gst::ClockTime::ZERO),
            camera_bitrate: None,
            peer: None,
        }
    }

    /// Takes the outcome of the negotiation, answers the join, and returns the input that follows.
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
            mut peer,
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

    /// Gives back what the server has granted for the join: it has been made use of.
    pub(crate) fn has_connected(&mut self) {
        if let Some(grant) = self.grant.take() {
            grant.connected();
        }
    }

    /// Gives the peer a remote candidate, or keeps it until the peer is made.
    pub(crate) fn add_candidate(&mut self, mid: Mid, candidate: String) {
        match &mut self.peer {
            Some(peer) => peer.add_candidate(&mid, &candidate),
            None if self.early_candidates.len() < EARLY_CANDIDATES => {
                self.early_candidates.push((mid, candidate));
            }
            None => {}
        }
    }

    /// The downlink slot of the peer. `None` before there is a peer, or without such a slot.
    pub(crate) fn slot(&mut self, slot: Downlink) -> Option<&mut Slot> {
        let mid = self.slots.get(&slot)?;
        self.peer.as_mut()?.slot(mid)
    }

    /// Counters of NACKs and retransmissions; `None` before there is a peer.
    pub(crate) fn repair(&self) -> Option<RepairStats> {
        self.peer.as_ref().map(Peer::nack_counters)
    }

    /// Number of packets that each slot has sent.
    pub(crate) fn slots_sent(&self) -> impl Iterator<Item = (Downlink, u64)> {
        self.slots.iter().filter_map(|(slot, mid)| {
            let peer = self.peer.as_ref()?;
            Some((*slot, peer.slot_ref(mid)?.packets()))
        })
    }

    /// The bandwidth estimate of the link to them; `None` before there is one.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        self.peer.as_ref()?.link_monitor().estimate()
    }

    /// Whether their slot for the sound mix is fed.
    pub(crate) fn hears_mix(&self) -> bool {
        matches!(self.fed.get(&Downlink::Audio), Some(Feed::Output(_)))
    }

    /// Share of the packets of their sound mix that is lost, 0 to 1: the greater of the estimate's
    /// and the one in receiver reports. `None` if neither is known.
    pub(crate) fn loss(&self, estimate: Option<&Estimate>) -> Option<f32> {
        let reported = || {
            let peer = self.peer.as_ref()?;
            let slot = peer.slot_ref(self.slots.get(&Downlink::Audio)?)?;
            peer.link_monitor().reported_loss(slot.ssrc())
        };
        let estimated = estimate.map(|known| known.loss).into_iter();
        estimated.chain(reported()).reduce(f32::max)
    }

    /// Retransmits `bytes` bytes of a picture at once, as a bandwidth probe: their arrival times
    /// tell what the link carries. The receiver has these packets already and drops them.
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

    /// Sets the pacing of the composite. `None` sends packets as they come.
    pub(crate) fn pace(&self, pacing: Option<Pacing>) {
        let mid = self.slots.get(&Downlink::Video);
        let slot = mid.and_then(|mid| self.peer.as_ref()?.slot_ref(mid));
        if let Some(slot) = slot {
            slot.pace(pacing);
        }
    }

    /// Notes the target bitrate of their camera, and limits the sender to it.
    pub(crate) fn set_camera_target(&mut self, capture: &Capture) {
        let layers = capture.layers.iter().map(|layer| layer.bitrate);
        self.camera_bitrate = Some(match capture.layers.is_empty() {
            true => capture.bitrate,
            false => layers.fold(0, u32::saturating_add),
        });
        self.limit_camera();
    }

    /// Adds the tap of the `n`-th encoding of an uplink, in place of an older one.
    pub(crate) fn add_flow(&mut self, role: Role, n: usize, tap: Tap) {
        self.flows.insert((role, n), UplinkFlow::new(tap));
        self.limit_camera();
    }

    /// Limits the camera's sender by REMB, for WHIP clients, which read no notices.
    fn limit_camera(&self) {
        let cameras = self
            .flows
            .range((Role::Camera, 0)..=(Role::Camera, usize::MAX));
        let ssrcs: Vec<u32> = cameras.filter_map(|(_, flow)| flow.tap.ssrc()).collect();
        if let (Some(bitrate), Some(peer)) = (self.camera_bitrate, &self.peer) {
            peer.limit_sender(bitrate, ssrcs);
        }
    }

    /// Notes whether they are to send. If not, silence of the transport does not count.
    pub(crate) fn set_upstream(&mut self, wanted: bool) {
        self.upstream = match wanted {
            true => UpstreamWatch::Since(running_time()),
            false => UpstreamWatch::Paused,
        };
    }

    /// Whether they speak, by the audio levels in their packets.
    pub(crate) fn speaks(&self) -> bool {
        self.speech()
            .is_some_and(|speech| speech.is_speaking(running_time()))
    }

    /// The tap of their microphone, if its packets do not say how loud they are.
    pub(crate) fn unmeasured_microphone(&self) -> Option<&Tap> {
        let tap = &self.flows.get(&(Role::Mic, 0))?.tap;
        tap.audio_level()?.is_unsaid().then_some(tap)
    }

    /// Level of their microphone, dBov; `None` if they have none.
    pub(crate) fn level(&self) -> Option<f32> {
        self.speech()
            .map(|speech| speech.level_dbov(running_time()))
    }

    fn speech(&self) -> Option<&AudioLevel> {
        self.flows.get(&(Role::Mic, 0))?.tap.audio_level()
    }

    /// The inputs for what has changed since the last call: encodings that fell silent, flow again
    /// or have another height, and a lost peer.
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
        if let Some(why) = self.peer.as_ref().and_then(|peer| self.loss_of(peer, now)) {
            tracing::info!(participant = %who, why, "connection lost");
            inputs.push(Input::PeerLost(who, ByeReason::ConnectionFailed));
        }
        inputs
    }

    /// Why the peer counts as lost, if it does.
    fn loss_of(&self, peer: &Peer, now: gst::ClockTime) -> Option<&'static str> {
        let is_silent = match self.upstream {
            // That they are there is known by the heartbeat of signalling.
            UpstreamWatch::Paused => false,
            UpstreamWatch::Since(at) => since(now, peer.last_received().max(at)) > PEER_SILENCE,
        };
        match is_silent {
            true => Some("it sends nothing"),
            false if peer.link_monitor().has_lost_consent() => Some("it gets nothing"),
            false => None,
        }
    }

    /// Sends the last notice, and refuses the join if its negotiation is still under way. The notice is
    /// dropped if the queue is full: its reader has stopped reading.
    pub(crate) fn say_bye(&mut self, who: ParticipantId, reason: ByeReason) {
        send(self.joining.take(), Err(refusal(who, reason)));
        let _ = self.notices.send(Notice::Bye(reason));
    }
}

/// What a join is told whose participant has gone before it was answered.
fn refusal(who: ParticipantId, reason: ByeReason) -> RoomError {
    match reason {
        ByeReason::Removed | ByeReason::Replaced | ByeReason::Left => {
            RoomError::NoSuchParticipant(who)
        }
        ByeReason::RoomClosed => RoomError::Closed,
        ByeReason::ServerShutdown => RoomError::ShuttingDown,
        // Offers are read, and connections made, in time that depends on nobody but this machine.
        ByeReason::ConnectionFailed | ByeReason::TooSlow => RoomError::Busy(Busy::Slow),
        ByeReason::FingerprintMismatch | ByeReason::ProtocolError | ByeReason::Internal => {
            RoomError::Internal(format!("{who} has gone before the answer: {reason:?}"))
        }
    }
}

/// Answers a join. False if the joiner does not wait any more.
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

/// The m-line of each slot. Forward slots are counted per kind, in the order of the offer.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_that_ends_unanswered_is_told_why() {
        let who = ParticipantId::new(7);
        let told = |reason| refusal(who, reason);
        assert_eq!(
            told(ByeReason::Removed),
            RoomError::NoSuchParticipant(who),
            "somebody has removed them"
        );
        assert_eq!(told(ByeReason::RoomClosed), RoomError::Closed);
        assert_eq!(told(ByeReason::ServerShutdown), RoomError::ShuttingDown);
        assert_eq!(
            told(ByeReason::ConnectionFailed),
            RoomError::Busy(Busy::Slow),
            "the machine has not got round to it"
        );
    }
}
