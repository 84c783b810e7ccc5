//! What a bot sends, what it takes, and how it enters.

use std::net::IpAddr;

use crate::bots::observe::palette;
use crate::bots::source::settings::{AudioSource, VideoFormat, VideoSource};
use crate::codec::VideoCodec;
use crate::id::RoomId;
use crate::protocol::room::Limits;
use crate::topology::Mode;

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
pub enum PacketCaptureMode {
    /// Nothing.
    Off,
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
pub enum AudioLossRecovery {
    /// It goes on as before, and fades out (packet loss concealment).
    Concealment,
    /// It takes what was lost from the next packet where that says it again (in-band FEC), and says
    /// so in its offer, as browsers do. All of its sound is heard a packet later.
    InbandFec,
}

/// Which certificate an offer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FingerprintMode {
    /// The one the bot then shows.
    True,
    /// Another: the server must close the connection.
    Wrong,
}

/// Where media may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkInterface {
    /// Only the loopback interface: the server is there.
    Loopback,
    /// Only the interface with this address.
    Address(IpAddr),
    /// Every interface of the machine.
    All,
}

/// Which ways media may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceTransportPolicy {
    /// Any that ICE finds.
    All,
    /// Through a relay of the server's and no other, as the page with `?relay=1`.
    Relay,
}

/// Everything about a bot.
#[derive(Debug, Clone)]
pub struct BotConfig {
    /// `http://127.0.0.1:PORT`.
    pub server: String,
    /// Where media may go. If `None`, on loopback alone if the server's address is one, for its
    /// media is there then, unless it was told otherwise.
    pub interface: Option<NetworkInterface>,
    /// Whether media may go without a relay.
    pub ice_transport_policy: IceTransportPolicy,
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
    pub fingerprint: FingerprintMode,
    /// The mode it asks for, for itself, when it joins; `None` takes the room's.
    pub view: Option<Mode>,
    /// What it wants at most when it joins.
    pub limits: Limits,
    /// What it tells of its link.
    pub feedback: LinkFeedback,
    /// What it makes of lost packets of sound.
    pub audio_loss_recovery: AudioLossRecovery,
    /// Whether it joins the mesh.
    pub mesh: Mesh,
    /// What is noted down of its packets.
    pub packet_capture: PacketCaptureMode,
}

impl BotConfig {
    /// A bot that enters over the WebSocket, sends nothing, and takes the mix without decoding it.
    pub fn new(server: impl Into<String>, room: RoomId, name: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            interface: None,
            ice_transport_policy: IceTransportPolicy::All,
            room,
            name: name.into(),
            token: None,
            entry: Entry::WebSocket { forward_slots: 0 },
            video: VideoSource::None,
            audio: AudioSource::None,
            sound_burst: 1,
            receive: Receive::like_a_browser(Decode::No),
            capture: Capture::Follow,
            fingerprint: FingerprintMode::True,
            view: None,
            limits: Limits::default(),
            feedback: LinkFeedback::Reports,
            audio_loss_recovery: AudioLossRecovery::Concealment,
            mesh: Mesh::Join,
            packet_capture: PacketCaptureMode::Off,
        }
    }

    /// The `i`-th person of a test: the colour and the tone (-24 dBFS) of that place in
    /// [`crate::bots::observe::palette`].
    #[must_use]
    pub fn person(mut self, i: usize, format: VideoFormat) -> Self {
        self.video = VideoSource::Color {
            rgb: palette::color(i),
            format,
        };
        self.audio = AudioSource::Tone {
            hz: palette::tone(i) as u32,
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
        self.ice_transport_policy = IceTransportPolicy::Relay;
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
    pub fn with_inband_fec(mut self) -> Self {
        self.audio_loss_recovery = AudioLossRecovery::InbandFec;
        self
    }

    /// Notes down its packets.
    #[must_use]
    pub fn capturing_packets(mut self) -> Self {
        self.packet_capture = PacketCaptureMode::Payloads;
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
