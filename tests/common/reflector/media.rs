//! The reflector's peer connections, and what goes from one to another.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::Context;
use gst::prelude::*;
use gst_webrtc::{
    WebRTCPeerConnectionState as State, WebRTCRTPTransceiver,
    WebRTCRTPTransceiverDirection as Direction, WebRTCSDPType, WebRTCSessionDescription,
};
use tessera::codec::Codec;
use tessera::id::{ParticipantId, Role};
use tessera::media::rtp::payload::starts_keyframe;
use tessera::protocol::Join;
use tokio::sync::mpsc;

use super::{Extensions, Shared};

/// The id the bots offer their levels with.
const LEVEL_ID: u8 = 1;

/// A connection. Dropping it stops it.
pub struct Media {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    pub sdp: String,
}

impl Drop for Media {
    fn drop(&mut self) {
        let pipeline = self.pipeline.clone();
        std::thread::spawn(move || pipeline.set_state(gst::State::Null));
    }
}

/// An m-line out: its appsrc, and the SSRC it has to have.
#[derive(Clone)]
struct Out {
    source: gst_app::AppSrc,
    ssrc: u32,
}

/// A forward m-line, and where its stream goes on when somebody else's continues it.
struct Route {
    out: Out,
    video: bool,
    from: Option<ParticipantId>,
    /// Whose stream it carries, which is another's from a keyframe on.
    carries: Option<ParticipantId>,
    shift: (u16, u32),
    last: (u16, u32),
}

/// What goes from one member to another.
#[derive(Default)]
pub struct Forwards(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By receiver and kind of m-line, in the order of the m-lines.
    routes: BTreeMap<(ParticipantId, Role), Vec<Route>>,
    /// Where keyframes are asked for.
    cameras: BTreeMap<ParticipantId, gst_app::AppSink>,
    levels: BTreeMap<ParticipantId, Vec<Option<u8>>>,
}

impl Forwards {
    pub fn assign(&self, to: ParticipantId, n: usize, from: Option<ParticipantId>) {
        let mut table = self.0.lock().unwrap();
        for role in [Role::ForwardAudio, Role::ForwardVideo] {
            let routes = table.routes.get_mut(&(to, role)).expect("forward m-lines");
            routes[n].from = from;
        }
        let camera = from.and_then(|from| table.cameras.get(&from).cloned());
        drop(table);
        camera.as_ref().map(ask);
    }

    pub fn levels(&self, of: ParticipantId) -> Vec<Option<u8>> {
        let table = self.0.lock().unwrap();
        table.levels.get(&of).cloned().unwrap_or_default()
    }

    /// Takes a packet of a member's, and sends it wherever it goes.
    fn packet(&self, who: ParticipantId, role: Role, packet: &[u8]) {
        let mut table = self.0.lock().unwrap();
        if role == Role::Mic {
            table.levels.entry(who).or_default().push(level(packet));
        }
        let slots = match role {
            Role::Mic => Role::ForwardAudio,
            _ => Role::ForwardVideo,
        };
        let routes = table.routes.iter_mut().filter(|((_, r), _)| *r == slots);
        for route in routes.flat_map(|(_, routes)| routes) {
            if route.from == Some(who)
                && let Some(forwarded) = route.forward(who, packet)
            {
                let buffer = gst::Buffer::from_mut_slice(forwarded);
                route.out.source.push_buffer(buffer).ok();
            }
        }
    }

    fn ask_for(&self, to: ParticipantId, source: &gst_app::AppSrc) {
        let table = self.0.lock().unwrap();
        let routes = table.routes.get(&(to, Role::ForwardVideo));
        let mut routes = routes.into_iter().flatten();
        let from = routes
            .find(|r| r.out.source == *source)
            .and_then(|r| r.from);
        let camera = from.and_then(|from| table.cameras.get(&from).cloned());
        drop(table);
        camera.as_ref().map(ask);
    }
}

