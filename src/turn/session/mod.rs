//! One client and its allocation, without the sockets; pure.
//!
//! The state of the protocol (RFC 8656: lifetimes, permissions, channels) is kept by a
//! [`TurnServer`] of [`turn_server_proto`] that serves this client alone. The library keeps a nonce
//! for every address that ever sent a request, and searches a list for the client of a packet; so
//! it sees authenticated requests only, and its list has one entry. A request that was admitted is
//! signed anew with the library's own nonce. The response is signed with the client's key and is
//! sent as it is.

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
use turn_server_proto::types::stun::message::{
    Message, MessageClass, MessageHeader, MessageWriteVec, TransactionId,
};
use turn_server_proto::types::stun::prelude::{
    Attribute, AttributeFromRaw, AttributeStaticType, MessageWrite,
};
use turn_server_proto::types::{AddressFamily, Instant, TransportType};

use super::auth::{Login, REALM};
use super::peer_traffic::TrafficByPeer;
use super::permissions::Permissions;
use super::policy::PeerPolicy;

/// Largest number of addresses in one CreatePermission request; more are answered with 400.
const MAX_PEERS: usize = 16;

/// What the server has to do for a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send this response.
    Answer(Vec<u8>),
    /// Open a relay, and report the result with [`Session::opened`].
    Open(AddressFamily, Port),
    /// Close the relay with this relayed transport address.
    Close(SocketAddr),
}

/// The port that a client asks for its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Any free port.
    Any,
    /// An even port (RFC 8656 section 18.7).
    Even,
}

/// Where a client's packet is sent, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outbound {
    /// The relayed transport address that it is sent from.
    pub(super) relay: SocketAddr,
    /// The peer that it is sent to.
    pub(super) peer: SocketAddr,
    /// Its length in the output buffer, in bytes.
    pub(super) length: usize,
}

/// The protocol state of one client.
#[derive(Debug)]
pub(super) struct Session {
    server: TurnServer,
    client: SocketAddr,
    listen: SocketAddr,
    login: Login,
    /// The Allocate request that opened it and its response, which is repeated if the request comes
    /// again because the response was lost.
    opening: Option<(TransactionId, Vec<u8>)>,
    /// The port that the last Allocate request asked for; the library ignores that attribute.
    port: Port,
    relays: Vec<SocketAddr>,
    traffic: TrafficByPeer,
    permissions: Permissions,
}

