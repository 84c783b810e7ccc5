//! The ICE servers of a bot, as the server announces them and as webrtcbin takes them.

use gst::prelude::*;
use reqwest::header::LINK;
use reqwest::{Method, Url};

use crate::bots::config::{BotConfig, IceTransportPolicy};
use crate::bots::error::BotError;
use crate::protocol::IceServer;

/// Asks the server for its ICE servers and a TURN credential, without an offer (RFC 9725 section
/// 4.6).
///
/// # Errors
/// [`BotError::NotConfigured`] if the server has no TURN.
pub(crate) async fn servers(config: &BotConfig) -> Result<Vec<IceServer>, BotError> {
    let server = config.server.trim_end_matches('/');
    let url = Url::parse(&format!("{server}/whip/{}", config.room))
        .map_err(|_| BotError::BadServer(config.server.clone()))?;
    let mut request = reqwest::Client::new().request(Method::OPTIONS, url);
    if let Some(token) = &config.token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await?;
    let links = response.headers().get_all(LINK);
    let servers: Vec<_> = links
        .iter()
        .filter_map(|link| ice_server(link.to_str().ok()?))
        .collect();
    if servers.iter().any(|server| server.username.is_some()) {
        Ok(servers)
    } else {
        Err(BotError::NotConfigured("TURN server"))
    }
}

/// The ICE server of a `Link` header; `None` if the link has another relation.
fn ice_server(link: &str) -> Option<IceServer> {
    let (url, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let parameter = |name: &str| {
        parameters.split(';').find_map(|one| {
            let (key, value) = one.split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    (parameter("rel")? == "ice-server").then(|| IceServer {
        urls: vec![url.to_owned()],
        username: parameter("username"),
        credential: parameter("credential"),
    })
}

/// Sets the ICE servers and the transport policy of a webrtcbin. Has to be called before a
/// description is set.
pub(crate) fn configure(
    webrtc: &gst::Element,
    ice_transport_policy: IceTransportPolicy,
    servers: &[IceServer],
) {
    if ice_transport_policy == IceTransportPolicy::Relay {
        webrtc.set_property_from_str("ice-transport-policy", "relay");
    }
    for server in servers {
        for url in server.urls.iter().filter_map(|url| ice_url(url, server)) {
            if url.starts_with("stun") {
                webrtc.set_property("stun-server", url);
            } else if !webrtc.emit_by_name::<bool>("add-turn-server", &[&url]) {
                tracing::warn!("a TURN server is not taken");
            }
        }
    }
}

/// The URL of an ICE server in webrtcbin's form. `None` if it is not one, or if it is TURN over
/// TCP, which bots, being close to the server, do not need.
fn ice_url(url: &str, server: &IceServer) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
    let has_port = host.rsplit(']').next()?.contains(':');
    let (default_port, secure) = match scheme {
        "stun" | "turn" => (":3478", false),
        "turns" => (":5349", true),
        _ => return None,
    };
    let port = if has_port { "" } else { default_port };
    if scheme == "stun" {
        return Some(format!("stun://{host}{port}"));
    }
    if scheme == "turn" && query == "transport=tcp" {
        return None;
    }
    let encoded = |text: &Option<String>| -> String {
        form_urlencoded::byte_serialize(text.as_deref().unwrap_or_default().as_bytes()).collect()
    };
    let (user, secret) = (encoded(&server.username), encoded(&server.credential));
    let scheme = if secure { "turns" } else { "turn" };
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    Some(format!("{scheme}://{user}:{secret}@{host}{port}{query}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ice_servers_are_named_as_webrtcbin_wants_them() {
        let server = IceServer {
            urls: Vec::new(),
            username: Some("1735689600:p7".into()),
            credential: Some("a/b".into()),
        };
        for (url, wanted) in [
            (
                "stun:stun.example.org",
                Some("stun://stun.example.org:3478"),
            ),
            ("stun:[2001:db8::1]:3479", Some("stun://[2001:db8::1]:3479")),
            (
                "turn:turn.example.org:99?transport=udp",
                Some("turn://1735689600%3Ap7:a%2Fb@turn.example.org:99?transport=udp"),
            ),
            (
                "turns:turn.example.org",
                Some("turns://1735689600%3Ap7:a%2Fb@turn.example.org:5349"),
            ),
            ("turn:turn.example.org:99?transport=tcp", None),
            ("http://example.org", None),
            ("", None),
        ] {
            assert_eq!(ice_url(url, &server).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn links_are_read() {
        let turn = "<turn:192.0.2.7:3478?transport=udp>; rel=\"ice-server\"; \
                    username=\"9:r1/p7\"; credential=\"a+b=\"; credential-type=\"password\"";
        let read = ice_server(turn).unwrap();
        assert_eq!(read.urls, ["turn:192.0.2.7:3478?transport=udp"]);
        assert_eq!(read.username.as_deref(), Some("9:r1/p7"));
        assert_eq!(read.credential.as_deref(), Some("a+b="));
        let stun = ice_server("<stun:192.0.2.7:3478>; rel=\"ice-server\"").unwrap();
        assert_eq!(stun.username, None);
        for other in ["", "<x>", "<x>; rel=\"next\"", "stun:x; rel=\"ice-server\""] {
            assert_eq!(ice_server(other), None, "{other}");
        }
    }
}
