//! Everything a client talks to over HTTP: the WebSocket, WHIP and WHEP, the REST API, the
//! page. The only module that knows [`crate::protocol`].
//!
//! A request passes `server` (connections) and `routes` (paths) to one handler:
//!
//! | handler | paths |
//! | --- | --- |
//! | `socket` | `/ws`, one task per connection |
//! | `whip` | `/whip`, `/whep`, one small task per session |
//! | `api` | `/api/v1` |
//! | `recordings` | `/api/v1/recordings` and those of a room |
//! | `assets` | `/`, `/r/{room}`, `/assets` |
//!
//! Handlers check what a client says (`limits`, `origin`, `message`, `sdpfrag`), ask the room
//! through [`crate::room::RoomHandle`], and refuse with an `error::ApiError`, which knows its
//! stable code and its status. Nothing below this module sees unchecked text except the SDP
//! and the candidates.

mod api;
mod assets;
mod error;
mod ice;
mod limits;
mod message;
mod origin;
mod recordings;
mod reply;
mod request;
mod routes;
mod sdpfrag;
mod server;
mod sessions;
mod socket;
mod whip;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::room::Registry;
use crate::telemetry::Metrics;

pub use crate::signalling::server::Server;

/// What all handlers share.
struct App {
    config: Arc<Config>,
    registry: Registry,
    metrics: Metrics,
    ice: ice::IceServers,
    joins: limits::JoinLimiter,
    sessions: sessions::Sessions,
    /// Cancelled when the server begins to stop.
    stopping: CancellationToken,
    /// WebSockets and WHIP sessions: what outlives the request that began it.
    tasks: TaskTracker,
}

impl App {
    fn new(
        config: Arc<Config>,
        registry: Registry,
        metrics: Metrics,
        ice: ice::IceServers,
    ) -> Self {
        Self {
            ice,
            joins: limits::JoinLimiter::new(config.joins_per_second),
            sessions: sessions::Sessions::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
            registry,
            metrics,
        }
    }

    fn sweep(&self) {
        self.joins.prune();
        self.metrics.sweep();
    }

    /// Takes a sample of the load.
    fn sample(&self) {
        self.registry.admission().sample(self.registry.people());
    }

    fn count_join(&self, transport: &'static str) {
        metrics::counter!("tessera_joins_total", "transport" => transport).increment(1);
    }

    fn count_leave(&self, transport: &'static str, reason: &'static str) {
        metrics::counter!("tessera_leaves_total", "transport" => transport, "reason" => reason)
            .increment(1);
    }
}
