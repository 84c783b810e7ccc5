//! The clients with an allocation, by the path on which they are reached.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::limits::AllocationQuotas;
use super::peer_traffic::PeerTraffic;
use super::session::Session;

/// An allocation and what it has relayed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The user of the credential that opened it.
    pub user: String,
    /// Transport address of the client.
    pub client: SocketAddr,
    /// Relayed transport addresses, which peers see in place of the client: one for each address
    /// family that the client asked for.
    pub relays: Vec<SocketAddr>,
    /// Traffic with each peer, in the order in which they appeared.
    pub peers: Vec<PeerTraffic>,
}

/// How packets reach a client.
#[derive(Debug, Clone)]
pub(super) enum ClientPath {
    /// From the server's UDP socket to this address.
    Udp(SocketAddr),
    /// Through the send queue of the TCP connection from this address.
    Tcp(SocketAddr, mpsc::Sender<Vec<u8>>),
}

/// What tells one client from another: of the 5-tuple (RFC 8656 section 2.2) the part that the
/// server's own address does not determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

impl ClientPath {
    fn key(&self) -> Key {
        match self {
            Self::Udp(address) => Key::Udp(*address),
            Self::Tcp(address, _) => Key::Tcp(*address),
        }
    }

    /// The address of the client as responses name it: that of an IPv4 client is IPv4 even if it
    /// came through an IPv6 socket.
    pub(super) fn address(&self) -> SocketAddr {
        let (Self::Udp(address) | Self::Tcp(address, _)) = self;
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }
}

/// The socket of a relayed transport address. Dropping it ends the task that reads it.
#[derive(Debug)]
pub(super) struct Relay {
    /// The relayed transport address, as peers see it.
    pub(super) address: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) closed: CancellationToken,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// A client with an allocation.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) path: ClientPath,
    /// The user whose quota it counts against.
    pub(super) user: String,
    pub(super) state: Mutex<ClientState>,
}

/// The part of a client that changes, behind a lock. Who needs the lock of the table too takes this
/// one first.
#[derive(Debug)]
pub(super) struct ClientState {
    pub(super) session: Session,
    /// Empty until the first Allocate request has been handled.
    pub(super) relays: Vec<Relay>,
}

impl Client {
    /// What the client has allocated and relayed so far. Takes the lock of its state.
    pub(super) fn allocation(&self) -> Allocation {
        let state = self.state.lock();
        Allocation {
            user: self.user.clone(),
            client: self.path.address(),
            relays: state.session.relays().to_vec(),
            peers: state.session.traffic().all().to_vec(),
        }
    }
}

/// All clients with an allocation.
#[derive(Debug)]
pub(super) struct ClientTable {
    clients: HashMap<Key, Arc<Client>>,
    quotas: AllocationQuotas,
}

impl ClientTable {
    /// A table without clients.
    pub(super) fn new(quotas: AllocationQuotas) -> Self {
        Self {
            clients: HashMap::new(),
            quotas,
        }
    }

    /// The client that packets on this path belong to.
    pub(super) fn get(&self, path: &ClientPath) -> Option<Arc<Client>> {
        self.clients.get(&path.key()).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.clients.values().cloned().collect()
    }

    /// Adds a client. `None` if that would exceed the quota of the server, the user or the address.
    pub(super) fn insert(
        &mut self,
        path: &ClientPath,
        user: &str,
        session: impl FnOnce() -> Session,
    ) -> Option<Arc<Client>> {
        if !self.quotas.take(user, path.address().ip()) {
            return None;
        }
        let client = Arc::new(Client {
            path: path.clone(),
            user: user.to_owned(),
            state: Mutex::new(ClientState {
                session: session(),
                relays: Vec::new(),
            }),
        });
        self.clients.insert(path.key(), client.clone());
        Some(client)
    }

    /// Removes a client and gives back its quota. False if it is not in the table any more; another
    /// client from the same address stays.
    pub(super) fn remove(&mut self, client: &Arc<Client>) -> bool {
        let key = client.path.key();
        let known = self.clients.get(&key);
        let present = known.is_some_and(|known| Arc::ptr_eq(known, client));
        if present {
            self.clients.remove(&key);
            self.quotas
                .give_back(&client.user, client.path.address().ip());
        }
        present
    }
}
