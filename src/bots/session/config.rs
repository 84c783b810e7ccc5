//! What a bot sends, what it takes, and how it enters.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bots::rtc::connection::Reach;
use crate::bots::rtc::ice::Route;
use crate::codec::VideoCodec;
use crate::id::RoomId;
use crate::layout::Size;
use crate::protocol::room::Limits;
use crate::topology::Mode;

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
        /// Which of [`crate::bots::source::live::PHASES`] parts of a frame interval its frames are taken at,
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
pub const CLAP: Duration = Duration::from_millis(200);

/// Time from one clap to the next.
pub const CLAP_EVERY: Duration = Duration::from_secs(2);

/// How a bot enters the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Over the signalling WebSocket.
    WebSocket {
        /// Forward m-lines it offers of each kind.
        forward_slots: usize,
    },
    /// Over WHIP (RFC 9725): sends only.
    Whip,
    /// Over WHEP: receives only.
    Whep,
}

/// What is decoded of what comes in; the rest is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// Nothing.
    No,
    /// Video.
    Video,
    /// Sound.
    Audio,
    /// Both.
    Both,
}

impl Decode {
    pub(crate) fn audio(self) -> bool {
        matches!(self, Self::Audio | Self::Both)
    }

    pub(crate) fn video(self) -> bool {
        matches!(self, Self::Video | Self::Both)
    }
}

/// What a bot takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// The codecs offered for the composite and the forward slots, the preferred first; if there
    /// are none, the bot offers to receive nothing at all.
    pub codecs: Vec<VideoCodec>,
    /// What is decoded of the mix.
    pub decode: Decode,
    /// What is decoded of what comes in on forward m-lines and from other members directly.
    pub forwards: Decode,
}

impl Receive {
    /// Takes nothing.
    pub fn nothing() -> Self {
        Self {
            codecs: Vec::new(),
            decode: Decode::No,
            forwards: Decode::No,
        }
    }

    /// Offers H.264 and VP8 as browsers do.
    pub fn like_a_browser(decode: Decode) -> Self {
        Self {
            codecs: vec![VideoCodec::H264, VideoCodec::Vp8],
            decode,
            forwards: decode,
        }
    }
}

/// Whether a bot connects to other members in mode `p2p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mesh {
    /// It does, as the page does. Its camera must be VP8, which is all a mesh carries.
    Join,
    /// It takes no part, as a client that knows nothing of it: the server goes on serving it.
    Ignore,
}

/// What is noted down of the packets a bot sends to the server and gets on forward m-lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Nothing.
    Nothing,
    /// What tells one payload from another, see [`crate::bots::observe::packet_capture`].
    Payloads,
}

/// Whether a sender does as the server asks with `capture`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// It sends at the size and rate asked for, as the page does.
    Follow,
    /// It goes on at its own.
    Ignore,
}

/// What a bot tells the server of the link to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFeedback {
    /// Receiver reports only.
    Reports,
    /// When each packet arrived (transport-wide congestion control), as browsers do.
    Arrivals,
}

/// What a bot makes of lost packets of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mending {
    /// It goes on as before, and fades out (packet loss concealment).
    Guess,
    /// It takes what was lost from the next packet where that says it again (in-band FEC), and says
    /// so in its offer, as browsers do. All of its sound is heard a packet later.
    Fec,
}

/// Which certificate an offer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// The one the bot then shows.
    True,
    /// Another: the server must close the connection.
    Wrong,
}

