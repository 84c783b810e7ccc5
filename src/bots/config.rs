//! The configuration of a bot: what it sends and receives, and how it joins.

use std::net::IpAddr;

use crate::bots::observe::palette;
use crate::bots::source::settings::{AudioSource, VideoFormat, VideoSource};
use crate::codec::VideoCodec;
use crate::id::RoomId;
use crate::protocol::room::Limits;
use crate::topology::Mode;

/// How a bot joins the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Over the signalling WebSocket; sends and receives.
    WebSocket {
        /// Forward m-lines it offers of each kind, audio and video.
        forward_slots: usize,
    },
    /// Over WHIP (RFC 9725); sends only.
    Whip,
    /// Over WHEP; receives only.
    Whep,
}

/// Which of the received media is decoded. The rest is only counted, which costs far less CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// Decodes nothing.
    No,
    /// Decodes video; counts audio.
    Video,
    /// Decodes audio; counts video.
    Audio,
    /// Decodes audio and video.
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

/// What a bot offers to receive, and what it decodes of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// Video codecs offered for the mix and the forward slots, the preferred first. If empty, the
    /// bot offers to receive nothing, audio included.
    pub codecs: Vec<VideoCodec>,
    /// What is decoded of the mix.
    pub decode: Decode,
    /// What is decoded on forward m-lines and of other participants in a mesh.
    pub forwards: Decode,
}

impl Receive {
    /// Receives nothing.
    pub fn nothing() -> Self {
        Self {
            codecs: Vec::new(),
            decode: Decode::No,
            forwards: Decode::No,
        }
    }

    /// Offers H.264 and VP8, as browsers do, and decodes this much of all that comes in.
    pub fn like_a_browser(decode: Decode) -> Self {
        Self {
            codecs: vec![VideoCodec::H264, VideoCodec::Vp8],
            decode,
            forwards: decode,
        }
    }
}

/// Whether a bot connects to other participants in mode `p2p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mesh {
    /// It does, as the page does. Its camera has to be VP8, the only video codec of a mesh.
    Join,
    /// It takes no part, like a client that does not know the mode: the server keeps serving it.
    Ignore,
}

/// Which packets a bot keeps a record of: those it sends to the server and those it receives on
/// forward m-lines, or none. See [`crate::bots::observe::packet_capture`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketCaptureMode {
    /// Keeps none.
    Off,
    /// Keeps timestamp, marker and a hash of the payload of each packet.
    Payloads,
}

/// Whether a camera follows the server's `capture` messages (dynacast).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// It sends at the size and frame rate asked for, as the page does.
    Follow,
    /// It keeps sending at its configured size and frame rate.
    Ignore,
}

/// What a bot tells the server about the link to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFeedback {
    /// RTCP receiver reports only.
    Reports,
    /// The arrival time of each packet (transport-wide congestion control), as browsers do.
    Arrivals,
}

/// Whether a bot's packets of sound say how loud they are (RFC 6464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioLevels {
    /// Each packet does, as those of browsers.
    Said,
    /// They do not, and the server has to decode them to know.
    Unsaid,
}

/// How a bot's decoder makes up for lost audio packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioLossRecovery {
    /// It extrapolates what it heard last, and fades out (packet loss concealment).
    Concealment,
    /// It decodes the copy of a lost packet in the packet after it (Opus in-band FEC), and says so
    /// in its offer, as browsers do. All audio is heard one packet, 20 ms, later.
    InbandFec,
}

/// Which certificate the offer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FingerprintMode {
    /// The one that the bot then shows in the DTLS handshake.
    True,
    /// Another one: the server has to close the connection.
    Wrong,
}

/// The network interfaces on which a bot gathers ICE candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkInterface {
    /// The loopback interface alone: the server is on this machine.
    Loopback,
    /// The interface with this address alone.
    Address(IpAddr),
    /// All interfaces of the machine, with loopback.
    All,
}

/// Which ICE candidates may be used, as `RTCIceTransportPolicy` of W3C WebRTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceTransportPolicy {
    /// Any that ICE finds.
    All,
    /// Only candidates of the server's TURN relay, as the page with `?relay=1`.
    Relay,
}

