//! Sockets and tasks: what carries packets to a client's session and carries its actions out.
//!
//! One task reads the UDP socket, one accepts TCP connections (see [`super::stream`]), and each
//! relay has a task that reads its socket. A task that has a packet for a client locks the client's
//! session while it handles that packet, and never across an await.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use turn_server_proto::api::SocketAllocateError;
use turn_server_proto::types::message::{ALLOCATE, SEND};
use turn_server_proto::types::stun::attribute::ErrorCode;
use turn_server_proto::types::stun::message::{BINDING, Message, MessageClass, MessageHeader};
use turn_server_proto::types::{AddressFamily, Instant};

use super::addresses::{HostAddresses, RelayAddresses};
use super::auth;
use super::auth::{Authenticator, Login, Verdict};
use super::counters::Counters;
use super::framing::{MAX_PACKET, framed};
use super::limits::{AllocationQuotas, UnauthenticatedLimiter};
use super::policy::PeerPolicy;
use super::session::{Action, Port, Session};
use super::table::{Allocation, Client, ClientPath, ClientState, ClientTable, Relay};
use crate::admission::{Admission, Demand};
use crate::config::TurnConfig;

/// Largest number of bytes that TURN puts before a relayed packet: the header of a Data indication
/// with an IPv6 peer.
const MAX_OVERHEAD: usize = 64;
/// Largest request that is parsed, in bytes; larger ones are dropped. Those of browsers stay below
/// 300 bytes.
const MAX_REQUEST: usize = 1500;
/// Interval at which allocations are checked for expiry. Their lifetimes are minutes.
const TICK: Duration = Duration::from_secs(1);
/// Number of packets that are read from a socket before its task yields to others.
const BATCH: usize = 32;

/// The server, as its tasks share it.
pub(super) struct Shared {
    pub(super) auth: Authenticator,
    pub(super) policy: PeerPolicy,
    pub(super) unauthenticated: UnauthenticatedLimiter,
    pub(super) addresses: RelayAddresses,
    pub(super) counters: Counters,
    pub(super) socket: UdpSocket,
    pub(super) listen: SocketAddr,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Asked before a socket is opened.
    admission: Admission,
    epoch: std::time::Instant,
    table: Mutex<ClientTable>,
}

