//! Which addresses of the other side are sent to because it names them; pure.
//!
//! A server stands inside its operator's network. Who could have it send packets to any address
//! would reach what the network keeps from them: services of the machine, of its neighbours, of the
//! cloud (169.254.169.254).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The lowest port that is sent to. Below it are the ports of system services; no peer of a call
/// uses one.
pub(crate) const MIN_PEER_PORT: u16 = 1024;

/// Whether an address is reached over the internet, and so by everybody without us.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Follows the IANA special-purpose registry (RFC 6890). The documentation networks count as
/// public: they are routed nowhere.
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

/// Only global unicast (RFC 4291 section 2.4) is public. An address that embeds an IPv4 address is
/// public if that one is.
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

/// A network in which addresses mean something to those within alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PrivateNetwork {
    /// This machine.
    Loopback,
    /// 10.0.0.0/8 (RFC 1918).
    Ten,
    /// 172.16.0.0/12.
    OneSeventyTwo,
    /// 192.168.0.0/16.
    OneNinetyTwo,
    /// 100.64.0.0/10, shared by the customers of a carrier (RFC 6598).
    Carrier,
    /// fc00::/7, unique local addresses (RFC 4193).
    UniqueLocal,
}

impl PrivateNetwork {
    /// The network of an address; `None` if it is in none of these. Link-local addresses are not:
    /// who is there is found by the checks that come from there.
    fn of(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Some(Self::Loopback),
            IpAddr::V4(ip) => match ip.octets() {
                [10, ..] => Some(Self::Ten),
                [172, 16..=31, ..] => Some(Self::OneSeventyTwo),
                [192, 168, ..] => Some(Self::OneNinetyTwo),
                [100, 64..=127, ..] => Some(Self::Carrier),
                _ => None,
            },
            IpAddr::V6(ip) => (ip.segments()[0] & 0xfe00 == 0xfc00).then_some(Self::UniqueLocal),
        }
    }
}

/// The addresses at which media looks for the other side: public ones, and those of private networks
/// in which this side is itself, as it says. Nobody else has a way to it there, and who has one that
/// this does not know of is found by the checks that come (RFC 8445 section 7.3.1.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MediaPeers {
    networks: Vec<PrivateNetwork>,
}

impl MediaPeers {
    /// For media on the addresses `own`, or on `public_ip` where they are told as that (NAT 1:1).
    pub(crate) fn new(own: &[IpAddr], public_ip: Option<IpAddr>) -> Self {
        let told = public_ip.as_ref().map_or(own, std::slice::from_ref);
        Self {
            networks: told
                .iter()
                .copied()
                .filter_map(PrivateNetwork::of)
                .collect(),
        }
    }

    /// Whether packets are sent to an address and port because the other side names them.
    pub(crate) fn allows(&self, peer: SocketAddr) -> bool {
        let network = PrivateNetwork::of(peer.ip());
        let is_within = network.is_some_and(|network| self.networks.contains(&network));
        peer.port() >= MIN_PEER_PORT && (is_within || is_public(peer.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(own: &[&str], public: Option<&str>, peer: &str) -> bool {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let own: Vec<IpAddr> = own.iter().map(|text| ip(text)).collect();
        let peers = MediaPeers::new(&own, public.map(ip));
        peers.allows(peer.parse().expect("an address and a port"))
    }

    #[test]
    fn private_networks_are_reached_from_within() {
        for (own, peer) in [
            ("127.0.0.1", "127.0.0.5:1024"),
            ("::1", "[::1]:5000"),
            ("192.168.7.2", "192.168.1.9:5000"),
            ("10.0.0.5", "10.250.1.1:5000"),
            ("172.17.0.1", "172.31.0.1:5000"),
            ("100.64.0.1", "100.127.0.1:5000"),
            ("fd00::7", "[fc00::1]:5000"),
            ("10.0.0.5", "[::ffff:10.0.0.1]:5000"),
        ] {
            assert!(allows(&[own], None, peer), "{own} {peer}");
            assert!(!allows(&["203.0.113.7"], None, peer), "{peer}");
            assert!(!allows(&[own], Some("203.0.113.7"), peer), "{peer}");
            assert!(allows(&["203.0.113.7", own], None, peer), "{own} {peer}");
            assert!(allows(&["203.0.113.7"], Some(own), peer), "{own} {peer}");
        }
        assert!(!allows(&["192.168.7.2"], None, "10.0.0.1:5000"));
        assert!(!allows(&["192.168.7.2"], None, "127.0.0.1:5000"));
    }

    #[test]
    fn some_addresses_are_never_reached() {
        let own = [
            "127.0.0.1",
            "10.0.0.5",
            "172.17.0.1",
            "192.168.7.2",
            "169.254.3.4",
            "fd00::7",
            "fe80::7",
        ];
        for peer in [
            "169.254.169.254:5000",
            "169.254.3.5:5000",
            "[fe80::1]:5000",
            "[::ffff:169.254.169.254]:5000",
            "[64:ff9b::a9fe:a9fe]:5000",
            "0.0.0.0:5000",
            "[::]:5000",
            "224.0.0.251:5353",
            "[ff02::1]:5000",
            "255.255.255.255:5000",
            "1.1.1.1:1023",
            "127.0.0.1:53",
        ] {
            assert!(!allows(&own, None, peer), "{peer}");
        }
        assert!(allows(&[], None, "1.1.1.1:1024"));
        assert!(allows(&own, Some("203.0.113.7"), "[2606:4700::1111]:5000"));
    }
}
