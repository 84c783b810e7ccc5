//! One webrtcbin in a pipeline of its own: what the connection to the server and those to other
//! members have in common.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use gst::prelude::*;
use gst_webrtc::WebRTCRTPTransceiverDirection as Direction;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::codec::{encoded_caps, payloader};
use super::decode_branch;
use super::nack::NackMonitor;
use super::receive::Incoming;
use crate::bots::config::NetworkInterface;
use crate::bots::error::BotError;
use crate::bots::observe::packet_capture::PacketCapture;
use crate::bots::source::level::LevelWriter;
use crate::bots::source::media_source::PipelineInput;
use crate::codec::Codec;
use crate::id::Role;
use crate::media::gst::event::force_key_unit;
use crate::media::gst::pipeline::{epoch, recalculate_latency};
use crate::media::gst::teardown;
use crate::media::peer::egress::{Egress, StreamHooks, StreamParams};
use crate::media::peer::webrtcbin;
pub(crate) use crate::media::peer::webrtcbin::ConnectionState;
use crate::media::peer::webrtcbin::Gathered;
use crate::media::stream::outgoing::{Outgoing, Outlet};
use crate::net::MediaIps;
use crate::protocol::stats::RepairStats;

/// SSRCs that a bot receives at most.
const MAX_STREAMS: u32 = 1024;

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
    repair: NackMonitor,
    egress: Egress,
    /// How many m-lines there are so far.
    lines: AtomicUsize,
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
        let egress = Egress::install(&webrtc, MAX_STREAMS, None);
        let connection = Self {
            repair: NackMonitor::watch(&webrtc),
            state: watch_state(&webrtc, &egress),
            egress,
            lines: AtomicUsize::new(0),
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
        let repaired = !role.is_audio();
        let outlet = self.egress.add(StreamParams {
            ssrc,
            payload_type: payload.and_then(|n| u8::try_from(n).ok()).unwrap_or(96),
            clock_rate: codec.clock_rate(),
            numbered: None,
            line: self.lines.fetch_add(1, Ordering::Relaxed),
            repaired,
        });
        let sink = send_to(outlet, codec);
        let elements = [source.upcast_ref(), &payloader, sink.upcast_ref()];
        self.pipeline.add_many(elements).map_err(|e| doing(&e))?;
        gst::Element::link_many(elements).map_err(|e| doing(&e))?;
        webrtcbin::add_sender(&self.webrtc, &rtp, direction, repaired).map_err(|e| doing(&e))?;
        let packets = payloader
            .static_pad("src")
            .ok_or_else(|| doing(&"no pad"))?;
        let weak = packets.downgrade();
        self.egress.hook(
            ssrc,
            StreamHooks {
                request_keyframe: Box::new(move || {
                    if let Some(packets) = weak.upgrade() {
                        packets.send_event(force_key_unit());
                    }
                }),
                is_paced: Box::new(|| false),
            },
        );
        let input = PipelineInput::new(source);
        if role.is_audio() {
            write_levels(&packets, input.levels.clone());
        }
        if let Some(packet_capture) = packet_capture {
            packet_capture.record(&packets, codec);
        }
        // Those of a pipeline that runs already, as when an offer is answered, have to follow it.
        for element in [sink.upcast_ref(), &payloader, input.element()] {
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
        self.lines.fetch_add(1, Ordering::Relaxed);
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

    /// Packets that were lost, asked for and sent again.
    pub(crate) fn repair(&self) -> RepairStats {
        let mut stats = self.repair.counters();
        self.egress.count(&mut stats);
        stats
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

/// Where a payloader hands its packets on to `outlet`.
fn send_to(outlet: Arc<dyn Outlet>, codec: Codec) -> gst_app::AppSink {
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let packets = match (sample.buffer_list(), sample.buffer_owned()) {
            (Some(list), _) => list.iter_owned().collect(),
            (None, packet) => Vec::from_iter(packet),
        };
        // Its running time on the common clock, whatever the base time of this pipeline is.
        let base = sink.base_time().unwrap_or_default();
        let (_, epoch) = epoch();
        let shift = Duration::from(base).saturating_sub(epoch.into());
        let packets = packets.iter().filter_map(|packet| {
            let mut packet = Outgoing::of_packet(packet, codec)?;
            packet.media_time += shift;
            Some(packet)
        });
        outlet.send(packets.collect());
        Ok(gst::FlowSuccess::Ok)
    });
    let sink = gst_app::AppSink::builder()
        .sync(false)
        .async_(false)
        .buffer_list(true)
        .callbacks(callbacks.build())
        .build();
    sink.set_property("enable-last-sample", false);
    sink
}

fn watch_state(webrtc: &gst::Element, egress: &Egress) -> watch::Receiver<ConnectionState> {
    let (sender, receiver) = watch::channel(ConnectionState::New);
    let egress = egress.clone();
    webrtcbin::on_connection_state(webrtc, move |webrtc, state| {
        if state == ConnectionState::Connected
            && let Err(error) = egress.open(webrtc)
        {
            tracing::warn!(%error, "a bot sends nothing");
        }
        sender.send_replace(state);
    });
    receiver
}
