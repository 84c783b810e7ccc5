//! One participant's connection: a webrtcbin that only transports. It answers one offer, turns
//! every uplink into a tap and every downlink m-line into a slot, and never renegotiates.
//!
//! Threads: `Peer::answer` runs on a tokio thread; webrtcbin's callbacks run on threads of
//! GStreamer, hold weak references only, and send one [`PeerEvent`] each.

pub(crate) mod arrivals;
pub(crate) mod candidates;
pub mod link_monitor;
pub mod nack;
pub(crate) mod negotiate;
pub(crate) mod remb;
pub(crate) mod uplink;
pub(crate) mod webrtcbin;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;
use thiserror::Error;

use self::candidates::Gathering;
use self::link_monitor::Watch;
use self::nack::{Repair, RepairCounters, VIDEO_PATIENCE_MS};
use self::negotiate::negotiate;

use self::remb::Bound;

use super::gst::pipeline::{BusEvent, Pipeline, PipelineError, running_time};
use super::sdp::certificate;
use super::sdp::line::{Fingerprint, Line};
use super::sdp::offer::Offer;
use super::sdp::simulcast;
use super::stream::slot::Slot;
use super::stream::tap::Tap;
use crate::codec::Codec;
use crate::id::{Mid, Role};

/// A sender is asked for a keyframe at most this often.
pub(crate) const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);
/// SSRCs taken from one peer beyond those its m-lines need.
const SPARE_SSRCS: u32 = 16;

/// Where and how a peer's transport runs.
#[derive(Debug, Clone, Default)]
pub struct Transport {
    /// The only addresses to gather candidates on; all if empty.
    pub media_ips: Vec<IpAddr>,
    /// UDP ports, inclusive; any if `None`.
    pub media_ports: Option<(u16, u16)>,
    /// What host candidates say instead of their address.
    pub public_ip: Option<IpAddr>,
}

/// What can go wrong with one peer.
#[derive(Debug, Error)]
pub enum PeerError {
    /// The pipeline could not be made.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// webrtcbin refused a step.
    #[error("{step}: {reason}")]
    Negotiation {
        /// Which step.
        step: &'static str,
        /// webrtcbin's words.
        reason: String,
    },
}

/// What a peer tells its owner.
#[derive(Debug)]
pub enum PeerEvent {
    /// A candidate that was not in the answer.
    Candidate(Mid, String),
    /// ICE and DTLS are up, and the certificate is the one the offer named.
    Connected,
    /// Media arrives for the first time on an uplink, in the encoding of that place among the
    /// `rids` of its line; 0 where there is but one.
    Uplink(Role, usize, Tap),
    /// The connection is of no more use.
    Lost(Loss),
}

/// Why a connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// ICE or DTLS failed, or the other side closed.
    Transport,
    /// The DTLS certificate is not the one the offer named.
    Fingerprint,
    /// An element failed.
    Pipeline(String),
}

/// Where a peer's events go. Called on GStreamer threads; must not block.
pub type OnPeerEvent = Arc<dyn Fn(PeerEvent) + Send + Sync>;

