//! STUN and TURN, built in (RFC 8489, RFC 8656), so that a server alone works across NATs.
//!
//! # What it is made of
//!
//! The protocol is the crate `turn-server-proto` with its wire formats `turn-types` and
//! `stun-types`: without I/O, so that every packet, socket and clock here is ours, maintained
//! together with GStreamer's own TURN elements, MIT or Apache-2.0. Looked at and not taken:
//!
//! - `turn` of webrtc-rs, 0.17: the last of the line before its authors began anew without a TURN
//!   server (`rtc-turn` is a client). It owns its sockets and tasks, has no filter for peers and
//!   no quotas, and keeps a nonce for whoever asks.
//! - `turn-server`: its relayed addresses are numbers that only its own clients can reach.
//! - `rusturn`: 0.0.7, untouched for years.
//!
//! What the library leaves to its user stands around it:
//!
//! | module | does | |
//! | --- | --- | --- |
//! | [`credentials`] | time-limited credentials, as coturn takes them | pure |
//! | [`policy`] | the peers a relay may talk to | pure |
//! | `challenge`, `gate` | authentication without a memory of those who failed it | pure |
//! | `session` | one client with an instance of the library of its own | pure |
//! | `limits` | the rate of strangers, the number of allocations | |
//! | `places` | addresses and ports | |
//! | `table`, `server`, `stream` | clients, UDP, TCP, relays: the edge | |
//!
//! # What a stranger can do
//!
//! Be told that it is one, some times a second. Nothing is kept of it: the nonce proves itself,
//! the allowances are of a fixed number. The library sees requests with a valid credential only.

mod addresses;
mod auth;
mod counters;
pub mod credentials;
mod limits;
mod nonce;
mod peer_traffic;
pub mod policy;
mod server;
mod session;
mod stream;
mod table;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::Config;
use crate::turn::auth::Gate;
use crate::turn::credentials::Secret;
use crate::turn::server::Shared;

pub use crate::turn::peer_traffic::{Count, Flow};

/// How long stopping may take.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// An allocation and what it has relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The user of the credential that opened it.
    pub user: String,
    /// Where its client is.
    pub client: SocketAddr,
    /// What peers see in the client's place: one address of each family asked for.
    pub relays: Vec<SocketAddr>,
    /// What went through it, by peer.
    pub flows: Vec<Flow>,
}

/// A running server. Dropping it ends its tasks soon.
pub struct Turn {
    shared: Arc<Shared>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("listen", &self.shared.listen)
            .finish_non_exhaustive()
    }
}

impl Turn {
    /// Opens the sockets and serves credentials made with `secret`. Needs a tokio runtime.
    ///
    /// # Errors
    /// What binding an address fails with.
    pub fn start(config: &Config, secret: Secret) -> io::Result<Self> {
        let (udp, tcp) = addresses::listen(config)?;
        let shared = Arc::new(Shared::new(Gate::new(secret), config, udp)?);
        let most = config.turn.max_allocations;
        shared.tasks.spawn(shared.clone().read());
        shared.tasks.spawn(shared.clone().tend());
        shared
            .tasks
            .spawn(stream::accept(shared.clone(), tcp, most));
        let (listen, announced) = (shared.listen, shared.places.announced());
        tracing::info!(%listen, %announced, "STUN and TURN");
        Ok(Self { shared })
    }

    /// The URLs of a server that clients reach here (RFC 7064, RFC 7065): of STUN, and of TURN,
    /// which takes a credential.
    pub fn urls(&self) -> (Vec<String>, Vec<String>) {
        let host = match self.shared.places.announced() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let port = self.shared.listen.port();
        let turn = |transport| format!("turn:{host}:{port}?transport={transport}");
        (
            vec![format!("stun:{host}:{port}")],
            vec![turn("udp"), turn("tcp")],
        )
    }

    /// Where it listens, on UDP and TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.listen
    }

    /// Every allocation there is now.
    pub fn allocations(&self) -> Vec<Allocation> {
        self.shared.allocations()
    }

    /// Closes every socket. Returns within a second.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if timeout(STOP_DEADLINE, self.shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("the TURN server did not stop in time");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
