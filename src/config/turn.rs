//! The settings of the built-in STUN and TURN server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Whether the built-in STUN and TURN server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// It runs, and clients are told of it.
    On,
    /// It does not run. Clients are told of [`Config::ice_servers`](super::Config::ice_servers)
    /// alone.
    Off,
}

impl fmt::Display for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// The settings of STUN and TURN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// Whether the server runs.
    pub built_in: BuiltIn,
    /// Address and port that it listens on, UDP and TCP. If `None`, the first address that
    /// [`Config::media_ips`](super::Config::media_ips) names or every address, and port 3478 or, if
    /// that is taken, a free one.
    pub listen: Option<SocketAddr>,
    /// Lowest and highest UDP port of relays; any free port if `None`.
    pub relay_ports: Option<(u16, u16)>,
    /// Secret that credentials are made with, shared with the TURN servers among
    /// [`Config::ice_servers`](super::Config::ice_servers). If `None`, clients get no credential
    /// for those, and the built-in server makes up a secret at each start.
    pub secret: Option<String>,
    /// Networks whose addresses relays may send to, besides public addresses.
    pub allowed_peers: Vec<Network>,
    /// Largest number of allocations at once; one more is refused with 486.
    pub max_allocations: usize,
    /// Largest number of allocations of one user at once; one more is refused with 486.
    pub max_allocations_per_user: usize,
    /// Requests per second without a valid credential that one address (IPv6: one /64) may send, in
    /// bursts of twice as many. Further ones get no answer.
    pub requests_per_second: u32,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            built_in: BuiltIn::On,
            listen: None,
            relay_ports: None,
            secret: None,
            allowed_peers: Vec::new(),
            max_allocations: 1000,
            // A browser opens one for each of its addresses, each URL and each peer of a mesh.
            max_allocations_per_user: 40,
            requests_per_second: 50,
        }
    }
}

/// A range of addresses in CIDR notation, such as `192.0.2.0/24`. An address alone is a range of
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is not a [`Network`].
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
    /// Whether an address is in this range. An IPv4 address is in no range of IPv6 addresses.
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
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
