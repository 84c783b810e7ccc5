//! One webrtcbin in a pipeline of its own: what the connection to the server and those to other
//! members have in common.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures::StreamExt;
use gst::prelude::*;
use gst_webrtc::WebRTCRTPTransceiverDirection as Direction;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::codec::{encoded_caps, payloader};
use super::decode_branch;
use super::receive::Incoming;
use crate::bots::config::NetworkInterface;
use crate::bots::error::BotError;
use crate::bots::observe::packet_capture::PacketCapture;
use crate::bots::source::level::LevelWriter;
use crate::bots::source::media_source::PipelineInput;
use crate::codec::Codec;
use crate::id::Role;
use crate::media::gst::pipeline::recalculate_latency;
use crate::media::gst::teardown;
use crate::media::peer::nack::NackMonitor;
use crate::media::peer::webrtcbin;
pub(crate) use crate::media::peer::webrtcbin::ConnectionState;
use crate::media::peer::webrtcbin::Gathered;
use crate::net::MediaIps;

/// A local candidate: the m-line's index, and the candidate.
pub(crate) type Candidate = (u32, String);

/// A sender to be made.
pub(crate) struct Sending {
    pub(crate) role: Role,
    pub(crate) codec: Codec,
    /// The m-line's codec, with its payload type.
    pub(crate) rtp: gst::Caps,
    pub(crate) direction: Direction,
    /// Where what is sent is noted down.
    pub(crate) packet_capture: Option<Arc<PacketCapture>>,
}

/// A sender that was made.
pub(crate) struct Sender {
    pub(crate) input: Arc<PipelineInput>,
    /// The pad its packets leave the payloader by.
    pub(crate) packets: gst::Pad,
    pub(crate) ssrc: u32,
}

/// A peer connection. Dropping it stops the pipeline on a thread of its own.
#[derive(Debug)]
pub(crate) struct Connection {
    pipeline: gst::Pipeline,
    pub(crate) webrtc: gst::Element,
    pub(crate) state: watch::Receiver<ConnectionState>,
    pub(crate) repair: NackMonitor,
    gone: CancellationToken,
}

impl Connection {
    /// Makes the pipeline, to which m-lines can be added until it is started. Blocks.
    pub(crate) fn new(
        interface: NetworkInterface,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Candidate>), BotError> {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let ips = match interface {
            NetworkInterface::Loopback => MediaIps::Only(vec![loopback]),
            NetworkInterface::Address(address) => MediaIps::Only(vec![address]),
            NetworkInterface::All => MediaIps::EveryAnd(loopback),
        };
        let webrtc =
            webrtcbin::make(&ips.addresses(), None).map_err(|e| BotError::media("webrtcbin", e))?;
        let pipeline = gst::Pipeline::new();
        // All pipelines on one clock; and none waits before it sends because of the latency of
        // what it receives.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_latency(gst::ClockTime::ZERO);
        pipeline
            .add(&webrtc)
            .map_err(|e| BotError::media("webrtcbin", e))?;
        let (send_candidate, candidates) = mpsc::unbounded_channel();
        webrtcbin::on_candidate(&webrtc, move |gathered| {
            // Nobody to send it to: the bot has gone.
            let _ = send_candidate.send(match gathered {
                Gathered::Candidate(index, candidate) => (index, candidate),
                Gathered::End(index) => (index, String::new()),
            });
        });
        let connection = Self {
            repair: NackMonitor::watch(&webrtc),
            state: watch_state(&webrtc),
            gone: CancellationToken::new(),
            pipeline,
            webrtc,
        };
        // Some of webrtcbin's signals need its threads, which it has from READY on.
        connection.set_state(gst::State::Ready)?;
        Ok((connection, candidates))
    }

    /// Starts, with what comes in on each m-line in their order.
    pub(crate) fn start(&self, lines: Vec<Option<Arc<Incoming>>>) -> Result<(), BotError> {
        self.watch_pads(lines);
        self.set_state(gst::State::Playing)
    }

    fn set_state(&self, state: gst::State) -> Result<(), BotError> {
        self.pipeline
            .set_state(state)
            .map(|_| ())
            .map_err(|e| BotError::media("starting a bot", e))
    }