impl Shared {
    /// A server on `socket`. It reads nothing before its tasks are spawned.
    ///
    /// # Errors
    /// The socket has no local address.
    pub(super) fn new(
        auth: Authenticator,
        config: &TurnConfig,
        host: HostAddresses,
        socket: UdpSocket,
    ) -> io::Result<Self> {
        let listen = socket.local_addr()?;
        Ok(Self {
            auth,
            policy: PeerPolicy::new(config.allowed_peers.clone()),
            unauthenticated: UnauthenticatedLimiter::new(config.requests_per_second),
            addresses: RelayAddresses::new(config, host, listen.ip()),
            counters: Counters::default(),
            socket,
            listen,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            admission: Admission::default(),
            epoch: std::time::Instant::now(),
            table: Mutex::new(ClientTable::new(AllocationQuotas::new(
                config.max_allocations,
                config.max_allocations_per_user,
            ))),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_std(self.epoch)
    }

    /// Reads the UDP socket until the server stops.
    pub(super) async fn read(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                ready = self.socket.readable() => if let Err(error) = ready {
                    tracing::error!(%error, "the TURN socket failed");
                    return;
                },
            }
            for _ in 0..BATCH {
                if !self.read_one() {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Handles one packet of the UDP socket; false if there is none. The buffer is on the stack, so
    /// that an idle server holds none.
    fn read_one(self: &Arc<Self>) -> bool {
        let mut buffer = [0; MAX_PACKET];
        match self.socket.try_recv_from(&mut buffer) {
            Ok((length, from)) => {
                if let Some(data) = buffer.get(..length) {
                    self.packet(&ClientPath::Udp(from), data);
                }
                true
            }
            // An ICMP message about something sent earlier is no reason to stop.
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Expires allocations until the server stops, then ends all of them.
    pub(super) async fn expire_allocations(self: Arc<Self>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = tick.tick() => {}
            }
            let clients = self.table.lock().all();
            for client in clients {
                let mut state = client.state.lock();
                // A new client, which the task that added it still handles.
                if state.relays.is_empty() {
                    continue;
                }
                let actions = state.session.tick(self.now());
                self.carry_out(&client, &mut state, actions);
            }
        }
        let clients = self.table.lock().all();
        for client in clients {
            self.remove(&client);
        }
    }

    /// Ends the allocation of a client whose connection has ended, if it has one.
    pub(super) fn disconnected(&self, path: &ClientPath) {
        let known = self.table.lock().get(path);
        if let Some(client) = known {
            client.state.lock().relays.clear();
            self.remove(&client);
        }
    }

    /// Whether the client on this path has an allocation.
    pub(super) fn has_allocation(&self, path: &ClientPath) -> bool {
        self.table.lock().get(path).is_some()
    }

    /// Handles a UDP packet, or a message of a TCP stream, from a client.
    pub(super) fn packet(self: &Arc<Self>, path: &ClientPath, data: &[u8]) {
        match data.first() {
            Some(0..=3) => self.message(path, data),
            // ChannelData (RFC 8656 section 12).
            Some(0x40..=0x7f) => self.to_peer(path, data),
            _ => {}
        }
    }

    fn message(self: &Arc<Self>, path: &ClientPath, data: &[u8]) {
        // The header first: it is cheap, and the library logs each message that it cannot parse.
        let Ok(header) = MessageHeader::from_bytes(data) else {
            return;
        };
        if usize::from(header.data_length()) + MessageHeader::LENGTH != data.len() {
            return;
        }
        let kind = header.get_type();
        match (kind.class(), kind.method()) {
            (MessageClass::Indication, SEND) => self.to_peer(path, data),
            (MessageClass::Request, method) if data.len() <= MAX_REQUEST => {
                if let Ok(request) = Message::from_bytes(data) {
                    if method == BINDING {
                        self.binding(path, &request);
                    } else {
                        self.request(path, &request);
                    }
                }
            }
            _ => {}
        }
    }

    fn binding(&self, path: &ClientPath, request: &Message<'_>) {
        // It carries no credential.
        if !self.unauthenticated.admit(path.address().ip()) {
            self.counters.limited.increment(1);
        } else if let Some(answer) = auth::binding(request, path.address()) {
            self.counters.bindings.increment(1);
            self.send(path, &answer);
        }
    }

    fn request(self: &Arc<Self>, path: &ClientPath, request: &Message<'_>) {
        match self
            .auth
            .authenticate(request, path.address(), SystemTime::now())
        {
            Verdict::Admitted(login) => self.admitted(path, request, &login),
            Verdict::Refused(answer) => {
                if !self.unauthenticated.admit(path.address().ip()) {
                    self.counters.limited.increment(1);
                } else if let Some(answer) = answer {
                    self.answer(path, &answer);
                }
            }
        }
    }

    fn admitted(self: &Arc<Self>, path: &ClientPath, request: &Message<'_>, login: &Login) {
        let known = self.table.lock().get(path);
        let client = match known {
            Some(client) => client,
            None => match self.add_client(path, request, login) {
                Ok(client) => client,
                Err(code) => {
                    if let Some(answer) = login.refusal(request, code) {
                        self.answer(path, &answer);
                    }
                    return;
                }
            },
        };
        let mut state = client.state.lock();
        let actions = state
            .session
            .request(request, login, &self.policy, self.now());
        self.carry_out(&client, &mut state, actions);
    }

    /// Adds a client to the table that asks for an allocation.
    ///
    /// # Errors
    /// The STUN error code that the request is refused with.
    fn add_client(
        &self,
        path: &ClientPath,
        request: &Message<'_>,
        login: &Login,
    ) -> Result<Arc<Client>, u16> {
        if !request.has_method(ALLOCATE) {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let session = || Session::new(path.address(), self.listen, login.clone());
        let added = self.table.lock().insert(path, &login.user, session);
        let client = added.ok_or(ErrorCode::ALLOCATION_QUOTA_REACHED)?;
        self.counters.allocations.increment(1.0);
        Ok(client)
    }

    /// Carries out the actions of a session, and removes the client if it has no relay afterwards.
    fn carry_out(
        self: &Arc<Self>,
        client: &Arc<Client>,
        state: &mut ClientState,
        actions: Vec<Action>,
    ) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Answer(answer) => self.answer(&client.path, &answer),
                Action::Open(family, port) => {
                    let relay = self.open(client, family, port);
                    let address = relay.as_ref().map(|relay| relay.address).map_err(|e| *e);
                    state.relays.extend(relay.ok());
                    actions.extend(state.session.opened(family, address, self.now()));
                }
                Action::Close(address) => state.relays.retain(|relay| relay.address != address),
            }
        }
        if state.relays.is_empty() {
            self.remove(client);
        }
    }

    fn open(
        self: &Arc<Self>,
        client: &Arc<Client>,
        family: AddressFamily,
        port: Port,
    ) -> Result<Relay, SocketAllocateError> {
        if !self.addresses.has(family) {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        if let Err(shortage) = self.admission.take(Demand::RELAY) {
            tracing::warn!(%shortage, "no relay");
            return Err(SocketAllocateError::InsufficientCapacity);
        }
        let opened = self
            .addresses
            .open(family, port)
            .and_then(|(socket, address)| Ok((UdpSocket::from_std(socket)?, address)));
        let (socket, address) = opened.map_err(|error| {
            tracing::warn!(%error, "no port for a relay");
            SocketAllocateError::InsufficientCapacity
        })?;
        let relay = Relay {
            address,
            socket: Arc::new(socket),
            closed: self.stop.child_token(),
        };
        let (shared, client) = (self.clone(), client.clone());
        let (socket, closed) = (relay.socket.clone(), relay.closed.clone());
        self.tasks
            .spawn(async move { shared.relay(&client, &socket, address, &closed).await });
        Ok(relay)
    }

    /// Reads a relay's socket until it is closed.
    async fn relay(
        &self,
        client: &Client,
        socket: &UdpSocket,
        address: SocketAddr,
        closed: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = closed.cancelled() => return,
                ready = socket.readable() => if ready.is_err() { return },
            }
            for _ in 0..BATCH {
                if !self.relay_one(client, socket, address) {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Relays one packet of a peer to the client; false if there is none.
    fn relay_one(&self, client: &Client, socket: &UdpSocket, address: SocketAddr) -> bool {
        let mut buffer = [0; MAX_PACKET];
        let (length, peer) = match socket.try_recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        };
        let mut out = [0; MAX_PACKET + MAX_OVERHEAD];
        let data = buffer.get(..length).unwrap_or_default();
        let mut state = client.state.lock();
        let wrapped = state
            .session
            .inbound(address, peer, data, &mut out, self.now());
        drop(state);
        if let Some(wrapped) = wrapped.and_then(|length| out.get(..length)) {
            self.counters.from_peer.add(length);
            self.send(&client.path, wrapped);
        }
        true
    }

    /// Relays a Send indication or ChannelData of a client to the peer that it names.
    fn to_peer(&self, path: &ClientPath, data: &[u8]) {
        let Some(client) = self.table.lock().get(path) else {
            return;
        };
        let mut out = [0; MAX_PACKET];
        let mut state = client.state.lock();
        let ClientState { session, relays } = &mut *state;
        let sent = session.outbound(data, &mut out, &self.policy, self.now());
        let Some(sent) = sent else { return };
        let relay = relays.iter().find(|relay| relay.address == sent.relay);
        if let (Some(relay), Some(payload)) = (relay, out.get(..sent.length)) {
            self.counters.to_peer.add(sent.length);
            // A full socket buffer drops packets, as a router does.
            if relay.socket.try_send_to(payload, sent.peer).is_err() {
                self.counters.dropped.increment(1);
            }
        }
    }

    fn answer(&self, path: &ClientPath, answer: &[u8]) {
        self.counters.answered(answer);
        self.send(path, answer);
    }

    fn send(&self, path: &ClientPath, data: &[u8]) {
        let sent = match path {
            ClientPath::Udp(address) => self.socket.try_send_to(data, *address).is_ok(),
            ClientPath::Tcp(_, queue) => queue.try_send(framed(data)).is_ok(),
        };
        if !sent {
            self.counters.dropped.increment(1);
        }
    }

    /// Removes a client from the table, unless that has happened already.
    fn remove(&self, client: &Arc<Client>) {
        if self.table.lock().remove(client) {
            self.counters.allocations.decrement(1.0);
        }
    }

    /// A snapshot of every open allocation.
    pub(super) fn allocations(&self) -> Vec<Allocation> {
        let clients = self.table.lock().all();
        clients.iter().map(|client| client.allocation()).collect()
    }
}
