//! Which handler answers which path.
//!
//! Filters match paths only. Handlers check methods, types and limits, because the rejections of
//! warp do not say which of these failed on a path that exists.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};
use warp::path::{FullPath, Tail};
use warp::reply::{Reply, Response};

use crate::id::RoomId;

use super::app::App;
use super::error::ApiError;
use super::guard::census::Full;
use super::guard::{host, origin, policy};
use super::request::{Call, call};
use super::socket::Waiting;
use super::whip::Flavour;
use super::{api, assets, limits, refusal, reply, socket, upgrade, whip};

const INDEX: &str = "index.html";
const RECORDINGS: &str = "recordings.html";
const WATCH: &str = "watch.html";

/// All routes of the server.
pub(super) fn all(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let routes = asked_by_another_name(app)
        .or(pages(app))
        .unify()
        .or(signalling(app))
        .unify()
        .or(operations(app))
        .unify()
        .or(nothing(app))
        .unify();
    let headers = warp::header::headers_cloned();
    warp::method().and(headers).and(routes).map(finish).boxed()
}

/// Refuses what is asked by a name that the server does not go by, where no token keeps strangers
/// out. Whoever watches the server may ask by any name.
fn asked_by_another_name(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let app = app.clone();
    warp::path::full()
        .and(warp::header::headers_cloned())
        .and_then(move |path: FullPath, headers: HeaderMap| {
            let config = &app.config;
            let is_open = matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics");
            let checked = match config.token.is_some() || is_open {
                true => Ok(()),
                false => host::check(&headers, &config.allowed_hosts),
            };
            // A rejection leads on to the other routes.
            let answer = match checked {
                Ok(()) => Err(warp::reject::not_found()),
                Err(error) => Ok(error.into_response()),
            };
            std::future::ready(answer)
        })
        .boxed()
}

/// What stands at no path: a page for people, JSON for programs.
fn nothing(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    warp::path::full()
        .and(call(app))
        .map(|path: FullPath, call: Call| {
            let error = ApiError::NotFound("page");
            if is_of_programs(path.as_str()) {
                error.into_response()
            } else {
                refusal::page(error, &call)
            }
        })
        .boxed()
}

/// Whether a path is one of those that programs ask for, or would be if it were spelled right.
fn is_of_programs(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    matches!(
        first,
        Some("api" | "whip" | "whep" | "ws" | "healthz" | "readyz" | "metrics")
    )
}

fn pages(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let root = warp::path::end()
        .and(call(app))
        .map(|call: Call| page(assets::serve(INDEX, &call), &call));
    let recordings = warp::path!("recordings")
        .and(call(app))
        .map(|call: Call| page(assets::serve(RECORDINGS, &call), &call));
    let files = warp::path("assets")
        .and(warp::path::tail())
        .and(call(app))
        .map(|name: Tail, call: Call| page(assets::serve(name.as_str(), &call), &call));
    root.or(room_page(app, "r", INDEX))
        .unify()
        .or(room_page(app, "watch", WATCH))
        .unify()
        .or(recordings)
        .unify()
        .or(files)
        .unify()
        .boxed()
}

fn signalling(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let socket = warp::path!("ws")
        .and(call(app))
        .and(warp::ext::optional())
        .map(|call: Call, upgrade| open_socket(&call, upgrade).into_response());
    let whip = warp::path("whip")
        .and(warp::path::tail())
        .and(call(app))
        .then(|path, call| whip::handle(Flavour::Whip, path, call));
    let whep = warp::path("whep")
        .and(warp::path::tail())
        .and(call(app))
        .then(|path, call| whip::handle(Flavour::Whep, path, call));
    socket.or(whip).unify().or(whep).unify().boxed()
}

