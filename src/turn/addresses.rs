//! Which addresses the server has, and which it tells.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use turn_server_proto::types::AddressFamily;

use super::session::Port;
use crate::config::Config;

/// The port that RFC 8656 has for it.
const USUAL_PORT: u16 = 3478;

/// How many ports are tried at most for a relay, or for both transports of a server.
const TRIES: u16 = 64;

/// Where relays of one family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bind: IpAddr,
    announce: IpAddr,
}

/// Where relays are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    v4: Option<Place>,
    v6: Option<Place>,
    ports: Option<(u16, u16)>,
    announce: IpAddr,
}

impl Places {
    /// The relays of a server that listens on `listen`.
    pub(super) fn new(config: &Config, listen: IpAddr) -> Self {
        let (any_v4, any_v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        // A machine without a network has nobody to serve but itself.
        let alone = outgoing(any_v4).or(outgoing(any_v6)).is_none();
        let place = |any: IpAddr| {
            let bind = if listen.is_ipv4() == any.is_ipv4() {
                listen
            } else if listen.is_unspecified() {
                any
            } else {
                return None;
            };
            let public = config.public_ip.filter(|ip| ip.is_ipv4() == any.is_ipv4());
            let own = if !bind.is_unspecified() {
                Some(bind)
            } else if alone {
                Some(loopback(any))
            } else {
                outgoing(any)
            };
            let announce = public.or(own)?;
            Some(Place { bind, announce })
        };
        let v4 = place(any_v4);
        let v6 = match listen.is_ipv6() {
            true => place(any_v6),
            // IPv4 was asked for.
            false => None,
        };
        Self {
            announce: v4.or(v6).map_or(listen, |place| place.announce),
            v4,
            v6,
            ports: config.turn.relay_ports,
        }
    }

    /// The address in the URLs that clients are told.
    pub(super) fn announced(&self) -> IpAddr {
        self.announce
    }

    /// Whether there can be relays of a family.
    pub(super) fn has(&self, family: AddressFamily) -> bool {
        self.of(family).is_some()
    }

    fn of(&self, family: AddressFamily) -> Option<Place> {
        match family {
            AddressFamily::IPV4 => self.v4,
            AddressFamily::IPV6 => self.v6,
        }
    }

    /// Opens a socket to relay with, and says what clients call its address.
    ///
    /// # Errors
    /// What the system says; that there are no ports left, too.
    pub(super) fn open(
        &self,
        family: AddressFamily,
        port: Port,
    ) -> io::Result<(UdpSocket, SocketAddr)> {
        let place = self.of(family).ok_or(io::ErrorKind::Unsupported)?;
        let socket = match self.ports {
            None => bind_anywhere(place.bind, port)?,
            Some(range) => bind_in(place.bind, range, port)?,
        };
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        Ok((socket, SocketAddr::new(place.announce, port)))
    }
}

fn fits(number: u16, wanted: Port) -> bool {
    match wanted {
        Port::Any => true,
        Port::Even => number.is_multiple_of(2),
    }
}

fn bind_anywhere(ip: IpAddr, wanted: Port) -> io::Result<UdpSocket> {
    for _ in 0..TRIES {
        let socket = UdpSocket::bind((ip, 0))?;
        if fits(socket.local_addr()?.port(), wanted) {
            return Ok(socket);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A socket on a port of a range. It begins anywhere in it, so that nobody learns the next one.
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

/// The address this machine has towards the rest of the world, as routing says. Nothing is sent.
fn outgoing(any: IpAddr) -> Option<IpAddr> {
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

/// The sockets a server listens on, both on one port.
pub(super) fn listen(
    config: &Config,
) -> io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
    if let Some(address) = config.turn.listen {
        return both(address);
    }
    let ip = config.media_ips.first().copied();
    let ip = ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    both(SocketAddr::new(ip, USUAL_PORT)).or_else(|error| {
        tracing::warn!(%error, port = USUAL_PORT, "the usual port of TURN is taken: any other");
        both(SocketAddr::new(ip, 0))
    })
}

fn both(address: SocketAddr) -> io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
    let tries = if address.port() == 0 { TRIES } else { 1 };
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
        let config = Config::default();
        let places = Places::new(&config, ip("127.0.0.1"));
        assert_eq!(places.announced(), ip("127.0.0.1"));
        assert!(places.has(AddressFamily::IPV4) && !places.has(AddressFamily::IPV6));
        let (socket, relay) = places
            .open(AddressFamily::IPV4, Port::Any)
            .expect("a free port");
        assert_eq!(socket.local_addr().expect("bound"), relay);

        let config = Config {
            public_ip: Some(ip("198.51.100.7")),
            ..Config::default()
        };
        let places = Places::new(&config, ip("127.0.0.1"));
        assert_eq!(places.announced(), ip("198.51.100.7"));
        let (_, relay) = places
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
        let mut config = Config::default();
        config.turn.relay_ports = Some((ends[0], ends[1]));
        let places = Places::new(&config, ip("127.0.0.1"));
        match places.open(AddressFamily::IPV4, Port::Any) {
            Ok((_, relay)) => assert_eq!(relay.port(), ends[0]),
            // Somebody else has the other.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
        assert!(places.open(AddressFamily::IPV6, Port::Any).is_err());
    }

    #[test]
    fn an_even_port_can_be_asked_for() {
        let mut config = Config::default();
        for range in [None, Some((40_001, 40_999))] {
            config.turn.relay_ports = range;
            let places = Places::new(&config, ip("127.0.0.1"));
            let (_, relay) = places
                .open(AddressFamily::IPV4, Port::Even)
                .expect("a port");
            assert!(relay.port().is_multiple_of(2), "{relay}");
        }
    }
}
