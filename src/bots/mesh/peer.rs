//! A bot's connection with one other participant of a mesh: microphone, camera and screen, both
//! ways.

use std::sync::Arc;

use gst_webrtc::{WebRTCRTPTransceiverDirection as Direction, WebRTCSDPType};
use tokio::sync::mpsc;

use crate::bots::config::{AudioLossRecovery, Decode, IceTransportPolicy, NetworkInterface};
use crate::bots::error::BotError;
use crate::bots::observe::detection::Path;
use crate::bots::observe::observer::Observer;
use crate::bots::rtc::codec::{opus_caps, rtp_video_caps};
use crate::bots::rtc::connection::{Candidate, Connection, Sending};
use crate::bots::rtc::ice;
use crate::bots::rtc::negotiate::{mids, parsed, text};
use crate::bots::rtc::receive::{Incoming, Receiver};
use crate::bots::source::media_source::{MediaSource, PipelineInput};
use crate::codec::{Codec, VideoCodec};
use crate::id::{Mid, ParticipantId, Role};
use crate::media::sdp;
use crate::media::sdp::candidate::Candidate as RemoteCandidate;
use crate::media::sdp::normalise::{Direction as Offered, Offer};
use crate::media::sdp::plan::{RoleSource, plan};
use crate::protocol::IceServer;

/// The m-lines of a connection, in their order.
const ROLES: [Role; 3] = [Role::Mic, Role::Camera, Role::Screen];

/// What all connections of a member are made with.
#[derive(Debug)]
pub(crate) struct MeshSetup {
    pub(crate) interface: NetworkInterface,
    pub(crate) ice_transport_policy: IceTransportPolicy,
    pub(crate) mic: Option<Arc<MediaSource>>,
    /// `None` also if the camera is not VP8, the only video codec of a mesh.
    pub(crate) camera: Option<Arc<MediaSource>>,
    pub(crate) decode: Decode,
    pub(crate) observer: Arc<Observer>,
}

/// What arrives from a participant: microphone, camera, screen.
pub(crate) type Lines = [Arc<Incoming>; 3];

impl MeshSetup {
    /// What receives the media of a participant.
    pub(crate) fn lines(&self, with: ParticipantId) -> Lines {
        ROLES.map(|role| {
            let receiver = Receiver {
                role,
                path: Path::Mesh,
                from: Some(with),
                decode: self.decode,
                audio_loss_recovery: AudioLossRecovery::Concealment,
                packet_capture: None,
            };
            Incoming::new(receiver, self.observer.clone())
        })
    }

    fn media_source(&self, role: Role) -> Option<&Arc<MediaSource>> {
        match role {
            Role::Mic => self.mic.as_ref(),
            Role::Camera => self.camera.as_ref(),
            _ => None,
        }
    }
}

/// An m-line to be made: its role, and its codec with the payload type.
struct Line {
    role: Role,
    rtp: gst::Caps,
}

/// A connection with another participant. Dropping it tears the pipeline down.
#[derive(Debug)]
pub(crate) struct MeshPeer {
    pub(crate) connection: Connection,
    pub(crate) mic: Option<Arc<PipelineInput>>,
    pub(crate) camera: Option<Arc<PipelineInput>>,
    ssrcs: [Option<u32>; 3],
}

/// A connection that has made its offer or answer.
pub(crate) struct DescribedPeer {
    pub(crate) peer: MeshPeer,
    pub(crate) sdp: String,
    pub(crate) mids: Vec<Mid>,
    pub(crate) candidates: mpsc::UnboundedReceiver<Candidate>,
}

impl MeshPeer {
    /// Makes a connection that offers.
    pub(crate) async fn offer(
        setup: &Arc<MeshSetup>,
        servers: &[IceServer],
        lines: Lines,
    ) -> Result<DescribedPeer, BotError> {
        let wanted = ROLES.map(|role| Line {
            role,
            rtp: if role.is_audio() {
                opus_caps()
            } else {
                rtp_video_caps(VideoCodec::Vp8)
            },
        });
        let (peer, candidates) = Self::build(setup, servers, lines, wanted.into()).await?;
        let offer = peer.connection.offer().await?;
        Ok(DescribedPeer {
            sdp: peer.named(&text(offer.sdp())?),
            mids: mids(offer.sdp()),
            peer,
            candidates,
        })
    }

    /// Makes a connection that answers an offer, of another bot or of a browser.
    pub(crate) async fn answer(
        setup: &Arc<MeshSetup>,
        servers: &[IceServer],
        lines: Lines,
        offer: &str,
    ) -> Result<DescribedPeer, BotError> {
        let unusable = |e: &dyn std::fmt::Display| BotError::BadOffer(e.to_string());
        // webrtcbin asserts on what it does not expect: the checks are those of the server.
        let offer = Offer::parse(offer, ROLES.len()).map_err(|e| unusable(&e))?;
        let plan = plan_of(&offer)?;
        let wanted = plan.iter().zip(ROLES).map(|(line, role)| Line {
            role,
            rtp: line.caps(),
        });
        let (peer, candidates) = Self::build(setup, servers, lines, wanted.collect()).await?;
        let mut offered = offer.transport.candidates.clone();
        offered.retain(|text| RemoteCandidate::parse(text).is_some());
        let canonical = parsed(&offer.canonical(&plan, &offered))?;
        peer.connection
            .take(WebRTCSDPType::Offer, canonical)
            .await?;
        let answer = peer.connection.answer().await?;
        let answer = offer.answer(&text(answer.sdp())?, &plan);
        let answer = answer.ok_or_else(|| unusable(&"m-lines are missing in the answer"))?;
        Ok(DescribedPeer {
            sdp: peer.named(&answer),
            mids: plan.into_iter().map(|line| line.mid).collect(),
            peer,
            candidates,
        })
    }

