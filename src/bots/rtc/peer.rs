//! A bot's connection to the server: it offers its uplinks, and receives the mix and the forwards.

use std::sync::Arc;

use gst_webrtc::WebRTCRTPTransceiverDirection as Direction;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::codec::{opus_caps, rtp_video_caps, rtx_caps};
use super::connection::{Candidate, Connection, Sender, Sending};
use super::ice;
use super::receive::{Incoming, Receiver};
use crate::bots::config::{
    AudioLevels, AudioLossRecovery, BotConfig, Entry, LinkFeedback, NetworkInterface,
    PacketCaptureMode,
};
use crate::bots::error::BotError;
use crate::bots::observe::detection::Path;
use crate::bots::observe::observer::Observer;
use crate::bots::observe::packet_capture::PacketCapture;
use crate::bots::source::corrupt::CorruptMode;
use crate::bots::source::level;
use crate::bots::source::media_source::PipelineInput;
use crate::bots::source::settings::AudioSource;
use crate::codec::Codec;
use crate::id::Role;
use crate::media::peer::webrtcbin;
use crate::media::peer::webrtcbin::rework::{Rework, rework_sent};
use crate::media::rtp::extensions::TRANSPORT_WIDE_CC;
use crate::protocol::IceServer;

/// The id under which the transport-wide sequence number is offered as header extension.
const ARRIVALS: u8 = 5;

/// A microphone or camera that is sent to the server.
#[derive(Debug)]
pub(crate) struct Uplink {
    pub(crate) input: Arc<PipelineInput>,
    /// The pad at which its packets leave the payloader.
    packets: gst::Pad,
    pub(crate) packet_capture: Option<Arc<PacketCapture>>,
}

/// Uplinks flow while both hold: the connection is up, and the server wants them (`uplinks`).
#[derive(Debug, Clone, Copy)]
struct SendGate {
    connected: bool,
    wanted: bool,
}

/// A bot's connection to the server. Dropping it tears the pipeline down.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) camera: Option<Uplink>,
    pub(crate) mic: Option<Uplink>,
    /// The m-lines in their order; `None` for uplinks.
    pub(crate) lines: Vec<(Role, Option<Arc<Incoming>>)>,
    pub(crate) candidates: Option<mpsc::UnboundedReceiver<Candidate>>,
    gate: Mutex<SendGate>,
}

impl Peer {
    /// Builds and starts the pipeline. Blocks.
    pub(crate) fn new(
        config: &BotConfig,
        interface: NetworkInterface,
        servers: &[IceServer],
        observer: &Arc<Observer>,
    ) -> Result<Self, BotError> {
        let (connection, candidates) = Connection::new(interface)?;
        ice::configure(&connection.webrtc, config.ice_transport_policy, servers);
        let mut peer = Self {
            connection,
            camera: None,
            mic: None,
            lines: Vec::new(),
            candidates: Some(candidates),
            gate: Mutex::new(SendGate {
                connected: false,
                wanted: true,
            }),
        };
        peer.add_uplinks(config)?;
        peer.add_downlinks(config, observer);
        let lines = peer.lines.iter().map(|(_, line)| line.clone()).collect();
        peer.connection.start(lines)?;
        Ok(peer)
    }

    fn add_uplinks(&mut self, config: &BotConfig) -> Result<(), BotError> {
        if config.audio != AudioSource::None {
            let mut rtp = opus_caps();
            if config.audio_levels == AudioLevels::Said {
                // This puts it into the offer; whether it is sent follows from the answer.
                rtp.make_mut()
                    .set(format!("extmap-{}", level::ID), level::URI);
            }
            self.mic = Some(self.add_uplink(config, Role::Mic, Codec::Opus, rtp)?);
        }
        if let Some(format) = config.video.format() {
            let (codec, rtp) = (Codec::from(format.codec), rtp_video_caps(format.codec));
            self.camera = Some(self.add_uplink(config, Role::Camera, codec, rtp)?);
        }
        Ok(())
    }

    fn add_uplink(
        &mut self,
        config: &BotConfig,
        role: Role,
        codec: Codec,
        rtp: gst::Caps,
    ) -> Result<Uplink, BotError> {
        let packet_capture = packet_capture(config.packet_capture);
        let Sender { input, packets, .. } = self.connection.send(Sending {
            role,
            codec,
            rtp,
            direction: Direction::Sendonly,
            packet_capture: packet_capture.clone(),
        })?;
        self.lines.push((role, None));
        Ok(Uplink {
            input,
            packets,
            packet_capture,
        })
    }

