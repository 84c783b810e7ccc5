//! One signalling WebSocket: one task, from the upgrade to the close.
//!
//! The task owns the socket and does one thing after the other, so the messages of a client take
//! effect in the order in which they were sent. Notices of the room wait in a bounded queue; the
//! room removes a client that lets it fill.

use std::net::IpAddr;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::{Instrument, Span, field};

use crate::id::ParticipantId;
use crate::protocol::recording::{Record, StartRecording};
use crate::protocol::room::ByeReason;
use crate::protocol::{ClientMessage, Join, ServerMessage, VERSION};
use crate::room::notices;
use crate::room::{
    Departure, JoinRequest, Muter, Notice, NoticeReceiver, Reach, Request, RoomHandle,
};

use super::app::App;
use super::error::ApiError;
use super::guard::census::Place;
use super::guard::names::display_name;
use super::guard::rights::Right;
use super::limits::{
    CLOSE_DEADLINE, JOIN_DEADLINE, MALFORMED_LIMIT, MessageLimiter, NOTICE_QUEUE, PING_EVERY,
    READ_PAUSE, SILENCE_LIMIT, WRITE_DEADLINE,
};
use super::upgrade::WebSocket;
use super::{message, upgrade};

const TRANSPORT: &str = "websocket";

/// The places that a client takes until they have joined: one of the connections, and one of the
/// WebSockets without a participant.
pub(super) struct Waiting {
    pub(super) _connection: Arc<Place>,
    pub(super) _unjoined: Place,
}

/// Serves one socket until it ends.
pub(super) async fn serve(app: Arc<App>, client: IpAddr, waiting: Waiting, socket: WebSocket) {
    let span = tracing::info_span!(
        "participant",
        room = field::Empty,
        id = field::Empty,
        transport = TRANSPORT,
        %client,
    );
    let open = metrics::gauge!("tessera_websockets_open");
    open.increment(1.0);
    async {
        let mut connection = Connection::new(app, client, waiting, socket);
        let end = connection.run().await;
        connection.finish(end).await;
    }
    .instrument(span)
    .await;
    open.decrement(1.0);
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client sent `leave`.
    Left,
    /// The room has removed the participant, for this reason.
    EndedByRoom(ByeReason),
    /// The server closes the connection, for this reason.
    GivenUp(ByeReason),
    /// The connection broke, was closed without `leave`, or nothing came on it for too long.
    Lost,
}

/// Result of what may end the connection.
type Flow = Result<(), End>;

struct Member {
    room: RoomHandle,
    id: ParticipantId,
    notices: NoticeReceiver,
}

enum Event {
    Frame(Option<tungstenite::Result<Message>>),
    Notice(Option<Notice>),
    Beat,
    /// The pause of reading is over.
    Read,
    NotJoined,
    Stopping,
}

/// What is read of the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Messages.
    On,
    /// Nothing until then, because the client sends too fast.
    PausedUntil(Instant),
    /// Bytes that mean nothing, after an error of the WebSocket layer.
    Broken,
}

struct Connection {
    app: Arc<App>,
    client: IpAddr,
    socket: WebSocket,
    member: Option<Member>,
    /// Given back with the join.
    waiting: Option<Waiting>,
    reading: Reading,
    limiter: MessageLimiter,
    heartbeat: Interval,
    last_heard: Instant,
    join_by: Instant,
    malformed: u32,
}

