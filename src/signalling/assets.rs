//! The page (the browser client), compiled into the program.

use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use warp::http::header::{CACHE_CONTROL, ETAG, HeaderName, IF_NONE_MATCH};
use warp::http::{HeaderValue, Method, StatusCode};
use warp::reply::Response;

use super::error::ApiError;
use super::reply;
use super::request::Call;

/// The files of the page. A debug build reads the folder at run time, so that the page can be
/// edited without compiling; a release build embeds it. The film of the demo is left out.
#[derive(RustEmbed)]
#[folder = "assets/"]
#[exclude = "media/*"]
struct Files;

/// Permissions-Policy of the page.
const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self)";

/// A page that says that something else was asked for than what is there, with the status of that;
/// `None` if there is no such file.
pub(super) fn instead(name: &str, status: StatusCode) -> Option<Response> {
    let mut response = respond(name, Files::get(name)?, None);
    *response.status_mut() = status;
    // The tag is that of the file, which another address is to have.
    response.headers_mut().remove(ETAG);
    Some(response)
}

/// Answers a request for the file `name` of the page.
pub(super) fn serve(name: &str, call: &Call) -> Result<Response, ApiError> {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(ApiError::MethodNotAllowed("GET, HEAD"));
    }
    // A name with `..` cannot leave the folder: a release build knows only the embedded files, and
    // in a debug build rust-embed compares the resolved path with the folder.
    let file = Files::get(name).ok_or(ApiError::NotFound("file"))?;
    Ok(respond(name, file, call.header(IF_NONE_MATCH)))
}

fn respond(name: &str, file: EmbeddedFile, if_none_match: Option<&str>) -> Response {
    let hash = file.metadata.sha256_hash();
    let etag: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = format!("\"{etag}\"");
    let current = if_none_match.is_some_and(|tags| holds(tags, &etag));
    let mut response = if current {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::body(
            StatusCode::OK,
            content_type(name),
            Bytes::from(file.data.into_owned()),
        )
    };
    reply::set_header(&mut response, ETAG, &etag);
    for (name, value) in [
        // Browsers revalidate every file, and mostly get a 304. So a page never mixes modules of
        // two versions of the server.
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether an `If-None-Match` header names this entity tag, by weak comparison (RFC 9110 section
/// 13.1.2).
fn holds(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_embed::Metadata;
    use std::borrow::Cow;
    use warp::http::header::CONTENT_TYPE;

    fn file() -> EmbeddedFile {
        EmbeddedFile {
            data: Cow::Borrowed(b"export {}"),
            metadata: Metadata::__rust_embed_new([7; 32], None, None),
        }
    }

    #[test]
    fn modules_are_javascript_and_are_revalidated() {
        let response = respond("js/main.js", file(), None);
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert!(headers.contains_key("permissions-policy"));

        let etag = headers[ETAG].to_str().expect("text").to_owned();
        for tags in [etag.clone(), format!("\"x\", W/{etag}"), "*".into()] {
            let again = respond("js/main.js", file(), Some(&tags));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(again.headers()[ETAG], *etag);
        }
        let other = respond("js/main.js", file(), Some("\"x\""));
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn only_the_page_is_served() {
        for name in [
            "media/bigbuckbunny.mp4",
            "media/README.md",
            "../Cargo.toml",
            "",
            ".",
            "/",
        ] {
            assert!(Files::get(name).is_none(), "{name}");
        }
        assert!(!Files::iter().any(|name| name.starts_with("media/")));
    }
}
