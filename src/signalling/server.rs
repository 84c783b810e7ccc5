//! The HTTP listener: accepts connections, and stops in order.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper::{Request, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::config::Config;
use crate::net::BindError;
use crate::room::Registry;
use crate::telemetry::Metrics;
use crate::turn::Turn;

use super::app::App;
use super::guard::census::Full;
use super::ice::IceServers;
use super::limits::{BACKLOG, HEAD_DEADLINE, HEAD_LIMIT, STALL_DEADLINE};
use super::request::Peer;
use super::routes;

/// Time that stopping may take in all; what is not done by then is abandoned.
const STOP_DEADLINE: Duration = Duration::from_secs(4);
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
        let listener = listen(config.listen).map_err(taken)?;
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
        let connections = Connections::default();
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

    async fn accept_until(&self, done: impl Future<Output = ()>, connections: &Connections) {
        let mut done = std::pin::pin!(done);
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sample = interval(SAMPLE_EVERY);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut done => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.begin(stream, peer, connections),
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

    /// Serves a connection, or closes it if there are as many as there may be.
    fn begin(&self, stream: TcpStream, peer: SocketAddr, connections: &Connections) {
        let ip = peer.ip();
        let place = match self.app.connections.enter(self.app.counted(ip)) {
            Ok(place) => Arc::new(place),
            Err(full) => {
                let by = match full {
                    Full::Total => "all",
                    Full::Address => "address",
                };
                metrics::counter!("tessera_connections_refused_total", "by" => by).increment(1);
                return;
            }
        };
        let (routes, closing) = (self.routes.clone(), connections.closing.clone());
        let connection = serve(stream, Peer { ip, place }, routes, closing);
        connections.tasks.spawn(connection.in_current_span());
    }
}

/// The HTTP connections that are open.
#[derive(Debug, Default)]
struct Connections {
    tasks: TaskTracker,
    /// Cancelled when they are to end with their current request.
    closing: CancellationToken,
}

impl Connections {
    async fn shutdown(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Listens with the backlog [`BACKLOG`]; [`TcpListener::bind`] of tokio chooses one itself.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that starts again has its port, although connections of the last one linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves one HTTP connection, which may become a WebSocket. HTTP/1.1 alone: a connection of HTTP/2
/// would be many at once, of which no bound here knows.
async fn serve(
    stream: TcpStream,
    peer: Peer,
    routes: BoxedFilter<(Response,)>,
    closing: CancellationToken,
) {
    // Signalling messages are small and answer each other: waiting to fill a segment only
    // adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let stall = STALL_DEADLINE.as_millis().try_into().unwrap_or(u32::MAX);
    if let Err(error) = sockopt::set_tcp_user_timeout(&stream, stall) {
        tracing::debug!(%error, "no TCP_USER_TIMEOUT");
    }
    let service = TowerToHyperService::new(warp::service(routes));
    let ip = peer.ip;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        // That of CONNECT (RFC 9112 section 3.2.3): warp panics where there is no path.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }
        service.call(request)
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients vanish and send garbage all the time; that is no fault of the server.
        tracing::debug!(%error, %ip, "HTTP connection failed");
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