    async fn build(
        setup: &Arc<MeshSetup>,
        servers: &[IceServer],
        lines: Lines,
        wanted: Vec<Line>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Candidate>), BotError> {
        let (setup, servers) = (setup.clone(), servers.to_vec());
        tokio::task::spawn_blocking(move || {
            let (connection, candidates) = Connection::new(setup.interface)?;
            let mut peer = Self {
                connection,
                mic: None,
                camera: None,
                ssrcs: [None; 3],
            };
            if setup.interface != NetworkInterface::Loopback
                || setup.ice_transport_policy == IceTransportPolicy::Relay
            {
                ice::configure(
                    &peer.connection.webrtc,
                    setup.ice_transport_policy,
                    &servers,
                );
            }
            for (index, line) in wanted.into_iter().enumerate() {
                peer.add(index, line, &setup)?;
            }
            let lines = lines.into_iter().map(Some).collect();
            peer.connection.start(lines)?;
            Ok((peer, candidates))
        })
        .await
        .map_err(|e| BotError::media("building a mesh", e))?
    }

    /// Adds an m-line, which also sends if there is a source for its role.
    fn add(&mut self, index: usize, line: Line, setup: &MeshSetup) -> Result<(), BotError> {
        let Some(media_source) = setup.media_source(line.role) else {
            // Where nothing is ever sent, webrtcbin would make a pad of its own that nothing
            // feeds.
            self.connection.receive(line.role, &line.rtp);
            return Ok(());
        };
        let sender = self.connection.send(Sending {
            role: line.role,
            codec: if line.role.is_audio() {
                Codec::Opus
            } else {
                Codec::Vp8
            },
            rtp: line.rtp,
            direction: Direction::Sendrecv,
            packet_capture: None,
        })?;
        media_source.add(&sender.input);
        self.ssrcs[index] = Some(sender.ssrc);
        match line.role {
            Role::Mic => self.mic = Some(sender.input),
            _ => self.camera = Some(sender.input),
        }
        Ok(())
    }

    /// The description with an `a=ssrc` line for each m-line that sends. webrtcbin writes them into
    /// answers only where there is RTX, and browsers drop packets of SSRCs that they do not know.
    fn named(&self, sdp: &str) -> String {
        let mut sections = sdp.split("\r\nm=");
        let mut named = sections.next().unwrap_or_default().to_owned();
        for (section, ssrc) in sections.zip(self.ssrcs) {
            named.push_str("\r\nm=");
            named.push_str(section.trim_end());
            if let (Some(ssrc), false) = (ssrc, section.contains("\r\na=ssrc:")) {
                named.push_str(&format!("\r\na=ssrc:{ssrc} cname:bot{ssrc}"));
            }
        }
        named.push_str("\r\n");
        named
    }

    /// Takes over the answer to its offer.
    pub(crate) async fn accept(&self, answer: &str) -> Result<(), BotError> {
        let sdp = parsed(answer)?;
        if sdp.medias_len() as usize != ROLES.len() {
            return Err(BotError::BadAnswer("it has other m-lines".into()));
        }
        self.connection.take(WebRTCSDPType::Answer, sdp).await
    }

    /// To be called once the connection is up: lets media flow.
    pub(crate) fn open(&self) {
        self.inputs().for_each(|input| input.open());
    }

    fn inputs(&self) -> impl Iterator<Item = &Arc<PipelineInput>> {
        self.mic.iter().chain(&self.camera)
    }

    /// Sends no media any more.
    pub(crate) fn shut(&self) {
        self.inputs().for_each(|input| input.shut());
    }

    /// Lets nothing leave the machine any more: neither media nor RTCP nor DTLS.
    pub(crate) fn silence(&self) {
        self.shut();
        self.connection.silence();
    }
}

impl Drop for MeshPeer {
    fn drop(&mut self) {
        self.shut();
    }
}

/// The m-lines of an offer, each with the payload type of Opus or VP8.
fn plan_of(offer: &Offer) -> Result<Vec<sdp::line::Line>, BotError> {
    let named = offer.lines.iter().zip(ROLES).map(|(line, role)| {
        // Only the direction differs: a line that only receives is planned like a forward slot.
        let role = match (line.direction, role.is_audio()) {
            (Offered::Receives, true) => Role::ForwardAudio,
            (Offered::Receives, false) => Role::ForwardVideo,
            _ => role,
        };
        (line.mid.clone(), role)
    });
    let named: Vec<_> = named.collect();
    plan(offer, &RoleSource::Named(&named), &[VideoCodec::Vp8])
        .map_err(|e| BotError::BadOffer(e.to_string()))
}
