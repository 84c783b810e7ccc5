//! What is sent in place of what webrtcbin would send, as a peer may that means harm. Behind
//! rtpsession, which would not let through what it does not understand, and before SRTP, without
//! which the other side would not read it.

use std::sync::Arc;

use gst::prelude::*;

use super::pads;
use crate::media::gst::buffer::with_bytes;

/// Of which kind a packet is that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// One packet of RTP (RFC 3550 section 5.1).
    Rtp,
    /// One compound packet of RTCP (RFC 3550 section 6.1).
    Rtcp,
}

/// What is sent in place of one packet, in that order. Called on GStreamer's threads.
pub(crate) type Rework = Arc<dyn Fn(Sent, &[u8]) -> Vec<Vec<u8>> + Send + Sync>;

/// Sends what `rework` makes of each packet. To be called once the connection is up. What cannot be
/// encrypted is not sent, and what is sent after it goes on.
pub(crate) fn rework_sent(webrtc: &gst::Element, rework: &Rework) {
    for (sent, name) in [(Sent::Rtp, "send_rtp_src"), (Sent::Rtcp, "send_rtcp_src")] {
        for pad in pads(webrtc, "rtpsession", name) {
            let rework = Arc::clone(rework);
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(kinds, move |pad, info| {
                let Some(next) = pad.peer() else {
                    return gst::PadProbeReturn::Ok;
                };
                match info.data.take() {
                    Some(gst::PadProbeData::Buffer(packet)) => push(&next, &rework, sent, &packet),
                    Some(gst::PadProbeData::BufferList(list)) => {
                        for packet in list.iter() {
                            push(&next, &rework, sent, packet);
                        }
                    }
                    other => {
                        info.data = other;
                        return gst::PadProbeReturn::Ok;
                    }
                }
                // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what is gone.
                gst::PadProbeReturn::Handled
            });
        }
    }
}

fn push(next: &gst::Pad, rework: &Rework, sent: Sent, packet: &gst::BufferRef) {
    let Ok(bytes) = packet.map_readable() else {
        return;
    };
    for made in rework(sent, &bytes) {
        // An error is told to nobody: what sends would stop for good.
        let _ = next.chain(with_bytes(packet, made));
    }
}
