//! Internet addresses: as limits count them (here, pure), which of them are sent to (`reach`, pure),
//! and those that this machine has ([`machine`]).

pub mod machine;
pub(crate) mod reach;

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use thiserror::Error;

pub use self::machine::MediaIps;

/// An address that the server cannot listen on.
#[derive(Debug, Error)]
#[error("cannot listen on {address} for {purpose}: {reason}")]
pub struct BindError {
    /// What it is for, as an operator calls it.
    pub purpose: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// The error of the system.
    pub reason: io::Error,
}

impl BindError {
    pub(crate) fn new(purpose: &'static str, address: SocketAddr, reason: io::Error) -> Self {
        Self {
            purpose,
            address,
            reason,
        }
    }
}

/// The part of an address that names one subscriber, under which rate limits count it.
///
/// An IPv4 address stands for itself, also when it is mapped into IPv6. Of an IPv6 address only
/// the /64 counts: a subscriber is given at least that much (RFC 6177), and could otherwise take
/// a fresh address for every request.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_ipv6_network_counts_as_one_subscriber() {
        assert_eq!(
            subscriber(ip("2001:db8:1:2::1")),
            subscriber(ip("2001:db8:1:2:ffff::9"))
        );
        assert_ne!(
            subscriber(ip("2001:db8:1:2::1")),
            subscriber(ip("2001:db8:1:3::1"))
        );
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(subscriber(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_eq!(subscriber(ip("10.0.0.1")), ip("10.0.0.1"));
    }
}
