//! Codecs and containers: their names on the wire, in SDP and in file names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 constrained baseline, RFC 6184.
    H264,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628; decoded only.
    Vp9,
}

impl VideoCodec {
    /// Whether the composite can be encoded in it.
    pub fn is_encoded(self) -> bool {
        match self {
            Self::H264 | Self::Vp8 => true,
            Self::Vp9 => false,
        }
    }
}

/// Why a text is not a video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a video codec is h264, vp8 or vp9")]
pub struct BadCodec;

impl FromStr for VideoCodec {
    type Err = BadCodec;

    fn from_str(text: &str) -> Result<Self, BadCodec> {
        match text {
            "h264" => Ok(Self::H264),
            "vp8" => Ok(Self::Vp8),
            "vp9" => Ok(Self::Vp9),
            _ => Err(BadCodec),
        }
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "h264",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
        })
    }
}

/// The codec of an RTP stream, which says how the bytes after the RTP header are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// VP8, RFC 7741.
    Vp8,
    /// H.264, RFC 6184, packetization modes 0 and 1.
    H264,
    /// VP9, RFC 9628.
    Vp9,
    /// Opus, RFC 7587.
    Opus,
}

impl Codec {
    /// The video codec; `None` for Opus.
    pub fn video(self) -> Option<VideoCodec> {
        match self {
            Self::H264 => Some(VideoCodec::H264),
            Self::Vp8 => Some(VideoCodec::Vp8),
            Self::Vp9 => Some(VideoCodec::Vp9),
            Self::Opus => None,
        }
    }

    /// The encoding name of `a=rtpmap` (RFC 8866 section 6.6), in capitals as GStreamer's caps
    /// have it.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Opus => "OPUS",
        }
    }

    /// The codec of an encoding name in capitals.
    pub fn from_encoding_name(name: &str) -> Option<Self> {
        let all = [Self::Vp8, Self::Vp9, Self::H264, Self::Opus];
        all.into_iter().find(|codec| codec.encoding_name() == name)
    }

    /// RTP timestamp units per second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Vp8 | Self::Vp9 | Self::H264 => 90_000,
        }
    }

    /// The extension of a file with one track of this codec, without the dot.
    pub fn track_extension(self) -> &'static str {
        match self {
            // WebM has no H.264.
            Self::H264 => "mkv",
            Self::Vp8 | Self::Vp9 | Self::Opus => "webm",
        }
    }
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

/// A container of a recorded mix, which decides its codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// ISO base media file format: H.264 and Opus.
    Mp4,
    /// WebM: VP8 and Opus.
    Webm,
    /// Ogg (RFC 7845): Opus alone.
    Ogg,
}

impl Container {
    /// The codec of its picture; `None` where it holds sound alone.
    pub fn codec(self) -> Option<VideoCodec> {
        match self {
            Self::Mp4 => Some(VideoCodec::H264),
            Self::Webm => Some(VideoCodec::Vp8),
            Self::Ogg => None,
        }
    }

    /// The file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::Ogg => "ogg",
        }
    }
}

/// Why a text is not a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a container is mp4, webm or ogg")]
pub struct BadContainer;

impl FromStr for Container {
    type Err = BadContainer;

    fn from_str(text: &str) -> Result<Self, BadContainer> {
        match text {
            "mp4" => Ok(Self::Mp4),
            "webm" => Ok(Self::Webm),
            "ogg" => Ok(Self::Ogg),
            _ => Err(BadContainer),
        }
    }
}

/// A container that a remix can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Film {
    /// H.264 and Opus.
    Mp4,
    /// VP8 and Opus.
    Webm,
}

/// What a file holds. There is nothing of the kind for MP4, which is cut and not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// WebM: VP8 and Opus.
    Webm,
    /// Ogg: Opus.
    Ogg,
    /// Matroska: one track, of video.
    Picture,
    /// Matroska: one track, of Opus.
    Voice,
}