impl Route {
    /// The packet with its sender's number as CSRC, in the numbering of the m-line.
    fn forward(&mut self, who: ParticipantId, packet: &[u8]) -> Option<Vec<u8>> {
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let (seq, timestamp) = (word(2), u32::from(word(4)) << 16 | u32::from(word(6)));
        if self.carries != Some(who) {
            let payload = packet.get(payload_at(packet)..)?;
            if self.video && !starts_keyframe(Codec::Vp8, payload) {
                return None;
            }
            self.carries = Some(who);
            let step = if self.video { 3_000 } else { 960 };
            self.shift = (
                self.last.0.wrapping_add(1).wrapping_sub(seq),
                self.last.1.wrapping_add(step).wrapping_sub(timestamp),
            );
        }
        let seq = seq.wrapping_add(self.shift.0);
        let timestamp = timestamp.wrapping_add(self.shift.1);
        self.last = (seq, timestamp);
        let mut forwarded = packet.to_vec();
        forwarded[0] = packet[0] & 0xf0 | 1;
        forwarded[2..4].copy_from_slice(&seq.to_be_bytes());
        forwarded[4..8].copy_from_slice(&timestamp.to_be_bytes());
        forwarded[8..12].copy_from_slice(&self.out.ssrc.to_be_bytes());
        forwarded.splice(12..12, who.ordinal().to_be_bytes());
        Some(forwarded)
    }
}

/// Where the payload begins in a packet without CSRCs.
fn payload_at(packet: &[u8]) -> usize {
    match packet[0] & 0x10 {
        0 => 12,
        _ => 16 + 4 * usize::from(u16::from_be_bytes([packet[14], packet[15]])),
    }
}

fn level(packet: &[u8]) -> Option<u8> {
    let begins = [0xbe, 0xde, 0, 1, LEVEL_ID << 4];
    let extended = packet[0] & 0x10 != 0 && packet[12..].starts_with(&begins);
    extended.then(|| packet[17])
}

/// Asks a member for a keyframe.
fn ask(camera: &gst_app::AppSink) {
    let event = gst_video::UpstreamForceKeyUnitEvent::builder().build();
    camera.send_event(event);
}

