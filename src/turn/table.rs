//! Who has an allocation, and how they are reached.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::limits::Quotas;
use super::session::Session;

/// How a client is reached.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// From the server's UDP socket.
    Udp(SocketAddr),
    /// Through the queue of its connection.
    Tcp(SocketAddr, mpsc::Sender<Vec<u8>>),
}

/// What tells one client from another (RFC 8656 section 2.2: the 5-tuple).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

impl Way {
    fn key(&self) -> Key {
        match self {
            Self::Udp(address) => Key::Udp(*address),
            Self::Tcp(address, _) => Key::Tcp(*address),
        }
    }

    /// The client's address as it is told, which an IPv4 client of an IPv6 socket knows as such.
    pub(super) fn address(&self) -> SocketAddr {
        let (Self::Udp(address) | Self::Tcp(address, _)) = self;
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }
}

/// A relay's socket. Dropping it ends the task that reads it.
#[derive(Debug)]
pub(super) struct Relay {
    /// What peers are told.
    pub(super) address: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
    /// Cancelled when it is dropped.
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
    pub(super) way: Way,
    /// Whose quota it takes from.
    pub(super) user: String,
    pub(super) state: Mutex<State>,
}

/// What changes of a client. Where this lock and the table's are both held, this one was first.
#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    /// None until the first Allocate has been dealt with.
    pub(super) relays: Vec<Relay>,
}

/// All clients with an allocation.
#[derive(Debug)]
pub(super) struct Table {
    clients: HashMap<Key, Arc<Client>>,
    quotas: Quotas,
}

impl Table {
    /// Nobody yet.
    pub(super) fn new(quotas: Quotas) -> Self {
        Self {
            clients: HashMap::new(),
            quotas,
        }
    }

    /// The client that packets by this way are of.
    pub(super) fn get(&self, way: &Way) -> Option<Arc<Client>> {
        self.clients.get(&way.key()).cloned()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.clients.values().cloned().collect()
    }

    /// Takes in a client; `None` if there are as many as may be.
    pub(super) fn enter(
        &mut self,
        way: &Way,
        user: &str,
        session: impl FnOnce() -> Session,
    ) -> Option<Arc<Client>> {
        if !self.quotas.take(user) {
            return None;
        }
        let client = Arc::new(Client {
            way: way.clone(),
            user: user.to_owned(),
            state: Mutex::new(State {
                session: session(),
                relays: Vec::new(),
            }),
        });
        self.clients.insert(way.key(), client.clone());
        Some(client)
    }

    /// Forgets a client; false where it does not stand here any more, though another one may that
    /// has come from the same address.
    pub(super) fn forget(&mut self, client: &Arc<Client>) -> bool {
        let key = client.way.key();
        let known = self.clients.get(&key);
        let stands = known.is_some_and(|known| Arc::ptr_eq(known, client));
        if stands {
            self.clients.remove(&key);
            self.quotas.give_back(&client.user);
        }
        stands
    }
}
