//! Refusals of what people open in a browser: a page with a way on where the browser asks for one,
//! and JSON for everybody else.

use warp::http::header::{ACCEPT, VARY};
use warp::http::{HeaderValue, Method};
use warp::reply::{Reply, Response};

use super::assets;
use super::error::ApiError;
use super::request::Call;

/// The page for an address at which there is nothing. Like all pages it is one file, with no text
/// of the client in it: its script reads the address.
const MISSING: &str = "missing.html";

/// The refusal of a page.
pub(super) fn page(error: ApiError, call: &Call) -> Response {
    let asked = call.method == Method::GET && takes_html(call.header(ACCEPT));
    let html = asked.then(|| assets::instead(MISSING, error.status()));
    // Made in either case, as this counts it.
    let json = error.into_response();
    let mut response = html.flatten().unwrap_or(json);
    // Caches must not give a program the page.
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Whether an `Accept` header names HTML itself, as browsers do for what is opened in a tab. `*/*`
/// is what scripts and programs send.
fn takes_html(accept: Option<&str>) -> bool {
    accept.is_some_and(|ranges| {
        ranges.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts
                .next()
                .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
            html && !parts.any(is_refusal)
        })
    })
}

/// Whether a parameter is a weight of nought (RFC 9110 section 12.4.2).
fn is_refusal(parameter: &str) -> bool {
    parameter
        .strip_prefix("q=")
        .is_some_and(|weight| weight.parse() == Ok(0.0_f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_programs_do_not() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json, Text/HTML;q=0.5",
            "text/html",
        ] {
            assert!(takes_html(Some(accept)), "{accept}");
        }
        for accept in [
            "*/*",
            "",
            "application/json",
            "text/*",
            "text/html;q=0, */*",
            "text/html-x",
        ] {
            assert!(!takes_html(Some(accept)), "{accept}");
        }
        assert!(!takes_html(None));
    }
}
