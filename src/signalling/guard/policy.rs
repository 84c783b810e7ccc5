//! What browsers are told that a page of this server may do; pure.

/// Content-Security-Policy of every response: the page runs nothing but the server's own files,
/// connects to nothing but the server, and is part of no other page.
///
/// `host` is what the server was asked by. `'self'` covers the page's WebSocket in browsers that
/// follow CSP level 3; for others its address is named, where the syntax has a form for it.
pub(in crate::signalling) fn content_policy(host: Option<&str>) -> String {
    let socket = host.filter(|host| is_plain(host));
    let socket = socket.map(|host| format!(" ws://{host} wss://{host}"));
    format!(
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
         connect-src 'self'{}; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'self'",
        socket.unwrap_or_default()
    )
}

/// Whether a host can stand in the policy: a name or an IPv4 address, and a port.
fn is_plain(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let fits = |text: &str, is: fn(u8) -> bool| !text.is_empty() && text.bytes().all(is);
    fits(name, is_name) && fits(port, |byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_connects_to_its_own_server_alone() {
        let policy = content_policy(Some("meet.example:8443"));
        for part in [
            "default-src 'self'; ",
            "connect-src 'self' ws://meet.example:8443 wss://meet.example:8443; ",
            "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
    }

    #[test]
    fn no_text_of_a_client_gets_into_it() {
        let bare = content_policy(None);
        assert!(bare.contains("connect-src 'self'; "), "{bare}");
        for host in [
            "a; script-src *",
            "a b",
            "[::1]:80",
            "",
            "*",
            "a:b",
            "a:1:2",
            ":1",
        ] {
            assert_eq!(content_policy(Some(host)), bare, "{host}");
        }
    }
}
