//! A bot's pipeline: one webrtcbin that offers, its uplinks, and what comes in.

use std::sync::Arc;

use futures::StreamExt;
use gst::prelude::*;
use gst_webrtc::{WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection as Direction};
use tokio::sync::{mpsc, watch};

pub(super) use gst_webrtc::WebRTCPeerConnectionState as ConnectionState;

use super::codec::{opus_caps, rtp_video_caps};
use super::config::{BotConfig, Entry};
use super::corrupt::CorruptMode;
use super::encode::video_caps;
use super::error::BotError;
use super::outlet::Outlet;
use super::receive::{self, Incoming};
use crate::config::VideoCodec;
use crate::id::Role;

/// How long a retransmission is waited for, ms. Nothing is delayed by it as long as nothing is
/// lost, since no sink here waits for the clock.
const JITTER_MS: u32 = 80;

/// A local candidate: the m-line's index, and the candidate.
pub(super) type Candidate = (u32, String);

/// A bot's peer connection. Dropping it stops the pipeline on a thread of its own.
#[derive(Debug)]
pub(super) struct Peer {
    pipeline: gst::Pipeline,
    pub(super) webrtc: gst::Element,
    pub(super) camera: Option<Arc<Outlet>>,
    pub(super) mic: Option<Arc<Outlet>>,
    camera_payloader: Option<gst::Element>,
    /// In the order of the m-lines; a `None` is an uplink.
    pub(super) lines: Vec<(Role, Option<Arc<Incoming>>)>,
    pub(super) connection: watch::Receiver<ConnectionState>,
    pub(super) candidates: Option<mpsc::UnboundedReceiver<Candidate>>,
}

