//! The least server a bot can join: it sends everybody their own camera and microphone back as
//! the mix. With it the bots are tested before, and apart from, the server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use gst::prelude::*;
use gst_webrtc::{
    WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection as Direction, WebRTCSDPType,
    WebRTCSessionDescription,
};
use tessera::id::{Mid, ParticipantId, Role};
use tessera::layout::Size;
use tessera::protocol::{
    ByeReason, ClientMessage, Join, LayoutKind, MeasuredPaths, Mode, RoomState, ServerMessage,
    TileState, VERSION,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// What a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client said `leave`.
    Left,
    /// The connection broke.
    Vanished,
}

/// A running reflector.
pub struct Reflector {
    pub url: String,
    /// How each connection ended, in the order of ending.
    pub endings: mpsc::UnboundedReceiver<Ending>,
}

impl Reflector {
    pub async fn start() -> Self {
        gst::init().unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (ended, endings) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut ordinal = 0;
            while let Ok((stream, _)) = listener.accept().await {
                ordinal += 1;
                let ended = ended.clone();
                tokio::spawn(async move {
                    let ending = serve(stream, ParticipantId::new(ordinal)).await;
                    ended.send(ending.expect("the reflector failed")).ok();
                });
            }
        });
        Self { url, endings }
    }
}

/// Stops the pipeline however the connection ends.
struct Running(gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        let pipeline = self.0.clone();
        std::thread::spawn(move || pipeline.set_state(gst::State::Null));
    }
}

async fn serve(stream: TcpStream, who: ParticipantId) -> anyhow::Result<Ending> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        bail!("no first message");
    };
    let ClientMessage::Join(join) = serde_json::from_str(&text)? else {
        bail!("the first message is no join");
    };
    let (candidates, mut found) = mpsc::unbounded_channel();
    let mids: Vec<Mid> = join.tracks.iter().map(|track| track.mid.clone()).collect();
    let (running, webrtc, answer) = answer(&join, candidates).await?;
    let _running = running;
    for message in [
        ServerMessage::Welcome {
            version: VERSION,
            participant: who,
            resume: "secret".into(),
            ice_servers: Vec::new(),
        },
        ServerMessage::Answer { sdp: answer },
        ServerMessage::Room(room(who)),
    ] {
        socket
            .send(Message::text(serde_json::to_string(&message)?))
            .await?;
    }
    loop {
        let message = tokio::select! {
            Some((index, candidate)) = found.recv() => ServerMessage::Candidate {
                mid: mids[index as usize].clone(),
                candidate: Some(candidate),
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text)? {
                    ClientMessage::Leave => ServerMessage::Bye { reason: ByeReason::Left },
                    ClientMessage::Candidate { mid, candidate: Some(candidate) } => {
                        let index = mids.iter().position(|m| *m == mid).context("mid")? as u32;
                        webrtc.emit_by_name::<()>("add-ice-candidate", &[&index, &candidate]);
                        continue;
                    }
                    _ => continue,
                },
                Some(Ok(_)) => continue,
                _ => return Ok(Ending::Vanished),
            },
        };
        socket
            .send(Message::text(serde_json::to_string(&message)?))
            .await?;
        if matches!(message, ServerMessage::Bye { .. }) {
            return Ok(Ending::Left);
        }
    }
}

/// A room with one tile over the whole of a 640x360 canvas.
fn room(who: ParticipantId) -> RoomState {
    RoomState {
        mode: Mode::Mcu,
        layout: LayoutKind::Grid,
        canvas: Size {
            width: 640,
            height: 360,
        },
        pinned: None,
        participants: Vec::new(),
        paths: tessera::protocol::MeasuredPaths::default(),
        tiles: vec![TileState {
            participant: who,
            role: Role::Camera,
            x: 0,
            y: 0,
            w: 640,
            h: 360,
        }],

        paths: MeasuredPaths::default(),
    }
}

type Way = Arc<Mutex<Option<gst_app::AppSink>>>;

/// A way back: the slot's appsrc, and the uplink that feeds it once there is one.
#[derive(Clone)]
struct Mirror {
    source: gst_app::AppSrc,
    ssrc: u32,
    uplink: Way,
}

