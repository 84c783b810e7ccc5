//! The canvas's one way from colours to samples: ITU-R BT.601, limited range.
//!
//! It is BT.601 because VP8 knows no other (RFC 6386 section 9.2) and because it is what browsers
//! make of a camera, whatever they encode it with. A source that says otherwise, in its stream or
//! in the color-space header extension of its packets, is converted behind its decoder. H.264
//! viewers, who would take the picture for BT.709, are told in the stream
//! ([`crate::media::rtp::h264_sps`]). Nothing else is ever converted.
//!
//! All caps from the decoders to the encoders name it: GStreamer takes raw video without a name
//! for BT.709 above 576 lines, and would convert where two names differ.

use gst_video::{VideoColorMatrix, VideoColorRange, VideoColorimetry};
use gst_video::{VideoColorPrimaries, VideoTransferFunction};

/// What GStreamer calls the canvas's colorimetry in caps.
pub(crate) const NAME: &str = "bt601";

/// The canvas's colorimetry, which is [`NAME`].
pub(crate) fn canvas() -> VideoColorimetry {
    named(VideoColorRange::Range16_235, VideoColorMatrix::Bt601)
}

/// A colorimetry with this range and matrix. Transfer and primaries are always the canvas's: no
/// decoder branch converts them, and another name would only keep equal samples from passing
/// through.
fn named(range: VideoColorRange, matrix: VideoColorMatrix) -> VideoColorimetry {
    let primaries = VideoColorPrimaries::Smpte170m;
    VideoColorimetry::new(range, matrix, VideoTransferFunction::Bt601, primaries)
}

/// The caps `decoded` of a decoder with a matrix and a range: those that the stream names, BT.601
/// and limited range where it names none. `None` if the caps are not of Y'CbCr.
pub(crate) fn with_matrix(decoded: &gst::CapsRef) -> Option<gst::Caps> {
    let info = gst_video::VideoInfo::from_caps(decoded).ok()?;
    if !info.format_info().is_yuv() {
        return None;
    }
    // Not the info's own, where a guess by the picture's height stands for what is missing.
    let said: Option<VideoColorimetry> = decoded
        .structure(0)?
        .get::<&str>("colorimetry")
        .ok()
        .and_then(|text| text.parse().ok());
    let matrix = said.as_ref().map(VideoColorimetry::matrix);
    let matrix = match matrix {
        None | Some(VideoColorMatrix::Unknown) => VideoColorMatrix::Bt601,
        Some(matrix) => matrix,
    };
    let range = match said.as_ref().map(VideoColorimetry::range) {
        None | Some(VideoColorRange::Unknown) => VideoColorRange::Range16_235,
        Some(range) => range,
    };
    let mut caps = decoded.to_owned();
    caps.make_mut()
        .set("colorimetry", named(range, matrix).to_string());
    Some(caps)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_canvas_is_what_its_name_says() {
        gst::init().unwrap();
        assert_eq!(canvas().to_string(), NAME);
    }

    #[test]
    fn a_stream_is_believed_and_silence_is_bt601() {
        gst::init().unwrap();
        let of = |height: i32, said: Option<&str>| {
            let caps = gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", 1280)
                .field("height", height)
                .field("framerate", gst::Fraction::new(30, 1))
                .field_if_some("colorimetry", said)
                .build();
            let caps = with_matrix(&caps).unwrap();
            gst_video::VideoInfo::from_caps(&caps)
                .unwrap()
                .colorimetry()
        };
        for height in [360, 720] {
            for said in [None, Some("bt601"), Some("2:0:0:0"), Some("2:4:5:1")] {
                assert_eq!(of(height, said), canvas(), "{said:?}");
            }
            let hd = of(height, Some("bt709"));
            assert_eq!(hd.matrix(), VideoColorMatrix::Bt709);
            assert_eq!(hd.range(), VideoColorRange::Range16_235);
            let full = of(height, Some("1:0:0:0"));
            assert_eq!(full.matrix(), VideoColorMatrix::Bt601);
            assert_eq!(full.range(), VideoColorRange::Range0_255);
        }
    }

    #[test]
    fn only_luma_and_chroma_have_a_matrix() {
        gst::init().unwrap();
        let rgb = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gbr, 64, 64);
        assert_eq!(with_matrix(&rgb.build().unwrap().to_caps().unwrap()), None);
    }
}