impl Connection {
    fn new(app: Arc<App>, client: IpAddr, waiting: Waiting, socket: WebSocket) -> Self {
        let now = Instant::now();
        let mut heartbeat = interval(PING_EVERY);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            app,
            client,
            socket,
            member: None,
            waiting: Some(waiting),
            reading: Reading::On,
            limiter: MessageLimiter::default(),
            heartbeat,
            last_heard: now,
            join_by: now + JOIN_DEADLINE,
            malformed: 0,
        }
    }

    async fn run(&mut self) -> End {
        loop {
            let event = self.next().await;
            if let Err(end) = self.handle(event).await {
                return end;
            }
        }
    }

    async fn next(&mut self) -> Event {
        let waiting = self.member.is_none();
        let pause = async {
            match self.reading {
                Reading::PausedUntil(end) => sleep_until(end).await,
                Reading::On | Reading::Broken => std::future::pending().await,
            }
        };
        let notice = async {
            match &mut self.member {
                Some(member) => member.notices.recv().await,
                None => std::future::pending().await,
            }
        };
        // Notices go first. Refusals come as fast as messages are sent, and a client that sends
        // without a pause must not fall behind with reading them.
        tokio::select! {
            biased;
            notice = notice => Event::Notice(notice),
            _ = self.heartbeat.tick() => Event::Beat,
            () = sleep_until(self.join_by), if waiting => Event::NotJoined,
            // A participant gets a `bye` from the room when that closes.
            () = self.app.stopping.cancelled(), if waiting => Event::Stopping,
            () = pause => Event::Read,
            frame = self.socket.next(), if self.reading == Reading::On => Event::Frame(frame),
        }
    }

    async fn handle(&mut self, event: Event) -> Flow {
        match event {
            Event::Frame(frame) => self.frame(frame).await,
            Event::Notice(Some(Notice::Bye(reason))) => Err(End::EndedByRoom(reason)),
            Event::Notice(Some(notice)) => self.send(&message::from_notice(notice)).await,
            // The room's task ended without a `bye`.
            Event::Notice(None) => Err(End::EndedByRoom(ByeReason::Internal)),
            Event::Beat if self.last_heard.elapsed() > SILENCE_LIMIT => Err(End::Lost),
            Event::Beat => self.write(Message::Ping(Default::default())).await,
            Event::Read => {
                self.reading = Reading::On;
                Ok(())
            }
            Event::NotJoined => Err(End::GivenUp(ByeReason::ProtocolError)),
            Event::Stopping => Err(End::GivenUp(ByeReason::ServerShutdown)),
        }
    }

    async fn frame(&mut self, frame: Option<tungstenite::Result<Message>>) -> Flow {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return self.broken(&error).await,
            None => return Err(End::Lost),
        };
        self.last_heard = Instant::now();
        self.socket.get_mut().swallow();
        if frame.is_close() {
            return Err(End::Lost);
        }
        let metered = self.limiter.take();
        if metered.is_err() {
            self.reading = Reading::PausedUntil(Instant::now() + READ_PAUSE);
        }
        // Answering a ping is not refused: the pause is enough.
        if frame.is_ping() || frame.is_pong() {
            return Ok(());
        }
        match metered.and_then(|()| self.read(&frame)) {
            Ok(message) => {
                self.malformed = 0;
                match self.obey(message).await {
                    Ok(flow) => flow,
                    Err(error) => self.send(&error.to_message()).await,
                }
            }
            Err(error) => {
                if !matches!(error, ApiError::RateLimited(..)) {
                    self.malformed += 1;
                }
                self.send(&error.to_message()).await?;
                if self.malformed > MALFORMED_LIMIT {
                    return Err(End::GivenUp(ByeReason::ProtocolError));
                }
                Ok(())
            }
        }
    }

    /// Handles an error of the WebSocket layer, after which nothing can be read. Tells a client
    /// that sent too large a message before the connection ends.
    async fn broken(&mut self, error: &tungstenite::Error) -> Flow {
        tracing::debug!(%error, "websocket failed");
        self.reading = Reading::Broken;
        if upgrade::is_oversize(error) {
            self.socket.get_mut().widen();
            self.send(&self.too_large().to_message()).await?;
            return Err(End::GivenUp(ByeReason::ProtocolError));
        }
        Err(End::Lost)
    }

    fn too_large(&self) -> ApiError {
        ApiError::TooLarge {
            what: "the message",
            limit: self.app.config.max_message,
            unit: "bytes",
        }
    }

    fn read(&self, frame: &Message) -> Result<ClientMessage, ApiError> {
        let Message::Text(text) = frame else {
            return Err(ApiError::BadMessage("messages are text frames".into()));
        };
        if text.len() > self.app.config.max_message {
            return Err(self.too_large());
        }
        message::parse(text)
    }

    /// Carries out a message. The outer error is a refusal for the client; the inner one ends the
    /// connection.
    async fn obey(&mut self, message: ClientMessage) -> Result<Flow, ApiError> {
        let member = match (&self.member, message) {
            (_, ClientMessage::Leave) => return Ok(Err(End::Left)),
            (None, ClientMessage::Join(join)) => return self.join(join).await,
            (None, _) => return Err(ApiError::NotJoined),
            (Some(_), ClientMessage::Join(_)) => return Err(ApiError::AlreadyJoined),
            (Some(member), message) => (member, message),
        };
        let (Member { room, id, .. }, message) = member;
        if message::is_command(&message) {
            self.app.meters.command(room.id(), *id)?;
        }
        match message {
            ClientMessage::Candidate { mid, candidate } => {
                tracing::trace!(%mid, ?candidate, "candidate of the client");
                room.candidate(*id, mid, candidate).await;
            }
            ClientMessage::Mode { mode } => room.ask(Request::Mode(mode)).await?,
            ClientMessage::View { mode } => room.ask(Request::View(*id, mode)).await?,
            ClientMessage::Limits(limits) => room.tell(Request::Limits(*id, limits)).await,
            ClientMessage::Mesh { receiving } => room.tell(Request::Mesh(*id, receiving)).await,
            ClientMessage::Sizes { pictures } => {
                let heights = message::heights(&pictures);
                room.tell(Request::Heights(*id, heights)).await;
            }
            ClientMessage::Layout { layout } => room.ask(Request::Layout(layout)).await?,
            ClientMessage::Mute { role, muted } => {
                let (who, by) = (*id, Muter::Owner);
                room.ask(Request::Mute {
                    who,
                    role,
                    by,
                    muted,
                })
                .await?;
            }
            ClientMessage::Hand { raised } => room.ask(Request::Hand(*id, raised)).await?,
            ClientMessage::Pin { participant } => room.ask(Request::Pin(participant)).await?,
            ClientMessage::Chat { text } => room.tell(Request::Chat(*id, text.into())).await,
            ClientMessage::Signal { to, data } => {
                let from = *id;
                room.ask(Request::Signal { from, to, data }).await?;
            }
            ClientMessage::Record(record) => {
                let archive = self.app.registry.archive()?;
                match record {
                    Record::Start(StartRecording { subject }) => {
                        self.app.meters.recording(self.client)?;
                        room.record(archive, subject).await?;
                    }
                    Record::Stop { recording } => {
                        room.stop_recording(archive, &recording).await?;
                    }
                }
            }
            ClientMessage::Join(_) | ClientMessage::Leave => {}
        }
        Ok(Ok(()))
    }

    async fn join(&mut self, join: Join) -> Result<Flow, ApiError> {
        let app = &self.app;
        app.meters.join(self.client)?;
        app.authorize(self.client, Right::Enter, join.token.as_deref())?;
        let (sender, notices) = notices::queue(NOTICE_QUEUE);
        let request = JoinRequest {
            client: self.client,
            name: display_name(&join.name)?,
            resume: join.resume,
            mode_override: join.view,
            limits: join.limits,
            own_voice: None,
            reach: Reach::Signalling,
            offer: join.offer,
            roles: message::roles(join.tracks)?,
            notices: sender,
        };
        let (room, joined) = app.registry.join(&join.room, request).await?;
        app.count_join(TRANSPORT);
        Span::current()
            .record("room", field::display(room.id()))
            .record("id", field::display(joined.participant));
        tracing::info!("joined");
        let ice_servers = app.ice.of(&format!("{}/{}", room.id(), joined.participant));
        self.member = Some(Member {
            room,
            id: joined.participant,
            notices,
        });
        self.waiting = None;
        self.socket.get_mut().widen();
        let welcome = ServerMessage::Welcome {
            version: VERSION,
            participant: joined.participant,
            resume: joined.resume,
            ice_servers,
        };
        let answer = ServerMessage::Answer { sdp: joined.answer };
        // Notices wait in the channel until both are out.
        if let Err(end) = self.send(&welcome).await {
            return Ok(Err(end));
        }
        Ok(self.send(&answer).await)
    }

    async fn send(&mut self, message: &ServerMessage) -> Flow {
        match serde_json::to_string(message) {
            Ok(text) => self.write(Message::text(text)).await,
            Err(error) => {
                tracing::error!(%error, "a message could not be written as JSON");
                Err(End::GivenUp(ByeReason::Internal))
            }
        }
    }

    async fn write(&mut self, message: Message) -> Flow {
        match timeout(WRITE_DEADLINE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Lost),
        }
    }

    /// Takes the participant out of the room, says `bye`, and closes the WebSocket.
    async fn finish(mut self, end: End) {
        if let Some(member) = self.member.take() {
            let (departure, reason) = match end {
                End::Left => (Some(Departure::Left), "left"),
                End::GivenUp(_) => (Some(Departure::SignallingLost), "given_up"),
                End::Lost => (Some(Departure::SignallingLost), "lost"),
                End::EndedByRoom(_) => (None, "ended"),
            };
            // The room must not wait for a queue that nobody reads any more.
            drop(member.notices);
            if let Some(departure) = departure {
                member.room.leave(member.id, departure).await;
            }
            self.app.count_leave(TRANSPORT, reason);
        }
        tracing::info!(?end, "connection ends");
        let reason = match end {
            End::Left => Some(ByeReason::Left),
            End::EndedByRoom(reason) | End::GivenUp(reason) => Some(reason),
            End::Lost => None,
        };
        if let Some(reason) = reason
            && self.send(&ServerMessage::Bye { reason }).await.is_err()
        {
            return;
        }
        self.close().await;
    }

    /// The closing handshake (RFC 6455 section 7.1). Closing a connection with unread data would
    /// reset it and lose the `bye`, so this waits for the close of the client. After an error of the
    /// WebSocket layer nothing is understood, and the rest is read as bytes.
    async fn close(mut self) {
        let handshake = async {
            if self.socket.send(Message::Close(None)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
                let mut rest = [0; 4096];
                while self.reading == Reading::Broken
                    && matches!(self.socket.get_mut().read(&mut rest).await, Ok(1..))
                {
                }
            }
        };
        if timeout(CLOSE_DEADLINE, handshake).await.is_err() {
            tracing::debug!("the client did not answer the close");
        }
    }
}
