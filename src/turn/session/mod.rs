//! One client and its allocation, as far as it needs no sockets.
//!
//! The protocol's state (RFC 8656: lifetimes, permissions, channels) is a [`TurnServer`] of
//! [`turn_server_proto`] that knows one client: the library keeps a nonce for every address that
//! ever asked and looks for a packet's client in a list, so it is given no strangers and no list.
//! A request that the gate has admitted is signed anew with the library's own nonce; the answer
//! is signed with the client's key and goes out as it is.

use std::net::SocketAddr;

use turn_server_proto::api::{
    DelayedMessageOrChannelSend, SocketAllocateError, TurnServerApi, TurnServerPollRet,
};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::agent::Transmit;
use turn_server_proto::types::attribute::{EvenPort, ReservationToken, XorPeerAddress};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION};
use turn_server_proto::types::prelude::DelayedTransmitBuild;
use turn_server_proto::types::stun::attribute::{ErrorCode, Nonce};
use turn_server_proto::types::stun::message::{Message, MessageWriteVec, TransactionId};
use turn_server_proto::types::stun::prelude::{
    Attribute, AttributeFromRaw, AttributeStaticType, MessageWrite,
};
use turn_server_proto::types::{AddressFamily, Instant, TransportType};

use super::auth::{Login, REALM};
use super::peer_traffic::Flows;
use super::policy::PeerPolicy;

/// Most addresses one CreatePermission may name: each is looked through with every packet.
const MOST_PEERS: usize = 16;

/// What has to be done for a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Send it this.
    Answer(Vec<u8>),
    /// Open a socket to relay with, and say so with [`Session::opened`].
    Open(AddressFamily, Port),
    /// Close the socket with this relayed address.
    Close(SocketAddr),
}

/// Which port a client wants for its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// It has said nothing of it.
    Any,
    /// An even one (RFC 8656 section 18.7).
    Even,
}

/// A client's packet on its way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outbound {
    /// The relayed address it leaves from.
    pub(super) relay: SocketAddr,
    /// Where it goes.
    pub(super) peer: SocketAddr,
    /// How much of the buffer it is.
    pub(super) length: usize,
}

/// One client.
#[derive(Debug)]
pub(super) struct Session {
    server: TurnServer,
    client: SocketAddr,
    listen: SocketAddr,
    login: Login,
    /// The Allocate that opened it and the answer it got, for when that is lost.
    opening: Option<(TransactionId, Vec<u8>)>,
    /// What the last Allocate said of ports; the library does not look at it.
    port: Port,
    relays: Vec<SocketAddr>,
    flows: Flows,
}

impl Session {
    /// A client without an allocation yet.
    pub(super) fn new(client: SocketAddr, listen: SocketAddr, login: Login) -> Self {
        // The transport is that to the peers, which is UDP even if the client comes over TCP: its
        // stream is cut into messages before.
        let mut server = TurnServer::new(TransportType::Udp, listen, REALM.into());
        server.add_user(login.username.clone(), login.password.clone());
        Self {
            server,
            client,
            listen,
            login,
            opening: None,
            port: Port::Any,
            relays: Vec::new(),
            flows: Flows::default(),
        }
    }

    /// The relayed addresses there are.
    pub(super) fn relays(&self) -> &[SocketAddr] {
        &self.relays
    }

    /// What has gone through.
    pub(super) fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Does what an authentic request asks. The gate's `login` is that of the request.
    pub(super) fn request(
        &mut self,
        request: &Message<'_>,
        login: &Login,
        policy: &PeerPolicy,
        now: Instant,
    ) -> Vec<Act> {
        if let Some((id, answer)) = &self.opening
            && *id == request.transaction_id()
            && request.has_method(ALLOCATE)
        {
            return vec![Act::Answer(answer.clone())];
        }
        // RFC 8656 section 5: an allocation belongs to the username it was made with.
        if login.username != self.login.username {
            return refuse(login, request, ErrorCode::WRONG_CREDENTIALS);
        }
        if let Some(code) = objection(request, policy) {
            return refuse(login, request, code);
        }
        let signed = self
            .nonce(now)
            .and_then(|nonce| self.login.resigned(request, &nonce));
        let Some(signed) = signed else {
            return refuse(login, request, ErrorCode::SERVER_ERROR);
        };
        if request.has_method(ALLOCATE) {
            self.port = match request.has_attribute(EvenPort::TYPE) {
                true => Port::Even,
                false => Port::Any,
            };
        }
        let mut acts = Vec::new();
        let transmit = Transmit::new(&signed[..], TransportType::Udp, self.client, self.listen);
        if let Some(answer) = self.server.recv(transmit, now) {
            acts.push(Act::Answer(answer.data.build()));
        }
        acts.extend(self.tick(now));
        acts
    }

