//! What can be waited for and read of a bot that has joined.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};

use super::bot::{Bot, PATIENCE};
use super::published::Slots;
use crate::bots::clock;
use crate::bots::error::BotError;
use crate::bots::observe::detection::Path;
use crate::bots::observe::observer::Observer;
use crate::bots::observe::packet_capture::Payload;
use crate::bots::observe::probe::Picture;
use crate::bots::rtc::connection::ConnectionState;
use crate::bots::rtc::receive::Incoming;
use crate::id::{ParticipantId, Role};
use crate::protocol::ServerMessage;
use crate::protocol::room::RoomState;

impl Bot {
    /// Waits until ICE and DTLS are up.
    ///
    /// # Errors
    /// [`BotError::ConnectionFailed`], [`BotError::Deadline`].
    pub async fn connected(&self) -> Result<(), BotError> {
        self.connection(ConnectionState::Connected, "connection")
            .await
    }

    /// Waits until the connection has failed or the server has closed it, as it must after a wrong
    /// fingerprint.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn disconnected(&self) -> Result<(), BotError> {
        let mut states = self.peer.connection.state.clone();
        let over = |state: &ConnectionState| {
            matches!(
                state,
                ConnectionState::Failed | ConnectionState::Closed | ConnectionState::Disconnected
            )
        };
        // Here a goodbye is no answer: the connection is still to end.
        let what = "end of the connection";
        let after = PATIENCE;
        let ended = timeout(after, states.wait_for(over)).await;
        let ended = ended.map_err(|_| BotError::Deadline { what, after })?;
        ended.map(drop).map_err(|_| BotError::Closed)
    }

    async fn connection(
        &self,
        wanted: ConnectionState,
        what: &'static str,
    ) -> Result<(), BotError> {
        let mut states = self.peer.connection.state.clone();
        let settled = |state: &ConnectionState| *state == wanted || has_failed(*state);
        drop(self.within(what, states.wait_for(settled)).await?);
        if *states.borrow() == wanted {
            Ok(())
        } else {
            Err(BotError::ConnectionFailed)
        }
    }

    /// Waits for the first picture of the mix. Returns how long after the start of the join it
    /// came. Where video is not decoded, the first complete keyframe counts.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`], [`BotError::Deadline`].
    pub async fn first_picture(&self) -> Result<Duration, BotError> {
        let mut first = self.incoming(Role::MixVideo, 0)?.first();
        let came = self.within("first picture", first.wait_for(Option::is_some));
        let at = came.await?.unwrap_or(self.started);
        Ok(at.saturating_sub(self.started))
    }

    /// The room as the server last described it; `None` before that, and always over WHIP and WHEP.
    pub fn room(&self) -> watch::Receiver<Option<RoomState>> {
        self.published.room.subscribe()
    }

    /// Waits until the room is as wanted; `what` names it in the error.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn room_when(
        &self,
        what: &'static str,
        mut wanted: impl FnMut(&RoomState) -> bool,
    ) -> Result<RoomState, BotError> {
        let mut room = self.room();
        let found = room.wait_for(|r| r.as_ref().is_some_and(&mut wanted));
        let state = self.within(what, found).await?;
        state.clone().ok_or(BotError::Closed)
    }

    /// How the server serves it, by its last `slots` message; `None` before that.
    pub fn slots(&self) -> watch::Receiver<Option<Slots>> {
        self.published.slots.subscribe()
    }

    /// Waits until the server serves it as wanted; `what` names it in the error.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn slots_when(
        &self,
        what: &'static str,
        mut wanted: impl FnMut(&Slots) -> bool,
    ) -> Result<Slots, BotError> {
        let mut slots = self.slots();
        let fits = |slots: &Option<Slots>| slots.as_ref().is_some_and(&mut wanted);
        let served = self.within(what, slots.wait_for(fits)).await?;
        served.clone().ok_or(BotError::Closed)
    }

    /// Whether the server wants what it sends, by its last `uplinks` message.
    pub fn uplinks(&self) -> watch::Receiver<bool> {
        self.published.uplinks.subscribe()
    }

    /// What it has seen and heard of each participant.
    pub fn observer(&self) -> &Arc<Observer> {
        &self.published.observer
    }

    /// Waits for the next frame of a participant that has their colour, comes by that path, and
    /// would be shown by the page.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn sees(&self, who: ParticipantId, rgb: [u8; 3], path: Path) -> Result<(), BotError> {
        let since = clock::now();
        let mut changes = self.observer().changes();
        let seen = changes.wait_for(|_| {
            let detections = self.observer().detections(who);
            let mut newest = detections
                .iter()
                .rev()
                .take_while(|detection| detection.at >= since);
            newest.any(|detection| detection.path == path && detection.played && detection.is(rgb))
        });
        self.within("sight of a participant", seen).await.map(drop)
    }

    /// The packets it has sent to the server for an uplink, in their order. Empty unless it
    /// captures packets.
    pub fn sent_payloads(&self, role: Role) -> Vec<Payload> {
        let uplink = match role {
            Role::Mic => self.peer.mic.as_ref(),
            Role::Camera => self.peer.camera.as_ref(),
            _ => None,
        };
        let packet_capture = uplink.and_then(|uplink| uplink.packet_capture.as_ref());
        packet_capture
            .map(|packet_capture| packet_capture.read())
            .unwrap_or_default()
    }

    /// All messages of the server from now on.
    pub fn notices(&self) -> broadcast::Receiver<ServerMessage> {
        self.published.notices.subscribe()
    }

    /// The `n`-th m-line on which it receives media of a role.
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

    /// The next `n` pictures of the mix. On a busy machine some in between may be left out.
    ///
    /// # Errors
    /// As [`Bot::picture`].
    pub async fn pictures(&self, n: usize) -> Result<Vec<Arc<Picture>>, BotError> {
        let mut newest = self.incoming(Role::MixVideo, 0)?.pictures();
        let mut pictures = Vec::with_capacity(n);
        while pictures.len() < n {
            self.within("picture", newest.changed()).await?;
            pictures.extend(newest.borrow_and_update().clone());
        }
        Ok(pictures)
    }

    /// The next picture of the mix that is as wanted, for changes that take a moment to show;
    /// `what` names it in the error.
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
        let picture = self.within(what, found).await?;
        picture.clone().ok_or(BotError::Closed)
    }

    /// The sound of the mix from now on for `length`: mono, 48 kHz, full scale 1.0.
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
        self.until("sound", length + PATIENCE, collect).await?;
        samples.truncate(wanted);
        Ok(samples)
    }

    /// The participants from whom media arrives directly, as it last told the server.
    fn meshed_with(&self) -> watch::Receiver<Vec<ParticipantId>> {
        self.links.receiving.subscribe()
    }

    /// Waits until media arrives directly from the participants wanted; `what` names them in the
    /// error.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn meshed_when(
        &self,
        what: &'static str,
        mut wanted: impl FnMut(&[ParticipantId]) -> bool,
    ) -> Result<(), BotError> {
        let mut with = self.meshed_with();
        let meshed = with.wait_for(|with| wanted(with));
        self.within(what, meshed).await.map(drop)
    }

    /// What arrives from another participant directly: microphone, camera, screen.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`] while there is no connection with them.
    pub fn mesh_incoming(&self, with: ParticipantId) -> Result<[Arc<Incoming>; 3], BotError> {
        let links = self.links.lock();
        let link = links.get(&with);
        link.map(|link| link.lines.clone())
            .ok_or(BotError::NotConfigured("connection with them"))
    }

    /// Waits until it has sent this many frames of video and packets of audio to the server, of
    /// those kinds that it sends.
    ///
    /// # Errors
    /// [`BotError::Deadline`].
    pub async fn sent(&self, count: u64) -> Result<(), BotError> {
        for input in self.peer.inputs() {
            let mut frames = input.frames.subscribe();
            let sent = frames.wait_for(|sent| *sent >= count);
            drop(self.within("sending", sent).await?);
        }
        Ok(())
    }

    /// How many keyframes the server has requested of its camera so far.
    ///
    /// # Errors
    /// [`BotError::NotConfigured`] without a camera.
    pub fn key_requests(&self) -> Result<watch::Receiver<u64>, BotError> {
        let camera = self.peer.camera.as_ref();
        camera
            .map(|camera| camera.input.key_requests.subscribe())
            .ok_or(BotError::NotConfigured("camera"))
    }

    /// Waits at most [`PATIENCE`], and no longer once the server says `bye`.
    async fn within<T, E>(
        &self,
        what: &'static str,
        wait: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BotError> {
        self.until(what, PATIENCE, wait).await
    }

    async fn until<T, E>(
        &self,
        what: &'static str,
        after: Duration,
        wait: impl Future<Output = Result<T, E>>,
    ) -> Result<T, BotError> {
        let mut bye = self.published.bye.subscribe();
        let ended = async {
            let reason = bye.wait_for(Option::is_some).await;
            reason.ok().and_then(|reason| *reason)
        };
        tokio::select! {
            // What has come before the goodbye has come.
            biased;
            came = wait => came.map_err(|_| BotError::Closed),
            reason = ended => Err(reason.map_or(BotError::Closed, BotError::Bye)),
            () = sleep(after) => Err(BotError::Deadline { what, after }),
        }
    }
}

fn has_failed(state: ConnectionState) -> bool {
    matches!(state, ConnectionState::Failed | ConnectionState::Closed)
}
