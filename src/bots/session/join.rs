//! How a bot joins and leaves, over the signalling that its configuration names.

use std::sync::{Arc, Weak};

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use super::published::Published;
use super::signalling::{HttpSession, Outgoing, Socket};
use crate::bots::config::{
    BotConfig, Entry, FingerprintMode, IceTransportPolicy, NetworkInterface,
};
use crate::bots::error::BotError;
use crate::bots::observe::observer::Observer;
use crate::bots::rtc::connection::Candidate;
use crate::bots::rtc::ice;
use crate::bots::rtc::peer::Peer;
use crate::id::{Mid, ParticipantId};
use crate::protocol::{ClientMessage, Join, ServerMessage, Track, VERSION};

/// The signalling of a bot that has joined.
#[derive(Debug)]
pub(crate) enum Signalling {
    /// Over the WebSocket.
    Socket {
        participant: ParticipantId,
        outbox: mpsc::UnboundedSender<Outgoing>,
    },
    /// Over WHIP or WHEP; `None` once it has left.
    Http(Option<HttpSession>),
}

/// A bot that has joined.
pub(crate) struct Joined {
    pub(crate) peer: Arc<Peer>,
    pub(crate) signalling: Signalling,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

/// Joins the room. Returns once the server's answer is applied.
pub(crate) async fn enter(config: &BotConfig, published: &Published) -> Result<Joined, BotError> {
    let interface = interface(config)?;
    let observer = &published.observer;
    if over_http(config.entry) {
        return enter_http(config, interface, observer).await;
    }
    let (socket, peer) = tokio::join!(
        Socket::connect(&config.server),
        build(config, interface, observer)
    );
    let (Socket { outbox, mut inbox }, mut peer) = (socket?, peer?);
    let (sdp, tracks) = peer.offer().await?;
    let candidates = peer.candidates.take();
    let mids: Vec<Mid> = tracks.iter().map(|track| track.mid.clone()).collect();
    send(&outbox, join_message(config, sdp, tracks))?;
    let (participant, answer) = answered(&mut inbox, published).await?;
    peer.accept(&answer).await?;
    let peer = Arc::new(peer);
    let receiving = receive_messages(
        inbox,
        Arc::downgrade(&peer),
        mids.clone(),
        published.clone(),
    );
    let mut tasks = vec![
        tokio::spawn(receiving),
        tokio::spawn(peer.connection.listen()),
    ];
    if let Some(candidates) = candidates {
        tasks.push(tokio::spawn(trickle(candidates, mids, outbox.clone())));
    }
    let signalling = Signalling::Socket {
        participant,
        outbox,
    };
    Ok(Joined {
        peer,
        signalling,
        tasks,
    })
}

async fn enter_http(
    config: &BotConfig,
    interface: NetworkInterface,
    observer: &Arc<Observer>,
) -> Result<Joined, BotError> {
    let mut peer = build(config, interface, observer).await?;
    peer.offer().await?;
    let sdp = offered(peer.gathered().await?, config.fingerprint);
    let (session, answer) = HttpSession::open(config, sdp).await?;
    peer.accept(&answer).await?;
    let tasks = vec![tokio::spawn(peer.connection.listen())];
    Ok(Joined {
        peer: Arc::new(peer),
        signalling: Signalling::Http(Some(session)),
        tasks,
    })
}

async fn build(
    config: &BotConfig,
    interface: NetworkInterface,
    observer: &Arc<Observer>,
) -> Result<Peer, BotError> {
    // The connection to the server needs ICE servers only if it must use a relay. webrtcbin needs
    // them before it makes the offer, and so before `welcome`.
    let servers = match config.ice_transport_policy {
        IceTransportPolicy::All => Vec::new(),
        IceTransportPolicy::Relay => ice::servers(config).await?,
    };
    let (config, observer) = (config.clone(), observer.clone());
    tokio::task::spawn_blocking(move || Peer::new(&config, interface, &servers, &observer))
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
        view: config.view,
        limits: config.limits,
        offer: offered(sdp, config.fingerprint),
        tracks,
    })
}

fn send(outbox: &mpsc::UnboundedSender<Outgoing>, message: ClientMessage) -> Result<(), BotError> {
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

/// Sends the candidates as they are found. They are found after the offer was made, so `join` is in
/// the outbox before the first.
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
        if send(&outbox, ClientMessage::Candidate { mid, candidate }).is_err() {
            return;
        }
    }
}

/// Takes what the server says until the connection ends.
async fn receive_messages(
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
                (Some(index), Some(peer)) => peer.connection.add_candidate(index, candidate),
                (None, _) => tracing::warn!(%mid, "a candidate for no m-line"),
                (_, None) => return,
            }
        }
        if let (ServerMessage::Uplinks { wanted }, Some(peer)) = (&message, peer.upgrade()) {
            peer.want(*wanted);
        }
        published.publish(message);
    }
}

/// Says goodbye and waits for the server's confirmation.
pub(crate) async fn leave(
    signalling: Signalling,
    notices: &broadcast::Sender<ServerMessage>,
) -> Result<(), BotError> {
    match signalling {
        Signalling::Http(Some(session)) => session.close().await,
        Signalling::Http(None) => Ok(()),
        Signalling::Socket { outbox, .. } => {
            let mut notices = notices.subscribe();
            send(&outbox, ClientMessage::Leave)?;
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

/// The offer, or one that names a certificate other than the bot's.
fn offered(sdp: String, fingerprint: FingerprintMode) -> String {
    match fingerprint {
        FingerprintMode::True => sdp,
        FingerprintMode::Wrong => {
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

/// The network interface to use: that of the configuration, else loopback if the server's URL is a
/// loopback address, else all.
pub(crate) fn interface(config: &BotConfig) -> Result<NetworkInterface, BotError> {
    if let Some(interface) = config.interface {
        return Ok(interface);
    }
    let bad_server = |_| BotError::BadServer(config.server.clone());
    let url = reqwest::Url::parse(&config.server).map_err(bad_server)?;
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let loopback = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    Ok(if loopback {
        NetworkInterface::Loopback
    } else {
        NetworkInterface::All
    })
}

/// Whether the signalling is over HTTP alone.
fn over_http(entry: Entry) -> bool {
    matches!(entry, Entry::Whip | Entry::Whep)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::id::RoomId;

    #[test]
    fn a_wrong_fingerprint_differs_in_every_line() {
        let sdp = "v=0\r\na=fingerprint:sha-256 0A:11\r\na=fingerprint:sha-256 F0:11\r\n";
        assert_eq!(offered(sdp.into(), FingerprintMode::True), sdp);
        assert_eq!(
            offered(sdp.into(), FingerprintMode::Wrong),
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
            let mut config = BotConfig::new(server, RoomId::new("r").unwrap(), "Ann");
            let stays = interface(&config).unwrap() == NetworkInterface::Loopback;
            assert_eq!(stays, loopback, "{server}");
            config.interface = Some(NetworkInterface::All);
            assert_eq!(
                interface(&config).unwrap(),
                NetworkInterface::All,
                "{server}"
            );
        }
    }
}
