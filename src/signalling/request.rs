//! A request as handlers see it, and the checks that several of them share.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use warp::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use warp::http::{HeaderMap, HeaderName, Method};
use warp::{Filter, Rejection};

use super::app::App;
use super::error::ApiError;
use super::guard::census::Place;
use super::guard::rights::Right;
use super::guard::{forwarded, origin};
use super::limits::{BODY_DEADLINE, HARD_LIMIT};

/// What reverse proxies tell the client's address in.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The connection that a request came on. The server adds it to every request as an extension.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The address that it came from.
    pub(super) ip: IpAddr,
    /// Its place among the connections.
    pub(super) place: Arc<Place>,
}

type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// An HTTP request, and the server that it reached.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// Address of the client, which a trusted proxy may have told.
    pub(super) client: IpAddr,
    /// The place that the connection takes.
    pub(super) place: Arc<Place>,
    query: String,
    body: BodyStream,
}

/// A filter that extracts a [`Call`]. It takes the body, so it has to come after the path filters.
pub(super) fn call(
    app: &Arc<App>,
) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone + use<> {
    let app = app.clone();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .and(query)
        .and(warp::body::stream())
        .map(move |method, headers: HeaderMap, peer: Peer, query, body| {
            let body: BodyStream = Box::pin(chunks(body));
            let values = headers.get_all(FORWARDED_FOR).iter();
            let values = values.filter_map(|value| value.to_str().ok());
            let client = forwarded::client(peer.ip, values, &app.config.trusted_proxies);
            Call {
                app: app.clone(),
                method,
                headers,
                client,
                place: peer.place,
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
    /// The value of a query parameter; the first one if it is repeated.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The value of a header; `None` if it is missing or not text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The bearer token (RFC 6750).
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Requires a secret in the header that allows `right`, where one is needed for that.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`], [`ApiError::Forbidden`], [`ApiError::RateLimited`].
    pub(super) fn authorize(&self, right: Right) -> Result<(), ApiError> {
        self.app.authorize(self.client, right, self.bearer())
    }

    /// Requires what a change through the REST API needs: a secret that allows it, no web page of
    /// another origin, and not too many changes before it.
    ///
    /// # Errors
    /// [`ApiError::OriginNotAllowed`], [`ApiError::Unauthorized`], [`ApiError::Forbidden`],
    /// [`ApiError::RateLimited`].
    pub(super) fn authorize_change(&self, right: Right) -> Result<(), ApiError> {
        origin::check(&self.headers, &self.app.config.allowed_origins)?;
        self.authorize(right)?;
        self.app.meters.change(self.client)
    }

    /// Requires a secret that allows to enter, in the header or, for players and encoders that can
    /// set none, in the query.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`], [`ApiError::RateLimited`].
    pub(super) fn authorize_by_url(&self) -> Result<(), ApiError> {
        match self.query("token") {
            Some(given) => self.app.authorize(self.client, Right::Enter, Some(&given)),
            None => self.authorize(Right::Enter),
        }
    }

    /// Requires a body of type `expected`. Parameters such as a charset are ignored.
    ///
    /// # Errors
    /// [`ApiError::UnsupportedMediaType`] for any other type, and for none.
    pub(super) fn require_type(&self, expected: &'static str) -> Result<(), ApiError> {
        let given = self.header(CONTENT_TYPE).unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(expected) {
            Ok(())
        } else {
            Err(ApiError::UnsupportedMediaType(expected))
        }
    }

    /// Reads the whole body as text.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`]; [`ApiError::BadMessage`] if it comes too slowly or is not UTF-8.
    pub(super) async fn text(self) -> Result<String, ApiError> {
        let body = self.bytes().await?;
        String::from_utf8(body).map_err(|_| ApiError::BadMessage("the body is not UTF-8".into()))
    }

    /// Reads the whole body as JSON of a type `T`.
    ///
    /// # Errors
    /// [`ApiError::UnsupportedMediaType`], [`ApiError::TooLarge`]; [`ApiError::BadMessage`] if it
    /// comes too slowly or does not parse.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        // A body without a type counts as JSON, as users of curl expect. One with another type is
        // refused: the form of a foreign page could send it without a CORS preflight.
        if self.headers.contains_key(CONTENT_TYPE) {
            self.require_type("application/json")?;
        }
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::BadMessage(error.to_string()))
    }

    async fn bytes(self) -> Result<Vec<u8>, ApiError> {
        let encoding = self.header(CONTENT_ENCODING).unwrap_or("identity").trim();
        if !encoding.eq_ignore_ascii_case("identity") {
            return Err(ApiError::UnsupportedEncoding);
        }
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

/// Collects a body of at most `limit` bytes. A larger one is read to its end all the same, up to
/// [`HARD_LIMIT`]: a client that is still sending when the connection closes would see a reset in
/// place of the response.
///
/// # Errors
/// [`ApiError::TooLarge`]; [`ApiError::BadMessage`] if the connection breaks.
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