fn operations(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let api = warp::path!("api" / "v1" / ..)
        .and(warp::path::tail())
        .and(call(app))
        .then(api::handle);
    let alive = warp::path!("healthz")
        .and(call(app))
        .map(|call: Call| read_only(&call, |_| text("ok\n")));
    let ready = warp::path!("readyz")
        .and(call(app))
        .map(|call: Call| read_only(&call, readiness));
    let metrics = warp::path!("metrics")
        .and(call(app))
        .map(|call: Call| read_only(&call, |app| exposition(app.metrics.render())));
    api.or(alive)
        .unify()
        .or(ready)
        .unify()
        .or(metrics)
        .unify()
        .boxed()
}

/// A page at `/{place}/{room}`. It is the same file for all rooms; its script reads the id from the
/// URL.
fn room_page(app: &Arc<App>, place: &'static str, file: &'static str) -> BoxedFilter<(Response,)> {
    warp::path(place)
        .and(warp::path::tail())
        .and(call(app))
        .map(move |room: Tail, call: Call| {
            let served = RoomId::new(room.as_str())
                .map_err(ApiError::from)
                .and_then(|_| assets::serve(file, &call));
            page(served, &call)
        })
        .boxed()
}

fn page(served: Result<Response, ApiError>, call: &Call) -> Response {
    served.unwrap_or_else(|error| refusal::page(error, call))
}

fn open_socket(call: &Call, upgrade: Option<OnUpgrade>) -> Result<Response, ApiError> {
    if call.method != Method::GET {
        return Err(ApiError::MethodNotAllowed("GET"));
    }
    let accept = upgrade::accept_key(&call.headers);
    let (accept, upgrade) = accept.zip(upgrade).ok_or(ApiError::UpgradeRequired)?;
    origin::check(&call.headers, &call.app.config.allowed_origins)?;
    let (app, client) = (call.app.clone(), call.client);
    let unjoined = app.unjoined.enter(app.counted(client)).map_err(crowded)?;
    let waiting = Waiting {
        _connection: call.place.clone(),
        _unjoined: unjoined,
    };
    // Tracked, so that the server waits for the close of the socket when it stops.
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        match upgrade::open(upgrade, app.config.max_message).await {
            Ok(socket) => socket::serve(app, client, waiting, socket).await,
            Err(error) => tracing::debug!(%error, "no WebSocket"),
        }
    });
    Ok(upgrade::switching(&accept))
}

fn crowded(full: Full) -> ApiError {
    match full {
        Full::Total => ApiError::Crowded,
        Full::Address => {
            ApiError::RateLimited("connections from this address", limits::JOIN_DEADLINE)
        }
    }
}

fn read_only(call: &Call, answer: impl FnOnce(&App) -> Response) -> Response {
    match call.method {
        Method::GET | Method::HEAD => answer(&call.app),
        _ => ApiError::MethodNotAllowed("GET, HEAD").into_response(),
    }
}

fn readiness(app: &App) -> Response {
    if app.stopping.is_cancelled() {
        ApiError::ShuttingDown.into_response()
    } else {
        text("ready\n")
    }
}

fn text(content: &'static str) -> Response {
    reply::body(StatusCode::OK, "text/plain; charset=utf-8", content)
}

fn exposition(content: String) -> Response {
    reply::body(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        content,
    )
}

/// Counts a response, and adds the headers that all responses have.
fn finish(method: Method, asked: HeaderMap, mut response: Response) -> Response {
    // A client may send any text as method, which must not become a label.
    let label = match method {
        Method::GET | Method::HEAD | Method::OPTIONS => "read",
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => "write",
        _ => "other",
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("tessera_http_requests_total", "kind" => label, "status" => status)
        .increment(1);
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Addresses of recordings can have the token in them.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Also on errors and JSON: no response of this server may run as a script elsewhere.
    let host = asked.get(HOST).and_then(|host| host.to_str().ok());
    let policy = policy::content_policy(host);
    reply::set_header(&mut response, CONTENT_SECURITY_POLICY, &policy);
    response
}
