//! Which peers a relay may exchange packets with; pure.
//!
//! A relay stands inside the operator's network and sends what strangers tell it to. So it talks
//! to public addresses alone (RFC 8656 section 21.1.5), and never to a port below 1024: no peer of
//! a call uses one, but many services answer UDP there.

use std::net::{IpAddr, SocketAddr};

use crate::config::Network;
use crate::net::reach::{MIN_PEER_PORT, is_public};

/// The addresses that peers of a relay may have.
#[derive(Debug, Clone, Default)]
pub(super) struct PeerPolicy {
    allowed: Vec<Network>,
}

impl PeerPolicy {
    /// Allows public addresses, and those in one of the networks `allowed`.
    pub(super) fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether a client may have a permission for an address. Ports are checked with each packet.
    pub(super) fn allows_address(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.allowed.iter().any(|network| network.contains(ip)) || is_public(ip)
    }

    /// Whether packets may be sent to a peer at this address and port.
    pub(super) fn allows(&self, peer: SocketAddr) -> bool {
        peer.port() >= MIN_PEER_PORT && self.allows_address(peer.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn only_public_addresses_are_allowed_by_default() {
        let policy = PeerPolicy::default();
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.2.7",
            "193.0.0.1",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:db8::1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(policy.allows_address(ip(public)), "{public}");
        }
        for other in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "2001::1",
            "2002:a00:1::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!policy.allows_address(ip(other)), "{other}");
        }
    }

    #[test]
    fn what_is_allowed_is_added() {
        let policy = PeerPolicy::new(vec![network("127.0.0.1/32"), network("fd00::/8")]);
        for allowed in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "1.1.1.1"] {
            assert!(policy.allows_address(ip(allowed)), "{allowed}");
        }
        for other in ["127.0.0.2", "10.0.0.1", "fe80::1"] {
            assert!(!policy.allows_address(ip(other)), "{other}");
        }
    }

    #[test]
    fn ports_of_services_are_nobodys() {
        let policy = PeerPolicy::default();
        for (port, allowed) in [(53, false), (1023, false), (1024, true), (65535, true)] {
            let peer = SocketAddr::new(ip("1.1.1.1"), port);
            assert_eq!(policy.allows(peer), allowed, "{port}");
        }
    }
}
