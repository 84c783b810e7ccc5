//! What all handlers of requests share.

use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::room::Registry;
use crate::telemetry::Metrics;

use super::error::ApiError;
use super::guard::census::Census;
use super::guard::rights::{Refusal, Right, Secrets};
use super::guard::rooms::MadeRooms;
use super::ice::IceServers;
use super::limits::{self, Meters};
use super::sessions::Sessions;

/// The server as handlers see it.
pub(super) struct App {
    pub(super) config: Arc<Config>,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) ice: IceServers,
    /// The rates to which clients are held.
    pub(super) meters: Meters,
    /// Connections that no participant owns.
    pub(super) connections: Census,
    /// WebSockets whose client has not joined.
    pub(super) unjoined: Census,
    /// Rooms made over REST.
    pub(super) made_rooms: MadeRooms,
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
            meters: Meters::new(config.joins_per_second),
            connections: Census::new(limits::connections(open_files())),
            unjoined: Census::new(limits::UNJOINED),
            made_rooms: MadeRooms::default(),
            sessions: Sessions::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
            registry,
            metrics,
        }
    }

    /// Judges the secret that a client at this address shows, and counts a wrong one.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] if it is missing or wrong, [`ApiError::Forbidden`] if it allows
    /// less, [`ApiError::RateLimited`] while the address has shown too many wrong ones.
    pub(super) fn authorize(
        &self,
        client: IpAddr,
        right: Right,
        given: Option<&str>,
    ) -> Result<(), ApiError> {
        let secrets = Secrets::from(&*self.config);
        if let Some(given) = given.filter(|_| secrets.guard(right)) {
            self.meters.may_guess(client, given)?;
        }
        secrets
            .judge(right, given)
            .map_err(|refusal| match refusal {
                Refusal::Missing => ApiError::Unauthorized,
                Refusal::TooLittle => ApiError::Forbidden,
                Refusal::Wrong => {
                    self.meters.wrong_guess(client, given.unwrap_or_default());
                    ApiError::Unauthorized
                }
            })
    }

    /// The address under which a client is counted; `None` for a proxy, behind which is everybody.
    pub(super) fn counted(&self, client: IpAddr) -> Option<IpAddr> {
        let client = client.to_canonical();
        let proxies = &self.config.trusted_proxies;
        let is_proxy = proxies.iter().any(|network| network.contains(client));
        (!is_proxy).then_some(client)
    }

    /// Frees what the rate limiters and the metrics keep of the past. Called every few seconds.
    pub(super) fn sweep(&self) {
        self.meters.prune();
        self.made_rooms.prune(&self.registry);
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

/// How many files the process may open.
fn open_files() -> u64 {
    let limit = rlimit::Resource::NOFILE.get_soft();
    limit.unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be read");
        rlimit::INFINITY
    })
}