impl Media {
    /// Answers a join. Tells `connect` when the connection is up.
    pub(super) async fn answer(
        join: &Join,
        who: ParticipantId,
        shared: &Shared,
        connect: mpsc::UnboundedSender<()>,
    ) -> anyhow::Result<(Self, mpsc::UnboundedReceiver<(u32, String)>)> {
        let offer = gst_sdp::SDPMessage::parse_buffer(join.offer.as_bytes())?;
        let pipeline = gst::Pipeline::new();
        let webrtc = gst::ElementFactory::make("webrtcbin")
            .property_from_str("bundle-policy", "max-bundle")
            .property("latency", 20u32)
            .build()?;
        pipeline.add(&webrtc)?;
        pipeline.set_latency(gst::ClockTime::ZERO);
        let agent = webrtc.property::<gst::Object>("ice-agent");
        agent.set_property("ice-tcp", false);
        agent
            .property::<gst::glib::Object>("agent")
            .set_property("upnp", false);
        agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]);
        let (candidates, found) = mpsc::unbounded_channel();
        webrtc.connect("on-ice-candidate", false, move |values| {
            let candidate = (values[1].get().unwrap(), values[2].get().unwrap());
            candidates.send(candidate).ok();
            None
        });
        webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
            if webrtc.property::<State>("connection-state") == State::Connected {
                connect.send(()).ok();
            }
        });
        let mut media = Self {
            pipeline,
            webrtc,
            sdp: String::new(),
        };
        media.pipeline.set_state(gst::State::Ready)?;
        let mirrors = media.lines(join, who, &offer, shared)?;
        media.reflect(join, who, shared, mirrors);
        media.pipeline.set_state(gst::State::Playing)?;
        media.sdp = negotiate(&media.webrtc, offer, join).await?;
        Ok((media, found))
    }

    pub fn add_candidate(&self, index: u32, candidate: &str) {
        self.webrtc
            .emit_by_name::<()>("add-ice-candidate", &[&index, &candidate]);
    }

    /// Makes the m-lines; returns the mix's.
    fn lines(
        &self,
        join: &Join,
        who: ParticipantId,
        offer: &gst_sdp::SDPMessage,
        shared: &Shared,
    ) -> anyhow::Result<BTreeMap<Role, Out>> {
        let camera = join.tracks.iter().position(|t| t.role == Role::Camera);
        let sent = camera.and_then(|i| encoding(offer, i as u32, None));
        let mut mirrors = BTreeMap::new();
        for (index, track) in (0u32..).zip(&join.tracks) {
            let codec = match track.role {
                Role::MixVideo => sent.as_deref(),
                Role::ForwardVideo => Some("VP8"),
                _ => None,
            };
            let mut caps = line_caps(offer, index, codec).context("no codec")?;
            if track.role == Role::Mic && shared.extensions == Extensions::Taken {
                let uri = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
                caps.make_mut().set(format!("extmap-{LEVEL_ID}"), uri);
            }
            if track.role.is_uplink() {
                self.webrtc.emit_by_name::<WebRTCRTPTransceiver>(
                    "add-transceiver",
                    &[&Direction::Recvonly, &caps],
                );
                continue;
            }
            let out = self.slot(&caps, 1000 + index, track.role)?;
            if matches!(track.role, Role::MixAudio | Role::MixVideo) {
                mirrors.insert(track.role, out.clone());
            } else {
                let route = Route {
                    video: track.role == Role::ForwardVideo,
                    out: out.clone(),
                    from: None,
                    carries: None,
                    shift: (0, 0),
                    last: (0, 0),
                };
                let mut table = shared.forwards.0.lock().unwrap();
                table
                    .routes
                    .entry((who, track.role))
                    .or_default()
                    .push(route);
            }
            let forwards = shared.forwards.clone();
            let (source, role) = (out.source.clone(), track.role);
            // Keyframe requests of the receiver go on to the sender.
            on_request(&out.source, move || match role {
                Role::MixVideo => {
                    let camera = forwards.0.lock().unwrap().cameras.get(&who).cloned();
                    camera.as_ref().map(ask);
                }
                _ => forwards.ask_for(who, &source),
            });
        }
        Ok(mirrors)
    }

    fn slot(&self, caps: &gst::Caps, ssrc: u32, role: Role) -> anyhow::Result<Out> {
        let mut caps = caps.clone();
        caps.make_mut().set("ssrc", ssrc);
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .is_live(true)
            .format(gst::Format::Time)
            .do_timestamp(true)
            .build();
        self.pipeline.add(&source)?;
        let template = self.webrtc.pad_template("sink_%u").context("template")?;
        let pad = self
            .webrtc
            .request_pad(&template, None, Some(&caps))
            .context("pad")?;
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_direction(Direction::Sendonly);
        transceiver.set_property("codec-preferences", &caps);
        transceiver.set_property("do-nack", !role.is_audio());
        source.static_pad("src").context("pad")?.link(&pad)?;
        Ok(Out { source, ssrc })
    }

    /// Sends what comes in back out, under the slot's SSRC, and on to others.
    fn reflect(
        &self,
        join: &Join,
        who: ParticipantId,
        shared: &Shared,
        mirrors: BTreeMap<Role, Out>,
    ) {
        let roles: Vec<Role> = join.tracks.iter().map(|track| track.role).collect();
        let pipeline = self.pipeline.downgrade();
        let forwards = shared.forwards.clone();
        self.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            if pad.direction() != gst::PadDirection::Src {
                return;
            }
            let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
            let role = roles[transceiver.mlineindex() as usize];
            let slot = match role {
                Role::Mic => Role::MixAudio,
                _ => Role::MixVideo,
            };
            let sink = gst_app::AppSink::builder()
                .sync(false)
                .async_(false)
                .build();
            pipeline.add(&sink).unwrap();
            if role == Role::Camera {
                let mut table = forwards.0.lock().unwrap();
                table.cameras.insert(who, sink.clone());
            }
            let (mirror, forwards) = (mirrors.get(&slot).cloned(), forwards.clone());
            let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(packet) = sample.buffer_owned() {
                    forwards.packet(who, role, &packet.map_readable().unwrap());
                    if let Some(mirror) = &mirror {
                        mirror.send(packet);
                    }
                }
                Ok(gst::FlowSuccess::Ok)
            });
            sink.set_callbacks(callbacks.build());
            sink.sync_state_with_parent().unwrap();
            pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        });
    }
}