impl Session {
    /// The session of a client that has no allocation yet.
    pub(super) fn new(client: SocketAddr, listen: SocketAddr, login: Login) -> Self {
        // The transport is that to the peers: UDP, even if the client uses TCP. Its stream has been
        // split into messages already.
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
            traffic: TrafficByPeer::default(),
            permissions: Permissions::default(),
        }
    }

    pub(super) fn relays(&self) -> &[SocketAddr] {
        &self.relays
    }

    pub(super) fn traffic(&self) -> &TrafficByPeer {
        &self.traffic
    }

    /// Handles an authentic request. `login` is the verified credential of this request, which may
    /// differ from that of the allocation.
    pub(super) fn request(
        &mut self,
        request: &Message<'_>,
        login: &Login,
        policy: &PeerPolicy,
        now: Instant,
    ) -> Vec<Action> {
        if let Some((id, answer)) = &self.opening
            && *id == request.transaction_id()
            && request.has_method(ALLOCATE)
        {
            return vec![Action::Answer(answer.clone())];
        }
        // RFC 8656 section 5: an allocation belongs to the username it was made with.
        if login.username != self.login.username {
            return refuse(login, request, ErrorCode::WRONG_CREDENTIALS);
        }
        let peers = match peers(request, policy) {
            Ok(peers) => peers,
            Err(code) => return refuse(login, request, code),
        };
        if !self.permissions.fit(&peers, now) {
            return refuse(login, request, ErrorCode::INSUFFICIENT_CAPACITY);
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
        let mut actions = Vec::new();
        let transmit = Transmit::new(&signed[..], TransportType::Udp, self.client, self.listen);
        if let Some(answer) = self.server.recv(transmit, now) {
            let answer = answer.data.build();
            if is_success(&answer) {
                self.permissions.note(&peers, now);
            }
            actions.push(Action::Answer(answer));
        }
        actions.extend(self.tick(now));
        actions
    }

    /// The nonce that the library accepts now, from its challenge to an unsigned request.
    fn nonce(&mut self, now: Instant) -> Option<String> {
        let unsigned = Message::builder_request(ALLOCATE, MessageWriteVec::new()).finish();
        let transmit = Transmit::new(unsigned, TransportType::Udp, self.client, self.listen);
        let answer = self.server.recv(transmit, now)?.data.build();
        let answer = Message::from_bytes(&answer).ok()?;
        let nonce = answer.attribute::<Nonce>().ok()?;
        Some(nonce.nonce().to_owned())
    }

    /// Reports the result of an [`Action::Open`]. Returns the response to the Allocate request.
    pub(super) fn opened(
        &mut self,
        family: AddressFamily,
        relay: Result<SocketAddr, SocketAllocateError>,
        now: Instant,
    ) -> Vec<Action> {
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
        let mut actions = Vec::new();
        while let Some(transmit) = self.server.poll_transmit(now) {
            if let Ok(answer) = Message::from_bytes(&transmit.data) {
                self.opening = Some((answer.transaction_id(), transmit.data.clone()));
            }
            actions.push(Action::Answer(transmit.data));
        }
        actions
    }

    /// Expires what has reached the end of its lifetime, and returns what follows. Called every
    /// second and after each request.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        loop {
            match self.server.poll(now) {
                TurnServerPollRet::AllocateSocket { family, .. } => {
                    actions.push(Action::Open(family, self.port))
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.relays.retain(|relay| *relay != listen_addr);
                    actions.push(Action::Close(listen_addr));
                }
                // Relays use UDP alone, so the library has no TCP sockets.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::WaitUntil(_) => return actions,
            }
        }
    }

    /// Handles a Send indication or ChannelData of the client and writes the payload to `out`.
    /// `None` if nothing is to be sent: there is no permission, or the peer is not allowed.
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
        // A permission covers all ports of an address.
        if relay == self.listen || !policy.allows(peer) {
            return None;
        }
        sent.data.write_into(out.get_mut(..length)?);
        self.traffic.sent(peer, length);
        Some(Outbound {
            relay,
            peer,
            length,
        })
    }

    /// Handles a packet of a peer and writes the message for the client to `out`. Returns its
    /// length in bytes; `None` if the client has no permission for the peer.
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
            // turn-types 0.7.3 would write it in place as a Send indication.
            DelayedMessageOrChannelSend::Message(message) => out.copy_from_slice(&message.build()),
            other => {
                other.write_into(out);
            }
        }
        self.traffic.received(peer, data.len());
        Some(length)
    }
}

fn is_success(answer: &[u8]) -> bool {
    let answer = MessageHeader::from_bytes(answer);
    answer.is_ok_and(|answer| answer.get_type().class() == MessageClass::Success)
}

fn refuse(login: &Login, request: &Message<'_>, code: u16) -> Vec<Action> {
    let answer = login.refusal(request, code).map(Action::Answer);
    answer.into_iter().collect()
}

/// The peers that a request asks a permission or a channel for.
///
/// # Errors
/// The error code for a request that the library would grant but this server refuses.
fn peers(request: &Message<'_>, policy: &PeerPolicy) -> Result<Vec<SocketAddr>, u16> {
    let method = request.method();
    if method == ALLOCATE {
        // The library cannot reserve ports. Clients ask for that to have RTCP on the port after
        // RTP, which WebRTC does not use.
        let next = request
            .attribute::<EvenPort>()
            .is_ok_and(|port| port.requested());
        let reserves = next || request.has_attribute(ReservationToken::TYPE);
        return match reserves {
            true => Err(ErrorCode::INSUFFICIENT_CAPACITY),
            false => Ok(Vec::new()),
        };
    }
    if method != CREATE_PERMISSION && method != CHANNEL_BIND {
        return Ok(Vec::new());
    }
    let mut peers = Vec::new();
    for (_, attribute) in request.iter_attributes() {
        if attribute.get_type() == XorPeerAddress::TYPE {
            let Ok(peer) = XorPeerAddress::from_raw(attribute) else {
                return Err(ErrorCode::BAD_REQUEST);
            };
            peers.push(peer.addr(request.transaction_id()));
        }
    }
    if peers.len() > MAX_PEERS {
        return Err(ErrorCode::BAD_REQUEST);
    }
    let allowed = |peer: &SocketAddr| match method == CHANNEL_BIND {
        true => policy.allows(*peer),
        false => policy.allows_address(peer.ip()),
    };
    match peers.iter().all(allowed) {
        true => Ok(peers),
        false => Err(ErrorCode::FORBIDDEN),
    }
}

#[cfg(test)]
mod tests;
