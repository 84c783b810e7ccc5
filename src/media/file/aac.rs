//! AAC in an MP4, in step with the picture.
//!
//! An AAC encoder begins with priming: what is decoded of its frames is later than what went in. An
//! edit list can tell a player to skip that, but `mp4mux` (1.22) writes none into an MP4 with
//! fragments, and not every player reads it there. So frames are moved instead: each gets the time
//! of the sound that a decoder makes of it, and those with nothing but priming are left out. That
//! holds in every player, and in a file that was cut short.

use gst::prelude::*;

use crate::media::gst::pipeline::{Pipeline, PipelineError};
use crate::media::gst::plugins::{self, AacEncoder};
use crate::media::gst::template::Value;

/// Bitrate of AAC, bit/s.
const BITRATE: u64 = 96_000;
/// Sample rate of a mix, Hz.
const RATE: u64 = 48_000;

/// The AAC encoder of this machine; `None` if it has none. Call `gst::init` first.
pub(crate) fn find() -> Option<AacEncoder> {
    plugins::aac_encoder()
}

/// What the placeholders of a template with an AAC encoder stand for.
pub(crate) fn values(encoder: AacEncoder) -> [(&'static str, Value); 2] {
    let element = Value::Word(encoder.element());
    [("aac", element), ("sound", Value::Int(BITRATE))]
}

/// Sets up the element `aac` of a pipeline that has not started: its search for coefficients, and
/// the times of its frames.
///
/// # Errors
/// [`PipelineError::NoElement`] when the pipeline has no such element.
pub(crate) fn set_up(encoder: AacEncoder, pipeline: &Pipeline) -> Result<(), PipelineError> {
    let element = pipeline.element::<gst::Element>("aac")?;
    if encoder == AacEncoder::Libav {
        // Half the CPU time of the default, "twoloop", and measured the better of the two.
        element.set_property_from_str("aac-coder", "fast");
    }
    if let Some(pad) = element.static_pad("src") {
        let priming = gst::ClockTime::SECOND.mul_div_floor(encoder.priming(), RATE);
        skip(&pad, priming.unwrap_or_default());
    }
    Ok(())
}

/// Makes all that passes a pad this much earlier, and drops what would begin before zero.
fn skip(pad: &gst::Pad, priming: gst::ClockTime) {
    /// Times of frames are rounded.
    const ROUNDING: gst::ClockTime = gst::ClockTime::from_useconds(1);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(pts) = buffer.pts() else {
            return gst::PadProbeReturn::Ok;
        };
        if pts + ROUNDING < priming {
            return gst::PadProbeReturn::Drop;
        }
        let buffer = buffer.make_mut();
        buffer.set_pts(pts.saturating_sub(priming));
        buffer.set_dts(None::<gst::ClockTime>);
        gst::PadProbeReturn::Ok
    });
}
