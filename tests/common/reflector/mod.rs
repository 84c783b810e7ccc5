//! The least server a bot can join: it sends everybody their own camera and microphone back as
//! the mix, and forwards, signals and says what a test tells it to. With it the bots are tested
//! before, and apart from, the server.

mod media;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use tessera::id::{Mid, ParticipantId, Role};
use tessera::layout::LayoutKind;
use tessera::layout::Size;
use tessera::protocol::room::{
    ByeReason, MeasuredPaths, ParticipantState, RoomState, SlotState, TileState, UplinkState,
};
use tessera::protocol::{ClientMessage, ServerMessage, VERSION};
use tessera::topology::Mode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use media::{Forwards, Media};

/// What a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client said `leave`.
    Left,
    /// The connection broke.
    Vanished,
}

/// Whether answers take the levels that offers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extensions {
    Taken,
    Refused,
}

/// A running reflector.
pub struct Reflector {
    pub url: String,
    /// How each connection ended, in the order of ending.
    pub endings: mpsc::UnboundedReceiver<Ending>,
    /// What members asked of the room.
    pub heard: mpsc::UnboundedReceiver<(ParticipantId, ClientMessage)>,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    room: Mutex<Room>,
    forwards: Arc<Forwards>,
    extensions: Extensions,
    heard: mpsc::UnboundedSender<(ParticipantId, ClientMessage)>,
}

struct Room {
    mode: Mode,
    members: BTreeMap<ParticipantId, Member>,
}

struct Member {
    say: mpsc::UnboundedSender<ServerMessage>,
    state: ParticipantState,
    /// The mids of the forward m-lines, sound and video.
    slots: [Vec<Mid>; 2],
    /// Who is in each of them.
    taken: Vec<Option<ParticipantId>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap()
    }

    /// Tells everybody how the room is.
    fn announce(&self) {
        let room = self.lock();
        for (who, member) in &room.members {
            member
                .say
                .send(ServerMessage::Room(state(&room, *who)))
                .ok();
        }
    }
}

impl Reflector {
    pub async fn start() -> Self {
        Self::with(Extensions::Taken).await
    }

    pub async fn with(extensions: Extensions) -> Self {
        gst::init().unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (ended, endings) = mpsc::unbounded_channel();
        let (hear, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            room: Mutex::new(Room {
                mode: Mode::Mcu,
                members: BTreeMap::new(),
            }),
            forwards: Arc::default(),
            extensions,
            heard: hear,
        });
        let serving = shared.clone();
        tokio::spawn(async move {
            let mut ordinal = 0;
            while let Ok((stream, _)) = listener.accept().await {
                ordinal += 1;
                let who = ParticipantId::new(ordinal);
                let (ended, shared) = (ended.clone(), serving.clone());
                tokio::spawn(async move {
                    let ending = serve(stream, who, &shared).await;
                    shared.lock().members.remove(&who);
                    shared.announce();
                    ended.send(ending.expect("the reflector failed")).ok();
                });
            }
        });
        Self {
            url,
            endings,
            heard,
            shared,
        }
    }

    /// Says anything to a member.
    pub fn say(&self, to: ParticipantId, message: ServerMessage) {
        self.shared.lock().members[&to].say.send(message).ok();
    }

    /// Fills the `n`-th forward m-lines of a member, or empties them.
    pub fn forward(&self, to: ParticipantId, n: usize, from: Option<ParticipantId>) {
        self.shared.forwards.assign(to, n, from);
        let mut room = self.shared.lock();
        let member = room.members.get_mut(&to).unwrap();
        member.taken[n] = from;
        let slots = member.slots.iter().zip([Role::Mic, Role::Camera]);
        let slots = slots.flat_map(|(mids, role)| {
            mids.iter()
                .zip(&member.taken)
                .map(move |(mid, participant)| SlotState {
                    mid: mid.clone(),
                    participant: *participant,
                    role: participant.map(|_| role),
                })
        });
        let mode = if member.taken.iter().any(Option::is_some) {
            Mode::Sfu
        } else {
            Mode::Mcu
        };
        let slots = slots.collect();
        member.say.send(ServerMessage::Slots { mode, slots }).ok();
    }

    /// The levels (RFC 6464) in the packets of a member's microphone, as they came: V and level.
    pub fn levels(&self, of: ParticipantId) -> Vec<Option<u8>> {
        self.shared.forwards.levels(of)
    }
}

