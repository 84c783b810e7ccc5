//! STUN and TURN, built in (RFC 8489, RFC 8656), so that a server alone works across NATs.
//!
//! # What it is made of
//!
//! The protocol is the crate `turn-server-proto` with its wire formats `turn-types` and
//! `stun-types`: without I/O, so that every packet, socket and clock here is ours, maintained
//! together with GStreamer's own TURN elements, MIT or Apache-2.0. Looked at and not taken:
//!
//! - `turn` of webrtc-rs, 0.17: the last version before its authors began anew without a TURN
//!   server (`rtc-turn` is a client). It owns its sockets and tasks, has no filter for peers and
//!   no quotas, and stores a nonce for every address that sends a request.
//! - `turn-server`: its relayed addresses are numbers that only its own clients can reach.
//! - `rusturn`: 0.0.7, untouched for years.
//!
//! What the library leaves to its user is done here:
//!
//! | module | does | |
//! | --- | --- | --- |
//! | [`credentials`] | time-limited credentials, as coturn takes them | pure |
//! | `policy` | which peers a relay may talk to | pure |
//! | `nonce`, `auth` | authentication that stores nothing about clients that fail it | pure |
//! | `session` | one client, with an instance of the library of its own | pure |
//! | `peer_traffic` | packets and bytes by peer | pure |
//! | `framing` | messages in a TCP stream | pure |
//! | `permissions` | how many of an allocation | pure |
//! | `limits` | rate of unauthenticated requests, number of allocations | |
//! | `addresses` | addresses and ports | |
//! | `table`, `server`, `stream` | clients, UDP, TCP, relays | |
//!
//! # What a client without a credential gets
//!
//! A challenge, at a limited rate. Nothing is stored about it: the nonce proves itself, and the
//! number of rate limiters is fixed. The library sees requests with a valid credential only.

mod addresses;
mod auth;
mod counters;
pub mod credentials;
mod framing;
mod limits;
mod nonce;
mod peer_traffic;
mod permissions;
mod policy;
mod server;
mod session;
mod stream;
mod table;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::TurnConfig;
use crate::net::BindError;
use crate::turn::auth::Authenticator;
use crate::turn::credentials::Secret;
use crate::turn::server::Shared;

pub use crate::turn::addresses::HostAddresses;
pub use crate::turn::peer_traffic::{PeerTraffic, TrafficCount};
pub use crate::turn::table::Allocation;

/// Time that the tasks of the server have to end in [`Turn::stop`]; after it they are left behind.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// A running STUN and TURN server. Dropping it makes its tasks end soon after.
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
    /// Opens the sockets, and accepts credentials made with `secret`. Needs a tokio runtime, whose
    /// threads run the tasks of the server.
    ///
    /// # Errors
    /// [`BindError`] with the address that it cannot listen on.
    pub fn start(
        config: &TurnConfig,
        host: HostAddresses,
        secret: Secret,
    ) -> Result<Self, BindError> {
        let (udp, tcp) = addresses::listen(config, host)?;
        let auth = Authenticator::new(secret);
        let shared = Shared::new(auth, config, host, udp);
        let shared =
            Arc::new(shared.map_err(|error| addresses::cannot_listen(config, host, error))?);
        let max_allocations = config.max_allocations;
        shared.tasks.spawn(shared.clone().read());
        shared.tasks.spawn(shared.clone().expire_allocations());
        shared
            .tasks
            .spawn(stream::accept(shared.clone(), tcp, max_allocations));
        Ok(Self { shared })
    }

    /// The URLs of this server that clients are told (RFC 7064, RFC 7065): those of STUN, then
    /// those of TURN, which needs a credential.
    pub fn urls(&self) -> (Vec<String>, Vec<String>) {
        let host = match self.shared.addresses.announced() {
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

    /// The address that clients are told.
    pub fn announced_addr(&self) -> SocketAddr {
        SocketAddr::new(self.shared.addresses.announced(), self.shared.listen.port())
    }

    /// The address on which it listens, the same for UDP and TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.listen
    }

    /// A snapshot of every open allocation.
    pub fn allocations(&self) -> Vec<Allocation> {
        self.shared.allocations()
    }

    /// Ends the tasks of the server, which closes every socket and allocation. Waits for them for a
    /// second at most.
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