    fn add_downlinks(&mut self, config: &BotConfig, observer: &Arc<Observer>) {
        let codecs = &config.receive.codecs;
        if codecs.is_empty() {
            return;
        }
        let slots = match config.entry {
            Entry::WebSocket { forward_slots } => forward_slots,
            Entry::Whip | Entry::Whep => 0,
        };
        let forwards = |role| std::iter::repeat_n((role, Path::Forward), slots);
        let lines = [(Role::MixAudio, Path::Mix), (Role::MixVideo, Path::Mix)]
            .into_iter()
            .chain(forwards(Role::ForwardAudio))
            .chain(forwards(Role::ForwardVideo));
        for (role, path) in lines {
            let caps = if role.is_audio() {
                with_recovery(opus_caps(), config.audio_loss_recovery)
            } else {
                let mut caps = gst::Caps::new_empty();
                caps.make_mut()
                    .extend(codecs.iter().map(|codec| rtp_video_caps(*codec)));
                // webrtcbin adds RTX for the first codec only, a browser for all.
                let others = codecs.iter().skip(1);
                caps.make_mut().extend(others.map(|codec| rtx_caps(*codec)));
                caps
            };
            let caps = match config.feedback {
                LinkFeedback::Reports => caps,
                LinkFeedback::Arrivals => telling_arrivals(caps),
            };
            self.connection.receive(role, &caps);
            let receiver = Receiver {
                role,
                path,
                from: None,
                decode: match path {
                    Path::Mix => config.receive.decode,
                    Path::Forward | Path::Mesh => config.receive.forwards,
                },
                audio_loss_recovery: config.audio_loss_recovery,
                packet_capture: match path {
                    Path::Forward => packet_capture(config.packet_capture),
                    Path::Mix | Path::Mesh => None,
                },
            };
            let incoming = Incoming::new(receiver, observer.clone());
            self.lines.push((role, Some(incoming)));
        }
    }

    /// The m-lines on which it receives, in their order.
    pub(crate) fn incoming(&self) -> impl Iterator<Item = &Arc<Incoming>> {
        self.lines.iter().filter_map(|(_, line)| line.as_ref())
    }

    /// To be called once the connection is up: lets the uplinks flow, each from a keyframe on, if
    /// the server wants them.
    pub(crate) fn open(&self) {
        self.pass(|gate| gate.connected = true);
    }

    /// Starts or stops the uplinks, as the server says with `uplinks`.
    pub(crate) fn want(&self, wanted: bool) {
        self.pass(|gate| gate.wanted = wanted);
    }

    fn pass(&self, change: impl FnOnce(&mut SendGate)) {
        // Held while the inputs change, so that they end as the last change wants them.
        let mut gate = self.gate.lock();
        change(&mut gate);
        for input in self.inputs() {
            if gate.connected && gate.wanted {
                input.open();
            } else {
                input.shut();
            }
        }
    }

    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Arc<PipelineInput>> {
        let uplinks = self.mic.iter().chain(&self.camera);
        uplinks.map(|uplink| &uplink.input)
    }

    /// Damages the video that is sent from now on.
    pub(crate) fn corrupt(&self, mode: CorruptMode) -> Result<(), BotError> {
        let camera = self.camera.as_ref();
        mode.install(&camera.ok_or(BotError::NotConfigured("camera"))?.packets);
        Ok(())
    }

    /// Adds packets to all RTCP that is sent from now on.
    pub(crate) fn append_rtcp(&self, packets: Vec<u8>) {
        webrtcbin::append_rtcp(&self.connection.webrtc, packets);
    }

    /// Sends what `rework` makes of each packet from now on.
    pub(crate) fn rework_sent(&self, rework: &Rework) {
        rework_sent(&self.connection.webrtc, rework);
    }

    /// Lets nothing leave the machine any more: neither media nor RTCP nor DTLS.
    pub(crate) fn silence(&self) {
        self.want(false);
        self.connection.silence();
    }
}

/// A packet capture, if packets are to be recorded.
fn packet_capture(mode: PacketCaptureMode) -> Option<Arc<PacketCapture>> {
    match mode {
        PacketCaptureMode::Off => None,
        PacketCaptureMode::Payloads => Some(Arc::default()),
    }
}

/// Announces in-band FEC in an offer, if it is used (RFC 7587 section 6.1).
fn with_recovery(mut sound: gst::Caps, recovery: AudioLossRecovery) -> gst::Caps {
    if recovery == AudioLossRecovery::InbandFec {
        sound.make_mut().set("useinbandfec", "1");
    }
    sound
}

/// Offers transport-wide congestion control feedback.
fn telling_arrivals(mut caps: gst::Caps) -> gst::Caps {
    for codec in caps.make_mut().iter_mut() {
        codec.set(format!("extmap-{ARRIVALS}"), TRANSPORT_WIDE_CC);
        codec.set("rtcp-fb-transport-cc", true);
    }
    caps
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.inputs().for_each(|input| input.shut());
    }
}