async fn answer(
    join: &Join,
    candidates: mpsc::UnboundedSender<(u32, String)>,
) -> anyhow::Result<(Running, gst::Element, String)> {
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
    agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]);
    webrtc.connect("on-ice-candidate", false, move |values| {
        let candidate = (values[1].get().unwrap(), values[2].get().unwrap());
        candidates.send(candidate).ok();
        None
    });
    let running = Running(pipeline.clone());
    pipeline.set_state(gst::State::Ready)?;

    let camera = join.tracks.iter().position(|t| t.role == Role::Camera);
    let sent = camera.and_then(|i| encoding(&offer, i as u32, None));
    let mut mirrors = std::collections::HashMap::new();
    for (index, track) in (0u32..).zip(&join.tracks) {
        let codec = match track.role {
            Role::MixVideo => sent.as_deref(),
            _ => None,
        };
        let caps = line_caps(&offer, index, codec).context("no codec")?;
        if track.role.is_uplink() {
            webrtc.emit_by_name::<WebRTCRTPTransceiver>(
                "add-transceiver",
                &[&Direction::Recvonly, &caps],
            );
        } else {
            let mirror = slot(&pipeline, &webrtc, &caps, 1000 + index, track.role)?;
            mirrors.insert(track.role, mirror);
        }
    }
    reflect(&pipeline, &webrtc, join, mirrors);
    pipeline.set_state(gst::State::Playing)?;
    let sdp = negotiate(&webrtc, offer, join).await?;
    Ok((running, webrtc, sdp))
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

fn slot(
    pipeline: &gst::Pipeline,
    webrtc: &gst::Element,
    caps: &gst::Caps,
    ssrc: u32,
    role: Role,
) -> anyhow::Result<Mirror> {
    let mut caps = caps.clone();
    caps.make_mut().set("ssrc", ssrc);
    let source = gst_app::AppSrc::builder()
        .caps(&caps)
        .is_live(true)
        .format(gst::Format::Time)
        .do_timestamp(true)
        .build();
    pipeline.add(&source)?;
    let template = webrtc.pad_template("sink_%u").context("template")?;
    let pad = webrtc
        .request_pad(&template, None, Some(&caps))
        .context("pad")?;
    let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
    transceiver.set_direction(Direction::Sendonly);
    transceiver.set_property("codec-preferences", &caps);
    transceiver.set_property("do-nack", !role.is_audio());
    let out = source.static_pad("src").context("pad")?;
    out.link(&pad)?;
    let uplink = Way::default();
    let asked = uplink.clone();
    // Keyframe requests of the receiver go on to the sender.
    out.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(event) = info.event()
            && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
            && let Some(sink) = asked.lock().unwrap().clone()
        {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder().build();
            sink.send_event(event);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(Mirror {
        source,
        ssrc,
        uplink,
    })
}

/// Sends what comes in back out, under the slot's SSRC.
fn reflect(
    pipeline: &gst::Pipeline,
    webrtc: &gst::Element,
    join: &Join,
    mirrors: std::collections::HashMap<Role, Mirror>,
) {
    let roles: Vec<Role> = join.tracks.iter().map(|track| track.role).collect();
    let pipeline = pipeline.downgrade();
    webrtc.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        let slot = match roles[transceiver.mlineindex() as usize] {
            Role::Mic => Role::MixAudio,
            _ => Role::MixVideo,
        };
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .async_(false)
            .build();
        pipeline.add(&sink).unwrap();
        let mirror = mirrors.get(&slot).cloned();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let (Some(mirror), Some(mut packet)) = (&mirror, sample.buffer_owned()) {
                mirror
                    .uplink
                    .lock()
                    .unwrap()
                    .get_or_insert_with(|| sink.clone());
                let buffer = packet.make_mut();
                buffer.set_pts(None);
                buffer.set_dts(None);
                if let Ok(mut rtp) = gst_rtp::RTPBuffer::from_buffer_writable(buffer) {
                    rtp.set_ssrc(mirror.ssrc);
                }
                mirror.source.push_buffer(packet).ok();
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
}
