//! A bot that has joined: what a test, the demo or a benchmark holds.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::join::{self, Signalling};
use super::published::Published;
use super::server_ready;
use super::signalling::Outgoing;
use crate::bots::clock;
use crate::bots::config::{BotConfig, Capture, Mesh};
use crate::bots::error::BotError;
use crate::bots::mesh::peer::MeshSetup;
use crate::bots::mesh::{MeshLinks, MeshMember};
use crate::bots::rtc::connection::ConnectionState;
use crate::bots::rtc::peer::{Peer, Uplink};
use crate::bots::source::camera::{Camera, PreparedVideo};
use crate::bots::source::clip;
use crate::bots::source::corrupt::CorruptMode;
use crate::bots::source::media_source::{ClipPlayer, MediaSource};
use crate::bots::source::pace;
use crate::codec::VideoCodec;
use crate::id::ParticipantId;
use crate::layout::Size;
use crate::media::peer::webrtcbin::rework::{Rework, Sent};
use crate::protocol::ClientMessage;
use crate::protocol::room::Limits;
use crate::topology::Mode;

/// How long anything that a bot waits for may take before it is an error.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How long a pipeline may take to stop before it is left to itself.
const STOPPING: Duration = Duration::from_secs(5);

/// A participant that has joined. Dropping it is like [`Bot::kill`], without waiting for the end.
#[derive(Debug)]
pub struct Bot {
    name: String,
    pub(crate) started: Duration,
    pub(crate) peer: Arc<Peer>,
    signalling: Signalling,
    pub(crate) published: Published,
    camera: Option<Arc<Camera>>,
    mic: Option<Arc<ClipPlayer>>,
    pub(crate) links: Arc<MeshLinks>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bot {
    /// Joins a room. Returns once the server's answer is applied; the connection comes up after
    /// that ([`Bot::connected`]). What is sent is encoded before, and does not count as time of the
    /// join.
    ///
    /// # Errors
    /// What the server refuses, and what fails here.
    pub async fn join(config: BotConfig) -> Result<Self, BotError> {
        let config = config.for_entry();
        let video = PreparedVideo::of(config.video).await?;
        let audio = clip::audio(config.audio).await?;
        let started = clock::now();
        let (published, inbox) = Published::new();
        let joined = timeout(PATIENCE, join::enter(&config, &published))
            .await
            .map_err(|_| BotError::Deadline {
                what: "answer to the join",
                after: PATIENCE,
            })??;
        let join::Joined {
            peer,
            signalling,
            mut tasks,
        } = joined;
        let media_source = |uplink: &Option<Uplink>| {
            let uplink = uplink.as_ref();
            uplink.map(|uplink| MediaSource::with(&uplink.input))
        };
        let (camera_source, mic_source) = (media_source(&peer.camera), media_source(&peer.mic));
        let camera = camera_source
            .clone()
            .zip(video)
            .map(|(media_source, prepared)| Camera::start(media_source, config.video, prepared));
        let mic = mic_source.clone().zip(audio).map(|(media_source, clip)| {
            let begins = clip.begins(clock::now());
            let burst = config.sound_burst;
            let player = ClipPlayer::in_bursts(media_source, clip, Duration::ZERO, burst);
            pace::schedule(&player, begins);
            player
        });
        tasks.push(tokio::spawn(open_when_connected(peer.clone())));
        if let (Some(camera), Capture::Follow) = (&camera, config.capture) {
            let wanted = published.capture.subscribe();
            tasks.push(tokio::spawn(follow(Arc::downgrade(camera), wanted)));
        }
        let links = Arc::<MeshLinks>::default();
        let sources = (mic_source, camera_source);
        if let Some(member) = mesh_member(&config, &signalling, &peer, &published, &links, sources)?
        {
            tasks.push(tokio::spawn(member.run(inbox)));
        }
        Ok(Self {
            name: config.name,
            started,
            peer,
            signalling,
            published,
            camera,
            mic,
            links,
            tasks,
        })
    }

    /// The name it joined with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id in the room; `None` over WHIP and WHEP, which do not tell.
    pub fn id(&self) -> Option<ParticipantId> {
        match &self.signalling {
            Signalling::Socket { participant, .. } => Some(*participant),
            Signalling::Http(_) => None,
        }
    }

    /// When it began to join, on the machine's clock.
    pub fn started(&self) -> Duration {
        self.started
    }

    /// Sends a message to the server over the WebSocket.
    ///
    /// # Errors
    /// [`BotError::Closed`]; [`BotError::NotConfigured`] over WHIP and WHEP.
    pub fn send(&self, message: ClientMessage) -> Result<(), BotError> {
        self.order(Outgoing::Message(message))
    }

    /// Sends any text over the WebSocket, such as no client should send.
    ///
    /// # Errors
    /// As [`Bot::send`].
    pub fn send_text(&self, text: impl Into<String>) -> Result<(), BotError> {
        self.order(Outgoing::Text(text.into()))
    }

    fn order(&self, order: Outgoing) -> Result<(), BotError> {
        match &self.signalling {
            Signalling::Socket { outbox, .. } => outbox.send(order).map_err(|_| BotError::Closed),
            Signalling::Http(_) => Err(BotError::NotConfigured("WebSocket")),
        }
    }

    /// Asks for another mode of the room.
    ///
    /// # Errors
    /// As [`Bot::send`].
    pub fn set_mode(&self, mode: Mode) -> Result<(), BotError> {
        self.send(ClientMessage::Mode { mode })
    }

    /// Asks for a mode of its own; `None` follows the room again.
    ///
    /// # Errors
    /// As [`Bot::send`].
    pub fn set_view(&self, mode: Option<Mode>) -> Result<(), BotError> {
        self.send(ClientMessage::View { mode })
    }

    /// Sets limits of bitrate and height from now on.
    ///
    /// # Errors
    /// As [`Bot::send`].
    pub fn limit(&self, limits: Limits) -> Result<(), BotError> {
        self.send(ClientMessage::Limits(limits))
    }

    /// Damages the video that it sends to the server from now on.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`] without a camera.
    pub fn corrupt(&self, mode: CorruptMode) -> Result<(), BotError> {
        self.peer.corrupt(mode)
    }

    /// Adds packets, which may mean harm, to all RTCP that it sends to the server from now on. They have
    /// to be whole.
    pub fn append_rtcp(&self, packets: Vec<u8>) {
        self.peer.append_rtcp(packets);
    }

    /// Sends to the server, from now on, what `rework` makes of each packet, in that order: any bytes
    /// that SRTP takes. To be called once it is connected ([`Bot::connected`]). `rework` is called on
    /// GStreamer's threads.
    pub fn rework_sent(
        &self,
        rework: impl Fn(Sent, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) {
        let rework: Rework = Arc::new(rework);
        self.peer.rework_sent(&rework);
    }

    /// Leaves in order: `leave` or DELETE, then the end of media. Returns when the server has
    /// confirmed and everything here is torn down.
    ///
    /// # Errors
    /// If the server does not confirm. Everything here is torn down even so.
    pub async fn leave(mut self) -> Result<(), BotError> {
        let signalling = std::mem::replace(&mut self.signalling, Signalling::Http(None));
        let goodbye = timeout(PATIENCE, join::leave(signalling, &self.published.notices));
        let confirmed = goodbye.await.unwrap_or(Err(BotError::Deadline {
            what: "confirmation of the leave",
            after: PATIENCE,
        }));
        self.stop().await;
        confirmed
    }

    /// Vanishes, as if its machine had lost power: nothing is said over the WebSocket, DTLS or
    /// RTCP. Returns when everything here is torn down.
    pub async fn kill(self) {
        self.links.silence();
        self.peer.silence();
        // An error means the connection was lost before.
        let _ = self.order(Outgoing::Abort);
        self.stop().await;
    }

    async fn stop(self) {
        let gone = self.peer.connection.gone();
        let links = self.links.clone();
        // This closes the channels of commands, with which the tasks of the mesh end.
        drop(self);
        links.tasks.close();
        let all = async { tokio::join!(gone, links.tasks.wait()) };
        if timeout(STOPPING, all).await.is_err() {
            tracing::warn!("a bot's pipeline has not stopped in time and is left alone");
        }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        // The players end with this, as nothing else holds them.
        self.camera = None;
        self.mic = None;
    }
}

/// The bot as a member of a mesh, if it takes part in meshes: not over HTTP, where nobody signals.
/// `sources` are its microphone and camera.
fn mesh_member(
    config: &BotConfig,
    signalling: &Signalling,
    peer: &Arc<Peer>,
    published: &Published,
    links: &Arc<MeshLinks>,
    (mic, camera): (Option<Arc<MediaSource>>, Option<Arc<MediaSource>>),
) -> Result<Option<MeshMember>, BotError> {
    let (
        Signalling::Socket {
            participant,
            outbox,
        },
        Mesh::Join,
    ) = (signalling, config.mesh)
    else {
        return Ok(None);
    };
    let format = config.video.format();
    let is_vp8 = format.is_some_and(|format| format.codec == VideoCodec::Vp8);
    let setup = MeshSetup {
        interface: join::interface(config)?,
        ice_transport_policy: config.ice_transport_policy,
        mic,
        camera: camera.filter(|_| is_vp8),
        decode: config.receive.forwards,
        observer: published.observer.clone(),
    };
    Ok(Some(MeshMember {
        own: *participant,
        setup: Arc::new(setup),
        send: sender(outbox.clone()),
        links: links.clone(),
        server_ready: server_ready::watcher(peer, published, *participant),
    }))
}

/// What sends a mesh member's messages to the server.
fn sender(outbox: mpsc::UnboundedSender<Outgoing>) -> Box<dyn Fn(ClientMessage) + Send + Sync> {
    Box::new(move |message| {
        // With the connection to the server the mesh ends, too.
        let _ = outbox.send(Outgoing::Message(message));
    })
}

async fn open_when_connected(peer: Arc<Peer>) {
    let mut states = peer.connection.state.clone();
    let up = |state: &ConnectionState| *state == ConnectionState::Connected;
    if states.wait_for(up).await.is_ok() {
        peer.open();
    }
}

/// Follows the server's `capture` messages. While a change is made, only the newest one waits.
async fn follow(camera: Weak<Camera>, mut wanted: watch::Receiver<Option<(Size, u32)>>) {
    // What came before the answer counts too.
    wanted.mark_changed();
    while wanted.changed().await.is_ok() {
        let wish = *wanted.borrow_and_update();
        let (Some((size, fps)), Some(camera)) = (wish, camera.upgrade()) else {
            continue;
        };
        if let Err(error) = camera.follow(size, fps).await {
            tracing::warn!(%error, "a bot's camera does not follow");
        }
    }
}
