//! Has an H.264 encoder's stream say that its samples are BT.601, and which level it needs:
//! openh264enc cannot be told to. [`crate::media::rtp::h264_sps`] has the bits, and the reasons.

use gst::prelude::*;

use crate::media::rtp::h264_sps::{PeakRates, patched_unit};

/// Patches the parameter sets of the H.264 (byte-stream) that leaves `encoder`: BT.601, limited
/// range, and the level that `peak` needs. Works on the encoder's streaming thread.
pub(crate) fn patch(encoder: &gst::Element, peak: PeakRates) {
    let Some(pad) = encoder.static_pad("src") else {
        return;
    };
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data
            && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
            && let Some(patched) = patched(buffer, peak)
        {
            *buffer = patched;
        }
        gst::PadProbeReturn::Ok
    });
}

/// A buffer with its parameter sets patched. `None` if they need no patch, if there are none, or if
/// the buffer cannot be read.
fn patched(buffer: &gst::BufferRef, peak: PeakRates) -> Option<gst::Buffer> {
    let map = buffer.map_readable().ok()?;
    let mut patched = gst::Buffer::from_mut_slice(patched_unit(&map, peak)?);
    let kept =
        gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
    buffer.copy_into(patched.get_mut()?, kept, ..).ok()?;
    Some(patched)
}

#[cfg(test)]
mod tests;