impl Out {
    fn send(&self, mut packet: gst::Buffer) {
        let buffer = packet.make_mut();
        buffer.set_pts(None);
        buffer.set_dts(None);
        if let Ok(mut rtp) = gst_rtp::RTPBuffer::from_buffer_writable(buffer) {
            rtp.set_ssrc(self.ssrc);
        }
        self.source.push_buffer(packet).ok();
    }
}

fn on_request(source: &gst_app::AppSrc, act: impl Fn() + Send + Sync + 'static) {
    let pad = source.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(event) = info.event()
            && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
        {
            act();
        }
        gst::PadProbeReturn::Ok
    });
}

async fn negotiate(
    webrtc: &gst::Element,
    offer: gst_sdp::SDPMessage,
    join: &Join,
) -> anyhow::Result<String> {
    let offer = WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer);
    let (promise, reply) = gst::Promise::new_future();
    webrtc.emit_by_name::<()>("set-remote-description", &[&offer, &promise]);
    reply.await.ok().context("set-remote-description")?;
    let (promise, reply) = gst::Promise::new_future();
    webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]);
    let reply = reply.await.ok().flatten().context("create-answer")?;
    let answer = reply.get::<WebRTCSessionDescription>("answer")?;
    let (promise, reply) = gst::Promise::new_future();
    webrtc.emit_by_name::<()>("set-local-description", &[&answer, &promise]);
    reply.await.ok().context("set-local-description")?;
    // webrtcbin names the SSRC only where there is RTX.
    let mut lines = answer
        .sdp()
        .as_text()?
        .split("\r\nm=")
        .map(str::to_owned)
        .collect::<Vec<_>>();
    for (index, track) in join.tracks.iter().enumerate() {
        let section = &mut lines[index + 1];
        if !track.role.is_uplink() && !section.contains("a=ssrc:") {
            let ssrc = 1000 + index;
            section.truncate(section.trim_end().len());
            section.push_str(&format!("\r\na=ssrc:{ssrc} cname:mirror"));
            if index + 1 == join.tracks.len() {
                section.push_str("\r\n");
            }
        }
    }
    Ok(lines.join("\r\nm="))
}

/// The caps of one codec of an m-line: the one named, else the first that is no repair.
fn line_caps(sdp: &gst_sdp::SDPMessage, line: u32, codec: Option<&str>) -> Option<gst::Caps> {
    let media = sdp.media(line)?;
    media.formats().find_map(|format| {
        let mut caps = media.caps_from_media(format.parse().ok()?)?;
        let structure = caps.make_mut().structure_mut(0)?;
        structure.set_name("application/x-rtp");
        let name = structure.get::<String>("encoding-name").ok()?;
        let fits = codec.map_or(name != "RTX", |codec| name == codec);
        fits.then_some(caps)
    })
}

fn encoding(sdp: &gst_sdp::SDPMessage, line: u32, codec: Option<&str>) -> Option<String> {
    let caps = line_caps(sdp, line, codec)?;
    caps.structure(0)?.get("encoding-name").ok()
}
