//! A bot's pipeline: one webrtcbin that offers, its uplinks, and what comes in.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use gst_webrtc::{
    WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection as Direction, WebRTCSDPType,
    WebRTCSessionDescription,
};
use tokio::sync::{mpsc, watch};

pub(super) use gst_webrtc::WebRTCPeerConnectionState as ConnectionState;

use super::config::{BotConfig, Entry};
use super::corrupt::CorruptMode;
use super::encode::video_caps;
use super::error::BotError;
use super::outlet::Outlet;
use super::receive::{self, Incoming};
use crate::config::VideoCodec;
use crate::id::{Mid, Role};
use crate::protocol::Track;

/// How long webrtcbin may take over a description.
const NEGOTIATION: Duration = Duration::from_secs(10);

/// How long gathering may take where candidates cannot be sent later. `ice-gathering-state` may
/// never reach complete.
const GATHERING: Duration = Duration::from_millis(500);

/// How long a retransmission is waited for, ms. Nothing is delayed by it as long as nothing is
/// lost, since no sink here waits for the clock.
const JITTER_MS: u32 = 80;

/// A local candidate: the m-line's index, and the candidate.
pub(super) type Candidate = (u32, String);

/// A bot's peer connection. Dropping it stops the pipeline on a thread of its own.
#[derive(Debug)]
pub(super) struct Peer {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    pub(super) camera: Option<Arc<Outlet>>,
    pub(super) mic: Option<Arc<Outlet>>,
    camera_payloader: Option<gst::Element>,
    /// In the order of the m-lines; a `None` is an uplink.
    lines: Vec<(Role, Option<Arc<Incoming>>)>,
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
        rtp: gst::Caps,
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
        let payloader = gst::parse::bin_from_description(
            &format!("{payloader} mtu=1200 pt={}", payload.unwrap_or(96)),
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

    /// Makes the offer and starts gathering. Returns its SDP, and what its m-lines are for.
    pub(super) async fn offer(&mut self) -> Result<(String, Vec<Track>), BotError> {
        let (promise, reply) = gst::Promise::new_future();
        self.webrtc
            .emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        let reply = settled("offer", reply).await?;
        let offer = reply
            .as_ref()
            .and_then(|reply| reply.get::<WebRTCSessionDescription>("offer").ok())
            .ok_or_else(|| BotError::Media("webrtcbin made no offer".into()))?;
        let text = offer
            .sdp()
            .as_text()
            .map_err(|e| BotError::media("offer", e))?;
        let mids = mids(offer.sdp());
        if mids.len() != self.lines.len() {
            return Err(BotError::Media("the offer has other m-lines".into()));
        }
        self.describe("set-local-description", &offer).await?;
        let mut tracks = Vec::with_capacity(mids.len());
        for (mid, (role, incoming)) in mids.into_iter().zip(&self.lines) {
            if let Some(incoming) = incoming {
                incoming.name(mid.clone());
            }
            tracks.push(Track { mid, role: *role });
        }
        Ok((text, tracks))
    }

    /// The offer with the candidates that could be gathered in time.
    pub(super) async fn gathered(&self) -> Result<String, BotError> {
        let (done, mut gathered) = watch::channel(false);
        let check = move |webrtc: &gst::Element| {
            let state = webrtc
                .property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
            done.send_replace(state == gst_webrtc::WebRTCICEGatheringState::Complete);
        };
        check(&self.webrtc);
        let handler = self
            .webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| check(webrtc));
        // What there is when the time is up has to do.
        let _ = tokio::time::timeout(GATHERING, gathered.wait_for(|done| *done)).await;
        self.webrtc.disconnect(handler);
        self.webrtc
            .property::<Option<WebRTCSessionDescription>>("local-description")
            .and_then(|description| description.sdp().as_text().ok())
            .ok_or_else(|| BotError::Media("no local description".into()))
    }

