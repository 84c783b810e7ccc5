//! Builders of HTTP responses.

use bytes::Bytes;
use serde::Serialize;
use warp::http::header::CONTENT_TYPE;
use warp::http::{HeaderName, HeaderValue, StatusCode};
use warp::reply::Response;

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// A response with a body of the given type.
pub(super) fn body(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Response {
    let mut response = Response::new(content.into().into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON response. If the value cannot be written as JSON, that is logged and the response is a
/// 500 without a body.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => body(status, "application/json", text),
        Err(error) => {
            tracing::error!(%error, "a response could not be written as JSON");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Adds a header. A value that no header can hold is left out and logged.
pub(super) fn set_header(response: &mut Response, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            response.headers_mut().append(name, value);
        }
        Err(error) => tracing::error!(%name, %error, "a header could not be written"),
    }
}
