//! A participant: what a test, the demo or a benchmark holds of one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::{BotConfig, Capture, Mesh};
use super::join::{self, Signalling};
use super::server_ready;
use super::signalling::Outgoing;
use crate::bots::clock;
use crate::bots::error::BotError;
use crate::bots::mesh::peer::Setup;
use crate::bots::mesh::{Links, Member};
use crate::bots::observe::observer::Witness;
use crate::bots::rtc::peer::{ConnectionState, Peer, Uplink};
use crate::bots::source::camera::{Camera, Stock};
use crate::bots::source::clip;
use crate::bots::source::corrupt::CorruptMode;
use crate::bots::source::media_source::{Outlet, Player};
use crate::bots::source::pace;
use crate::codec::VideoCodec;
use crate::id::{ParticipantId, Role};
use crate::layout::Size;
use crate::protocol::room::{ByeReason, Limits, RoomState, SlotState};
use crate::protocol::{self, ClientMessage, ServerMessage};
use crate::topology::Mode;

/// How long anything a bot waits for may take.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long a pipeline may take to stop before it is left to itself.
const STOPPING: Duration = Duration::from_secs(5);

/// Messages of the server kept for a reader who is slow.
const NOTICES: usize = 1024;

/// The published side of a bot's signalling.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) room: watch::Sender<Option<RoomState>>,
    pub(crate) notices: broadcast::Sender<ServerMessage>,
    pub(crate) slots: watch::Sender<Option<Slots>>,
    pub(crate) uplinks: watch::Sender<bool>,
    /// Why the server ended it, once it has.
    pub(crate) bye: watch::Sender<Option<ByeReason>>,
    pub(crate) witness: Arc<Witness>,
    /// What a member of a mesh has to know, in the order in which it was said.
    mesh: mpsc::UnboundedSender<ServerMessage>,
    capture: watch::Sender<Option<(Size, u32)>>,
}

/// How a bot is served: what `slots` said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// The mode it is served in.
    pub mode: Mode,
    /// Who is in each forward m-line.
    pub slots: Vec<SlotState>,
}

impl Published {
    fn new() -> (Self, mpsc::UnboundedReceiver<ServerMessage>) {
        let (mesh, inbox) = mpsc::unbounded_channel();
        let published = Self {
            room: watch::Sender::new(None),
            notices: broadcast::Sender::new(NOTICES),
            slots: watch::Sender::new(None),
            uplinks: watch::Sender::new(true),
            bye: watch::Sender::new(None),
            witness: Arc::default(),
            mesh,
            capture: watch::Sender::new(None),
        };
        (published, inbox)
    }

    /// Tells everybody who looks.
    pub(crate) fn publish(&self, message: ServerMessage) {
        if matches!(
            message,
            ServerMessage::Welcome { .. }
                | ServerMessage::Room(_)
                | ServerMessage::Signal { .. }
                | ServerMessage::Bye { .. }
        ) {
            // Nobody takes it where the bot is no member of a mesh.
            let _ = self.mesh.send(message.clone());
        }
        match &message {
            ServerMessage::Room(state) => {
                self.witness.room(state, clock::now());
                self.room.send_replace(Some(state.clone()));
            }
            ServerMessage::Capture(protocol::Capture {
                role: Role::Camera,
                width,
                height,
                fps,
                ..
            }) => {
                let size = Size {
                    width: *width,
                    height: *height,
                };
                self.capture.send_replace(Some((size, *fps)));
            }
            ServerMessage::Slots { mode, slots } => {
                let (mode, slots) = (*mode, slots.clone());
                self.slots.send_replace(Some(Slots { mode, slots }));
            }
            ServerMessage::Uplinks { wanted } => {
                self.uplinks.send_replace(*wanted);
            }
            ServerMessage::Bye { reason } => {
                self.bye.send_replace(Some(*reason));
            }
            _ => {}
        }
        // Nobody reading is fine.
        let _ = self.notices.send(message);
    }
}

/// A participant that has joined. Dropping it is like [`Bot::kill`], without waiting.
#[derive(Debug)]
pub struct Bot {
    name: String,
    pub(crate) started: Duration,
    pub(crate) peer: Arc<Peer>,
    signalling: Signalling,
    pub(crate) published: Published,
    camera: Option<Arc<Camera>>,
    mic: Option<Arc<Player>>,
    pub(crate) links: Arc<Links>,
    tasks: Vec<JoinHandle<()>>,
}

