//! Monitors the link to one peer: numbers the packets that leave for it, and takes the feedback.
//!
//! It sits at webrtcbin's `rtpsession`: what leaves it goes out as it is, retransmissions included,
//! and RTCP comes to it first. Where the receiver does not send transport-wide feedback (TWCC), its
//! receiver reports are used instead.
//!
//! Threads: numbers are written on the streaming thread that sends, feedback is taken on the one
//! that receives RTCP, both under one short lock.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::webrtcbin::internals::on_element_added;
use crate::media::bwe::budget::OVERHEAD;
use crate::media::bwe::delay::{DelayEstimator, Estimate};
use crate::media::bwe::rr::RrEstimator;
use crate::media::bwe::rtcp;
use crate::media::bwe::rtcp::{ReportBlock, ReportedLoss};
use crate::media::bwe::twcc;
use crate::media::bwe::twcc::SendLog;
use crate::media::gst::pipeline::now;
use crate::media::rtp::extensions::TRANSPORT_WIDE_CC;
use crate::media::rtp::header::ssrc_and_seq;
use crate::media::sdp::line::Line;
use crate::media::stream::rtx_budget::RtxBudget;
use crate::media::stream::slot::Slot;

/// RTCP packet type of transport layer feedback (RFC 4585 section 6.1).
const TRANSPORT_FEEDBACK: u32 = 205;
/// FMT of transport layer feedback that names missing packets: NACK (RFC 4585 section 6.2.1).
const GENERIC_NACK: u32 = 1;
/// FMT of transport layer feedback that says when packets arrived: TWCC.
const TWCC_FEEDBACK: u32 = twcc::FEEDBACK_FORMAT;

/// The bandwidth estimation of the link to one peer. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct LinkMonitor {
    link: Arc<Mutex<LinkState>>,
    rtx_budget: RtxBudget,
}

#[derive(Debug, Default)]
struct LinkState {
    log: SendLog,
    estimator: DelayEstimator,
    reports: ReportedLoss,
    feedback: FeedbackKind,
}

/// Which feedback the estimate is made of.
#[derive(Debug)]
enum FeedbackKind {
    /// RTCP receiver reports and NACKs, as long as no TWCC feedback has come.
    ReceiverReports(RrEstimator),
    /// Transport-wide feedback (TWCC).
    TransportWide,
}

impl Default for FeedbackKind {
    fn default() -> Self {
        Self::ReceiverReports(RrEstimator::default())
    }
}

impl LinkState {
    /// Records a packet of RTP that leaves, and writes its transport-wide number if it has the
    /// header extension `id`.
    fn send(&mut self, at: Duration, id: Option<u8>, packet: &mut gst::Buffer) {
        let size = packet.size() + OVERHEAD;
        if let FeedbackKind::ReceiverReports(reception) = &mut self.feedback
            && let Ok(bytes) = packet.map_readable()
            && let Some((ssrc, seq)) = ssrc_and_seq(&bytes)
        {
            reception.record(at, ssrc, seq, size);
        }
        if let Some(id) = id
            && let Ok(mut bytes) = packet.make_mut().map_writable()
            && twcc::has_number(&bytes, id)
        {
            let number = self.log.record(at, size);
            twcc::write_number(&mut bytes, id, number);
        }
    }

    /// Takes the FCI (feedback control information) of transport-wide feedback.
    fn on_twcc(&mut self, now: Duration, fci: &[u8]) {
        let results = self.log.on_feedback(fci);
        if !results.is_empty() {
            self.feedback = FeedbackKind::TransportWide;
        }
        self.estimator.on_feedback(now, &results);
    }

    /// Takes a compound packet of RTCP.
    fn on_rtcp(&mut self, now: Duration, compound: &[u8]) {
        let blocks: Vec<ReportBlock> = rtcp::report_blocks(compound).collect();
        for block in &blocks {
            self.reports.on_report(now, block);
        }
        if let FeedbackKind::ReceiverReports(reception) = &mut self.feedback {
            reception.on_report(now, blocks.iter());
        }
    }

    /// Takes the FCI (feedback control information) of a NACK for packets of a stream.
    fn on_nack(&mut self, now: Duration, ssrc: u32, fci: &[u8]) {
        if let FeedbackKind::ReceiverReports(reception) = &mut self.feedback {
            reception.on_nack(now, ssrc, rtcp::nacked(fci));
        }
    }

