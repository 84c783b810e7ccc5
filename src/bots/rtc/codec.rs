//! The codecs as RTP carries them: what is offered, what decodes them, where keyframes start.

use gst::prelude::*;

use crate::bots::observe::probe::picture::Matrix;
use crate::bots::source::encode::video_caps;
use crate::config::VideoCodec;

/// Opus as an m-line offers it.
pub(crate) fn opus_caps() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("payload", 111)
        .field("clock-rate", 48_000)
        .field("encoding-params", "2")
        .build()
}

/// A video codec as an m-line offers it.
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

/// Where packets of a codec that are sent again go (RFC 4588), beside [`rtp_video_caps`].
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

/// What the payload of an m-line is, as its pad's caps say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Opus,
    H264,
    Vp8,
    Vp9,
}

impl From<VideoCodec> for Codec {
    fn from(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::H264 => Self::H264,
            VideoCodec::Vp8 => Self::Vp8,
            VideoCodec::Vp9 => Self::Vp9,
        }
    }
}

impl Codec {
    /// Caps of what is encoded, as the payloader takes it.
    pub(crate) fn encoded_caps(self) -> gst::Caps {
        match self {
            Self::Opus => gst::Caps::builder("audio/x-opus")
                .field("rate", 48_000)
                .field("channels", 1)
                .field("channel-mapping-family", 0)
                .build(),
            Self::H264 => video_caps(VideoCodec::H264),
            Self::Vp8 => video_caps(VideoCodec::Vp8),
            Self::Vp9 => video_caps(VideoCodec::Vp9),
        }
    }

    /// What puts it into packets, in gst-launch syntax.
    pub(crate) fn payloader(self) -> &'static str {
        match self {
            Self::Opus => "rtpopuspay",
            Self::H264 => "rtph264pay aggregate-mode=zero-latency config-interval=-1",
            Self::Vp8 => "rtpvp8pay picture-id-mode=15-bit",
            Self::Vp9 => "rtpvp9pay picture-id-mode=15-bit",
        }
    }

    pub(crate) fn of(pad: &gst::Pad) -> Option<Self> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        match caps.structure(0)?.get::<&str>("encoding-name").ok()? {
            "OPUS" => Some(Self::Opus),
            "H264" => Some(Self::H264),
            "VP8" => Some(Self::Vp8),
            "VP9" => Some(Self::Vp9),
            _ => None,
        }
    }

    /// Whether a packet holds the start of a keyframe.
    pub(crate) fn starts_key(self, payload: &[u8]) -> bool {
        match self {
            Self::Opus => false,
            Self::H264 => h264_starts_key(payload),
            Self::Vp8 => vp8_starts_key(payload),
            // RFC 9628 section 4.2: P (not predicted from earlier frames) and B (first packet).
            Self::Vp9 => payload.first().is_some_and(|b| b & 0x48 == 0x08),
        }
    }

    /// The matrix of decoded pictures, as Chromium takes them: what the stream says, and where it
    /// says nothing BT.601, but BT.709 for H.264.
    pub(crate) fn matrix(self, decoded: &gst::CapsRef) -> Matrix {
        let said: Option<gst_video::VideoColorimetry> = decoded
            .structure(0)
            .and_then(|raw| raw.get::<&str>("colorimetry").ok())
            .and_then(|text| text.parse().ok());
        match said.map(|said| said.matrix()) {
            Some(gst_video::VideoColorMatrix::Bt601) => Matrix::Bt601,
            Some(gst_video::VideoColorMatrix::Bt709) => Matrix::Bt709,
            _ if self == Self::H264 => Matrix::Bt709,
            _ => Matrix::Bt601,
        }
    }

    /// What decodes it, in gst-launch syntax.
    pub(crate) fn decoder(self) -> &'static str {
        match self {
            Self::Opus => "rtpopusdepay ! opusdec plc=true",
            Self::H264 => {
                "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! \
                 avdec_h264 max-threads=1"
            }
            Self::Vp8 => {
                "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec threads=1"
            }
            Self::Vp9 => {
                "rtpvp9depay request-keyframe=true wait-for-keyframe=true ! vp9dec threads=1"
            }
        }
    }
}

/// RFC 6184: an SPS (7) or IDR slice (5), alone, in a STAP-A (24), or as the start of a FU-A (28).
fn h264_starts_key(payload: &[u8]) -> bool {
    let kind = |byte: u8| byte & 0x1f;
    let key = |kind: u8| kind == 5 || kind == 7;
    match payload {
        [first, indicator, ..] if kind(*first) == 28 => {
            indicator & 0x80 != 0 && key(kind(*indicator))
        }
        [first, _, _, nal, ..] if kind(*first) == 24 => key(kind(*nal)),
        [first, ..] => key(kind(*first)),
        [] => false,
    }
}

/// RFC 7741 section 4.2: behind the descriptor of a first packet (S, partition 0), the lowest bit
/// of the frame header is 0 for a keyframe.
fn vp8_starts_key(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else {
        return false;
    };
    if first & 0x17 != 0x10 {
        return false;
    }
    let mut skip = 1;
    if first & 0x80 != 0 {
        let extensions = payload.get(1).copied().unwrap_or(0);
        skip += 1;
        if extensions & 0x80 != 0 {
            let long = payload.get(skip).is_some_and(|b| b & 0x80 != 0);
            skip += if long { 2 } else { 1 };
        }
        skip += usize::from(extensions & 0x40 != 0);
        skip += usize::from(extensions & 0x30 != 0);
    }
    payload.get(skip).is_some_and(|b| b & 1 == 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_are_known_by_their_first_packet() {
        // X with a 15-bit picture id, then the frame header.
        assert!(vp8_starts_key(&[0x90, 0x80, 0x81, 0x02, 0x10]));
        assert!(!vp8_starts_key(&[0x90, 0x80, 0x81, 0x02, 0x11]));
        assert!(!vp8_starts_key(&[0x80, 0x80, 0x81, 0x02, 0x10]), "no start");
        assert!(vp8_starts_key(&[0x10, 0x10]));
        assert!(!vp8_starts_key(&[0x90, 0x80]));
        assert!(h264_starts_key(&[0x67, 0x42]));
        assert!(h264_starts_key(&[0x78, 0, 9, 0x67]));
        assert!(h264_starts_key(&[0x7c, 0x85]));
        assert!(!h264_starts_key(&[0x7c, 0x05]), "the middle of one");
        assert!(!h264_starts_key(&[0x41, 0x9a]));
        assert!(Codec::Vp9.starts_key(&[0x88]) && !Codec::Vp9.starts_key(&[0xc8]));
    }
}
