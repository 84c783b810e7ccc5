//! One participant's peer connection: a webrtcbin that only transports. It answers one offer, turns
//! every uplink into a tap and every downlink m-line into a slot, and never renegotiates.
//!
//! Threads: [`Peer::answer`] runs on a tokio thread. webrtcbin's callbacks run on threads of
//! GStreamer, hold weak references only, and send one [`PeerEvent`] each.

pub(crate) mod candidates;
pub(crate) mod egress;
pub(crate) mod event;
mod inbound_gate;
mod ingress;
pub(crate) mod link_monitor;
pub(crate) mod negotiate;
mod reports;
mod transcode;
pub(crate) mod webrtcbin;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use self::candidates::Gathering;
use self::egress::{Egress, StreamHooks, StreamParams};
use self::event::{Loss, OnPeerEvent, PeerError, PeerEvent};
use self::ingress::Ingress;
use self::link_monitor::LinkMonitor;
use self::negotiate::negotiate;
use self::webrtcbin::ConnectionState;

use super::gst::pipeline::{BusEvent, Pipeline, running_time};
use super::rtp::extensions::TRANSPORT_WIDE_CC;
use super::sdp::candidate::CandidateGate;
use super::sdp::certificate;
use super::sdp::line::{Fingerprint, Line};
use super::sdp::msid;
use super::sdp::normalise::Offer;
use super::sdp::remb;
use super::sdp::simulcast;
use super::stream::slot::Slot;
use crate::codec::Codec;
use crate::id::Mid;
use crate::net::reach::MediaPeers;
use crate::protocol::stats::RepairStats;

/// SSRCs that a peer may have beyond those that its m-lines need.
const SPARE_SSRCS: u32 = 16;

/// Where and how a peer's transport runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transport {
    /// The addresses to gather candidates on; all of the machine if empty.
    pub media_ips: Vec<IpAddr>,
    /// UDP ports, inclusive; any if `None`.
    pub media_ports: Option<(u16, u16)>,
    /// The address that host candidates carry instead of their own (NAT 1:1).
    pub public_ip: Option<IpAddr>,
}

/// A participant's peer connection. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Peer {
    webrtc: gst::Element,
    slots: BTreeMap<Mid, Slot>,
    egress: Egress,
    /// Running time at which the last packet arrived, ns.
    last_packet: Arc<AtomicU64>,
    link_monitor: LinkMonitor,
    ingress: Ingress,
    candidates: CandidateGate,
    /// By the index of their m-line.
    lines: Vec<Mid>,
    // Last, so that it is dropped after everything that points into it.
    _pipeline: Pipeline,
}

