//! With whom a relay may exchange packets; pure.
//!
//! A relay stands inside the operator's network and sends what strangers tell it to. So it talks
//! to public addresses alone (RFC 8656 section 21.1.5), and never to a port below 1024, where
//! no peer of a call ever is but many a service that answers UDP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The lowest port of a peer.
const LOWEST_PORT: u16 = 1024;

/// A range of addresses, `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a network is an address, and after a / how many of its bits count")]
pub struct BadNetwork;

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| BadNetwork)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| BadNetwork)?,
            None => bits,
        };
        if prefix > bits {
            return Err(BadNetwork);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        // Both as numbers whose first `prefix` bits have to be the same.
        let (one, other, bits) = match (self.address, ip) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (one.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let free = bits - u32::from(self.prefix);
        u128::checked_shr(one ^ other, free).unwrap_or(0) == 0
    }
}

/// Who a relay's peers may be.
#[derive(Debug, Clone, Default)]
pub struct PeerPolicy {
    allowed: Vec<Network>,
}

impl PeerPolicy {
    /// Public addresses, and what is in `allowed`.
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether there may be permissions for an address.
    pub fn allows_address(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.allowed.iter().any(|network| network.contains(ip)) || is_public(ip)
    }

    /// Whether packets may go to a peer.
    pub fn allows(&self, peer: SocketAddr) -> bool {
        peer.port() >= LOWEST_PORT && self.allows_address(peer.ip())
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// After the IANA special-purpose registry (RFC 6890). The documentation networks are left in: they
/// are routed nowhere.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        // "This network", loopback, private, multicast and reserved with broadcast.
        [0 | 10 | 127 | 224..=255, ..] => true,
        // Shared by the customers of a carrier (RFC 6598).
        [100, second, ..] => (64..128).contains(&second),
        [169, 254, ..] | [192, 168, ..] | [192, 0, 0, _] => true,
        [172, second, ..] => (16..32).contains(&second),
        // Benchmarks (RFC 2544).
        [198, 18 | 19, ..] => true,
        _ => false,
    };
    !special
}

/// Only global unicast (RFC 4291 section 2.4) can be public, and an address that stands for an IPv4
/// one is as public as that.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, .., g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match (a, b) {
        // NAT64 (RFC 6052).
        (0x64, 0xff9b) if [c, d] == [0, 0] => v4(g, h),
        // 6to4 (RFC 3056).
        (0x2002, _) => v4(b, c),
        // Teredo and others with an IPv4 address inside that is hidden or none at all (RFC 6890).
        (0x2001, 0..0x200) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn networks_are_read() {
        assert_eq!(network("10.0.0.0/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("192.0.2.7").to_string(), "192.0.2.7/32");
        assert_eq!(network("2001:db8::").to_string(), "2001:db8::/128");
        for bad in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/-1",
            "a/8",
        ] {
            assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad}");
        }
        assert!(network("0.0.0.0/0").contains(ip("255.1.2.3")));
        assert!(!network("0.0.0.0/0").contains(ip("::1")));
        assert!(network("::/0").contains(ip("fe80::1")));
    }

    proptest! {
        #[test]
        fn a_network_is_what_shares_its_first_bits(a: u32, b: u32, prefix in 0u8..=32) {
            let network = Network { address: Ipv4Addr::from_bits(a).into(), prefix };
            let same = (0..u32::from(prefix)).all(|bit| (a ^ b) >> (31 - bit) & 1 == 0);
            prop_assert_eq!(network.contains(Ipv4Addr::from_bits(b).into()), same);
        }
    }
}