/// A participant's connection.
#[derive(Debug)]
pub struct Peer {
    webrtc: gst::Element,
    slots: BTreeMap<Mid, Slot>,
    heard: Arc<AtomicU64>,
    watch: Watch,
    repair: Repair,
    bound: Option<Bound>,
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
        offer: Offer,
        plan: Vec<Line>,
        transport: &Transport,
        on_event: OnPeerEvent,
    ) -> Result<(Self, String), PeerError> {
        let mut pipeline = Pipeline::new(label);
        let webrtc = make_webrtcbin(transport)?;
        let repair = Repair::watch(&webrtc);
        add(&pipeline, &webrtc)?;
        let lines: Arc<[Line]> = plan.into();
        limit_streams(&webrtc, lines.len());
        let watch = Watch::install(&webrtc, &lines);
        let bound = Bound::install(&webrtc, &lines);
        uplink::take_uplinks(&pipeline, &webrtc, &lines, &on_event);
        watch_connection(&pipeline, &webrtc, offer.fingerprint.clone(), &on_event);
        let gathering = Gathering::watch(&webrtc);

        let bus_events = Arc::clone(&on_event);
        pipeline.start(move |event| {
            if let BusEvent::Error(text) = event {
                bus_events(PeerEvent::Lost(Loss::Pipeline(text)));
            }
        })?;
        let slots = make_transceivers(&pipeline, &webrtc, &lines)?;
        watch.guard(slots.values());
        let answer = negotiate(&webrtc, offer).await?;
        let heard = Arc::new(AtomicU64::new(running_time().nseconds()));
        watch_traffic(&webrtc, &heard);

        let mids: Vec<Mid> = lines.iter().map(|line| line.mid.clone()).collect();
        let public_ip = transport.public_ip;
        let answer = gathering
            .finish(&answer, public_ip, mids.clone(), on_event)
            .await;
        let answer = simulcast::with_rids(&answer, &lines);
        let answer = remb::with_feedback(&answer, &lines);
        let peer = Self {
            webrtc,
            slots,
            heard,
            watch,
            repair,
            bound,
            lines: mids,
            _pipeline: pipeline,
        };
        Ok((peer, answer))
    }

    /// Gives the peer a remote candidate; an unknown m-line or an empty candidate is ignored,
    /// as RFC 8838 asks.
    pub fn add_candidate(&self, mid: &Mid, candidate: &str) {
        let Some(index) = self.lines.iter().position(|line| line == mid) else {
            return;
        };
        let index = u32::try_from(index).unwrap_or_default();
        self.webrtc
            .emit_by_name::<()>("add-ice-candidate", &[&index, &candidate]);
    }

    /// The downlink slot of an m-line.
    pub fn slot(&mut self, mid: &Mid) -> Option<&mut Slot> {
        self.slots.get_mut(mid)
    }

    /// The downlink slot of an m-line, to look at.
    pub fn slot_ref(&self, mid: &Mid) -> Option<&Slot> {
        self.slots.get(mid)
    }

    /// What is known of the link to this peer.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Has somebody who cannot be told otherwise send their camera, in packets of these SSRCs, with
    /// at most `bitrate` bit/s.
    pub fn bound(&self, bitrate: u32, ssrcs: Vec<u32>) {
        if let Some(bound) = &self.bound {
            bound.say(bitrate, ssrcs);
        }
    }

    /// What has been done about lost packets.
    pub fn repair(&self) -> RepairCounters {
        self.repair.counters()
    }

    /// Sends the last packets of a slot once more and at once: `bytes` of them, or what is remembered.
    pub fn resend(&self, slot: &Slot, bytes: usize) {
        self.repair.resend(slot.ssrc(), &slot.recent_packets(bytes));
    }

    /// Running time at which anything at all last arrived from this peer.
    pub fn last_heard(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.heard.load(Ordering::Relaxed))
    }
}

pub(crate) fn refused(step: &'static str, reason: impl ToString) -> PeerError {
    PeerError::Negotiation {
        step,
        reason: reason.to_string(),
    }
}

fn add(pipeline: &Pipeline, element: &impl IsA<gst::Element>) -> Result<(), PeerError> {
    pipeline
        .gst()
        .add(element)
        .map_err(|error| refused("add element", error))
}

fn make_webrtcbin(transport: &Transport) -> Result<gst::Element, PeerError> {
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .property("latency", VIDEO_PATIENCE_MS)
        .build()
        .map_err(|error| refused("make webrtcbin", error))?;
    let ice = webrtc.property::<gst::glib::Object>("ice-agent");
    for ip in &transport.media_ips {
        ice.emit_by_name::<bool>("add-local-ip-address", &[&ip.to_string()]);
    }
    if let Some((low, high)) = transport.media_ports {
        ice.set_property("min-rtp-port", u32::from(low));
        ice.set_property("max-rtp-port", u32::from(high));
    }
    webrtcbin::install(&webrtc);
    let agent = ice.property::<gst::glib::Object>("agent");
    agent.set_property("ice-tcp", false);
    agent.set_property("upnp", false);
    Ok(webrtc)
}

/// Every SSRC that arrives costs threads, announced or not: each m-line has one for what it sends
/// and one for its receiver's reports, and some begin anew.
fn limit_streams(webrtc: &gst::Element, lines: usize) {
    let rtpbin = webrtc
        .downcast_ref::<gst::Bin>()
        .and_then(|bin| bin.by_name("rtpbin"));
    if let Some(rtpbin) = rtpbin {
        let streams = u32::try_from(lines * 3).unwrap_or(u32::MAX);
        rtpbin.set_property("max-streams", streams.saturating_add(SPARE_SSRCS));
    }
}

