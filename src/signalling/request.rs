//! A request as the handlers see it, and the checks several of them share.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use warp::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use warp::http::{HeaderMap, HeaderName, Method};
use warp::{Filter, Rejection};

use super::error::ApiError;
use super::limits::{self, BODY_DEADLINE, HARD_LIMIT};
use super::{App, origin};

/// The address a connection came from; the acceptor puts it into every request.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddr(pub(super) IpAddr);

type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// One HTTP request and the server it reached.
pub(super) struct Call {
    /// The server.
    pub(super) app: Arc<App>,
    /// The method.
    pub(super) method: Method,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// Who asks.
    pub(super) client: IpAddr,
    query: String,
    body: BodyStream,
}

/// Extracts a [`Call`]. Takes the body, so it has to stand behind the path filters.
pub(super) fn call(
    app: &Arc<App>,
) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone + use<> {
    let app = app.clone();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<ClientAddr>())
        .and(query)
        .and(warp::body::stream())
        .map(move |method, headers, ClientAddr(client), query, body| {
            let body: BodyStream = Box::pin(chunks(body));
            Call {
                app: app.clone(),
                method,
                headers,
                client,
                query,
                body,
            }
        })
}

fn chunks<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> impl Stream<Item = Result<Bytes, warp::Error>> + Send {
    body.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))
}

impl Call {
    /// The value of a query parameter, the first if it is repeated.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A header as text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Requires the bearer token (RFC 6750), where one is configured.
    pub(super) fn authorize(&self) -> Result<(), ApiError> {
        let given = self.header(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        limits::check_token(self.app.config.token.as_deref(), given)
    }

    /// Requires what a change through the REST API needs: the token, and no foreign page.
    pub(super) fn authorize_change(&self) -> Result<(), ApiError> {
        origin::check(&self.headers, &self.app.config.allowed_origins)?;
        self.authorize()
    }

    /// Requires the token for what is not everybody's to read, in the header or, for players that
    /// cannot set one, in the query.
    pub(super) fn authorize_reading(&self) -> Result<(), ApiError> {
        match self.query("token") {
            Some(given) => limits::check_token(self.app.config.token.as_deref(), Some(&given)),
            None => self.authorize(),
        }
    }

    /// Requires a body of that type; parameters such as a charset do not matter.
    pub(super) fn require_type(&self, expected: &'static str) -> Result<(), ApiError> {
        let given = self.header(CONTENT_TYPE).unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(expected) {
            Ok(())
        } else {
            Err(ApiError::UnsupportedMediaType(expected))
        }
    }

    /// The whole body as text.
    pub(super) async fn text(self) -> Result<String, ApiError> {
        let body = self.bytes().await?;
        String::from_utf8(body).map_err(|_| ApiError::BadMessage("the body is not UTF-8".into()))
    }

    /// The whole body as a JSON value of type `T`.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        // Without a type it is taken as JSON, as curl users expect; a type that says otherwise
        // is what a foreign page's form could send without asking first.
        if self.headers.contains_key(CONTENT_TYPE) {
            self.require_type("application/json")?;
        }
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::BadMessage(error.to_string()))
    }

    async fn bytes(self) -> Result<Vec<u8>, ApiError> {
        let limit = self.app.config.max_message;
        let announced = self
            .header(CONTENT_LENGTH)
            .and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > HARD_LIMIT.max(limit)) {
            return Err(too_large(limit));
        }
        timeout(BODY_DEADLINE, collect(self.body, limit))
            .await
            .unwrap_or_else(|_| Err(ApiError::BadMessage("the body came too slowly".into())))
    }
}

/// Reads to the end even what is too large (up to the hard limit): a client that is still
/// sending when the connection closes would see a reset in place of the answer.
async fn collect(mut body: BodyStream, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut kept = Vec::new();
    let mut seen = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| ApiError::BadMessage(error.to_string()))?;
        seen += chunk.len();
        if seen > HARD_LIMIT.max(limit) {
            break;
        }
        if seen <= limit {
            kept.extend_from_slice(&chunk);
        }
    }
    if seen > limit {
        Err(too_large(limit))
    } else {
        Ok(kept)
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::TooLarge {
        what: "the body",
        limit,
        unit: "bytes",
    }
}
