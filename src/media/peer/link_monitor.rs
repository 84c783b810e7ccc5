//! Monitors the link to one peer: numbers the packets that leave for it, and takes the feedback.
//!
//! It sits at webrtcbin's `rtpsession`: what leaves it goes out as it is, retransmissions included.
//! RTCP comes from the gate before that session ([`super::inbound_gate`]). Where the receiver does
//! not send transport-wide feedback (TWCC), its receiver reports are used instead.
//!
//! Threads: numbers are written on the streaming thread that sends, feedback is taken on the one
//! that receives RTCP, both under one short lock.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::inbound_gate;
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
use crate::media::rtp::session_gate::Admitted;
use crate::media::sdp::line::Line;
use crate::media::stream::rtx_budget::RtxBudget;
use crate::media::stream::slot::Slot;

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

    /// Takes what the gate before the session has let through.
    fn on_rtcp(&mut self, now: Duration, admitted: &Admitted<'_>) {
        let blocks: Vec<ReportBlock> = rtcp::report_blocks(&admitted.compound).collect();
        for block in &blocks {
            self.reports.on_report(now, block);
        }
        if let FeedbackKind::ReceiverReports(reception) = &mut self.feedback {
            reception.on_report(now, blocks.iter());
            for (ssrc, fci) in rtcp::nacks(&admitted.compound) {
                reception.on_nack(now, ssrc, rtcp::nacked(fci));
            }
        }
        for fci in &admitted.transport_wide {
            self.on_twcc(now, fci);
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
    /// Monitors the link of `webrtc`, whose m-lines will be `lines`, and lets no more than `streams`
    /// SSRCs of the peer in. Call it before the m-lines are added.
    pub(crate) fn install(webrtc: &gst::Element, lines: &[Line], streams: u32) -> Self {
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
                let link = link.clone();
                inbound_gate::install(element, streams, move |admitted| {
                    if let Some(link) = link.upgrade() {
                        link.lock().on_rtcp(now(), admitted);
                    }
                });
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

/// Taps what leaves `session`. `id` is the header extension of transport-wide numbers, if one was
/// negotiated.
fn attach(session: &gst::Element, id: Option<u8>, link: &WeakState) {
    let state = link.clone();
    session.connect_pad_added(move |_, pad| {
        if pad.name() == "send_rtp_src" {
            number_sent(pad, id, state.clone());
        }
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
