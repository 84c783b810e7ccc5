//! The edge: sockets and tasks.
//!
//! One task reads the UDP socket, one accepts TCP (see [`super::stream`]), one each reads a
//! relay's socket. A client's session is locked by whoever brings a packet for it, for as long as
//! that packet takes and never across an await.

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

use super::Allocation;
use super::addresses::Places;
use super::auth;
use super::auth::{Gate, Login, Ruling};
use super::counters::Counters;
use super::limits::{Quotas, Strangers};
use super::policy::PeerPolicy;
use super::session::{Act, Port, Session};
use super::table::{Client, Relay, State, Table, Way};

/// Largest packet relayed: a jumbo frame's. Those of WebRTC stay below 1,500 bytes.
pub(super) const LARGEST: usize = 9216;
/// What TURN puts before a packet at most: a Data indication with an IPv6 peer.
const WRAPPING: usize = 64;
/// Largest request taken. A browser's are below 300 bytes.
const LARGEST_REQUEST: usize = 1500;
/// How often allocations are looked after; they are measured in minutes.
const TICK: Duration = Duration::from_secs(1);
/// Packets taken from a socket before others have their turn.
const BATCH: usize = 32;

/// The server, as its tasks share it.
pub(super) struct Shared {
    pub(super) gate: Gate,
    pub(super) policy: PeerPolicy,
    pub(super) strangers: Strangers,
    pub(super) places: Places,
    pub(super) counters: Counters,
    pub(super) socket: UdpSocket,
    pub(super) listen: SocketAddr,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    epoch: std::time::Instant,
    table: Mutex<Table>,
}

