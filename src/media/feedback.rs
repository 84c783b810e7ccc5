//! Watches the link to one peer: numbers what leaves for it and hears what becomes of that.
//!
//! Sits at webrtcbin's `rtpsession`: what leaves it goes out as it is, retransmissions included,
//! and what the receiver reports comes to it first. Where the receiver does not tell arrivals
//! (transport-wide congestion control was not negotiated) nothing is ever known of the link but
//! what share of each stream it says was lost.
//!
//! Threads: numbers are written on the streaming thread that sends, feedback is heard on the one
//! that receives RTCP, both under one short lock.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::estimate::{Estimate, Estimator};
use super::offer::Line;
use super::pipeline::running_time;
use super::reports::Reports;
use super::resend::Resends;
use super::slot::Slot;
use super::twcc::{self, FEEDBACK_FORMAT, SendLog, TRANSPORT_FEEDBACK, TRANSPORT_WIDE_CC};

/// Bytes on the way around each packet of RTP: those of IPv4 and UDP, and SRTP's tag of 80 bits. For
/// sound they are a quarter of it all: a link would seem to carry now less and now more.
pub const OVERHEAD: usize = 20 + 8 + 10;

/// What is known of the link to one peer. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Watch {
    link: Arc<Mutex<Link>>,
    reports: Arc<Mutex<Reports>>,
    resends: Resends,
}

#[derive(Debug, Default)]
struct Link {
    log: SendLog,
    estimator: Estimator,
}

fn now() -> Duration {
    Duration::from_nanos(running_time().nseconds())
}

impl Watch {
    /// Watches the link of `webrtc`, whose m-lines are `lines`, once it has been made.
    pub fn install(webrtc: &gst::Element, lines: &[Line]) -> Self {
        let watch = Self {
            link: Arc::default(),
            reports: Arc::default(),
            resends: Resends::install(webrtc, now),
        };
        let mut downlinks = lines.iter().filter(|line| !line.role.is_uplink());
        // One id in all of a BUNDLE (RFC 8843 section 9).
        let id = downlinks.find_map(|line| line.extension(TRANSPORT_WIDE_CC));
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            let link = Arc::downgrade(&watch.link);
            let reports = Arc::downgrade(&watch.reports);
            bin.connect_deep_element_added(move |_, _, element| {
                if element.factory().is_some_and(|f| f.name() == "rtpsession") {
                    read_reports(element, reports.clone());
                    if let Some(id) = id {
                        attach(element, id, link.clone());
                    }
                }
            });
        }
        watch
    }

    /// Decides which of the packets of `slots` are sent again.
    pub fn guard<'a>(&self, slots: impl Iterator<Item = &'a Slot>) {
        for slot in slots {
            self.resends.add(slot.ssrc(), slot.wanted_again());
        }
    }

    /// What is known now; `None` if nothing is.
    pub fn estimate(&self) -> Option<Estimate> {
        let estimate = {
            let link = &mut *self.link.lock();
            let outstanding = link.log.oldest_untold();
            link.estimator.estimate(now(), outstanding)
        };
        self.resends.know(estimate);
        estimate
    }

    /// What the receiver last reported lost of the packets of an SSRC, 0 to 1; `None` if it has
    /// not lately.
    pub fn reported_loss(&self, ssrc: u32) -> Option<f32> {
        self.reports.lock().loss(now(), ssrc)
    }
}

type WeakLink = std::sync::Weak<Mutex<Link>>;

fn attach(session: &gst::Element, id: u8, link: WeakLink) {
    let hears = link.clone();
    session.connect_pad_added(move |_, pad| match pad.name().as_str() {
        "send_rtp_src" => number(pad, id, link.clone()),
        "send_rtp_sink" => keep_from_slots(pad),
        _ => {}
    });
    let internal = session.property::<gst::glib::Object>("internal-session");
    internal.connect("on-feedback-rtcp", false, move |values| {
        let (kind, format) = (values.get(1)?, values.get(2)?);
        let is_ours = kind.get::<u32>().ok()? == TRANSPORT_FEEDBACK
            && format.get::<u32>().ok()? == FEEDBACK_FORMAT;
        let fci = values.get(5)?.get::<Option<gst::Buffer>>().ok()??;
        if let (true, Some(link)) = (is_ours, hears.upgrade()) {
            let fci = fci.map_readable().ok()?;
            let link = &mut *link.lock();
            let fates = link.log.feedback(&fci);
            link.estimator.hear(now(), &fates);
        }
        None
    });
}

fn read_reports(session: &gst::Element, reports: std::sync::Weak<Mutex<Reports>>) {
    let internal = session.property::<gst::glib::Object>("internal-session");
    internal.connect("on-receiving-rtcp", false, move |values| {
        let packet = values.get(1)?.get::<gst::Buffer>().ok()?;
        let packet = packet.map_readable().ok()?;
        reports.upgrade()?.lock().hear(now(), &packet);
        None
    });
}

/// Writes the number of every packet that passes `pad`.
fn number(pad: &gst::Pad, id: u8, link: WeakLink) {
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        let Some(link) = link.upgrade() else {
            return gst::PadProbeReturn::Ok;
        };
        let link = &mut *link.lock();
        let at = now();
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => {
                number_packet(&mut link.log, at, id, packet.make_mut());
            }
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|mut packet, _| {
                    number_packet(&mut link.log, at, id, packet.make_mut());
                    ControlFlow::Continue(Some(packet))
                });
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn number_packet(log: &mut SendLog, at: Duration, id: u8, packet: &mut gst::BufferRef) {
    let size = packet.size();
    if let Ok(mut bytes) = packet.map_writable()
        && twcc::has_number(&bytes, id)
    {
        let number = log.send(at, size + OVERHEAD);
        twcc::write_number(&mut bytes, id, number);
    }
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
