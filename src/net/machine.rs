//! The addresses that this machine has now, and which of them media uses.
//!
//! They are read anew for each connection: a laptop changes its network while the server runs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Most addresses of the machine that media is bound to. Each costs every connection a socket and
/// some ICE checks, and a machine with many bridges for containers has dozens.
const MAX_ADDRESSES: usize = 16;

/// The addresses that ICE candidates are gathered on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaIps {
    /// Every address of the machine, but for those of loopback, unless it has no other.
    Every,
    /// Every address of the machine, and this loopback address: that of a server that only this
    /// machine can reach. Firefox does not use loopback for media, some other clients use nothing
    /// else.
    EveryAnd(IpAddr),
    /// These alone.
    Only(Vec<IpAddr>),
}

impl Default for MediaIps {
    /// Those of a server that listens on the default address.
    fn default() -> Self {
        Self::EveryAnd(Ipv4Addr::LOCALHOST.into())
    }
}

impl MediaIps {
    /// The addresses as they are now, the one of the default route first and loopback last. Blocks
    /// for some microseconds.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let machine = || choose(read(), &[outgoing(ANY_V4), outgoing(ANY_V6)]);
        match self {
            Self::Only(ips) => ips.clone(),
            Self::EveryAnd(loopback) => machine().into_iter().chain([*loopback]).collect(),
            Self::Every => {
                let found = machine();
                match found.is_empty() {
                    true => vec![Ipv4Addr::LOCALHOST.into()],
                    false => found,
                }
            }
        }
    }

    /// The address that media is confined to before all others; `None` where it may use any.
    pub fn first_given(&self) -> Option<IpAddr> {
        match self {
            Self::Only(ips) => ips.first().copied(),
            Self::Every | Self::EveryAnd(_) => None,
        }
    }
}

impl fmt::Display for MediaIps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(", "))
    }
}

/// 0.0.0.0, any address of IPv4.
const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// `::`, any address of IPv6.
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The address at which other machines of its network reach this one; `None` without a network.
pub fn lan_address() -> Option<IpAddr> {
    let [v4, v6] = [outgoing(ANY_V4), outgoing(ANY_V6)];
    v4.or(v6).or_else(|| choose(read(), &[]).first().copied())
}

/// The local address that the routing table gives packets to the internet, of the family of `any`;
/// `None` without a default route. Nothing is sent.
pub(crate) fn outgoing(any: IpAddr) -> Option<IpAddr> {
    // Addresses of documentation (RFC 5737, RFC 3849): a default route takes them.
    let far: IpAddr = match any {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

/// The addresses that can be bound now: those of interfaces that are up. An error of the system
/// leaves none.
fn read() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of this machine cannot be read");
        Vec::new()
    });
    let ips = interfaces.iter().map(if_addrs::Interface::ip);
    ips.filter(|ip| is_announced(*ip) && UdpSocket::bind((*ip, 0)).is_ok())
        .collect()
}

/// Whether an address means the same to whoever is told it. Loopback does not, nor do link-local
/// addresses of IPv6, which need the name of an interface beside them and are used by no browser.
fn is_announced(ip: IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !link_local
}

/// At most [`MAX_ADDRESSES`] of `found`, each once, `preferred` first.
fn choose(found: Vec<IpAddr>, preferred: &[Option<IpAddr>]) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    let preferred = preferred.iter().flatten();
    for ip in preferred.filter(|ip| found.contains(*ip)).chain(&found) {
        if chosen.len() < MAX_ADDRESSES && !chosen.contains(ip) {
            chosen.push(*ip);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_address_of_the_default_route_comes_first_and_there_are_not_too_many() {
        let bridges = (0..20).map(|n| IpAddr::from([172, 17, n, 1]));
        let found: Vec<IpAddr> = bridges.chain([ip("192.0.2.7"), ip("192.0.2.7")]).collect();
        let chosen = choose(
            found,
            &[Some(ip("192.0.2.7")), Some(ip("2001:db8::1")), None],
        );
        assert_eq!(chosen.len(), MAX_ADDRESSES);
        assert_eq!(chosen[..2], [ip("192.0.2.7"), ip("172.17.0.1")]);
    }

    #[test]
    fn what_means_another_machine_elsewhere_is_not_announced() {
        for (address, announced) in [
            ("192.0.2.7", true),
            ("10.0.0.1", true),
            ("169.254.3.4", true),
            ("2001:db8::7", true),
            ("fd00::7", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_announced(ip(address)), announced, "{address}");
        }
    }

    #[test]
    fn a_loopback_address_is_kept_and_comes_last() {
        let addresses = MediaIps::EveryAnd(ip("127.0.0.2")).addresses();
        assert_eq!(addresses.last(), Some(&ip("127.0.0.2")));
        let others = &addresses[..addresses.len() - 1];
        assert!(others.iter().all(|ip| is_announced(*ip)), "{addresses:?}");
    }

    #[test]
    fn there_is_always_an_address() {
        assert!(!MediaIps::Every.addresses().is_empty());
        let only = MediaIps::Only(vec![ip("192.0.2.9")]);
        assert_eq!(only.addresses(), [ip("192.0.2.9")]);
        assert_eq!(only.first_given(), Some(ip("192.0.2.9")));
        assert_eq!(MediaIps::default().first_given(), None);
    }
}
