//! The codecs as RTP carries them: what is offered, what packetises and what decodes them.

use gst::prelude::*;

use crate::bots::observe::probe::picture::Matrix;
use crate::bots::source::encode::video_caps;
use crate::codec::{Codec, VideoCodec};

/// Caps of Opus, as an m-line offers it.
pub(crate) fn opus_caps() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("payload", 111)
        .field("clock-rate", 48_000)
        .field("encoding-params", "2")
        .build()
}

/// Caps of a video codec, as an m-line offers it.
pub(crate) fn rtp_video_caps(codec: VideoCodec) -> gst::Caps {
    let builder = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("clock-rate", 90_000)
        .field("rtcp-fb-nack-pli", true)
        .field("rtcp-fb-ccm-fir", true);
    match codec {
        VideoCodec::Vp8 => builder.field("encoding-name", "VP8").field("payload", 96),
        VideoCodec::Vp9 => builder.field("encoding-name", "VP9").field("payload", 98),
        VideoCodec::H264 => builder
            .field("encoding-name", "H264")
            .field("payload", 102)
            .field("packetization-mode", "1")
            .field("profile-level-id", "42e01f"),
    }
    .build()
}

/// Caps of the retransmissions (RFC 4588) of a codec, to be offered beside [`rtp_video_caps`].
pub(crate) fn rtx_caps(codec: VideoCodec) -> gst::Caps {
    let payload = |caps: &gst::Caps| caps.structure(0)?.get::<i32>("payload").ok();
    let original = payload(&rtp_video_caps(codec)).unwrap_or_default();
    gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("encoding-name", "RTX")
        .field("payload", original + 20)
        .field("clock-rate", 90_000)
        .field("apt", original.to_string())
        .build()
}

/// Caps of encoded frames, as [`payloader`] takes them.
pub(crate) fn encoded_caps(codec: Codec) -> gst::Caps {
    match codec {
        Codec::Opus => gst::Caps::builder("audio/x-opus")
            .field("rate", 48_000)
            .field("channels", 1)
            .field("channel-mapping-family", 0)
            .build(),
        Codec::H264 => video_caps(VideoCodec::H264),
        Codec::Vp8 => video_caps(VideoCodec::Vp8),
        Codec::Vp9 => video_caps(VideoCodec::Vp9),
    }
}

/// The element that packetises a codec, in gst-launch syntax.
pub(crate) fn payloader(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "rtpopuspay",
        Codec::H264 => "rtph264pay aggregate-mode=zero-latency config-interval=-1",
        Codec::Vp8 => "rtpvp8pay picture-id-mode=15-bit",
        Codec::Vp9 => "rtpvp9pay picture-id-mode=15-bit",
    }
}

/// The codec that the caps of a pad name.
pub(crate) fn codec_of(pad: &gst::Pad) -> Option<Codec> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    Codec::from_encoding_name(caps.structure(0)?.get::<&str>("encoding-name").ok()?)
}

/// The matrix of decoded pictures, chosen as Chromium does: what the stream says, else BT.709 for
/// H.264 and BT.601 for the others.
pub(crate) fn matrix(codec: Codec, decoded: &gst::CapsRef) -> Matrix {
    let said: Option<gst_video::VideoColorimetry> = decoded
        .structure(0)
        .and_then(|raw| raw.get::<&str>("colorimetry").ok())
        .and_then(|text| text.parse().ok());
    match said.map(|said| said.matrix()) {
        Some(gst_video::VideoColorMatrix::Bt601) => Matrix::Bt601,
        Some(gst_video::VideoColorMatrix::Bt709) => Matrix::Bt709,
        _ if codec == Codec::H264 => Matrix::Bt709,
        _ => Matrix::Bt601,
    }
}

/// The elements that depacketise and decode a codec, in gst-launch syntax.
pub(crate) fn decoder(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "rtpopusdepay ! opusdec plc=true",
        Codec::H264 => {
            "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! \
             avdec_h264 max-threads=1"
        }
        Codec::Vp8 => "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec threads=1",
        Codec::Vp9 => "rtpvp9depay request-keyframe=true wait-for-keyframe=true ! vp9dec threads=1",
    }
}