impl Peer {
    /// Answers `offer` with one transceiver per line of `plan`. Returns the peer and the SDP
    /// answer with the candidates gathered within a quarter of a second.
    ///
    /// # Errors
    /// [`PeerError`] when the pipeline cannot be made or webrtcbin refuses a step.
    pub(crate) async fn answer(
        label: String,
        offer: &Offer,
        plan: Vec<Line>,
        transport: &Transport,
        on_event: OnPeerEvent,
    ) -> Result<(Self, String), PeerError> {
        let mut pipeline = Pipeline::new(label);
        let webrtc = webrtcbin::make(&transport.media_ips, transport.media_ports)
            .map_err(|error| PeerError::refused("make webrtcbin", error))?;
        if plan.iter().all(|line| line.role.is_uplink()) {
            webrtcbin::ask_for_no_consent(&webrtc);
        }
        add(&pipeline, &webrtc)?;
        let lines: Arc<[Line]> = plan.into();
        let streams = max_streams(lines.len());
        let link_monitor = LinkMonitor::default();
        let egress = Egress::install(&webrtc, streams, Some(link_monitor.clone()));
        let described = (offer, &lines[..]);
        let ingress = Ingress::new(pipeline.gst(), &egress, described, streams, &on_event);
        let fingerprint = offer.transport.fingerprint.clone();
        watch_connection(&egress, &webrtc, fingerprint, &on_event);
        let on_close = Arc::clone(&on_event);
        webrtcbin::internals::on_close_notify(&webrtc, move || {
            on_close(PeerEvent::Lost(Loss::Transport));
        });
        let gathering = Gathering::watch(&webrtc);

        let bus_events = Arc::clone(&on_event);
        pipeline.start(move |event| {
            if let BusEvent::Error(text) = event {
                bus_events(PeerEvent::Lost(Loss::Pipeline(text)));
            }
        })?;
        let slots = make_transceivers(&pipeline, &webrtc, &egress, &lines)?;
        let looked_for = MediaPeers::new(&transport.media_ips, transport.public_ip);
        let mut candidates = CandidateGate::new(looked_for);
        let offered = offer.transport.candidates.iter();
        let offered: Vec<String> = offered.filter_map(|text| candidates.admit(text)).collect();
        let answer = negotiate(&webrtc, &offer.canonical(&lines, &offered)).await?;
        let last_packet = Arc::new(AtomicU64::new(running_time().nseconds()));
        let receives = Arc::clone(&last_packet);
        webrtcbin::on_received(&webrtc, move || {
            receives.store(running_time().nseconds(), Ordering::Relaxed);
        });
        ingress.open(&webrtc);
        webrtcbin::internals::rest(&webrtc);

        let mids: Vec<Mid> = lines.iter().map(|line| line.mid.clone()).collect();
        let public_ip = transport.public_ip;
        let answer = gathering
            .finish(&answer, public_ip, mids.clone(), on_event)
            .await;
        let answer = simulcast::with_rids(&answer, &lines);
        let answer = remb::with_feedback(&answer, &lines);
        let answer = msid::with_streams(&answer, &lines);
        let answer = offer
            .answer(&answer, &lines)
            .ok_or_else(|| PeerError::refused("create-answer", "m-lines are missing"))?;
        let peer = Self {
            webrtc,
            slots,
            egress,
            last_packet,
            link_monitor,
            ingress,
            candidates,
            lines: mids,
            _pipeline: pipeline,
        };
        Ok((peer, answer))
    }

    /// Gives the peer a remote candidate, if it may have it. An unknown m-line or an empty candidate
    /// is ignored, as RFC 8838 asks.
    pub(crate) fn add_candidate(&mut self, mid: &Mid, candidate: &str) {
        let Some(index) = self.lines.iter().position(|line| line == mid) else {
            return;
        };
        let index = u32::try_from(index).unwrap_or_default();
        if let Some(value) = self.candidates.admit(candidate) {
            webrtcbin::add_candidate(&self.webrtc, index, &format!("candidate:{value}"));
        }
    }

    /// The downlink slot of an m-line.
    pub(crate) fn slot(&mut self, mid: &Mid) -> Option<&mut Slot> {
        self.slots.get_mut(mid)
    }

    /// The downlink slot of an m-line, to read.
    pub(crate) fn slot_ref(&self, mid: &Mid) -> Option<&Slot> {
        self.slots.get(mid)
    }

    /// The bandwidth estimation of the link to this peer.
    pub(crate) fn link_monitor(&self) -> &LinkMonitor {
        &self.link_monitor
    }

    /// Has the other side send the streams of these SSRCs with at most `bitrate` bit/s, by REMB.
    /// Does nothing where the limit is said in signalling.
    pub(crate) fn limit_sender(&self, bitrate: u32, ssrcs: Vec<u32>) {
        self.ingress.limit(bitrate, ssrcs);
    }

    /// What has been lost and sent again so far.
    pub(crate) fn nack_counters(&self) -> RepairStats {
        let mut counters = RepairStats::default();
        self.ingress.count(&mut counters);
        self.egress.count(&mut counters);
        counters
    }

    /// Sends the newest packets of a slot again at once: `bytes` of them, or as many as are kept.
    pub(crate) fn retransmit(&self, slot: &Slot, bytes: usize) {
        self.egress.send_train(slot.ssrc(), bytes);
    }