/// The configuration of a bot. [`BotConfig::new`] sends nothing and decodes nothing; the other
/// methods and the fields change that.
#[derive(Debug, Clone)]
pub struct BotConfig {
    /// The server's URL, such as `http://127.0.0.1:8080`.
    pub server: String,
    /// Where candidates are gathered. `None`: on loopback alone if the server's URL is a loopback
    /// address, because its media is on loopback then by default, else on all interfaces.
    pub interface: Option<NetworkInterface>,
    /// Whether media may travel without a relay.
    pub ice_transport_policy: IceTransportPolicy,
    /// The room to join.
    pub room: RoomId,
    /// The display name, which is drawn on the tile.
    pub name: String,
    /// The access token of the room, if it has one.
    pub token: Option<String>,
    /// Over which signalling it joins.
    pub entry: Entry,
    /// What its camera shows. Ignored over WHEP.
    pub video: VideoSource,
    /// What its microphone hears. Ignored over WHEP.
    pub audio: AudioSource,
    /// How many audio packets of 20 ms go out together, when the last of them is due, as from an
    /// audio driver with large blocks. 1 sends each when it is due.
    pub sound_burst: usize,
    /// What it receives. Ignored over WHIP.
    pub receive: Receive,
    /// Whether its camera follows the server's `capture` messages.
    pub capture: Capture,
    /// Which certificate its offer names.
    pub fingerprint: FingerprintMode,
    /// The mode that it asks for, for itself, when it joins; `None` follows the room.
    pub view: Option<Mode>,
    /// The limits of bitrate and height that it sets when it joins.
    pub limits: Limits,
    /// What it tells the server about the link.
    pub feedback: LinkFeedback,
    /// Whether its sound says how loud it is.
    pub audio_levels: AudioLevels,
    /// How its decoder makes up for lost audio packets.
    pub audio_loss_recovery: AudioLossRecovery,
    /// Whether it connects to other participants in mode `p2p`.
    pub mesh: Mesh,
    /// Which of its packets are kept a record of.
    pub packet_capture: PacketCaptureMode,
}

impl BotConfig {
    /// A bot that joins over the WebSocket, sends nothing, and receives the mix without decoding
    /// it.
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
            audio_levels: AudioLevels::Said,
            audio_loss_recovery: AudioLossRecovery::Concealment,
            mesh: Mesh::Join,
            packet_capture: PacketCaptureMode::Off,
        }
    }

    /// Shows the colour and plays the tone (-24 dBFS) of the `i`-th person of [`palette`], by which
    /// tests tell people apart.
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

    /// Decodes this much of all that comes in.
    #[must_use]
    pub fn decoding(mut self, decode: Decode) -> Self {
        self.receive.decode = decode;
        self.receive.forwards = decode;
        self
    }

    /// Joins over the WebSocket and offers this many forward m-lines of each kind; the page offers
    /// 8.
    #[must_use]
    pub fn with_slots(mut self, forward_slots: usize) -> Self {
        self.entry = Entry::WebSocket { forward_slots };
        self
    }

    /// Sends and receives through the server's TURN relay alone.
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

    /// Sets these limits of bitrate and height when it joins.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends transport-wide congestion control feedback: the arrival time of each packet.
    #[must_use]
    pub fn telling_arrivals(mut self) -> Self {
        self.feedback = LinkFeedback::Arrivals;
        self
    }

    /// Recovers lost audio packets from in-band FEC.
    #[must_use]
    pub fn with_inband_fec(mut self) -> Self {
        self.audio_loss_recovery = AudioLossRecovery::InbandFec;
        self
    }

    /// Keeps a record of its packets: [`PacketCaptureMode::Payloads`].
    #[must_use]
    pub fn capturing_packets(mut self) -> Self {
        self.packet_capture = PacketCaptureMode::Payloads;
        self
    }

    /// Offers these video codecs for what it receives, the preferred first.
    #[must_use]
    pub fn receiving(mut self, codecs: &[VideoCodec]) -> Self {
        self.receive.codecs = codecs.to_vec();
        self
    }

    /// Joins over other signalling.
    #[must_use]
    pub fn entering(mut self, entry: Entry) -> Self {
        self.entry = entry;
        self
    }

    /// The configuration without what its signalling rules out: WHIP receives nothing, WHEP sends
    /// nothing.
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
