//! Packets as libnice reads them.

use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use gst::prelude::*;

/// Has `take` called with each packet of SRTP and SRTCP that comes by `pad`, and lets all others pass
/// (RFC 7983).
pub(super) fn take_media(pad: &gst::Pad, take: impl Fn(&gst::BufferRef) + Send + Sync + 'static) {
    const MEDIA: RangeInclusive<u8> = 128..=191;
    let is_taken = move |packet: &gst::BufferRef| {
        let mut first = [0];
        let is_media = packet.copy_to_slice(0, &mut first).is_ok() && MEDIA.contains(&first[0]);
        if is_media {
            take(packet);
        }
        is_media
    };
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        let is_gone = match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => is_taken(packet),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|packet, _| {
                    ControlFlow::Continue((!is_taken(&packet)).then_some(packet))
                });
                list.is_empty()
            }
            _ => false,
        };
        if !is_gone {
            return gst::PadProbeReturn::Ok;
        }
        info.data = None;
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what is gone.
        gst::PadProbeReturn::Handled
    });
}

/// When a packet came: as the socket says, unless that is not of this clock.
pub(super) fn arrival(packet: &gst::BufferRef, now: Duration) -> Duration {
    let said = packet.dts_or_pts().map(Duration::from);
    let is_late = |said: &Duration| *said <= now && now - *said < Duration::from_secs(1);
    said.filter(is_late).unwrap_or(now)
}
