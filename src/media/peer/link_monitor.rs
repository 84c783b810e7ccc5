//! Monitors the link to one peer: numbers the packets that leave for it, and takes the feedback.
//!
//! Packets come from what sends them ([`super::egress`]), retransmissions included, and RTCP from the
//! gate on the way in ([`super::inbound_gate`]). Where the receiver does not send transport-wide
//! feedback (TWCC), its receiver reports are used instead. Either says, too,
//! whether the receiver still gets anything ([`Consent`]).
//!
//! Threads: numbers are written on the streaming thread that sends, feedback is taken on the one
//! that receives RTCP, both under one short lock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::media::bwe::budget::OVERHEAD;
use crate::media::bwe::delay::{DelayEstimator, Estimate};
use crate::media::bwe::rr::RrEstimator;
use crate::media::bwe::rtcp;
use crate::media::bwe::rtcp::{ReportBlock, ReportedLoss};
use crate::media::bwe::twcc;
use crate::media::bwe::twcc::SendLog;
use crate::media::gst::pipeline::now;
use crate::media::rtp::consent::{Consent, Reported};
use crate::media::rtp::header::ssrc_and_seq;
use crate::media::rtp::session_gate::Admitted;

/// The bandwidth estimation of the link to one peer. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkMonitor {
    link: Arc<Mutex<LinkState>>,
}

#[derive(Debug, Default)]
struct LinkState {
    log: SendLog,
    estimator: DelayEstimator,
    reports: ReportedLoss,
    feedback: FeedbackKind,
    /// The estimate that was made last.
    last: Option<Estimate>,
    consent: Consent,
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
    fn send(&mut self, at: Duration, id: Option<u8>, packet: &mut [u8]) {
        let size = packet.len() + OVERHEAD;
        self.consent.on_sent(at);
        if let FeedbackKind::ReceiverReports(reception) = &mut self.feedback
            && let Some((ssrc, seq)) = ssrc_and_seq(packet)
        {
            reception.record(at, ssrc, seq, size);
        }
        if let Some(id) = id
            && twcc::has_number(packet, id)
        {
            let number = self.log.record(at, size);
            twcc::write_number(packet, id, number);
        }
    }

    /// Takes the FCI (feedback control information) of transport-wide feedback.
    fn on_twcc(&mut self, now: Duration, fci: &[u8]) {
        let results = self.log.on_feedback(fci);
        if !results.is_empty() {
            self.feedback = FeedbackKind::TransportWide;
        }
        if results.iter().any(|result| result.arrived.is_some()) {
            self.consent.on_arrived();
        }
        self.estimator.on_feedback(now, &results);
    }

    /// Takes what the gate before the session has let through.
    fn on_rtcp(&mut self, now: Duration, admitted: &Admitted<'_>) {
        let blocks: Vec<ReportBlock> = rtcp::report_blocks(&admitted.compound).collect();
        for block in &blocks {
            self.reports.on_report(now, block);
            let reported = Reported {
                highest: block.highest,
                last_sender_report: block.last_sender_report,
            };
            self.consent.on_report(block.ssrc, reported);
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
    /// Records a packet that leaves at `at`, and writes its transport-wide number if it has the header
    /// extension `id`.
    pub(crate) fn record_sent(&self, at: Duration, id: Option<u8>, packet: &mut [u8]) {
        self.link.lock().send(at, id, packet);
    }

    /// Takes what the gate on the way in has let through.
    pub(crate) fn on_rtcp(&self, now: Duration, admitted: &Admitted<'_>) {
        self.link.lock().on_rtcp(now, admitted);
    }

    /// The estimate now; `None` before there is any.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        let mut link = self.link.lock();
        link.last = link.estimate(now());
        link.last
    }

    /// What [`Self::estimate`] returned last.
    pub(crate) fn last_estimate(&self) -> Option<Estimate> {
        self.link.lock().last
    }

    /// Whether the peer is to be sent nothing more: for too long it has not said that anything of
    /// it arrives.
    pub(crate) fn has_lost_consent(&self) -> bool {
        self.link.lock().consent.is_gone()
    }

    /// The share of packets of an SSRC, 0 to 1, that the newest receiver report calls lost; `None`
    /// if the newest is too old.
    pub(crate) fn reported_loss(&self, ssrc: u32) -> Option<f32> {
        self.link.lock().reports.loss(now(), ssrc)
    }
}
