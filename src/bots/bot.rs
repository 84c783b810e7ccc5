//! A participant: what a test, the demo or a benchmark holds of one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::camera::{Camera, Stock};
use super::clock;
use super::config::{BotConfig, Capture, Entry, Fingerprint};
use super::corrupt::CorruptMode;
use super::error::BotError;
use super::join::{self, Signalling};
use super::outlet::{Outlet, Player};
use super::pace;
use super::peer::{ConnectionState, Peer};
use super::probe::Picture;
use super::receive::{Incoming, StreamStats};
use super::reel;
use super::signalling::Outgoing;
use crate::id::{ParticipantId, Role};
use crate::layout::Size;
use crate::protocol::{ClientMessage, RoomState, ServerMessage};

/// How long anything a bot waits for may take.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How long a pipeline may take to stop before it is left to itself.
const STOPPING: Duration = Duration::from_secs(5);

/// Messages of the server kept for a reader who is slow.
const NOTICES: usize = 1024;

/// What a bot has sent and received.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BotStats {
    /// Video frames sent.
    pub frames_sent: u64,
    /// Bytes of encoded video sent, RTP not counted.
    pub video_bytes_sent: u64,
    /// Audio packets sent.
    pub packets_sent: u64,
    /// Keyframes asked of it.
    pub key_requests: u64,
    /// What came in, in the order of the m-lines.
    pub received: Vec<StreamStats>,
}

/// The published side of a bot's signalling.
#[derive(Debug, Clone)]
pub(super) struct Published {
    room: watch::Sender<Option<RoomState>>,
    notices: broadcast::Sender<ServerMessage>,
    capture: watch::Sender<Option<(Size, u32)>>,
}

impl Published {
    fn new() -> Self {
        Self {
            room: watch::Sender::new(None),
            notices: broadcast::Sender::new(NOTICES),
            capture: watch::Sender::new(None),
        }
    }

