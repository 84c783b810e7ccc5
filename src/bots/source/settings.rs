//! What a bot's camera shows and what its microphone hears.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::VideoCodec;
use crate::layout::Size;

/// The form of a bot's video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoFormat {
    /// How it is encoded.
    pub codec: VideoCodec,
    /// Pixels; even.
    pub size: Size,
    /// Frames per second.
    pub fps: u32,
}

impl VideoFormat {
    /// 640x360 at 30 frames per second.
    pub fn new(codec: VideoCodec) -> Self {
        Self::sized(codec, 640, 360)
    }

    /// A size of one's own at 30 frames per second.
    pub fn sized(codec: VideoCodec, width: u32, height: u32) -> Self {
        let size = Size { width, height };
        Self {
            codec,
            size,
            fps: 30,
        }
    }

    /// What it is encoded at, bit/s: about what a browser gives a camera of that size.
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
    /// No camera m-line.
    None,
    /// One colour.
    Color {
        /// R'G'B', of [`crate::bots::observe::palette`] if it is to be recognised.
        rgb: [u8; 3],
        /// Its form.
        format: VideoFormat,
    },
    /// The film of `assets/media`, over and over.
    Film {
        /// Its form.
        format: VideoFormat,
        /// Where in the film this bot is at the clock's zero.
        offset: Duration,
    },
    /// Dark, and white for the first [`CLAP`] of every [`CLAP_EVERY`] of the machine's clock.
    Clap {
        /// Its form.
        format: VideoFormat,
    },
    /// The sender's clock, see [`crate::bots::observe::probe::timecode`]. Bots of one format and phase share
    /// an encoder.
    TimeCode {
        /// Its form.
        format: VideoFormat,
        /// Which of [`PHASES`](super::live::PHASES) parts of a frame interval its frames are taken at,
        /// so that many bots do not all send at one instant.
        phase: u32,
    },
}

impl VideoSource {
    /// The form, if there is video.
    pub fn format(self) -> Option<VideoFormat> {
        match self {
            Self::None => None,
            Self::Color { format, .. }
            | Self::Film { format, .. }
            | Self::Clap { format }
            | Self::TimeCode { format, .. } => Some(format),
        }
    }

    /// The same content in another form.
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

/// A voice of the demo. They take turns, by the machine's clock, so that the voices of bots in
/// one process do not talk at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Voice {
    /// The first to speak.
    Ada,
    /// The second.
    Ben,
    /// The third.
    Cleo,
}

/// What a bot's microphone hears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AudioSource {
    /// No mic m-line.
    None,
    /// Packets of silence, as a muted browser sends.
    Silence,
    /// A sine.
    Tone {
        /// Its frequency, Hz; whole, so that the loop has no seam.
        hz: u32,
        /// Its peak, dB below full scale: 0 or less.
        dbfs: i32,
    },
    /// A voice.
    Speech(Voice),
    /// The film's sound.
    Film,
    /// Still, and a tone of 1 kHz whenever [`VideoSource::Clap`] is white.
    Clap,
}

/// How long a clap is seen and heard.
pub(crate) const CLAP: Duration = Duration::from_millis(200);

/// Time from one clap to the next.
pub(crate) const CLAP_EVERY: Duration = Duration::from_secs(2);