impl Shared {
    /// A server on `socket`, not yet reading it.
    pub(super) fn new(
        gate: Gate,
        config: &crate::config::Config,
        socket: UdpSocket,
    ) -> io::Result<Self> {
        let listen = socket.local_addr()?;
        let turn = &config.turn;
        Ok(Self {
            gate,
            policy: PeerPolicy::new(turn.allowed_peers.clone()),
            strangers: Strangers::new(turn.requests_per_second),
            places: Places::new(config, listen.ip()),
            counters: Counters::default(),
            socket,
            listen,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            epoch: std::time::Instant::now(),
            table: Mutex::new(Table::new(Quotas::new(
                turn.max_allocations,
                turn.max_allocations_per_user,
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

    /// Takes one packet; false if there is none. The buffer is on the stack, so that none is held
    /// while nothing comes.
    fn read_one(self: &Arc<Self>) -> bool {
        let mut buffer = [0; LARGEST];
        match self.socket.try_recv_from(&mut buffer) {
            Ok((length, from)) => {
                if let Some(data) = buffer.get(..length) {
                    self.packet(&Way::Udp(from), data);
                }
                true
            }
            // An ICMP message about something sent earlier is no reason to stop.
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Looks after the allocations until the server stops, and ends them then.
    pub(super) async fn tend(self: Arc<Self>) {
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
                // One that has just come: whoever brought it sees to it.
                if state.relays.is_empty() {
                    continue;
                }
                let acts = state.session.tick(self.now());
                self.carry_out(&client, &mut state, acts);
            }
        }
        let clients = self.table.lock().all();
        for client in clients {
            self.forget(&client);
        }
    }

    /// Ends the allocation of a client whose connection has ended, if it has one.
    pub(super) fn leave(&self, way: &Way) {
        let known = self.table.lock().get(way);
        if let Some(client) = known {
            client.state.lock().relays.clear();
            self.forget(&client);
        }
    }

    /// Whether a client has an allocation.
    pub(super) fn knows(&self, way: &Way) -> bool {
        self.table.lock().get(way).is_some()
    }

    /// Takes a packet, or a message of a TCP stream, of a client.
    pub(super) fn packet(self: &Arc<Self>, way: &Way, data: &[u8]) {
        match data.first() {
            Some(0..=3) => self.message(way, data),
            // ChannelData (RFC 8656 section 12).
            Some(0x40..=0x7f) => self.to_peer(way, data),
            _ => {}
        }
    }

    fn message(self: &Arc<Self>, way: &Way, data: &[u8]) {
        // The header first: parsing all of it is work, and its complaints are for the log.
        let Ok(header) = MessageHeader::from_bytes(data) else {
            return;
        };
        if usize::from(header.data_length()) + MessageHeader::LENGTH != data.len() {
            return;
        }
        let kind = header.get_type();
        match (kind.class(), kind.method()) {
            (MessageClass::Indication, SEND) => self.to_peer(way, data),
            (MessageClass::Request, method) if data.len() <= LARGEST_REQUEST => {
                if let Ok(request) = Message::from_bytes(data) {
                    if method == BINDING {
                        self.binding(way, &request);
                    } else {
                        self.request(way, &request);
                    }
                }
            }
            _ => {}
        }
    }

    fn binding(&self, way: &Way, request: &Message<'_>) {
        // Nothing is shown with it, and so it is a stranger's.
        if !self.strangers.admit(way.address().ip()) {
            self.counters.limited.increment(1);
        } else if let Some(answer) = auth::binding(request, way.address()) {
            self.counters.bindings.increment(1);
            self.send(way, &answer);
        }
    }

    fn request(self: &Arc<Self>, way: &Way, request: &Message<'_>) {
        match self.gate.judge(request, way.address(), SystemTime::now()) {
            Ruling::Admitted(login) => self.admitted(way, request, &login),
            Ruling::Refused(answer) => {
                if !self.strangers.admit(way.address().ip()) {
                    self.counters.limited.increment(1);
                } else if let Some(answer) = answer {
                    self.answer(way, &answer);
                }
            }
        }
    }

    fn admitted(self: &Arc<Self>, way: &Way, request: &Message<'_>, login: &Login) {
        let known = self.table.lock().get(way);
        let client = match known {
            Some(client) => client,
            None => match self.enter(way, request, login) {
                Ok(client) => client,
                Err(code) => {
                    if let Some(answer) = login.refusal(request, code) {
                        self.answer(way, &answer);
                    }
                    return;
                }
            },
        };
        let mut state = client.state.lock();
        let acts = state
            .session
            .request(request, login, &self.policy, self.now());
        self.carry_out(&client, &mut state, acts);
    }

    /// Makes a client known that wants an allocation.
    fn enter(&self, way: &Way, request: &Message<'_>, login: &Login) -> Result<Arc<Client>, u16> {
        if !request.has_method(ALLOCATE) {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let session = || Session::new(way.address(), self.listen, login.clone());
        let entered = self.table.lock().enter(way, &login.user, session);
        let client = entered.ok_or(ErrorCode::ALLOCATION_QUOTA_REACHED)?;
        self.counters.allocations.increment(1.0);
        Ok(client)
    }

    /// Does what a session wants done, and forgets a client that has no relay afterwards.
    fn carry_out(self: &Arc<Self>, client: &Arc<Client>, state: &mut State, acts: Vec<Act>) {
        let mut acts = VecDeque::from(acts);
        while let Some(act) = acts.pop_front() {
            match act {
                Act::Answer(answer) => self.answer(&client.way, &answer),
                Act::Open(family, port) => {
                    let relay = self.open(client, family, port);
                    let address = relay.as_ref().map(|relay| relay.address).map_err(|e| *e);
                    state.relays.extend(relay.ok());
                    acts.extend(state.session.opened(family, address, self.now()));
                }
                Act::Close(address) => state.relays.retain(|relay| relay.address != address),
            }
        }
        if state.relays.is_empty() {
            self.forget(client);
        }
    }

    fn open(
        self: &Arc<Self>,
        client: &Arc<Client>,
        family: AddressFamily,
        port: Port,
    ) -> Result<Relay, SocketAllocateError> {
        if !self.places.has(family) {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        let opened = self
            .places
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

    /// Takes one packet of a peer; false if there is none.
    fn relay_one(&self, client: &Client, socket: &UdpSocket, address: SocketAddr) -> bool {
        let mut buffer = [0; LARGEST];
        let (length, peer) = match socket.try_recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        };
        let mut out = [0; LARGEST + WRAPPING];
        let data = buffer.get(..length).unwrap_or_default();
        let mut state = client.state.lock();
        let wrapped = state
            .session
            .inbound(address, peer, data, &mut out, self.now());
        drop(state);
        if let Some(wrapped) = wrapped.and_then(|length| out.get(..length)) {
            self.counters.from_peer.add(length);
            self.send(&client.way, wrapped);
        }
        true
    }

    /// Takes what a client sends to a peer.
    fn to_peer(&self, way: &Way, data: &[u8]) {
        let Some(client) = self.table.lock().get(way) else {
            return;
        };
        let mut out = [0; LARGEST];
        let mut state = client.state.lock();
        let State { session, relays } = &mut *state;
        let sent = session.outbound(data, &mut out, &self.policy, self.now());
        let Some(sent) = sent else { return };
        let relay = relays.iter().find(|relay| relay.address == sent.relay);
        if let (Some(relay), Some(payload)) = (relay, out.get(..sent.length)) {
            self.counters.to_peer.add(sent.length);
            // A full socket loses packets, as any router does.
            if relay.socket.try_send_to(payload, sent.peer).is_err() {
                self.counters.dropped.increment(1);
            }
        }
    }

    fn answer(&self, way: &Way, answer: &[u8]) {
        self.counters.answered(answer);
        self.send(way, answer);
    }

    fn send(&self, way: &Way, data: &[u8]) {
        let sent = match way {
            Way::Udp(address) => self.socket.try_send_to(data, *address).is_ok(),
            Way::Tcp(_, queue) => queue.try_send(super::stream::framed(data)).is_ok(),
        };
        if !sent {
            self.counters.dropped.increment(1);
        }
    }

    /// Takes a client off the table, where it still stands there.
    fn forget(&self, client: &Arc<Client>) {
        if self.table.lock().forget(client) {
            self.counters.allocations.decrement(1.0);
        }
    }

    /// Every allocation there is.
    pub(super) fn allocations(&self) -> Vec<Allocation> {
        let clients = self.table.lock().all();
        clients
            .iter()
            .map(|client| {
                let state = client.state.lock();
                Allocation {
                    user: client.user.clone(),
                    client: client.way.address(),
                    relays: state.session.relays().to_vec(),
                    flows: state.session.flows().all().to_vec(),
                }
            })
            .collect()
    }
}
