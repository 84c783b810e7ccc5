//! Makes sure that webrtcbin seals nothing in the name of a stream that is sealed here.

use std::sync::Arc;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::rtp::compound::ssrc;
use crate::media::rtp::session_gate::SessionGate;

/// The metric of packets that webrtcbin would have sealed. It stays at zero.
const KEPT_FROM_SRTPENC: &str = "tessera_packets_kept_from_srtpenc_total";

/// Lets no RTP into `srtpenc`: all of it is sealed here.
pub(super) fn rtp(srtpenc: &gst::Element) {
    srtpenc.connect_pad_added(|_, pad| shut(pad));
    srtpenc.sink_pads().iter().for_each(shut);
}

fn shut(pad: &gst::Pad) {
    if pad.name().starts_with("rtp_sink") {
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, |_, info| drop_it(info));
    }
}

/// Lets no RTCP out of `session` that is in the name of a stream that `gate` knows as ours.
pub(super) fn rtcp(session: &gst::Element, gate: Arc<Mutex<SessionGate>>) {
    session.connect_pad_added(move |_, pad| {
        if pad.name() != "send_rtcp_src" {
            return;
        }
        let gate = Arc::clone(&gate);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let sender = match &info.data {
                Some(gst::PadProbeData::Buffer(compound)) => sender_of(compound),
                _ => None,
            };
            match sender.is_some_and(|ssrc| gate.lock().is_sent_by_us(ssrc)) {
                true => drop_it(info),
                false => gst::PadProbeReturn::Ok,
            }
        });
    });
}

/// The sender of a compound packet: its first SSRC (RFC 3550 section 6.4).
fn sender_of(compound: &gst::BufferRef) -> Option<u32> {
    let bytes = compound.map_readable().ok()?;
    ssrc(bytes.get(4..)?)
}

fn drop_it(info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    metrics::counter!(KEPT_FROM_SRTPENC).increment(1);
    info.data = None;
    // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what is gone.
    gst::PadProbeReturn::Handled
}
