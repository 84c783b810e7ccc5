//! Packets on their way into the queue of a writing pipeline.

use std::time::Duration;

use crate::codec::Codec;
use crate::media::rtp::payload::can_begin;

/// Most media that waits for the disk. Beyond it packets are dropped up to the next keyframe.
const BACKLOG: gst::ClockTime = gst::ClockTime::from_seconds(5);
/// How long it may take to write the end of a file.
pub(crate) const FINISH_DEADLINE: Duration = Duration::from_secs(3);
/// An Opus packet of 20 ms of silence: CELT, full band, mono, one frame (RFC 6716 section 3.1).
pub(crate) const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// Whether more waits for the disk than [`BACKLOG`].
pub(crate) fn is_behind(appsrc: &gst_app::AppSrc) -> bool {
    appsrc.current_level_time() > BACKLOG
}

/// Whether a packet is the first of a keyframe, or sound.
pub(crate) fn opens(format: Codec, packet: &gst::Buffer) -> bool {
    gst_rtp::RTPBuffer::from_buffer_readable(packet)
        .ok()
        .and_then(|rtp| rtp.payload().ok().map(|p| can_begin(format, p)))
        .unwrap_or_default()
}

/// The RTP timestamp of a packet (RFC 3550 section 5.1).
pub(crate) fn timestamp(packet: &gst::Buffer) -> Option<u32> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    Some(rtp.timestamp())
}

pub(crate) fn payload(packet: &gst::Buffer) -> Option<Vec<u8>> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    rtp.payload().ok().map(<[u8]>::to_vec)
}

/// Pushes a copy of a packet, whose bytes are shared, with this time in the file.
pub(crate) fn push(appsrc: &gst_app::AppSrc, packet: &gst::Buffer, time: Duration) {
    let mut packet = packet.clone();
    let time = gst::ClockTime::try_from(time).ok();
    let writable = packet.make_mut();
    writable.set_pts(time);
    writable.set_dts(None::<gst::ClockTime>);
    writable.set_duration(None::<gst::ClockTime>);
    // Refused once the pipeline has failed, which it says itself.
    let _ = appsrc.push_buffer(packet);
}
