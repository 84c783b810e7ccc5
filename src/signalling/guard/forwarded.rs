//! The client behind reverse proxies, by `X-Forwarded-For`; pure.

use std::net::{IpAddr, SocketAddr};

use crate::config::Network;

/// The address of the client of a connection that comes from `peer`. `forwarded` are the values of
/// the `X-Forwarded-For` headers, in their order; each proxy adds the address that it was reached
/// from at the end. They are believed as far as `trusted` proxies have written them: the client is
/// the last address that is not of one.
pub(in crate::signalling) fn client<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Network],
) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = peer.to_canonical();
    let mut hops = forwarded.rev().flat_map(|value| value.rsplit(','));
    while is_trusted(client) {
        match hops.next().map(address) {
            Some(Some(before)) => client = before,
            // The first proxy of all, or one that writes something else.
            Some(None) | None => break,
        }
    }
    client
}

/// An address as proxies write it: alone, or with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let with_port = || hop.parse::<SocketAddr>().map(|socket| socket.ip());
    let bare = hop
        .trim_matches(['[', ']'])
        .parse()
        .or_else(|_| with_port());
    bare.ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"];
        let trusted = trusted.map(|network| network.parse().expect("a network"));
        let peer = peer.parse().expect("an address");
        client(peer, forwarded.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn nobody_but_a_trusted_proxy_says_who_the_client_is() {
        assert_eq!(of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_a_client_writes_itself_stands_before_what_proxies_add() {
        let made_up = "203.0.113.9, 198.51.100.7";
        assert_eq!(of("127.0.0.1", &[made_up]), "198.51.100.7");
        assert_eq!(of("127.0.0.1", &[made_up, "10.1.2.3"]), "198.51.100.7");
        assert_eq!(of("127.0.0.1", &["198.51.100.7, nonsense"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &["10.1.2.3"]), "10.1.2.3");
    }

    #[test]
    fn ports_and_brackets_are_left_out() {
        assert_eq!(of("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(of("2001:db8:ffff::1", &["2001:db8::1"]), "2001:db8::1");
    }
}
