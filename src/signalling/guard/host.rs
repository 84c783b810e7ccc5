//! By which names the server may be asked; pure.
//!
//! A page whose name an attacker makes point at this server (DNS rebinding) is of the same origin as
//! the server for every browser, so its `Origin` says nothing. Its `Host` does: it is the attacker's
//! name, which nobody has allowed here. An address cannot be rebound, and neither can `localhost`.

use std::net::IpAddr;

use warp::http::HeaderMap;
use warp::http::header::HOST;

use crate::signalling::error::ApiError;

/// Allows requests to an IP address, to `localhost` and to the names `allowed`, at any port. One
/// without `Host` comes from no browser and is let through.
///
/// # Errors
/// [`ApiError::HostNotAllowed`] for any other name.
pub(in crate::signalling) fn check(
    headers: &HeaderMap,
    allowed: &[String],
) -> Result<(), ApiError> {
    let is_known = |host: &str| {
        let name = name(host);
        let literal = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
        literal.unwrap_or(&name).parse::<IpAddr>().is_ok()
            || name == "localhost"
            || allowed.contains(&name)
    };
    let mut hosts = headers.get_all(HOST).iter();
    match hosts.all(|host| host.to_str().is_ok_and(is_known)) {
        true => Ok(()),
        false => Err(ApiError::HostNotAllowed),
    }
}

/// The name in a `Host` header: without a port, in small letters and without the dot of the root.
fn name(host: &str) -> String {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.is_empty() => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    fn may(hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).expect("a header"));
        }
        check(&headers, &["meet.example".to_owned()]).is_ok()
    }

    #[test]
    fn addresses_localhost_and_listed_names_are_known() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "192.0.2.7:80",
            "[::1]",
            "[2001:db8::7]:8443",
            "localhost",
            "LocalHost:8080",
            "meet.example",
            "MEET.example.:443",
        ] {
            assert!(may(&[host]), "{host}");
        }
        assert!(may(&[]), "no browser");
    }

    #[test]
    fn every_other_name_is_not() {
        for host in [
            "evil.example",
            "evil.example:8080",
            "a.meet.example",
            "meet.example.evil",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.example:80",
            "",
            ":80",
            "user@127.0.0.1",
        ] {
            assert!(!may(&[host]), "{host}");
        }
        assert!(!may(&["127.0.0.1", "evil.example"]), "two of them");
    }
}
