//! What a bot's camera shows and what its microphone hears.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::VideoCodec;
use crate::layout::Size;

/// Codec, size and frame rate of a bot's video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoFormat {
    /// The codec it is encoded in.
    pub codec: VideoCodec,
    /// The size in pixels; both sides even.
    pub size: Size,
    /// Frames per second.
    pub fps: u32,
}

impl VideoFormat {
    /// 640x360 at 30 frames per second.
    pub fn new(codec: VideoCodec) -> Self {
        Self::sized(codec, 640, 360)
    }

    /// A given size at 30 frames per second.
    pub fn sized(codec: VideoCodec, width: u32, height: u32) -> Self {
        let size = Size { width, height };
        Self {
            codec,
            size,
            fps: 30,
        }
    }

    /// The target bitrate, bit/s: 0.07 bit per pixel, between 100 kbit/s and 2.5 Mbit/s, which is
    /// about what a browser gives a camera of that size.
    pub fn bitrate(self) -> u32 {
        let pixels = u64::from(self.size.width) * u64::from(self.size.height) * u64::from(self.fps);
        u32::try_from(pixels * 7 / 100)
            .unwrap_or(u32::MAX)
            .clamp(100_000, 2_500_000)
    }
}

/// What a bot's camera shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VideoSource {
    /// Nothing: no camera m-line is offered.
    None,
    /// A picture of one colour.
    Color {
        /// R'G'B'; one of [`palette`](crate::bots::observe::palette) if an observer is to recognise
        /// it.
        rgb: [u8; 3],
        /// Codec, size and frame rate.
        format: VideoFormat,
    },
    /// The film of `assets/media` in a loop.
    Film {
        /// Codec, size and frame rate.
        format: VideoFormat,
        /// The position in the film at the zero of the machine's clock, so that bots show different
        /// parts.
        offset: Duration,
    },
    /// Black, and white for the first 200 ms of every two seconds of the machine's clock.
    Clap {
        /// Codec, size and frame rate.
        format: VideoFormat,
    },
    /// The sender's clock, see [`timecode`](crate::bots::observe::probe::timecode). Bots with the
    /// same format and phase share an encoder.
    TimeCode {
        /// Codec, size and frame rate.
        format: VideoFormat,
        /// In which quarter of a frame interval frames are taken, 0 to 3, so that many bots do not
        /// send at the same instant.
        phase: u32,
    },
}

impl VideoSource {
    /// The format, if there is video.
    pub fn format(self) -> Option<VideoFormat> {
        match self {
            Self::None => None,
            Self::Color { format, .. }
            | Self::Film { format, .. }
            | Self::Clap { format }
            | Self::TimeCode { format, .. } => Some(format),
        }
    }

    /// The same content in another format.
    pub fn with_format(mut self, other: VideoFormat) -> Self {
        match &mut self {
            Self::None => {}
            Self::Color { format, .. }
            | Self::Film { format, .. }
            | Self::Clap { format }
            | Self::TimeCode { format, .. } => *format = other,
        }
        self
    }
}

/// A voice of the demo. Voices take turns by the machine's clock, so that the bots of a process do
/// not talk at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Voice {
    /// Speaks first.
    Ada,
    /// Speaks second.
    Ben,
    /// Speaks third.
    Cleo,
}

/// What a bot's microphone hears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AudioSource {
    /// Nothing: no microphone m-line is offered.
    None,
    /// Silence, sent as packets as a muted browser does.
    Silence,
    /// A sine tone.
    Tone {
        /// Frequency in Hz; whole, so that the loop has no seam.
        hz: u32,
        /// Peak level in dBFS: 0 or less.
        dbfs: i32,
    },
    /// Speech, in turn with the other voices.
    Speech(Voice),
    /// The sound track of the film.
    Film,
    /// Silence, and a tone of 1 kHz while [`VideoSource::Clap`] is white.
    Clap,
}

/// How long a clap is seen and heard.
pub(crate) const CLAP: Duration = Duration::from_millis(200);

/// Time from the start of one clap to the start of the next.
pub(crate) const CLAP_EVERY: Duration = Duration::from_secs(2);