    fn estimate(&mut self, now: Duration) -> Option<Estimate> {
        match &self.feedback {
            FeedbackKind::ReceiverReports(reception) => reception.estimate(now),
            FeedbackKind::TransportWide => {
                self.estimator.estimate(now, self.log.oldest_outstanding())
            }
        }
    }
}

impl LinkMonitor {
    /// Monitors the link of `webrtc`, whose m-lines will be `lines`. Call it before they are added.
    pub(crate) fn install(webrtc: &gst::Element, lines: &[Line]) -> Self {
        let monitor = Self {
            link: Arc::default(),
            rtx_budget: RtxBudget::install(webrtc, now),
        };
        let mut downlinks = lines.iter().filter(|line| !line.role.is_uplink());
        // One id in all of a BUNDLE (RFC 8843 section 9).
        let id = downlinks.find_map(|line| line.extension(TRANSPORT_WIDE_CC));
        let link = Arc::downgrade(&monitor.link);
        on_element_added(webrtc, move |element, name| {
            if name == "rtpsession" {
                attach(element, id, &link);
            }
        });
        monitor
    }

    /// Limits the retransmissions of `slots` by the budget of the link (`stream/rtx_budget`).
    pub(crate) fn limit_retransmissions<'a>(&self, slots: impl Iterator<Item = &'a Slot>) {
        for slot in slots {
            self.rtx_budget.add(slot.ssrc(), slot.wanted_again());
        }
    }

    /// The estimate now; `None` before there is any.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        let estimate = self.link.lock().estimate(now());
        self.rtx_budget.set_estimate(estimate);
        estimate
    }

    /// The share of packets of an SSRC, 0 to 1, that the newest receiver report calls lost; `None`
    /// if the newest is too old.
    pub(crate) fn reported_loss(&self, ssrc: u32) -> Option<f32> {
        self.link.lock().reports.loss(now(), ssrc)
    }
}

type WeakState = std::sync::Weak<Mutex<LinkState>>;

/// Taps what leaves `session` and what comes to it. `id` is the header extension of transport-wide
/// numbers, if one was negotiated.
fn attach(session: &gst::Element, id: Option<u8>, link: &WeakState) {
    let state = link.clone();
    session.connect_pad_added(move |_, pad| match pad.name().as_str() {
        "send_rtp_src" => number_sent(pad, id, state.clone()),
        "send_rtp_sink" if id.is_some() => keep_twcc_events_from_slots(pad),
        _ => {}
    });
    let internal = session.property::<gst::glib::Object>("internal-session");
    let state = link.clone();
    internal.connect("on-receiving-rtcp", false, move |values| {
        let packet = values.get(1)?.get::<gst::Buffer>().ok()?;
        let packet = packet.map_readable().ok()?;
        state.upgrade()?.lock().on_rtcp(now(), &packet);
        None
    });
    let state = link.clone();
    internal.connect("on-feedback-rtcp", false, move |values| {
        let number = |n: usize| values.get(n)?.get::<u32>().ok();
        let fci = values.get(5)?.get::<Option<gst::Buffer>>().ok()??;
        let fci = fci.map_readable().ok()?;
        let link = state.upgrade()?;
        match (number(1)?, number(2)?) {
            (TRANSPORT_FEEDBACK, TWCC_FEEDBACK) => link.lock().on_twcc(now(), &fci),
            (TRANSPORT_FEEDBACK, GENERIC_NACK) => link.lock().on_nack(now(), number(4)?, &fci),
            _ => {}
        }
        None
    });
}

/// Records and numbers every packet that passes `pad`.
fn number_sent(pad: &gst::Pad, id: Option<u8>, link: WeakState) {
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        let Some(link) = link.upgrade() else {
            return gst::PadProbeReturn::Ok;
        };
        let link = &mut *link.lock();
        let at = now();
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => {
                link.send(at, id, packet);
            }
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|mut packet, _| {
                    link.send(at, id, &mut packet);
                    ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Stops the event in which rtpsession tells the elements before it the fate of each packet: it
/// would go to every slot of the peer.
fn keep_twcc_events_from_slots(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
        let told = info.event().and_then(|event| event.structure());
        match told.is_some_and(|told| told.name() == "RTPTWCCPackets") {
            // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the event once more.
            true => gst::PadProbeReturn::Handled,
            false => gst::PadProbeReturn::Ok,
        }
    });
}