    /// Takes the server's answer.
    pub(super) async fn accept(&self, answer: &str) -> Result<(), BotError> {
        let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes())
            .map_err(|e| BotError::BadAnswer(e.to_string()))?;
        if sdp.medias_len() as usize != self.lines.len() {
            return Err(BotError::BadAnswer("it has other m-lines".into()));
        }
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        self.describe("set-remote-description", &answer).await
    }

    async fn describe(
        &self,
        signal: &'static str,
        description: &WebRTCSessionDescription,
    ) -> Result<(), BotError> {
        let (promise, reply) = gst::Promise::new_future();
        self.webrtc
            .emit_by_name::<()>(signal, &[description, &promise]);
        settled(signal, reply).await.map(|_| ())
    }

    /// Gives webrtcbin a candidate of the server.
    pub(super) fn add_candidate(&self, index: u32, candidate: &str) {
        self.webrtc
            .emit_by_name::<()>("add-ice-candidate", &[&index, &candidate]);
    }

    /// What comes in, in the order of the m-lines.
    pub(super) fn incoming(&self) -> impl Iterator<Item = &Arc<Incoming>> {
        self.lines.iter().filter_map(|(_, line)| line.as_ref())
    }

    /// Lets the uplinks flow, from a keyframe on.
    pub(super) fn open(&self) {
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
        for sink in bin.iterate_all_by_element_factory_name("nicesink").into_iter().flatten() {
            if let Some(pad) = sink.static_pad("sink") {
                let kinds = gst::PadProbeType::BUFFER
                    | gst::PadProbeType::BUFFER_LIST
                    | gst::PadProbeType::EVENT_DOWNSTREAM;
                pad.add_probe(kinds, |_, _| gst::PadProbeReturn::Drop);
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

/// Waits for a promise's reply, in which an error may hide.
async fn settled<R: std::ops::Deref<Target = gst::StructureRef>>(
    what: &'static str,
    reply: impl Future<Output = Result<Option<R>, gst::PromiseError>>,
) -> Result<Option<R>, BotError> {
    let after = NEGOTIATION;
    let reply = tokio::time::timeout(after, reply)
        .await
        .map_err(|_| BotError::Deadline { what, after })?
        .map_err(|e| BotError::Media(format!("{what}: {e:?}")))?;
    let error = reply
        .as_ref()
        .and_then(|reply| reply.get::<gst::glib::Error>("error").ok());
    match error {
        Some(error) => Err(BotError::media(what, error)),
        None => Ok(reply),
    }
}

fn watch_connection(webrtc: &gst::Element) -> watch::Receiver<ConnectionState> {
    let (sender, receiver) = watch::channel(ConnectionState::New);
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        sender.send_replace(webrtc.property::<ConnectionState>("connection-state"));
    });
    receiver
}

/// The mids of a description's m-lines.
fn mids(sdp: &gst_sdp::SDPMessageRef) -> Vec<Mid> {
    sdp.medias()
        .filter_map(|media| media.attribute_val("mid"))
        .map(|mid| Mid(mid.to_owned()))
        .collect()
}

fn opus_caps() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("payload", 111)
        .field("clock-rate", 48_000)
        .field("encoding-params", "2")
        .build()
}

fn rtp_video_caps(codec: VideoCodec) -> gst::Caps {
    let builder = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("clock-rate", 90_000)
        .field("rtcp-fb-nack-pli", true)
        .field("rtcp-fb-ccm-fir", true);
    match codec {
        VideoCodec::Vp8 => builder.field("encoding-name", "VP8").field("payload", 96),
        VideoCodec::Vp9 => builder.field("encoding-name", "VP9").field("payload", 98),
        VideoCodec::H264 => builder
            .field("encoding-name", "H264")
            .field("payload", 102)
            .field("packetization-mode", "1")
            .field("profile-level-id", "42e01f"),
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::config::{Decode, VideoFormat};
    use crate::id::RoomId;

    #[tokio::test]
    async fn the_offer_has_every_line_in_order() {
        gst::init().unwrap();
        let config = BotConfig::new("", RoomId::new("r").unwrap(), "Ann")
            .person(0, VideoFormat::new(VideoCodec::H264))
            .decoding(Decode::Both)
            .entering(Entry::WebSocket { forward_slots: 2 });
        let mut peer = Peer::new(&config, true).unwrap();
        let (sdp, tracks) = peer.offer().await.unwrap();
        let roles: Vec<_> = tracks.iter().map(|t| t.role.to_string()).collect();
        assert_eq!(
            roles.join(" "),
            "mic camera mix-audio mix-video forward-audio forward-audio forward-video \
             forward-video"
        );
        let sections: Vec<_> = sdp.split("\r\nm=").skip(1).collect();
        assert_eq!(sections.len(), tracks.len(), "{sdp}");
        for (section, track) in sections.iter().zip(&tracks) {
            let kind = if track.role.is_audio() { "audio" } else { "video" };
            assert!(section.starts_with(kind), "{track:?} in {section}");
            let mid = format!("\r\na=mid:{}\r\n", track.mid);
            assert!(section.contains(&mid), "{track:?} in {section}");
            let direction = if track.role.is_uplink() {
                "sendonly"
            } else {
                "recvonly"
            };
            assert!(section.contains(&format!("a={direction}\r")), "{section}");
        }
        assert!(sections[3].contains("H264/90000") && sections[3].contains("VP8/90000"));
        assert!(sections[3].contains("packetization-mode=1"));
        let gathered = peer.gathered().await.unwrap();
        assert!(gathered.contains(" 127.0.0.1 "), "{gathered}");
        assert!(!gathered.contains("TCP"), "{gathered}");
    }
}