/// One transceiver per line, in the order of the m-lines, which is how webrtcbin pairs them.
/// A pad for what we send, `add-transceiver` for what we receive, and never both: that makes two.
fn make_transceivers(
    pipeline: &Pipeline,
    webrtc: &gst::Element,
    lines: &[Line],
) -> Result<BTreeMap<Mid, Slot>, PeerError> {
    let mut slots = BTreeMap::new();
    for line in lines {
        if line.role.is_uplink() {
            let receive = gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly;
            let transceiver = webrtc.emit_by_name::<gst_webrtc::WebRTCRTPTransceiver>(
                "add-transceiver",
                &[&receive, &line.caps()],
            );
            transceiver.set_property("do-nack", line.format != Codec::Opus);
        } else {
            let slot = Slot::new(line.clone());
            link_slot(pipeline, webrtc, &slot)?;
            slots.insert(line.mid.clone(), slot);
        }
    }
    Ok(slots)
}

fn link_slot(pipeline: &Pipeline, webrtc: &gst::Element, slot: &Slot) -> Result<(), PeerError> {
    let caps = slot.caps();
    let template = webrtc
        .pad_template("sink_%u")
        .ok_or_else(|| refused("request pad", "webrtcbin has no sink_%u"))?;
    let pad = webrtc
        .request_pad(&template, None, Some(&caps))
        .ok_or_else(|| refused("request pad", "webrtcbin gives none"))?;
    let transceiver = pad.property::<gst_webrtc::WebRTCRTPTransceiver>("transceiver");
    transceiver.set_property(
        "direction",
        gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly,
    );
    transceiver.set_property("codec-preferences", &caps);
    transceiver.set_property("do-nack", slot.line().format != Codec::Opus);
    let source = slot.element();
    add(pipeline, source)?;
    source
        .static_pad("src")
        .ok_or_else(|| refused("link slot", "appsrc has no pad"))?
        .link(&pad)
        .map_err(|error| refused("link slot", error))?;
    source
        .sync_state_with_parent()
        .map_err(|error| refused("start slot", error))
}

/// Reports when the connection is up, verified, or lost.
fn watch_connection(
    pipeline: &Pipeline,
    webrtc: &gst::Element,
    expected: Fingerprint,
    on_event: &OnPeerEvent,
) {
    let on_event = Arc::clone(on_event);
    let pipeline = pipeline.gst().downgrade();
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        use gst_webrtc::WebRTCPeerConnectionState as State;
        let event = match webrtc.property::<State>("connection-state") {
            // webrtcbin does not compare the certificate with the offer (fixed in 1.28.5):
            // until this has been done nothing is fed and nothing is decoded.
            State::Connected => {
                // What webrtcbin adds on connecting has not heard the latency, and without it
                // cannot time its sender reports.
                if let Some(pipeline) = pipeline.upgrade() {
                    pipeline.call_async(|pipeline| {
                        let _ = pipeline.recalculate_latency();
                    });
                }
                match verify(webrtc, &expected) {
                    true => PeerEvent::Connected,
                    false => PeerEvent::Lost(Loss::Fingerprint),
                }
            }
            State::Failed | State::Closed => PeerEvent::Lost(Loss::Transport),
            _ => return,
        };
        on_event(event);
    });
}

fn verify(webrtc: &gst::Element, expected: &Fingerprint) -> bool {
    let transceiver = webrtc
        .emit_by_name::<Option<gst_webrtc::WebRTCRTPTransceiver>>("get-transceiver", &[&0i32]);
    let transport = transceiver.and_then(|transceiver| {
        transceiver
            .receiver()
            .and_then(|receiver| receiver.transport())
            .or_else(|| transceiver.sender().and_then(|sender| sender.transport()))
    });
    transport
        .and_then(|transport| transport.property::<Option<String>>("remote-certificate"))
        .is_some_and(|pem| certificate::matches(&pem, expected))
}

/// Notes when anything arrives, on the elements that read the sockets: there is no consent
/// freshness (RFC 7675) in libnice, so silence has to be seen here.
fn watch_traffic(webrtc: &gst::Element, heard: &Arc<AtomicU64>) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else {
        return;
    };
    let sources = bin
        .iterate_recurse()
        .into_iter()
        .flatten()
        .filter(|element| element.factory().is_some_and(|f| f.name() == "nicesrc"));
    for source in sources {
        let heard = Arc::clone(heard);
        if let Some(pad) = source.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                heard.store(running_time().nseconds(), Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        }
    }
}
