//! Decoded pictures as GStreamer has them, mapped for reading.

use gst_video::prelude::*;

use super::picture::{Picture, Plane};
use crate::id::SourceId;
use crate::layout::Size;

/// Mean difference per block, of 255, up to which a camera's picture counts as equal to the drawn
/// one: noise, and what encoders make of it. For a shared screen it is 0.
const NOISE_TOLERANCE: u8 = 2;

/// A decoded picture that is mapped for as long as it is kept.
pub(crate) type ReadFrame = gst_video::VideoFrame<gst_video::video_frame::Readable>;

/// A decoded sample as a frame that stays mapped for as long as it is kept.
pub(crate) fn readable(sample: &gst::Sample) -> Option<ReadFrame> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    gst_video::VideoFrame::from_buffer_readable(sample.buffer_owned()?, &info).ok()
}

/// Whether two pictures of a source look the same.
pub(crate) fn is_like(one: &ReadFrame, other: &ReadFrame, source: SourceId) -> bool {
    let tolerance = if source.is_screen() {
        0
    } else {
        NOISE_TOLERANCE
    };
    let (Some(one), Some(other)) = (picture(one), picture(other)) else {
        return false;
    };
    one.is_like(&other, tolerance)
}

/// A frame as a picture to draw; `None` if it has not three planes.
pub(crate) fn picture(frame: &ReadFrame) -> Option<Picture<'_>> {
    let [y, u, v] = strides(frame.plane_stride())?;
    let [luma, blue, red, _] = frame.planes_data();
    let plane = |data, stride| Plane { data, stride };
    Some(Picture {
        planes: [plane(luma, y), plane(blue, u), plane(red, v)],
        size: Size {
            width: frame.width(),
            height: frame.height(),
        },
    })
}

/// The strides of the planes Y, U and V.
pub(crate) fn strides(strides: &[i32]) -> Option<[usize; 3]> {
    let stride = |n: usize| usize::try_from(*strides.get(n)?).ok();
    Some([stride(0)?, stride(1)?, stride(2)?])
}