/// Everything about a bot.
#[derive(Debug, Clone)]
pub struct BotConfig {
    /// `http://127.0.0.1:PORT`.
    pub server: String,
    /// Where media may go. If `None`, on loopback alone if the server's address is one, for its
    /// media is there then, unless it was told otherwise.
    pub reach: Option<Reach>,
    /// Whether media may go without a relay.
    pub route: Route,
    /// The room.
    pub room: RoomId,
    /// The name on the tile.
    pub name: String,
    /// The room's token.
    pub token: Option<String>,
    /// How it enters.
    pub entry: Entry,
    /// Its camera; none over WHEP.
    pub video: VideoSource,
    /// Its microphone; none over WHEP.
    pub audio: AudioSource,
    /// So many packets of its sound, of 20 ms each, go out together as the last of them is due, as
    /// from a driver with large blocks.
    pub sound_burst: usize,
    /// What it takes; nothing over WHIP.
    pub receive: Receive,
    /// Whether it sends at the size it is asked for.
    pub capture: Capture,
    /// Which certificate its offer names.
    pub fingerprint: Fingerprint,
    /// The mode it asks for, for itself, when it joins; `None` takes the room's.
    pub view: Option<Mode>,
    /// What it wants at most when it joins.
    pub limits: Limits,
    /// What it tells of its link.
    pub feedback: LinkFeedback,
    /// What it makes of lost packets of sound.
    pub mending: Mending,
    /// Whether it joins the mesh.
    pub mesh: Mesh,
    /// What is noted down of its packets.
    pub recording: Recording,
}

impl BotConfig {
    /// A bot that enters over the WebSocket, sends nothing, and takes the mix without decoding it.
    pub fn new(server: impl Into<String>, room: RoomId, name: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            reach: None,
            route: Route::Any,
            room,
            name: name.into(),
            token: None,
            entry: Entry::WebSocket { forward_slots: 0 },
            video: VideoSource::None,
            audio: AudioSource::None,
            sound_burst: 1,
            receive: Receive::like_a_browser(Decode::No),
            capture: Capture::Follow,
            fingerprint: Fingerprint::True,
            view: None,
            limits: Limits::default(),
            feedback: LinkFeedback::Reports,
            mending: Mending::Guess,
            mesh: Mesh::Join,
            recording: Recording::Nothing,
        }
    }

    /// The `i`-th person of a test: the colour and the tone (-24 dBFS) of that place in
    /// [`crate::bots::observe::palette`].
    #[must_use]
    pub fn person(mut self, i: usize, format: VideoFormat) -> Self {
        self.video = VideoSource::Color {
            rgb: crate::bots::observe::palette::color(i),
            format,
        };
        self.audio = AudioSource::Tone {
            hz: crate::bots::observe::palette::tone(i) as u32,
            dbfs: -24,
        };
        self
    }

    /// Decodes this of whatever comes in.
    #[must_use]
    pub fn decoding(mut self, decode: Decode) -> Self {
        self.receive.decode = decode;
        self.receive.forwards = decode;
        self
    }

    /// Offers as many forward m-lines of each kind; the page has 8.
    #[must_use]
    pub fn with_slots(mut self, forward_slots: usize) -> Self {
        self.entry = Entry::WebSocket { forward_slots };
        self
    }

    /// Sends and receives through the server's TURN alone.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        self.route = Route::Relay;
        self
    }

    /// Asks for a mode of its own when it joins.
    #[must_use]
    pub fn viewing(mut self, mode: Mode) -> Self {
        self.view = Some(mode);
        self
    }

    /// Wants no more than that when it joins.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Tells when each packet arrived.
    #[must_use]
    pub fn telling_arrivals(mut self) -> Self {
        self.feedback = LinkFeedback::Arrivals;
        self
    }

    /// Takes lost packets of sound from the next ones.
    #[must_use]
    pub fn mending_sound(mut self) -> Self {
        self.mending = Mending::Fec;
        self
    }

    /// Notes down its packets.
    #[must_use]
    pub fn recording(mut self, recording: Recording) -> Self {
        self.recording = recording;
        self
    }

    /// Offers these codecs for what it receives.
    #[must_use]
    pub fn receiving(mut self, codecs: &[VideoCodec]) -> Self {
        self.receive.codecs = codecs.to_vec();
        self
    }

    /// Enters another way.
    #[must_use]
    pub fn entering(mut self, entry: Entry) -> Self {
        self.entry = entry;
        self
    }

    /// What is left of the configuration for the way of entry: a publisher takes nothing and a
    /// player sends nothing.
    pub(crate) fn for_entry(mut self) -> Self {
        match self.entry {
            Entry::WebSocket { .. } => {}
            Entry::Whip => self.receive = Receive::nothing(),
            Entry::Whep => {
                self.video = VideoSource::None;
                self.audio = AudioSource::None;
            }
        }
        self
    }
}