async fn serve(stream: TcpStream, who: ParticipantId, shared: &Shared) -> anyhow::Result<Ending> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        bail!("no first message");
    };
    let ClientMessage::Join(join) = serde_json::from_str(&text)? else {
        bail!("the first message is no join");
    };
    let mids: Vec<Mid> = join.tracks.iter().map(|track| track.mid.clone()).collect();
    let (say, mut says) = mpsc::unbounded_channel();
    let (connect, mut connected) = mpsc::unbounded_channel();
    let (media, mut found) = Media::answer(&join, who, shared, connect).await?;
    say.send(ServerMessage::Welcome {
        version: VERSION,
        participant: who,
        resume: "secret".into(),
        ice_servers: Vec::new(),
    })?;
    say.send(ServerMessage::Answer {
        sdp: media.sdp.clone(),
    })?;
    let mids_of = |role| {
        let tracks = join.tracks.iter().filter(|track| track.role == role);
        tracks.map(|track| track.mid.clone()).collect::<Vec<_>>()
    };
    let slots = [mids_of(Role::ForwardAudio), mids_of(Role::ForwardVideo)];
    let sends = |role| match join.tracks.iter().any(|track| track.role == role) {
        true => UplinkState::Live,
        false => UplinkState::None,
    };
    let member = Member {
        say: say.clone(),
        taken: vec![None; slots[0].len()],
        slots,
        state: ParticipantState {
            id: who,
            name: join.name.clone(),
            speaking: false,
            hand: false,
            mic: sends(Role::Mic),
            camera: sends(Role::Camera),
            screen: UplinkState::None,
            viewer: !join.tracks.iter().any(|track| track.role.is_uplink()),
            connected: false,
            view: join.view,
        },
    };
    shared.lock().members.insert(who, member);
    shared.announce();
    loop {
        let message = tokio::select! {
            Some((index, candidate)) = found.recv() => ServerMessage::Candidate {
                mid: mids[index as usize].clone(),
                candidate: Some(candidate),
            },
            Some(message) = says.recv() => message,
            Some(()) = connected.recv() => {
                if let Some(member) = shared.lock().members.get_mut(&who) {
                    member.state.connected = true;
                }
                shared.announce();
                continue;
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text)?;
                    if let ClientMessage::Candidate { mid, candidate: Some(candidate) } = &message {
                        let index = mids.iter().position(|m| m == mid).context("mid")?;
                        media.add_candidate(index as u32, candidate);
                    }
                    match asked(message, who, shared) {
                        Some(reply) => reply,
                        None => continue,
                    }
                }
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

/// Does as a member asks; the reply is for them alone.
fn asked(message: ClientMessage, who: ParticipantId, shared: &Shared) -> Option<ServerMessage> {
    match message {
        ClientMessage::Leave => {
            let reason = ByeReason::Left;
            return Some(ServerMessage::Bye { reason });
        }
        ClientMessage::Signal { to, data } => {
            if let Some(member) = shared.lock().members.get(&to) {
                member
                    .say
                    .send(ServerMessage::Signal { from: who, data })
                    .ok();
            }
        }
        ClientMessage::Mode { mode } => {
            shared.lock().mode = mode;
            shared.announce();
        }
        ClientMessage::Candidate { .. } => {}
        other => {
            shared.heard.send((who, other)).ok();
        }
    }
    None
}

/// A room in which everybody sees a tile over the whole of a 640x360 canvas, their own.
fn state(room: &Room, who: ParticipantId) -> RoomState {
    RoomState {
        mode: room.mode,
        layout: LayoutKind::Grid,
        canvas: Size {
            width: 640,
            height: 360,
        },
        pinned: None,
        participants: room.members.values().map(|m| m.state.clone()).collect(),
        tiles: vec![TileState {
            participant: who,
            role: Role::Camera,
            x: 0,
            y: 0,
            w: 640,
            h: 360,
        }],
        paths: MeasuredPaths::default(),
        recordings: Vec::new(),
    }
}