    /// The nonce that the library takes now: that of its answer to a request without one.
    fn nonce(&mut self, now: Instant) -> Option<String> {
        let unsigned = Message::builder_request(ALLOCATE, MessageWriteVec::new()).finish();
        let transmit = Transmit::new(unsigned, TransportType::Udp, self.client, self.listen);
        let answer = self.server.recv(transmit, now)?.data.build();
        let answer = Message::from_bytes(&answer).ok()?;
        let nonce = answer.attribute::<Nonce>().ok()?;
        Some(nonce.nonce().to_owned())
    }

    /// Says what became of an [`Act::Open`].
    pub(super) fn opened(
        &mut self,
        family: AddressFamily,
        relay: Result<SocketAddr, SocketAllocateError>,
        now: Instant,
    ) -> Vec<Act> {
        self.relays.extend(relay);
        self.server.allocated_socket(
            TransportType::Udp,
            self.listen,
            self.client,
            TransportType::Udp,
            family,
            relay,
            now,
        );
        let mut acts = Vec::new();
        while let Some(transmit) = self.server.poll_transmit(now) {
            if let Ok(answer) = Message::from_bytes(&transmit.data) {
                self.opening = Some((answer.transaction_id(), transmit.data.clone()));
            }
            acts.push(Act::Answer(transmit.data));
        }
        acts
    }

    /// Lets what is over end, and says what there is to be done. To be called now and then.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Act> {
        let mut acts = Vec::new();
        loop {
            match self.server.poll(now) {
                TurnServerPollRet::AllocateSocket { family, .. } => {
                    acts.push(Act::Open(family, self.port))
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.relays.retain(|relay| *relay != listen_addr);
                    acts.push(Act::Close(listen_addr));
                }
                // Peers are reached over UDP alone: nothing of TCP was ever asked for.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::WaitUntil(_) => return acts,
            }
        }
    }

    /// Takes a Send indication or ChannelData of the client; `None` if it goes nowhere. What goes
    /// to the peer is in `out`.
    pub(super) fn outbound(
        &mut self,
        data: &[u8],
        out: &mut [u8],
        policy: &PeerPolicy,
        now: Instant,
    ) -> Option<Outbound> {
        let transmit = Transmit::new(data, TransportType::Udp, self.client, self.listen);
        let sent = self.server.recv(transmit, now)?;
        let (relay, peer, length) = (sent.from, sent.to, sent.data.len());
        // A permission is for an address with all its ports.
        if relay == self.listen || !policy.allows(peer) {
            return None;
        }
        sent.data.write_into(out.get_mut(..length)?);
        self.flows.sent(peer, length);
        Some(Outbound {
            relay,
            peer,
            length,
        })
    }

    /// Takes a packet of a peer; `None` if the client does not want it. What goes to the client is
    /// in `out`, as long as is returned.
    pub(super) fn inbound(
        &mut self,
        relay: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
        out: &mut [u8],
        now: Instant,
    ) -> Option<usize> {
        let transmit = Transmit::new(data, TransportType::Udp, peer, relay);
        let sent = self.server.recv(transmit, now)?.data;
        let length = sent.len();
        let out = out.get_mut(..length)?;
        match sent {
            // Written in place it would be a Send indication (turn-types 0.7.3).
            DelayedMessageOrChannelSend::Message(message) => out.copy_from_slice(&message.build()),
            other => {
                other.write_into(out);
            }
        }
        self.flows.received(peer, data.len());
        Some(length)
    }
}

fn refuse(login: &Login, request: &Message<'_>, code: u16) -> Vec<Act> {
    let answer = login.refusal(request, code).map(Act::Answer);
    answer.into_iter().collect()
}

/// The error code for what the library would do and must not.
fn objection(request: &Message<'_>, policy: &PeerPolicy) -> Option<u16> {
    let method = request.method();
    if method == ALLOCATE {
        // It has no reserved ports. Clients ask for them for RTCP beside RTP, which WebRTC has not.
        let next = request
            .attribute::<EvenPort>()
            .is_ok_and(|port| port.requested());
        let reserves = next || request.has_attribute(ReservationToken::TYPE);
        return reserves.then_some(ErrorCode::INSUFFICIENT_CAPACITY);
    }
    if method != CREATE_PERMISSION && method != CHANNEL_BIND {
        return None;
    }
    let mut peers = Vec::new();
    for (_, attribute) in request.iter_attributes() {
        if attribute.get_type() == XorPeerAddress::TYPE {
            let Ok(peer) = XorPeerAddress::from_raw(attribute) else {
                return Some(ErrorCode::BAD_REQUEST);
            };
            peers.push(peer.addr(request.transaction_id()));
        }
    }
    if peers.len() > MOST_PEERS {
        return Some(ErrorCode::BAD_REQUEST);
    }
    let allowed = |peer: &SocketAddr| match method == CHANNEL_BIND {
        true => policy.allows(*peer),
        false => policy.allows_address(peer.ip()),
    };
    let refused = !peers.iter().all(allowed);
    refused.then_some(ErrorCode::FORBIDDEN)
}

#[cfg(test)]
mod tests;