impl Peer {
    /// Builds and starts the pipeline. Blocks.
    pub(super) fn new(config: &BotConfig, loopback: bool) -> Result<Self, BotError> {
        let webrtc = gst::ElementFactory::make("webrtcbin")
            .property_from_str("bundle-policy", "max-bundle")
            .property("latency", JITTER_MS)
            .build()
            .map_err(|e| BotError::media("webrtcbin", e))?;
        let pipeline = gst::Pipeline::new();
        // All pipelines on one clock; and none waits before it sends because of the latency of
        // what it receives.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_latency(gst::ClockTime::ZERO);
        pipeline
            .add(&webrtc)
            .map_err(|e| BotError::media("webrtcbin", e))?;
        let agent = webrtc.property::<gst::Object>("ice-agent");
        agent.set_property("ice-tcp", false);
        if loopback {
            agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]);
        }
        let (send_candidate, candidates) = mpsc::unbounded_channel();
        let mut peer = Self {
            connection: watch_connection(&webrtc),
            pipeline,
            webrtc,
            camera: None,
            mic: None,
            camera_payloader: None,
            lines: Vec::new(),
            candidates: Some(candidates),
        };
        // Some of webrtcbin's signals need its threads, which it has from READY on.
        peer.set_state(gst::State::Ready)?;
        peer.add_uplinks(config)?;
        peer.add_downlinks(config)?;
        peer.webrtc
            .connect("on-ice-candidate", false, move |values| {
                if let [_, index, candidate] = values
                    && let (Ok(index), Ok(candidate)) = (index.get(), candidate.get())
                {
                    // Nobody to send it to: the bot has gone.
                    let _ = send_candidate.send((index, candidate));
                }
                None
            });
        peer.watch_pads();
        peer.tune_jitter_buffers();
        peer.set_state(gst::State::Playing)?;
        Ok(peer)
    }

    fn set_state(&self, state: gst::State) -> Result<(), BotError> {
        self.pipeline
            .set_state(state)
            .map(|_| ())
            .map_err(|e| BotError::media("starting a bot", e))
    }

    fn add_uplinks(&mut self, config: &BotConfig) -> Result<(), BotError> {
        if config.audio != super::config::AudioSource::None {
            let caps = gst::Caps::builder("audio/x-opus")
                .field("rate", 48_000)
                .field("channels", 1)
                .field("channel-mapping-family", 0)
                .build();
            let (outlet, _) = self.add_uplink(Role::Mic, &caps, "rtpopuspay", opus_caps())?;
            self.mic = Some(outlet);
        }
        if let Some(format) = config.video.format() {
            let payloader = match format.codec {
                VideoCodec::H264 => "rtph264pay aggregate-mode=zero-latency config-interval=-1",
                VideoCodec::Vp8 => "rtpvp8pay picture-id-mode=15-bit",
                VideoCodec::Vp9 => "rtpvp9pay picture-id-mode=15-bit",
            };
            let rtp = rtp_video_caps(format.codec);
            let (outlet, payloader) =
                self.add_uplink(Role::Camera, &video_caps(format.codec), payloader, rtp)?;
            self.camera = Some(outlet);
            self.camera_payloader = Some(payloader);
        }
        Ok(())
    }

    fn add_uplink(
        &mut self,
        role: Role,
        caps: &gst::Caps,
        payloader: &str,
        mut rtp: gst::Caps,
    ) -> Result<(Arc<Outlet>, gst::Element), BotError> {
        let doing = |e: &dyn std::fmt::Display| BotError::Media(format!("{role} uplink: {e}"));
        let source = gst_app::AppSrc::builder()
            .caps(caps)
            .is_live(true)
            .format(gst::Format::Time)
            .max_bytes(1 << 20)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            .build();
        let payload = rtp.structure(0).and_then(|s| s.get::<i32>("payload").ok());
        // Named in the caps it stands in the offer, without which a receiver of several m-lines
        // has to guess whose the packets are.
        let ssrc = rand::random::<u32>().max(1);
        rtp.make_mut().set("ssrc", ssrc);
        let payloader = gst::parse::bin_from_description(
            &format!(
                "{payloader} mtu=1200 ssrc={ssrc} pt={}",
                payload.unwrap_or(96)
            ),
            true,
        )
        .map_err(|e| doing(&e))?
        .upcast::<gst::Element>();
        let elements = [source.upcast_ref(), &payloader];
        self.pipeline.add_many(elements).map_err(|e| doing(&e))?;
        source.link(&payloader).map_err(|e| doing(&e))?;
        let template = self
            .webrtc
            .pad_template("sink_%u")
            .ok_or_else(|| doing(&"no pad template"))?;
        let pad = self
            .webrtc
            .request_pad(&template, None, Some(&rtp))
            .ok_or_else(|| doing(&"no pad"))?;
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_direction(Direction::Sendonly);
        transceiver.set_property("codec-preferences", &rtp);
        transceiver.set_property("do-nack", !role.is_audio());
        payloader
            .static_pad("src")
            .ok_or_else(|| doing(&"no pad"))?
            .link(&pad)
            .map_err(|e| doing(&e))?;
        self.lines.push((role, None));
        Ok((Outlet::new(source), payloader))
    }

    fn add_downlinks(&mut self, config: &BotConfig) -> Result<(), BotError> {
        let codecs = &config.receive.codecs;
        if codecs.is_empty() {
            return Ok(());
        }
        let slots = match config.entry {
            Entry::WebSocket { forward_slots } => forward_slots,
            Entry::Whip | Entry::Whep => 0,
        };
        let forwards = |role| std::iter::repeat_n(role, slots);
        let roles = [Role::MixAudio, Role::MixVideo]
            .into_iter()
            .chain(forwards(Role::ForwardAudio))
            .chain(forwards(Role::ForwardVideo));
        for role in roles {
            let caps = if role.is_audio() {
                opus_caps()
            } else {
                let mut caps = gst::Caps::new_empty();
                caps.make_mut()
                    .extend(codecs.iter().map(|codec| rtp_video_caps(*codec)));
                caps
            };
            let transceiver = self.webrtc.emit_by_name::<WebRTCRTPTransceiver>(
                "add-transceiver",
                &[&Direction::Recvonly, &caps],
            );
            transceiver.set_property("do-nack", !role.is_audio());
            let incoming = Incoming::new(role, config.receive.decode);
            self.lines.push((role, Some(incoming)));
        }
        Ok(())
    }

    /// Has jitter buffers behave as a browser's: they give out their first packet at once, not
    /// after waiting for one that might have been before it, which would count as the server's
    /// delay; and they ask for what is missing, not for what they guess should have come by now.
    fn tune_jitter_buffers(&self) {
        let Some(bin) = self.webrtc.dynamic_cast_ref::<gst::Bin>() else {
            return;
        };
        bin.connect_deep_element_added(|_, _, element| {
            let factory = element.factory();
            if factory.is_some_and(|factory| factory.name() == "rtpjitterbuffer") {
                element.set_property("faststart-min-packets", 1u32);
                element.set_property("rtx-next-seqnum", false);
            }
        });
    }

    /// Links what comes in, by the index of its m-line.
    fn watch_pads(&self) {
        let incoming: Vec<_> = self.lines.iter().map(|(_, line)| line.clone()).collect();
        let pipeline = self.pipeline.downgrade();
        self.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            if pad.direction() != gst::PadDirection::Src {
                return;
            }
            let index = pad
                .property::<WebRTCRTPTransceiver>("transceiver")
                .mlineindex();
            match incoming.get(index as usize) {
                Some(Some(line)) => {
                    if let Err(error) = receive::attach(&pipeline, pad, line) {
                        tracing::warn!(%error, index, "incoming media is not taken");
                    }
                }
                _ => tracing::warn!(index, "media on an m-line that takes none"),
            }
        });
    }

    /// What comes in, in the order of the m-lines.
    pub(super) fn incoming(&self) -> impl Iterator<Item = &Arc<Incoming>> {
        self.lines.iter().filter_map(|(_, line)| line.as_ref())
    }

    /// Hears what the pipeline has to say, until it is gone.
    pub(super) fn listen(&self) -> impl Future<Output = ()> + Send + use<> {
        let messages = self.pipeline.bus().map(|bus| bus.stream());
        let pipeline = self.pipeline.downgrade();
        async move {
            let Some(mut messages) = messages else { return };
            while let Some(message) = messages.next().await {
                match message.view() {
                    gst::MessageView::Latency(_) => {
                        let Some(pipeline) = pipeline.upgrade() else {
                            return;
                        };
                        recalculate_latency(&pipeline);
                    }
                    gst::MessageView::Error(error) => {
                        tracing::warn!(error = %error.error(), "in a bot's pipeline");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Lets the uplinks flow, from a keyframe on.
    pub(super) fn open(&self) {
        // The elements that came with the connection have not been told the latency, and without
        // it there are no sender reports to synchronise sound and picture by.
        recalculate_latency(&self.pipeline);
        self.outlets().for_each(|outlet| outlet.open());
    }

    fn outlets(&self) -> impl Iterator<Item = &Arc<Outlet>> {
        self.mic.iter().chain(&self.camera)
    }

    /// Damages the video that goes out from now on.
    pub(super) fn corrupt(&self, mode: CorruptMode) -> Result<(), BotError> {
        let pad = self
            .camera_payloader
            .as_ref()
            .and_then(|payloader| payloader.static_pad("src"))
            .ok_or(BotError::NotConfigured("camera"))?;
        mode.install(&pad);
        Ok(())
    }

    /// Lets nothing out of the machine any more: no media, no RTCP, no DTLS alert.
    pub(super) fn silence(&self) {
        self.outlets().for_each(|outlet| outlet.shut());
        let Some(bin) = self.webrtc.dynamic_cast_ref::<gst::Bin>() else {
            return;
        };
        for sink in bin
            .iterate_all_by_element_factory_name("nicesink")
            .into_iter()
            .flatten()
        {
            if let Some(pad) = sink.static_pad("sink") {
                let kinds = gst::PadProbeType::BUFFER
                    | gst::PadProbeType::BUFFER_LIST
                    | gst::PadProbeType::EVENT_DOWNSTREAM;
                // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what
                // the binding has released.
                pad.add_probe(kinds, |_, _| gst::PadProbeReturn::Handled);
            }
        }
    }

    /// Stops the pipeline. Blocks, possibly for long.
    pub(super) fn stop(pipeline: &gst::Pipeline) {
        if let Err(error) = pipeline.set_state(gst::State::Null) {
            tracing::warn!(%error, "a bot's pipeline does not stop");
        }
    }

    /// What has to be stopped.
    pub(super) fn pipeline(&self) -> gst::Pipeline {
        self.pipeline.clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.outlets().for_each(|outlet| outlet.shut());
        if self.pipeline.current_state() == gst::State::Null {
            return;
        }
        let pipeline = self.pipeline.clone();
        let spawned = std::thread::Builder::new()
            .name("bot-stop".into())
            .spawn(move || Self::stop(&pipeline));
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to stop a bot with");
            Self::stop(&self.pipeline);
        }
    }
}

fn recalculate_latency(pipeline: &gst::Pipeline) {
    if let Err(error) = pipeline.recalculate_latency() {
        tracing::debug!(%error, "the latency of a bot's pipeline is not known yet");
    }
}

fn watch_connection(webrtc: &gst::Element) -> watch::Receiver<ConnectionState> {
    let (sender, receiver) = watch::channel(ConnectionState::New);
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        sender.send_replace(webrtc.property::<ConnectionState>("connection-state"));
    });
    receiver
}
