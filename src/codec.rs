//! Codecs and containers: their names on the wire, in SDP and in file names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A video codec. Its text is its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264, constrained baseline profile (RFC 6184).
    H264,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628), which is decoded but never encoded here.
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

/// A text that is not the name of a [`VideoCodec`].
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

/// The codec of an RTP stream, which determines how the bytes after the RTP header are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// VP8 with the payload format of RFC 7741.
    Vp8,
    /// H.264 with the payload format of RFC 6184, packetization modes 0 and 1.
    H264,
    /// VP9 with the payload format of RFC 9628.
    Vp9,
    /// Opus with the payload format of RFC 7587.
    Opus,
}

impl Codec {
    /// The same codec as a video codec; `None` for Opus.
    pub fn video(self) -> Option<VideoCodec> {
        match self {
            Self::H264 => Some(VideoCodec::H264),
            Self::Vp8 => Some(VideoCodec::Vp8),
            Self::Vp9 => Some(VideoCodec::Vp9),
            Self::Opus => None,
        }
    }

    /// The encoding name of `a=rtpmap` (RFC 8866 section 6.6), in capitals as in GStreamer's caps.
    pub(crate) fn encoding_name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Opus => "OPUS",
        }
    }

    /// The codec of an encoding name in capitals; `None` for one that is not supported.
    pub(crate) fn from_encoding_name(name: &str) -> Option<Self> {
        let all = [Self::Vp8, Self::Vp9, Self::H264, Self::Opus];
        all.into_iter().find(|codec| codec.encoding_name() == name)
    }

    /// Number of RTP timestamp units per second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Vp8 | Self::Vp9 | Self::H264 => 90_000,
        }
    }

    /// The extension of a file with one track of this codec, without the dot.
    pub(crate) fn track_extension(self) -> &'static str {
        match self {
            // WebM has no H.264.
            Self::H264 => "mkv",
            Self::Vp8 | Self::Vp9 | Self::Opus => "webm",
        }
    }
}

/// A codec of sound that a peer may have in place of Opus. It is made Opus of as it comes, and made of
/// Opus as it goes, so nothing behind the peer knows of it. G.711 is asked of every endpoint (RFC
/// 7874 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegacyCodec {
    /// G.722, 16 kHz.
    G722,
    /// G.711, mu-law.
    Pcmu,
    /// G.711, A-law.
    Pcma,
}

impl LegacyCodec {
    /// The encoding name of `a=rtpmap`, in capitals.
    pub(crate) fn encoding_name(self) -> &'static str {
        match self {
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// Number of RTP timestamp units per second. That of G.722 is wrong on purpose (RFC 3551
    /// section 4.5.2).
    pub(crate) fn clock_rate(self) -> u32 {
        8000
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

/// A container of a recorded mix, which decides its video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// MP4 (ISO base media file format) with H.264, and AAC or Opus.
    Mp4,
    /// WebM with VP8 and Opus.
    Webm,
    /// Ogg (RFC 7845) with Opus alone: sound without a picture.
    Ogg,
}

impl Container {
    /// The video codec in this container; `None` for one with sound alone.
    pub fn codec(self) -> Option<VideoCodec> {
        match self {
            Self::Mp4 => Some(VideoCodec::H264),
            Self::Webm => Some(VideoCodec::Vp8),
            Self::Ogg => None,
        }
    }

    /// The extension of its file names, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::Ogg => "ogg",
        }
    }
}

/// A text that is not the name of a [`Container`].
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

/// A codec of the sound in a recorded mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum SoundCodec {
    /// AAC, low complexity (ISO/IEC 14496-3).
    Aac,
    /// Opus (RFC 6716).
    Opus,
}

/// A container and a sound codec that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("webm and ogg have audio opus; aac is for mp4")]
pub struct BadSound;

/// The format of a recorded mix: its container, and a sound codec that the container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MixFormat {
    container: Container,
    sound: SoundCodec,
}

impl MixFormat {
    /// A mix in this container, with sound in this codec.
    ///
    /// # Errors
    /// [`BadSound`] for AAC in a WebM or an Ogg.
    pub fn new(container: Container, sound: SoundCodec) -> Result<Self, BadSound> {
        match (container, sound) {
            (Container::Webm | Container::Ogg, SoundCodec::Aac) => Err(BadSound),
            _ => Ok(Self { container, sound }),
        }
    }

    /// Its container.
    pub fn container(self) -> Container {
        self.container
    }

    /// The codec of its sound.
    pub fn sound(self) -> SoundCodec {
        self.sound
    }

    /// The codec of its picture; `None` for sound alone.
    pub fn video(self) -> Option<VideoCodec> {
        self.container.codec()
    }
}

/// The mix in this container whose sound most players have: AAC in an MP4, otherwise Opus.
impl From<Container> for MixFormat {
    fn from(container: Container) -> Self {
        let sound = match container {
            Container::Mp4 => SoundCodec::Aac,
            Container::Webm | Container::Ogg => SoundCodec::Opus,
        };
        Self { container, sound }
    }
}

/// A container that a remix can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Film {
    /// MP4 with H.264 and AAC.
    Mp4,
    /// WebM with VP8 and Opus.
    Webm,
}

/// The container and the streams of a file that is remuxed to repair it. MP4 is not among them: it
/// is repaired by truncation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// WebM with one track of VP8 and one of Opus.
    Webm,
    /// Ogg with one stream of Opus.
    Ogg,
    /// Matroska or WebM with one track of video.
    Picture,
    /// Matroska or WebM with one track of Opus.
    Voice,
}