    /// Adds an m-line that sends.
    pub(crate) fn send(&self, sending: Sending) -> Result<Sender, BotError> {
        let Sending {
            role,
            codec,
            mut rtp,
            direction,
            packet_capture,
        } = sending;
        let doing = |e: &dyn std::fmt::Display| BotError::Media(format!("{role} uplink: {e}"));
        let source = gst_app::AppSrc::builder()
            .caps(&encoded_caps(codec))
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
                "{} mtu=1200 auto-header-extension=false ssrc={ssrc} pt={}",
                payloader(codec),
                payload.unwrap_or(96)
            ),
            true,
        )
        .map_err(|e| doing(&e))?
        .upcast::<gst::Element>();
        let elements = [source.upcast_ref(), &payloader];
        self.pipeline.add_many(elements).map_err(|e| doing(&e))?;
        source.link(&payloader).map_err(|e| doing(&e))?;
        let nack = !role.is_audio();
        let pad = webrtcbin::add_sender(&self.webrtc, &rtp, direction, nack);
        let pad = pad.map_err(|e| doing(&e))?;
        let packets = payloader
            .static_pad("src")
            .ok_or_else(|| doing(&"no pad"))?;
        packets.link(&pad).map_err(|e| doing(&e))?;
        let input = PipelineInput::new(source);
        if role.is_audio() {
            write_levels(&packets, input.levels.clone());
        }
        if let Some(packet_capture) = packet_capture {
            packet_capture.record(&packets, codec);
        }
        // Those of a pipeline that runs already, as when an offer is answered, have to follow it.
        for element in [&payloader, input.element()] {
            element.sync_state_with_parent().map_err(|e| doing(&e))?;
        }
        Ok(Sender {
            input,
            packets,
            ssrc,
        })
    }

    /// Adds an m-line that only receives.
    pub(crate) fn receive(&self, role: Role, rtp: &gst::Caps) {
        webrtcbin::add_receiver(&self.webrtc, rtp, !role.is_audio());
    }

    /// Links what comes in, by the index of its m-line.
    fn watch_pads(&self, lines: Vec<Option<Arc<Incoming>>>) {
        let pipeline = self.pipeline.downgrade();
        self.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            if pad.direction() != gst::PadDirection::Src {
                return;
            }
            let index = webrtcbin::mline_index(pad);
            match lines.get(index as usize) {
                Some(Some(line)) => {
                    if let Err(error) = decode_branch::attach(&pipeline, pad, line) {
                        tracing::warn!(%error, index, "incoming media is not taken");
                    }
                }
                _ => tracing::warn!(index, "media on an m-line that takes none"),
            }
        });
    }

    /// Hears what the pipeline has to say, until it is gone.
    pub(crate) fn listen(&self) -> impl Future<Output = ()> + Send + use<> {
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

    /// To be called once the connection is up: the elements that came with it have not been told
    /// the latency, and without it there are no sender reports to synchronise sound and picture
    /// by.
    pub(crate) fn settle(&self) {
        recalculate_latency(&self.pipeline);
    }

    /// Lets nothing out of the machine any more: no media, no RTCP, no DTLS alert.
    pub(crate) fn silence(&self) {
        webrtcbin::silence(&self.webrtc);
    }

    /// Ends when nothing is left of it, some time after it was dropped.
    pub(crate) fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        self.gone.clone().cancelled_owned()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let gone = self.gone.clone();
        teardown::begin("bot".into(), self.pipeline.clone(), move || gone.cancel());
    }
}

fn write_levels(packets: &gst::Pad, levels: Arc<LevelWriter>) {
    packets.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(packet)) = &mut info.data
            && let Some(written) = levels.write(packet)
        {
            *packet = written;
        }
        gst::PadProbeReturn::Ok
    });
}

fn watch_state(webrtc: &gst::Element) -> watch::Receiver<ConnectionState> {
    let (sender, receiver) = watch::channel(ConnectionState::New);
    webrtcbin::on_connection_state(webrtc, move |_, state| {
        sender.send_replace(state);
    });
    receiver
}
