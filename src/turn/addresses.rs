//! The addresses and ports of the TURN server: where it listens, where its relays are bound, and
//! which address clients and peers are told.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use turn_server_proto::types::AddressFamily;

use super::session::Port;
use crate::config::TurnConfig;
use crate::net::BindError;
use crate::net::machine::outgoing;

/// Default port of STUN and TURN over UDP and TCP (RFC 8656 section 4).
const DEFAULT_PORT: u16 = 3478;

/// Number of ports that are tried before giving up: for a relay that must have an even one, and for
/// a listening port that has to be free for UDP and TCP alike.
const MAX_TRIES: u16 = 64;

/// What the settings of media say of this machine's addresses, which the TURN server follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// Address to listen on where the settings of TURN name none; every address if `None`.
    pub local: Option<IpAddr>,
    /// Address that clients are told in place of the local one, behind a 1:1 NAT.
    pub public: Option<IpAddr>,
}

/// The addresses of the relays of one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RelayAddress {
    /// Local address that sockets are bound to.
    bind: IpAddr,
    /// Address that clients and peers are told.
    announce: IpAddr,
}

/// Where relays are bound, and how the world reaches them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RelayAddresses {
    v4: Option<RelayAddress>,
    v6: Option<RelayAddress>,
    /// UDP ports of relays, both ends included; any free port if `None`.
    ports: Option<(u16, u16)>,
    announce: IpAddr,
}

