//! Watches the link to one peer: numbers what leaves for it and hears what becomes of that.
//!
//! Sits at webrtcbin's `rtpsession`: what leaves it goes out as it is, retransmissions included,
//! and what the receiver reports comes to it first. Where the receiver does not tell arrivals
//! (transport-wide congestion control), what its reception reports say has to do.
//!
//! Threads: numbers are written on the streaming thread that sends, feedback is heard on the one
//! that receives RTCP, both under one short lock.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::bwe::budget::OVERHEAD;
use crate::media::bwe::delay::{DelayEstimator, Estimate};
use crate::media::bwe::rr::RrEstimator;
use crate::media::bwe::rtcp::{self, ReportBlock, ReportedLoss};
use crate::media::bwe::twcc::{self, SendLog};
use crate::media::gst::pipeline::running_time;
use crate::media::rtp::extensions::TRANSPORT_WIDE_CC;
use crate::media::rtp::header::ssrc_and_seq;
use crate::media::sdp::line::Line;
use crate::media::stream::rtx_budget::RtxBudget;
use crate::media::stream::slot::Slot;

/// The RTCP packet type of feedback on transport (RFC 4585 section 6.1)...
const TRANSPORT_FEEDBACK: u32 = 205;
/// ... the FMT of that which names missing packets (section 6.2.1), ...
const MISSING: u32 = 1;
/// ... and that which tells of arrivals.
const ARRIVALS: u32 = twcc::FEEDBACK_FORMAT;

/// What is known of the link to one peer. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Watch {
    link: Arc<Mutex<Link>>,
    rtx_budget: RtxBudget,
}

#[derive(Debug, Default)]
struct Link {
    log: SendLog,
    estimator: DelayEstimator,
    reports: ReportedLoss,
    receipts: Receipts,
}

/// How the link is known.
#[derive(Debug)]
enum Receipts {
    /// By reports, as long as no arrivals are told.
    Reports(RrEstimator),
    /// By arrivals.
    Arrivals,
}

impl Default for Receipts {
    fn default() -> Self {
        Self::Reports(RrEstimator::default())
    }
}

impl Link {
    /// Notes a packet of RTP that leaves, and writes its number if it has room for one under `id`.
    fn send(&mut self, at: Duration, id: Option<u8>, packet: &mut gst::Buffer) {
        let size = packet.size() + OVERHEAD;
        if let Receipts::Reports(reception) = &mut self.receipts
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

    /// Takes the FCI of transport-wide feedback.
    fn hear_arrivals(&mut self, now: Duration, fci: &[u8]) {
        let results = self.log.on_feedback(fci);
        if !results.is_empty() {
            self.receipts = Receipts::Arrivals;
        }
        self.estimator.on_feedback(now, &results);
    }

    /// Takes a compound packet of RTCP.
    fn hear_reports(&mut self, now: Duration, compound: &[u8]) {
        let blocks: Vec<ReportBlock> = rtcp::report_blocks(compound).collect();
        for block in &blocks {
            self.reports.on_report(now, block);
        }
        if let Receipts::Reports(reception) = &mut self.receipts {
            reception.on_report(now, blocks.iter());
        }
    }

    /// Takes the FCI of a request for packets of a stream.
    fn hear_missing(&mut self, now: Duration, ssrc: u32, fci: &[u8]) {
        if let Receipts::Reports(reception) = &mut self.receipts {
            reception.on_nack(now, ssrc, rtcp::nacked(fci));
        }
    }

    fn estimate(&mut self, now: Duration) -> Option<Estimate> {
        match &self.receipts {
            Receipts::Reports(reception) => reception.estimate(now),
            Receipts::Arrivals => self.estimator.estimate(now, self.log.oldest_outstanding()),
        }
    }
}

fn now() -> Duration {
    Duration::from_nanos(running_time().nseconds())
}

impl Watch {
    /// Watches the link of `webrtc`, whose m-lines are `lines`, once it has been made.
    pub(crate) fn install(webrtc: &gst::Element, lines: &[Line]) -> Self {
        let watch = Self {
            link: Arc::default(),
            rtx_budget: RtxBudget::install(webrtc, now),
        };
        let mut downlinks = lines.iter().filter(|line| !line.role.is_uplink());
        // One id in all of a BUNDLE (RFC 8843 section 9).
        let id = downlinks.find_map(|line| line.extension(TRANSPORT_WIDE_CC));
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            let link = Arc::downgrade(&watch.link);
            bin.connect_deep_element_added(move |_, _, element| {
                if element.factory().is_some_and(|f| f.name() == "rtpsession") {
                    attach(element, id, &link);
                }
            });
        }
        watch
    }

    /// Decides which of the packets of `slots` are sent again.
    pub fn guard<'a>(&self, slots: impl Iterator<Item = &'a Slot>) {
        for slot in slots {
            self.rtx_budget.add(slot.ssrc(), slot.wanted_again());
        }
    }

    /// What is known now; `None` if nothing is.
    pub fn estimate(&self) -> Option<Estimate> {
        let estimate = self.link.lock().estimate(now());
        self.rtx_budget.set_estimate(estimate);
        estimate
    }

    /// What the receiver last reported lost of the packets of an SSRC, 0 to 1; `None` if it has
    /// not lately.
    pub fn reported_loss(&self, ssrc: u32) -> Option<f32> {
        self.link.lock().reports.loss(now(), ssrc)
    }
}

type WeakLink = std::sync::Weak<Mutex<Link>>;

/// Sees what leaves `session` and what comes to it. `id` is that of the packets' numbers, if there
/// are any.
fn attach(session: &gst::Element, id: Option<u8>, link: &WeakLink) {
    let sends = link.clone();
    session.connect_pad_added(move |_, pad| match pad.name().as_str() {
        "send_rtp_src" => watch_sent(pad, id, sends.clone()),
        "send_rtp_sink" if id.is_some() => keep_from_slots(pad),
        _ => {}
    });
    let internal = session.property::<gst::glib::Object>("internal-session");
    let hears = link.clone();
    internal.connect("on-receiving-rtcp", false, move |values| {
        let packet = values.get(1)?.get::<gst::Buffer>().ok()?;
        let packet = packet.map_readable().ok()?;
        hears.upgrade()?.lock().hear_reports(now(), &packet);
        None
    });
    let hears = link.clone();
    internal.connect("on-feedback-rtcp", false, move |values| {
        let number = |n: usize| values.get(n)?.get::<u32>().ok();
        let fci = values.get(5)?.get::<Option<gst::Buffer>>().ok()??;
        let fci = fci.map_readable().ok()?;
        let link = hears.upgrade()?;
        match (number(1)?, number(2)?) {
            (TRANSPORT_FEEDBACK, ARRIVALS) => link.lock().hear_arrivals(now(), &fci),
            (TRANSPORT_FEEDBACK, MISSING) => link.lock().hear_missing(now(), number(4)?, &fci),
            _ => {}
        }
        None
    });
}

/// Notes every packet that passes `pad`.
fn watch_sent(pad: &gst::Pad, id: Option<u8>, link: WeakLink) {
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

/// rtpsession tells the elements before it what became of each packet, in an event that would go
/// to every slot of the peer.
fn keep_from_slots(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
        let told = info.event().and_then(|event| event.structure());
        match told.is_some_and(|told| told.name() == "RTPTWCCPackets") {
            // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the event once more.
            true => gst::PadProbeReturn::Handled,
            false => gst::PadProbeReturn::Ok,
        }
    });
}