impl Bot {
    /// Joins. Returns when the server's answer has been taken; the connection comes up after
    /// that ([`Bot::connected`]). What is sent is encoded before, and does not count as joining.
    ///
    /// # Errors
    /// Whatever the server refuses, and whatever fails here.
    pub async fn join(config: BotConfig) -> Result<Self, BotError> {
        let config = config.for_entry();
        let video = Stock::of(config.video).await?;
        let audio = clip::audio(config.audio).await?;
        let started = clock::now();
        let (published, inbox) = Published::new();
        let joined = timeout(PATIENCE, join::enter(&config, &published))
            .await
            .map_err(|_| BotError::Deadline {
                what: "answer to the join",
                after: PATIENCE,
            })??;
        let join::Entered {
            peer,
            signalling,
            mut tasks,
        } = joined;
        let outlet = |uplink: &Option<Uplink>| {
            let uplink = uplink.as_ref();
            uplink.map(|uplink| Outlet::with(&uplink.way))
        };
        let (camera_out, mic_out) = (outlet(&peer.camera), outlet(&peer.mic));
        let camera = camera_out
            .clone()
            .zip(video)
            .map(|(outlet, stock)| Camera::start(outlet, config.video, stock));
        let mic = mic_out.clone().zip(audio).map(|(outlet, reel)| {
            let begins = reel.begins(clock::now());
            let burst = config.sound_burst;
            let player = Player::in_bursts(outlet, reel, Duration::ZERO, burst);
            pace::schedule(&player, begins);
            player
        });
        tasks.push(tokio::spawn(open_when_connected(peer.clone())));
        if let (Some(camera), Capture::Follow) = (&camera, config.capture) {
            let wanted = published.capture.subscribe();
            tasks.push(tokio::spawn(follow(Arc::downgrade(camera), wanted)));
        }
        let links = Arc::<Links>::default();
        if let (
            Signalling::Socket {
                participant,
                outbox,
            },
            Mesh::Join,
        ) = (&signalling, config.mesh)
        {
            let is_vp8 = config
                .video
                .format()
                .is_some_and(|f| f.codec == VideoCodec::Vp8);
            let setup = Setup {
                reach: join::reach(&config)?,
                route: config.route,
                mic: mic_out,
                camera: camera_out.filter(|_| is_vp8),
                decode: config.receive.forwards,
                witness: published.witness.clone(),
            };
            let member = Member {
                own: *participant,
                setup: Arc::new(setup),
                outbox: outbox.clone(),
                links: links.clone(),
                served: server_ready::watcher(&peer, &published, *participant),
            };
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

    /// Who it is in the room; `None` over WHIP and WHEP, which do not say.
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

    /// Says something to the server.
    ///
    /// # Errors
    /// [`BotError::Closed`]; [`BotError::NotConfigured`] over WHIP and WHEP.
    pub fn send(&self, message: ClientMessage) -> Result<(), BotError> {
        self.order(Outgoing::Message(message))
    }

    /// Sends any text over the WebSocket.
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

    /// Wants no more than that from now on.
    ///
    /// # Errors
    /// As [`Bot::send`].
    pub fn limit(&self, limits: Limits) -> Result<(), BotError> {
        self.send(ClientMessage::Limits(limits))
    }

    /// Damages the video it sends from now on.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`] without a camera.
    pub fn corrupt(&self, mode: CorruptMode) -> Result<(), BotError> {
        self.peer.corrupt(mode)
    }

    /// Leaves as one should: `leave` or DELETE, then the end of the media. Returns when the
    /// server has confirmed and everything here is torn down.
    ///
    /// # Errors
    /// If the server does not confirm; it is torn down even so.
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

    /// Vanishes, as if its machine had lost its power: nothing is said over the WebSocket, DTLS
    /// or RTCP. Returns when it is torn down here.
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
        // With this the mesh's tasks end, as nobody orders anything of them any more.
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

async fn open_when_connected(peer: Arc<Peer>) {
    let mut states = peer.connection.state.clone();
    let up = |state: &ConnectionState| *state == ConnectionState::Connected;
    if states.wait_for(up).await.is_ok() {
        peer.open();
    }
}

/// Does as the server asks with `capture`; the newest wish wins.
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
