//! Which web pages may use this server.
//!
//! Browsers let any page open a WebSocket to any server, and send it some kinds of POST. They only
//! name the page in `Origin` (RFC 6454). A client that is not a browser sends no such header.

use warp::http::header::{HOST, ORIGIN};
use warp::http::{HeaderMap, HeaderValue};

use crate::config::Config;
use crate::signalling::error::ApiError;

/// Allows requests without an origin, from the server's own origin, and from the origins `allowed`.
///
/// # Errors
/// [`ApiError::OriginNotAllowed`] for any other origin.
pub(in crate::signalling) fn check(
    headers: &HeaderMap,
    allowed: &[String],
) -> Result<(), ApiError> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().map_err(|_| ApiError::OriginNotAllowed)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if is_listed(origin, allowed) || host.is_some_and(|host| is_same(origin, host)) {
        Ok(())
    } else {
        Err(ApiError::OriginNotAllowed)
    }
}

fn is_listed(origin: &str, allowed: &[String]) -> bool {
    let is = |entry: &str| entry.trim_end_matches('/').eq_ignore_ascii_case(origin);
    allowed.iter().any(|entry| entry == "*" || is(entry))
}

/// Who may use WHIP and WHEP from a page of another origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalling) enum Readers<'a> {
    /// Any page: it needs the token, which it can only have from somebody who knows it.
    Any,
    /// Pages of these origins: nothing else says that they may.
    Listed(&'a [String]),
}

impl<'a> From<&'a Config> for Readers<'a> {
    fn from(config: &'a Config) -> Self {
        match config.token {
            Some(_) => Self::Any,
            None => Self::Listed(&config.allowed_origins),
        }
    }
}

impl Readers<'_> {
    /// Allows a request that changes something.
    ///
    /// # Errors
    /// [`ApiError::OriginNotAllowed`] for a page that is none of them.
    pub(in crate::signalling) fn check(self, headers: &HeaderMap) -> Result<(), ApiError> {
        match self {
            Self::Any => Ok(()),
            Self::Listed(origins) => check(headers, origins),
        }
    }

    /// The value of `Access-Control-Allow-Origin` for a request; `None` where a page of another
    /// origin is not to read the answer.
    pub(in crate::signalling) fn cors(self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed(origins) => {
                let origin = headers.get(ORIGIN)?;
                let listed = is_listed(origin.to_str().ok()?, origins);
                listed.then(|| origin.clone())
            }
        }
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

    #[test]
    fn answers_of_whip_are_for_any_page_with_a_token_and_else_for_listed_ones() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a.example"));
        let listed = ["https://b.example".to_owned()];
        assert_eq!(Readers::Listed(&listed).cors(&headers), None);
        assert_eq!(Readers::Listed(&listed).check(&headers), Ok(()));
        for (origin, is_listed) in [("https://b.example", true), ("https://c.example", false)] {
            let origin = HeaderValue::from_static(origin);
            headers.insert(ORIGIN, origin.clone());
            assert_eq!(
                Readers::Any.cors(&headers),
                Some("*".parse().expect("text"))
            );
            assert_eq!(Readers::Any.check(&headers), Ok(()));
            let readers = Readers::Listed(&listed);
            assert_eq!(readers.cors(&headers), is_listed.then_some(origin));
            assert_eq!(readers.check(&headers).is_ok(), is_listed);
            assert_eq!(Readers::Listed(&[]).cors(&headers), None);
        }
    }
}