impl RelayAddresses {
    /// The addresses of the relays of a server that listens on `listen`.
    ///
    /// A family is left out where the server cannot have relays of it: it listens on an address of
    /// the other one, or this machine has no route to the world with it.
    pub(super) fn new(config: &TurnConfig, host: HostAddresses, listen: IpAddr) -> Self {
        let (any_v4, any_v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        // A machine without a network has nobody to serve but itself.
        let alone = outgoing(any_v4).or(outgoing(any_v6)).is_none();
        let relay_address = |any: IpAddr| {
            let bind = if listen.is_ipv4() == any.is_ipv4() {
                listen
            } else if listen.is_unspecified() {
                any
            } else {
                return None;
            };
            let public = host.public.filter(|ip| ip.is_ipv4() == any.is_ipv4());
            let own = if !bind.is_unspecified() {
                Some(bind)
            } else if alone {
                Some(loopback(any))
            } else {
                outgoing(any)
            };
            let announce = public.or(own)?;
            Some(RelayAddress { bind, announce })
        };
        let v4 = relay_address(any_v4);
        let v6 = match listen.is_ipv6() {
            true => relay_address(any_v6),
            // IPv4 was asked for.
            false => None,
        };
        Self {
            announce: v4.or(v6).map_or(listen, |address| address.announce),
            v4,
            v6,
            ports: config.relay_ports,
        }
    }

    /// The host in the STUN and TURN URLs that clients are told.
    pub(super) fn announced(&self) -> IpAddr {
        self.announce
    }

    /// Whether the server can open relays of an address family.
    pub(super) fn has(&self, family: AddressFamily) -> bool {
        self.of(family).is_some()
    }

    fn of(&self, family: AddressFamily) -> Option<RelayAddress> {
        match family {
            AddressFamily::IPV4 => self.v4,
            AddressFamily::IPV6 => self.v6,
        }
    }

    /// Opens the non-blocking socket of a relay. Returns it with the address that peers see.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] for a family without relays, otherwise what binding fails
    /// with, such as [`io::ErrorKind::AddrInUse`] when no port is free.
    pub(super) fn open(
        &self,
        family: AddressFamily,
        port: Port,
    ) -> io::Result<(UdpSocket, SocketAddr)> {
        let address = self.of(family).ok_or(io::ErrorKind::Unsupported)?;
        let socket = match self.ports {
            None => bind_anywhere(address.bind, port)?,
            Some(range) => bind_in(address.bind, range, port)?,
        };
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        Ok((socket, SocketAddr::new(address.announce, port)))
    }
}

fn fits(number: u16, wanted: Port) -> bool {
    match wanted {
        Port::Any => true,
        Port::Even => number.is_multiple_of(2),
    }
}

fn bind_anywhere(ip: IpAddr, wanted: Port) -> io::Result<UdpSocket> {
    for _ in 0..MAX_TRIES {
        let socket = UdpSocket::bind((ip, 0))?;
        if fits(socket.local_addr()?.port(), wanted) {
            return Ok(socket);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Binds a free port of a range. The search begins at a random one, so that nobody can predict the
/// port of the next relay.
fn bind_in(ip: IpAddr, (low, high): (u16, u16), wanted: Port) -> io::Result<UdpSocket> {
    let count = u32::from(high - low) + 1;
    let first = rand::random_range(0..count);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for i in 0..count {
        let offset = u16::try_from((first + i) % count).unwrap_or(0);
        let port = low + offset;
        if !fits(port, wanted) {
            continue;
        }
        match UdpSocket::bind((ip, port)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn loopback(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// Binds the UDP and the TCP socket of the server to one port. Without [`TurnConfig::listen`] that
/// is the default port, or a free one if it is taken.
///
/// # Errors
/// [`BindError`] with the address.
pub(super) fn listen(
    config: &TurnConfig,
    host: HostAddresses,
) -> Result<(tokio::net::UdpSocket, tokio::net::TcpListener), BindError> {
    let wanted = wanted(config, host);
    let bound = match config.listen {
        Some(address) => both(address),
        None => both(wanted).or_else(|error| {
            tracing::warn!(address = %wanted, %error, "another port than the usual one of TURN");
            both(SocketAddr::new(wanted.ip(), 0))
        }),
    };
    bound.map_err(|error| cannot_listen(config, host, error))
}

/// The error for an address that STUN and TURN cannot have.
pub(super) fn cannot_listen(
    config: &TurnConfig,
    host: HostAddresses,
    error: io::Error,
) -> BindError {
    BindError::new("STUN and TURN", wanted(config, host), error)
}

/// Where to listen.
fn wanted(config: &TurnConfig, host: HostAddresses) -> SocketAddr {
    let ip = host.local.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    config.listen.unwrap_or(SocketAddr::new(ip, DEFAULT_PORT))
}

fn both(address: SocketAddr) -> io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
    let tries = if address.port() == 0 { MAX_TRIES } else { 1 };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..tries {
        let udp = UdpSocket::bind(address)?;
        // A free UDP port's namesake may be taken.
        match std::net::TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => {
                udp.set_nonblocking(true)?;
                tcp.set_nonblocking(true)?;
                let udp = tokio::net::UdpSocket::from_std(udp)?;
                return Ok((udp, tokio::net::TcpListener::from_std(tcp)?));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn relays_are_announced_where_clients_reach_them() {
        let config = TurnConfig::default();
        let addresses = RelayAddresses::new(&config, HostAddresses::default(), ip("127.0.0.1"));
        assert_eq!(addresses.announced(), ip("127.0.0.1"));
        assert!(addresses.has(AddressFamily::IPV4) && !addresses.has(AddressFamily::IPV6));
        let (socket, relay) = addresses
            .open(AddressFamily::IPV4, Port::Any)
            .expect("a free port");
        assert_eq!(socket.local_addr().expect("bound"), relay);

        let host = HostAddresses {
            public: Some(ip("198.51.100.7")),
            ..HostAddresses::default()
        };
        let addresses = RelayAddresses::new(&config, host, ip("127.0.0.1"));
        assert_eq!(addresses.announced(), ip("198.51.100.7"));
        let (_, relay) = addresses
            .open(AddressFamily::IPV4, Port::Any)
            .expect("a free port");
        assert_eq!(relay.ip(), ip("198.51.100.7"));
    }

    #[test]
    fn relays_keep_to_their_ports() {
        // A range of two of which one is taken.
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let ends = [port - 1, port];
        let config = TurnConfig {
            relay_ports: Some((ends[0], ends[1])),
            ..TurnConfig::default()
        };
        let addresses = RelayAddresses::new(&config, HostAddresses::default(), ip("127.0.0.1"));
        match addresses.open(AddressFamily::IPV4, Port::Any) {
            Ok((_, relay)) => assert_eq!(relay.port(), ends[0]),
            // Somebody else has the other.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
        assert!(addresses.open(AddressFamily::IPV6, Port::Any).is_err());
    }

    #[test]
    fn an_even_port_can_be_asked_for() {
        for relay_ports in [None, Some((40_001, 40_999))] {
            let config = TurnConfig {
                relay_ports,
                ..TurnConfig::default()
            };
            let addresses = RelayAddresses::new(&config, HostAddresses::default(), ip("127.0.0.1"));
            let (_, relay) = addresses
                .open(AddressFamily::IPV4, Port::Even)
                .expect("a port");
            assert!(relay.port().is_multiple_of(2), "{relay}");
        }
    }
}
