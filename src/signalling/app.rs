//! What all handlers of requests share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::room::Registry;
use crate::telemetry::Metrics;

use super::ice::IceServers;
use super::limits::JoinLimiter;
use super::sessions::Sessions;

/// The server as handlers see it.
pub(super) struct App {
    pub(super) config: Arc<Config>,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) ice: IceServers,
    /// Rate limit of joins, for all transports together.
    pub(super) joins: JoinLimiter,
    /// WHIP and WHEP sessions.
    pub(super) sessions: Sessions,
    /// Cancelled when the server begins to stop.
    pub(super) stopping: CancellationToken,
    /// Tasks of WebSockets and of WHIP sessions, which outlive the request that began them.
    pub(super) tasks: TaskTracker,
}

impl App {
    pub(super) fn new(
        config: Arc<Config>,
        registry: Registry,
        metrics: Metrics,
        ice: IceServers,
    ) -> Self {
        Self {
            ice,
            joins: JoinLimiter::new(config.joins_per_second),
            sessions: Sessions::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
            registry,
            metrics,
        }
    }

    /// Frees what the rate limiter and the metrics keep of the past. Called every few seconds.
    pub(super) fn sweep(&self) {
        self.joins.prune();
        self.metrics.sweep();
    }

    /// Measures the load of the server. Called once a second.
    pub(super) fn sample(&self) {
        self.registry.admission().sample(self.registry.people());
    }

    pub(super) fn count_join(&self, transport: &'static str) {
        metrics::counter!("tessera_joins_total", "transport" => transport).increment(1);
    }

    pub(super) fn count_leave(&self, transport: &'static str, reason: &'static str) {
        metrics::counter!("tessera_leaves_total", "transport" => transport, "reason" => reason)
            .increment(1);
    }
}
