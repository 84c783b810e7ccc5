//! How a bot comes in and goes out again, by whichever way it was told to.

use std::sync::{Arc, Weak};

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use super::bot::{Published, is_loopback, offered, over_http};
use super::config::BotConfig;
use super::error::BotError;
use super::peer::{Candidate, Peer};
use super::signalling::{HttpSession, Outgoing, Socket};
use crate::id::{Mid, ParticipantId};
use crate::protocol::{ClientMessage, Join, ServerMessage, Track, VERSION};

/// What a bot can still say.
#[derive(Debug)]
pub(super) enum Signalling {
    /// Over the WebSocket.
    Socket {
        participant: ParticipantId,
        outbox: mpsc::UnboundedSender<Outgoing>,
    },
    /// Over HTTP; `None` once it has left.
    Http(Option<HttpSession>),
}

/// A bot that is in.
pub(super) struct Entered {
    pub(super) peer: Arc<Peer>,
    pub(super) signalling: Signalling,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

/// Joins the room.
pub(super) async fn enter(config: &BotConfig, published: &Published) -> Result<Entered, BotError> {
    let loopback = is_loopback(config)?;
    if over_http(config.entry) {
        return enter_http(config, loopback).await;
    }
    let (socket, peer) = tokio::join!(Socket::connect(&config.server), build(config, loopback));
    let (Socket { outbox, mut inbox }, mut peer) = (socket?, peer?);
    let (sdp, tracks) = peer.offer().await?;
    let candidates = peer.candidates.take();
    let mids: Vec<Mid> = tracks.iter().map(|track| track.mid.clone()).collect();
    say(&outbox, join_message(config, sdp, tracks))?;
    let (participant, answer) = answered(&mut inbox, published).await?;
    peer.accept(&answer).await?;
    let peer = Arc::new(peer);
    let hearing = hear(inbox, Arc::downgrade(&peer), mids.clone(), published.clone());
    let mut tasks = vec![tokio::spawn(hearing)];
    if let Some(candidates) = candidates {
        tasks.push(tokio::spawn(trickle(candidates, mids, outbox.clone())));
    }
    let signalling = Signalling::Socket {
        participant,
        outbox,
    };
    Ok(Entered {
        peer,
        signalling,
        tasks,
    })
}

async fn enter_http(config: &BotConfig, loopback: bool) -> Result<Entered, BotError> {
    let mut peer = build(config, loopback).await?;
    peer.offer().await?;
    let sdp = offered(peer.gathered().await?, config.fingerprint);
    let (session, answer) = HttpSession::open(config, sdp).await?;
    peer.accept(&answer).await?;
    Ok(Entered {
        peer: Arc::new(peer),
        signalling: Signalling::Http(Some(session)),
        tasks: Vec::new(),
    })
}

async fn build(config: &BotConfig, loopback: bool) -> Result<Peer, BotError> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || Peer::new(&config, loopback))
        .await
        .map_err(|e| BotError::media("building a bot", e))?
}

fn join_message(config: &BotConfig, sdp: String, tracks: Vec<Track>) -> ClientMessage {
    ClientMessage::Join(Join {
        version: VERSION,
        room: config.room.clone(),
        name: config.name.clone(),
        token: config.token.clone(),
        resume: None,
        offer: offered(sdp, config.fingerprint),
        tracks,
    })
}

fn say(outbox: &mpsc::UnboundedSender<Outgoing>, message: ClientMessage) -> Result<(), BotError> {
    outbox
        .send(Outgoing::Message(message))
        .map_err(|_| BotError::Closed)
}

/// Waits for `welcome` and `answer`.
async fn answered(
    inbox: &mut mpsc::UnboundedReceiver<ServerMessage>,
    published: &Published,
) -> Result<(ParticipantId, String), BotError> {
    let mut who = None;
    while let Some(message) = inbox.recv().await {
        published.publish(message.clone());
        match message {
            ServerMessage::Welcome { participant, .. } => who = Some(participant),
            ServerMessage::Answer { sdp } => {
                let who = who.ok_or_else(|| BotError::BadAnswer("no welcome before it".into()))?;
                return Ok((who, sdp));
            }
            ServerMessage::Error { code, message } => {
                return Err(BotError::Refused { code, message });
            }
            ServerMessage::Bye { reason } => return Err(BotError::Bye(reason)),
            _ => {}
        }
    }
    Err(BotError::Closed)
}

/// Sends the candidates as they are found. They are found after the offer was made, so `join` is
/// in the outbox before the first.
async fn trickle(
    mut candidates: mpsc::UnboundedReceiver<Candidate>,
    mids: Vec<Mid>,
    outbox: mpsc::UnboundedSender<Outgoing>,
) {
    while let Some((index, candidate)) = candidates.recv().await {
        let Some(mid) = mids.get(index as usize).cloned() else {
            continue;
        };
        let candidate = Some(candidate);
        if say(&outbox, ClientMessage::Candidate { mid, candidate }).is_err() {
            return;
        }
    }
}

/// Takes what the server says until the connection ends.
async fn hear(
    mut inbox: mpsc::UnboundedReceiver<ServerMessage>,
    peer: Weak<Peer>,
    mids: Vec<Mid>,
    published: Published,
) {
    while let Some(message) = inbox.recv().await {
        if let ServerMessage::Candidate {
            mid,
            candidate: Some(candidate),
        } = &message
        {
            let index = mids.iter().position(|own| own == mid);
            let index = index.and_then(|index| u32::try_from(index).ok());
            match (index, peer.upgrade()) {
                (Some(index), Some(peer)) => peer.add_candidate(index, candidate),
                (None, _) => tracing::warn!(%mid, "a candidate for no m-line"),
                (_, None) => return,
            }
        }
        published.publish(message);
    }
}

/// Says goodbye and waits for the server's.
pub(super) async fn leave(
    signalling: Signalling,
    notices: &broadcast::Sender<ServerMessage>,
) -> Result<(), BotError> {
    match signalling {
        Signalling::Http(Some(session)) => session.close().await,
        Signalling::Http(None) => Ok(()),
        Signalling::Socket { outbox, .. } => {
            let mut notices = notices.subscribe();
            say(&outbox, ClientMessage::Leave)?;
            loop {
                match notices.recv().await {
                    Ok(ServerMessage::Bye { .. }) => return Ok(()),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Err(BotError::Closed),
                }
            }
        }
    }
}
