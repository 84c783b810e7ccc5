//! Which web pages may use this server.
//!
//! Browsers let any page open a WebSocket to any server, and send it some kinds of POST. They only
//! name the page in `Origin` (RFC 6454). A client that is not a browser sends no such header.

use warp::http::HeaderMap;
use warp::http::header::{HOST, ORIGIN};

use super::error::ApiError;

/// Allows requests without an origin, from the server's own origin, and from the origins `allowed`.
///
/// # Errors
/// [`ApiError::OriginNotAllowed`] for any other origin.
pub(super) fn check(headers: &HeaderMap, allowed: &[String]) -> Result<(), ApiError> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().map_err(|_| ApiError::OriginNotAllowed)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let listed = allowed
        .iter()
        .any(|entry| entry == "*" || entry.trim_end_matches('/').eq_ignore_ascii_case(origin));
    if listed || host.is_some_and(|host| is_same(origin, host)) {
        Ok(())
    } else {
        Err(ApiError::OriginNotAllowed)
    }
}

/// Whether an origin is that of the host the request was sent to. The scheme is not compared:
/// behind a proxy that terminates TLS, requests of `https` pages arrive here over plain HTTP.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false; // "null": a sandboxed frame or a file
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_suffix(default_port)
            .map(str::to_owned)
            .unwrap_or(name)
    };
    bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    fn asked(origin: Option<&'static str>, host: &'static str, allowed: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let allowed: Vec<String> = allowed.iter().map(|&entry| entry.into()).collect();
        check(&headers, &allowed).is_ok()
    }

    #[test]
    fn own_pages_and_native_clients_may() {
        assert!(asked(None, "a.example:8080", &[]));
        assert!(asked(Some("http://a.example:8080"), "a.example:8080", &[]));
        assert!(asked(Some("https://A.example"), "a.example", &[]));
        assert!(asked(Some("https://a.example"), "a.example:443", &[]));
        assert!(asked(Some("http://[::1]:8080"), "[::1]:8080", &[]));
    }

    #[test]
    fn foreign_pages_may_not_unless_listed() {
        let host = "a.example:8080";
        for origin in [
            "http://b.example:8080",
            "http://a.example",
            "http://a.example:8081",
            "http://a.example:8080.b.example",
            "null",
            "file://",
            "ftp://a.example:8080",
        ] {
            assert!(!asked(Some(origin), host, &[]), "{origin}");
            assert!(asked(Some(origin), host, &["*"]), "{origin}");
        }
        assert!(asked(
            Some("https://b.example"),
            host,
            &["https://b.example/"]
        ));
        assert!(!asked(
            Some("https://c.example"),
            host,
            &["https://b.example"]
        ));
    }
}