    /// Running time at which the last packet of any kind arrived from this peer.
    pub(crate) fn last_received(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.last_packet.load(Ordering::Relaxed))
    }
}

fn add(pipeline: &Pipeline, element: &impl IsA<gst::Element>) -> Result<(), PeerError> {
    pipeline
        .gst()
        .add(element)
        .map_err(|error| PeerError::refused("add element", error))
}

/// SSRCs that a peer with so many m-lines may have: one for what each sends, one for the reports of
/// its receiver, one because some streams start anew with another, and [`SPARE_SSRCS`].
fn max_streams(lines: usize) -> u32 {
    let streams = u32::try_from(lines * 3).unwrap_or(u32::MAX);
    streams.saturating_add(SPARE_SSRCS)
}

/// One transceiver per line, in the order of the m-lines, which is how webrtcbin pairs them.
fn make_transceivers(
    pipeline: &Pipeline,
    webrtc: &gst::Element,
    egress: &Egress,
    lines: &[Line],
) -> Result<BTreeMap<Mid, Slot>, PeerError> {
    let mut slots = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        if line.role.is_uplink() {
            webrtcbin::add_receiver(webrtc, &line.caps(), line.format != Codec::Opus);
        } else {
            let slot = make_slot(pipeline, webrtc, egress, place, line)?;
            slots.insert(line.mid.clone(), slot);
        }
    }
    Ok(slots)
}

/// A slot for the m-line at that place. webrtcbin negotiates the m-line; packets do not pass it.
fn make_slot(
    pipeline: &Pipeline,
    webrtc: &gst::Element,
    egress: &Egress,
    place: usize,
    line: &Line,
) -> Result<Slot, PeerError> {
    let ssrc = rand::random::<u32>().max(1);
    let repaired = line.format != Codec::Opus;
    let params = StreamParams {
        ssrc,
        payload_type: line.payload_type,
        clock_rate: line.clock_rate(),
        numbered: line.extension(TRANSPORT_WIDE_CC),
        line: place,
        repaired,
    };
    let outlet = egress.add(params);
    let outlet = match line.legacy {
        None => outlet,
        Some(codec) => transcode::from_opus(pipeline.gst(), codec, params, outlet)?,
    };
    let slot = Slot::new(line.clone(), ssrc, outlet);
    let hooks = StreamHooks {
        request_keyframe: Box::new(slot.keyframe_requests()),
        is_paced: Box::new(slot.is_paced()),
    };
    egress.hook(ssrc, hooks);
    let direction = gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly;
    webrtcbin::add_sender(webrtc, &slot.caps(), direction, repaired)
        .map_err(|reason| PeerError::refused("request pad", reason))?;
    Ok(slot)
}

/// Reports when the connection is up and verified, or lost.
fn watch_connection(
    egress: &Egress,
    webrtc: &gst::Element,
    expected: Fingerprint,
    on_event: &OnPeerEvent,
) {
    let on_event = Arc::clone(on_event);
    let egress = egress.clone();
    webrtcbin::on_connection_state(webrtc, move |webrtc, state| {
        let event = match state {
            // Until the certificate has been compared nothing is sent and nothing is decoded.
            ConnectionState::Connected if !is_verified(webrtc, &expected) => {
                PeerEvent::Lost(Loss::Fingerprint)
            }
            ConnectionState::Connected => match egress.open(webrtc) {
                Ok(()) => PeerEvent::Connected,
                Err(error) => PeerEvent::Lost(Loss::Pipeline(error.to_string())),
            },
            ConnectionState::Failed | ConnectionState::Closed => PeerEvent::Lost(Loss::Transport),
            _ => return,
        };
        on_event(event);
    });
}

fn is_verified(webrtc: &gst::Element, expected: &Fingerprint) -> bool {
    webrtcbin::remote_certificate(webrtc).is_some_and(|pem| certificate::matches(&pem, expected))
}
