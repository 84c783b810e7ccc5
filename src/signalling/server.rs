//! The HTTP listener: accepts connections, and stops in order.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::Instrument;
use warp::filters::BoxedFilter;
use warp::hyper::Request;
use warp::hyper::body::Incoming;
use warp::hyper::service::{Service, service_fn};
use warp::reply::Response;

use crate::config::Config;
use crate::net::BindError;
use crate::room::Registry;
use crate::telemetry::Metrics;
use crate::turn::Turn;

use super::app::App;
use super::ice::IceServers;
use super::request::ClientAddr;
use super::routes;

/// Time that stopping may take in all; what is not done by then is abandoned.
const STOP_DEADLINE: Duration = Duration::from_secs(4);
/// Time within which the head of a request has to arrive; otherwise the connection is closed.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Interval at which stale entries of the rate limiter and samples of histograms are freed.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Interval at which the load of the server is measured.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Pause after a failed accept. Without it the loop would spin when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// An HTTP server that is bound to its address.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    routes: BoxedFilter<(Response,)>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds to [`Config::listen`]. Connections are accepted once [`Server::run`] is polled; the
    /// built-in TURN server, if it is on, runs from here on.
    ///
    /// # Errors
    /// [`BindError`] with the address that cannot be bound.
    pub async fn bind(
        config: Arc<Config>,
        registry: Registry,
        metrics: Metrics,
    ) -> Result<Self, BindError> {
        let taken = |error| BindError::new("HTTP", config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let ice = IceServers::start(&config)?;
        let app = Arc::new(App::new(config, registry, metrics, ice));
        Ok(Self {
            listener,
            address,
            routes: routes::all(&app),
            app,
        })
    }

    /// The address that it is bound to, with the actual port if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Address and port of the built-in STUN and TURN server; `None` if it is off.
    pub fn turn_addr(&self) -> Option<SocketAddr> {
        self.app.ice.turn().map(Turn::local_addr)
    }

    /// Address and port of the built-in STUN and TURN server that clients are told; `None` if it is
    /// off.
    pub fn announced_turn_addr(&self) -> Option<SocketAddr> {
        self.app.ice.turn().map(Turn::announced_addr)
    }

    /// Serves until `shutdown` is ready, then stops: joins are refused, `/readyz` answers 503,
    /// rooms send `bye` and tear their media down, WebSockets are closed, and open requests are
    /// answered. Returns within four seconds of `shutdown`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let connections = GracefulShutdown::new();
        self.accept_until(shutdown, &connections).await;

        tracing::info!("stopping");
        let deadline = Instant::now() + STOP_DEADLINE;
        self.app.stopping.cancel();
        let rooms = self.app.registry.shutdown();
        let in_time = timeout_at(deadline, self.accept_until(rooms, &connections)).await;
        let Self { listener, app, .. } = self;
        drop(listener);
        app.tasks.close();
        let relays = async {
            if let Some(turn) = app.ice.turn() {
                turn.stop().await;
            }
        };
        let rest = async { tokio::join!(connections.shutdown(), app.tasks.wait(), relays) };
        let in_time = in_time.is_ok() && timeout_at(deadline, rest).await.is_ok();
        if in_time {
            tracing::info!("stopped");
        } else {
            tracing::warn!(deadline = ?STOP_DEADLINE, "not everything stopped in time");
        }
    }

    async fn accept_until(&self, done: impl Future<Output = ()>, connections: &GracefulShutdown) {
        let mut done = std::pin::pin!(done);
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sample = interval(SAMPLE_EVERY);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut done => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let routes = self.routes.clone();
                        let connection = serve(stream, peer, routes, connections.watcher());
                        tokio::spawn(connection.in_current_span());
                    }
                    Err(error) if is_of_the_peer(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                _ = sweep.tick() => self.app.sweep(),
                _ = sample.tick() => self.app.sample(),
            }
        }
    }
}

/// Serves one HTTP connection, which may become a WebSocket.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    routes: BoxedFilter<(Response,)>,
    watcher: Watcher,
) {
    // Signalling messages are small and answer each other: waiting to fill a segment only
    // adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ClientAddr(peer.ip()));
        service.call(request)
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        // Clients vanish and send garbage all the time; that is no fault of the server.
        tracing::debug!(%error, %peer, "HTTP connection failed");
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