    /// Tells everybody who looks.
    pub(super) fn publish(&self, message: ServerMessage) {
        match &message {
            ServerMessage::Room(state) => {
                self.room.send_replace(Some(state.clone()));
            }
            ServerMessage::Capture {
                role: Role::Camera,
                width,
                height,
                fps,
                ..
            } => {
                let size = Size {
                    width: *width,
                    height: *height,
                };
                self.capture.send_replace(Some((size, *fps)));
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
    started: Duration,
    peer: Arc<Peer>,
    signalling: Signalling,
    published: Published,
    camera: Option<Arc<Camera>>,
    mic: Option<Arc<Player>>,
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
        let audio = reel::audio(config.audio).await?;
        let started = clock::now();
        let published = Published::new();
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
        let camera = peer
            .camera
            .clone()
            .zip(video)
            .map(|(outlet, stock)| Camera::start(outlet, config.video, stock));
        let mic = peer.mic.clone().zip(audio).map(|(outlet, reel)| {
            let player = Player::new(outlet, reel, Duration::ZERO);
            pace::schedule(&player, clock::now());
            player
        });
        tasks.push(tokio::spawn(open_when_connected(peer.clone())));
        if let (Some(camera), Capture::Follow) = (&camera, config.capture) {
            let wanted = published.capture.subscribe();
            tasks.push(tokio::spawn(follow(Arc::downgrade(camera), wanted)));
        }
        Ok(Self {
            name: config.name,
            started,
            peer,
            signalling,
            published,
            camera,
            mic,
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

    /// Waits until ICE and DTLS are up.
    ///
    /// # Errors
    /// [`BotError::ConnectionFailed`], [`BotError::Deadline`].
    pub async fn connected(&self) -> Result<(), BotError> {
        self.connection(ConnectionState::Connected, "connection")
            .await
    }

    /// Waits until the connection has failed or was closed by the server, as it must be after a
    /// wrong fingerprint.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn disconnected(&self) -> Result<(), BotError> {
        let mut states = self.peer.connection.clone();
        let over = |state: &ConnectionState| {
            matches!(
                state,
                ConnectionState::Failed | ConnectionState::Closed | ConnectionState::Disconnected
            )
        };
        within("end of the connection", states.wait_for(over)).await
    }

    async fn connection(&self, wanted: ConnectionState, what: &'static str) -> Result<(), BotError> {
        let mut states = self.peer.connection.clone();
        let settled = |state: &ConnectionState| *state == wanted || has_failed(*state);
        within(what, states.wait_for(settled)).await?;
        if *states.borrow() == wanted {
            Ok(())
        } else {
            Err(BotError::ConnectionFailed)
        }
    }

    /// Waits for the first picture of the mix; how long after the start of the join it came. Where
    /// video is not decoded, the first whole keyframe counts.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`], [`BotError::Deadline`].
    pub async fn first_picture(&self) -> Result<Duration, BotError> {
        let mut first = self.incoming(Role::MixVideo, 0)?.first();
        within("first picture", first.wait_for(Option::is_some)).await?;
        let at = first.borrow().unwrap_or(self.started);
        Ok(at.saturating_sub(self.started))
    }

    /// The room as the server last described it; `None` before it did, and over WHIP and WHEP.
    pub fn room(&self) -> watch::Receiver<Option<RoomState>> {
        self.published.room.subscribe()
    }

    /// Waits until the room is as wanted.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn room_when(
        &self,
        what: &'static str,
        mut wanted: impl FnMut(&RoomState) -> bool,
    ) -> Result<RoomState, BotError> {
        let mut room = self.room();
        let found = timeout(PATIENCE, room.wait_for(|r| r.as_ref().is_some_and(&mut wanted))).await;
        let after = PATIENCE;
        match found {
            Ok(Ok(state)) => state.clone().ok_or(BotError::Closed),
            Ok(Err(_)) => Err(BotError::Closed),
            Err(_) => Err(BotError::Deadline { what, after }),
        }
    }

    /// Everything the server says from now on.
    pub fn notices(&self) -> broadcast::Receiver<ServerMessage> {
        self.published.notices.subscribe()
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

    /// The `n`-th m-line of a role it receives on.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`].
    pub fn incoming(&self, role: Role, n: usize) -> Result<&Arc<Incoming>, BotError> {
        let mut lines = self.peer.incoming().filter(|line| line.role() == role);
        lines.nth(n).ok_or(BotError::NotConfigured("such m-line"))
    }

    /// The next picture of the mix.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`], [`BotError::Deadline`].
    pub async fn picture(&self) -> Result<Arc<Picture>, BotError> {
        let mut next = self.pictures(1).await?;
        next.pop().ok_or(BotError::Closed)
    }

    /// The next `n` pictures of the mix; some may be left out on a busy machine.
    ///
    /// # Errors
    /// As [`Bot::picture`].
    pub async fn pictures(&self, n: usize) -> Result<Vec<Arc<Picture>>, BotError> {
        let mut newest = self.incoming(Role::MixVideo, 0)?.pictures();
        let mut pictures = Vec::with_capacity(n);
        while pictures.len() < n {
            within("picture", newest.changed()).await?;
            pictures.extend(newest.borrow_and_update().clone());
        }
        Ok(pictures)
    }

    /// The next picture of the mix that is as wanted: for what takes a moment to show.
    ///
    /// # Errors
    /// As [`Bot::picture`].
    pub async fn picture_when(
        &self,
        what: &'static str,
        wanted: impl Fn(&Picture) -> bool,
    ) -> Result<Arc<Picture>, BotError> {
        let mut newest = self.incoming(Role::MixVideo, 0)?.pictures();
        let found = newest.wait_for(|p| p.as_deref().is_some_and(&wanted));
        let after = PATIENCE;
        match timeout(PATIENCE, found).await {
            Ok(Ok(picture)) => picture.clone().ok_or(BotError::Closed),
            Ok(Err(_)) => Err(BotError::Closed),
            Err(_) => Err(BotError::Deadline { what, after }),
        }
    }

    /// What the mix sounds like from now on, for that long: mono, 48 kHz, full scale 1.0.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`], [`BotError::Deadline`].
    pub async fn sound(&self, length: Duration) -> Result<Vec<f32>, BotError> {
        let mut chunks = self.incoming(Role::MixAudio, 0)?.sound();
        let wanted = (length.as_secs_f64() * 48_000.0) as usize;
        let mut samples = Vec::with_capacity(wanted);
        let collect = async {
            while samples.len() < wanted {
                match chunks.recv().await {
                    Ok(chunk) => samples.extend_from_slice(&chunk),
                    // What was missed is not silence: go on with what there is.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Err(BotError::Closed),
                }
            }
            Ok(())
        };
        let after = length + PATIENCE;
        let what = "sound";
        timeout(after, collect)
            .await
            .map_err(|_| BotError::Deadline { what, after })??;
        samples.truncate(wanted);
        Ok(samples)
    }

    /// The figures since the start, or for what comes in since [`Bot::reset_stats`].
    pub fn stats(&self) -> BotStats {
        let read = |outlet: &Option<Arc<Outlet>>| {
            outlet.as_ref().map_or((0, 0, 0), |outlet| {
                (
                    outlet.frames.load(Ordering::Relaxed),
                    outlet.bytes.load(Ordering::Relaxed),
                    outlet.key_requests.load(Ordering::Relaxed),
                )
            })
        };
        let (frames_sent, video_bytes_sent, key_requests) = read(&self.peer.camera);
        BotStats {
            frames_sent,
            video_bytes_sent,
            key_requests,
            packets_sent: read(&self.peer.mic).0,
            received: self.peer.incoming().map(|line| line.stats()).collect(),
        }
    }

    /// Measures what comes in from now on.
    pub fn reset_stats(&self) {
        self.peer.incoming().for_each(|line| line.reset_stats());
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
        self.peer.silence();
        // An error means the connection was lost before.
        let _ = self.order(Outgoing::Abort);
        self.stop().await;
    }

    async fn stop(self) {
        let pipeline = self.peer.pipeline();
        drop(self);
        let stopping = tokio::task::spawn_blocking(move || Peer::stop(&pipeline));
        if timeout(STOPPING, stopping).await.is_err() {
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

fn has_failed(state: ConnectionState) -> bool {
    matches!(state, ConnectionState::Failed | ConnectionState::Closed)
}

async fn within<T, E>(
    what: &'static str,
    wait: impl Future<Output = Result<T, E>>,
) -> Result<(), BotError> {
    match timeout(PATIENCE, wait).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(BotError::Closed),
        Err(_) => Err(BotError::Deadline {
            what,
            after: PATIENCE,
        }),
    }
}

async fn open_when_connected(peer: Arc<Peer>) {
    let mut states = peer.connection.clone();
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

/// An offer that names another certificate.
pub(super) fn offered(sdp: String, fingerprint: Fingerprint) -> String {
    match fingerprint {
        Fingerprint::True => sdp,
        Fingerprint::Wrong => {
            const LABEL: &str = "a=fingerprint:sha-256 ";
            let mut parts = sdp.split(LABEL);
            let mut altered = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                altered.push_str(LABEL);
                // Another first digit, whatever it was.
                altered.push(if part.starts_with('0') { '1' } else { '0' });
                altered.push_str(part.get(1..).unwrap_or_default());
            }
            altered
        }
    }
}

/// Whether media must stay on the loopback interface: the server does.
pub(super) fn is_loopback(config: &BotConfig) -> Result<bool, BotError> {
    let bad_server = |_| BotError::BadServer(config.server.clone());
    let url = reqwest::Url::parse(&config.server).map_err(bad_server)?;
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    Ok(host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()))
}

/// Whether the entry is one over HTTP alone.
pub(super) fn over_http(entry: Entry) -> bool {
    matches!(entry, Entry::Whip | Entry::Whep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;

    #[test]
    fn a_wrong_fingerprint_differs_in_every_line() {
        let sdp = "v=0\r\na=fingerprint:sha-256 0A:11\r\na=fingerprint:sha-256 F0:11\r\n";
        assert_eq!(offered(sdp.into(), Fingerprint::True), sdp);
        assert_eq!(
            offered(sdp.into(), Fingerprint::Wrong),
            "v=0\r\na=fingerprint:sha-256 1A:11\r\na=fingerprint:sha-256 00:11\r\n"
        );
    }

    #[test]
    fn loopback_is_known_by_the_address() {
        for (server, loopback) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/", true),
            ("http://localhost:1", true),
            ("http://192.0.2.7:8080", false),
            ("https://example.org", false),
        ] {
            let config = BotConfig::new(server, RoomId::new("r").unwrap(), "Ann");
            assert_eq!(is_loopback(&config).unwrap(), loopback, "{server}");
        }
    }
}
