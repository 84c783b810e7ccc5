//! The TURN server built in, as clients of every kind find it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::client::{self, Client, From, SECRET, code, credential, credential_of, relayed, udp};
use proptest::prelude::*;
use tessera::config::Config;
use tessera::turn::credentials::Secret;
use tessera::turn::{HostAddresses, TrafficCount, Turn};
use tokio::net::UdpSocket;
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};
use turn_server_proto::types::stun::attribute::XorMappedAddress;
use turn_server_proto::types::stun::message::{BINDING, Message};

/// A server on 127.0.0.1 whose relays may talk to it.
pub(crate) fn server() -> Turn {
    server_with(|_| {})
}

/// The same with other settings.
fn server_with(change: impl FnOnce(&mut Config)) -> Turn {
    let mut config = Config::default();
    config.turn.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.turn.allowed_peers = vec!["127.0.0.1/32".parse().unwrap()];
    change(&mut config);
    let host = HostAddresses {
        local: config.media_ips.first_given(),
        public: config.public_ip,
    };
    Turn::start(&config.turn, host, Secret::new(SECRET)).unwrap()
}

/// A peer that is no TURN client.
async fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let received = socket.recv_from(&mut buffer);
    let received = tokio::time::timeout(Duration::from_secs(10), received).await;
    let (length, from) = received.expect("a packet").unwrap();
    (buffer[..length].to_vec(), from)
}

#[tokio::test]
async fn a_binding_request_is_told_its_address() {
    let server = server();
    let client = Client::new(server.local_addr(), credential("ann")).await;
    let answer = client.exchange(&Client::bare(BINDING)).await;
    assert_eq!(code(&answer), 0);
    let answer = Message::from_bytes(&answer).unwrap();
    let mapped = answer.attribute::<XorMappedAddress>().unwrap();
    let own = client.socket.local_addr().unwrap();
    assert_eq!(mapped.addr(answer.transaction_id()), own);
}

#[tokio::test]
async fn packets_go_both_ways_by_indication_and_by_channel() {
    let server = server();
    let (peer, address) = peer().await;
    let mut client = Client::new(server.local_addr(), credential("r1/p1")).await;
    let relay = client.allocate().await.unwrap();

    // Without a permission nothing passes.
    client.send_to(address, b"too early").await;
    assert_eq!(client.permit(address).await, 0);
    client.send_to(address, b"one").await;
    assert_eq!(received(&peer).await, (b"one".to_vec(), relay));
    peer.send_to(b"two", relay).await.unwrap();
    assert_eq!(
        client.relayed().await,
        (From::Peer(address), b"two".to_vec())
    );

    assert_eq!(client.bind(0x4000, address).await, 0);
    client.send_through(0x4000, b"three").await;
    assert_eq!(received(&peer).await, (b"three".to_vec(), relay));
    peer.send_to(b"four", relay).await.unwrap();
    assert_eq!(
        client.relayed().await,
        (From::Channel(0x4000), b"four".to_vec())
    );

    let allocations = server.allocations();
    let [allocation] = &allocations[..] else {
        panic!("{allocations:?}");
    };
    assert_eq!(allocation.user, "r1/p1");
    assert_eq!(allocation.client, client.socket.local_addr().unwrap());
    assert_eq!(allocation.relays, [relay]);
    let [flow] = &allocation.peers[..] else {
        panic!("{allocation:?}");
    };
    let count = |packets, bytes| TrafficCount { packets, bytes };
    assert_eq!(flow.peer, address);
    assert_eq!((flow.to_peer, flow.from_peer), (count(2, 8), count(2, 7)));
}

#[tokio::test]
async fn two_clients_meet_relay_to_relay() {
    let server = server();
    let mut ann = Client::new(server.local_addr(), credential("ann")).await;
    let mut ben = Client::new(server.local_addr(), credential("ben")).await;
    let (to_ann, to_ben) = (ann.allocate().await.unwrap(), ben.allocate().await.unwrap());
    assert_eq!(ann.bind(0x4001, to_ben).await, 0);
    assert_eq!(ben.bind(0x4002, to_ann).await, 0);
    ann.send_through(0x4001, b"hello").await;
    assert_eq!(
        ben.relayed().await,
        (From::Channel(0x4002), b"hello".to_vec())
    );
    ben.send_through(0x4002, b"hello yourself").await;
    let (from, _) = ann.relayed().await;
    assert_eq!(from, From::Channel(0x4001));
}

#[tokio::test]
async fn absent_wrong_and_expired_credentials_are_refused() {
    let server = server();
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let mut client = Client::new(server.local_addr(), credential("ann")).await;

    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let answer = client.exchange(&Client::bare(method)).await;
        assert_eq!(code(&answer), 401, "{method}");
    }
    client.challenged().await;
    for wrong in [
        credential_of(SECRET, "ann", now - hour),
        credential_of("south", "ann", now + hour),
    ] {
        client.credential = wrong;
        assert_eq!(client.allocate().await, Err(401));
    }
    client.credential = credential("ann");
    client.credential.password = "guessed".into();
    assert_eq!(client.allocate().await, Err(401));
    client.credential.username = "ann".into();
    assert_eq!(client.allocate().await, Err(401));

    client.credential = credential("ann");
    let nonce = std::mem::replace(&mut client.nonce, "an old one".into());
    assert_eq!(client.allocate().await, Err(438));
    client.nonce = nonce;
    assert!(client.allocate().await.is_ok());
    assert_eq!(server.allocations().len(), 1);

    // Somebody else's credential opens nothing here either (RFC 8656 section 5).
    client.credential = credential("ben");
    assert_eq!(client.refresh(600).await, 441);
}

#[tokio::test]
async fn forbidden_peers_are_refused_and_never_sent_to() {
    let server = server();
    let mut client = Client::new(server.local_addr(), credential("ann")).await;
    client.allocate().await.unwrap();
    for forbidden in [
        "127.0.0.2:5000",
        "10.0.0.1:5000",
        "192.168.1.1:5000",
        "169.254.169.254:80",
        "0.0.0.0:5000",
        "255.255.255.255:5000",
    ] {
        let forbidden = forbidden.parse().unwrap();
        assert_eq!(client.permit(forbidden).await, 403, "{forbidden}");
        assert_eq!(client.bind(0x4000, forbidden).await, 403, "{forbidden}");
    }
    // One among others is enough.
    let peers = ["127.0.0.1:5000", "10.0.0.1:5000"].map(|peer| client::peer(peer.parse().unwrap()));
    assert_eq!(client.ask(CREATE_PERMISSION, &peers).await, 403);

    // An address may be allowed and a service's port there is not.
    let service = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    assert_eq!(client.bind(0x4000, service).await, 403);
    assert_eq!(client.permit(service).await, 0);
    client.send_to(service, b"a question").await;
    // Answered after the packet was dealt with.
    assert_eq!(client.refresh(600).await, 0);
    assert!(server.allocations()[0].peers.is_empty());
}

#[tokio::test]
async fn without_a_setting_loopback_is_forbidden() {
    let server = server_with(|config| config.turn.allowed_peers.clear());
    let mut client = Client::new(server.local_addr(), credential("ann")).await;
    client.allocate().await.unwrap();
    let (_, address) = peer().await;
    assert_eq!(client.permit(address).await, 403);
    assert_eq!(client.permit("192.0.2.1:5000".parse().unwrap()).await, 0);
}

#[tokio::test]
async fn allocations_are_limited_by_user_and_in_all() {
    let server = server_with(|config| {
        config.turn.max_allocations = 3;
        config.turn.max_allocations_per_user = 2;
    });
    let mut clients = Vec::new();
    for (user, expected) in [
        ("ann", None),
        ("ann", None),
        ("ann", Some(486)),
        ("ben", None),
        ("cleo", Some(486)),
    ] {
        let mut client = Client::new(server.local_addr(), credential(user)).await;
        assert_eq!(client.allocate().await.err(), expected, "{user}");
        clients.push(client);
    }
    // A user is the name, however many credentials it has been given.
    clients[2].credential =
        credential_of(SECRET, "ann", SystemTime::now() + Duration::from_secs(7200));
    assert_eq!(clients[2].allocate().await, Err(486));
    // What is given back can be had again.
    assert_eq!(clients[0].refresh(0).await, 0);
    assert!(clients[4].allocate().await.is_ok());
    assert_eq!(server.allocations().len(), 3);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again() {
    let server = server();
    let mut client = Client::new(server.local_addr(), credential("ann")).await;
    client.challenged().await;
    let request = client.signed(ALLOCATE, &[udp()]);
    let first = client.exchange(&request).await;
    let again = client.exchange(&request).await;
    assert_eq!(relayed(&first), relayed(&again));
    assert!(relayed(&first).is_ok());
    // Another request for what is there already is a mistake (RFC 8656 section 7.2).
    assert_eq!(client.allocate().await, Err(437));
    assert_eq!(server.allocations().len(), 1);
}

#[tokio::test]
async fn relays_stay_in_their_range_of_ports() {
    // Two free ports side by side.
    let (low, high) = loop {
        let (_first, address) = peer().await;
        let low = address.port();
        if low < u16::MAX && UdpSocket::bind(("127.0.0.1", low + 1)).await.is_ok() {
            break (low, low + 1);
        }
    };
    let server = server_with(|config| config.turn.relay_ports = Some((low, high)));
    let mut ports = Vec::new();
    for _ in 0..2 {
        let mut client = Client::new(server.local_addr(), credential("ann")).await;
        ports.push(client.allocate().await.unwrap().port());
    }
    ports.sort_unstable();
    assert_eq!(ports, [low, high]);
    let mut client = Client::new(server.local_addr(), credential("ann")).await;
    assert_eq!(client.allocate().await, Err(508));
    assert_eq!(
        server.allocations().len(),
        2,
        "a failure leaves nothing behind"
    );
}

#[tokio::test]
async fn public_addresses_are_told_in_place_of_the_machines() {
    let public: IpAddr = "198.51.100.7".parse().unwrap();
    let server = server_with(|config| config.public_ip = Some(public));
    let port = server.local_addr().port();
    let (stun, turn) = server.urls();
    assert_eq!(stun, [format!("stun:198.51.100.7:{port}")]);
    assert_eq!(
        turn,
        [
            format!("turn:198.51.100.7:{port}?transport=udp"),
            format!("turn:198.51.100.7:{port}?transport=tcp"),
        ]
    );
    let mut client = Client::new(server.local_addr(), credential("ann")).await;
    assert_eq!(client.allocate().await.unwrap().ip(), public);
}

#[tokio::test]
async fn strangers_are_metered_and_those_with_a_credential_are_not() {
    let server = server_with(|config| config.turn.requests_per_second = 5);
    let mut client = Client::new(server.local_addr(), credential("ann")).await;
    client.challenged().await;
    let stranger = Client::new(server.local_addr(), credential("nobody")).await;
    for _ in 0..200 {
        stranger.send(&Client::bare(ALLOCATE)).await;
        stranger.send(&Client::bare(BINDING)).await;
    }
    // Answered after all of those were dealt with.
    client.allocate().await.unwrap();
    assert_eq!(client.refresh(600).await, 0);
    let mut answers = 0;
    let mut buffer = [0; 2000];
    while stranger.socket.try_recv_from(&mut buffer).is_ok() {
        answers += 1;
    }
    assert!((1..50).contains(&answers), "{answers} answers");
}

#[tokio::test]
async fn a_server_on_every_address_serves_ipv4_clients_as_such() {
    let server = server_with(|config| config.turn.listen = Some("[::]:0".parse().unwrap()));
    let port = server.local_addr().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut client = Client::new(address, credential("ann")).await;
    let answer = client.exchange(&Client::bare(BINDING)).await;
    let answer = Message::from_bytes(&answer).unwrap();
    let mapped = answer.attribute::<XorMappedAddress>().unwrap();
    let own = client.socket.local_addr().unwrap();
    assert_eq!(mapped.addr(answer.transaction_id()), own);
    assert!(client.allocate().await.unwrap().is_ipv4());
    assert_eq!(server.allocations()[0].client, own);
}

#[tokio::test]
async fn stopping_ends_everything() {
    let server = server();
    let address = server.local_addr();
    let mut client = Client::new(address, credential("ann")).await;
    let relay = client.allocate().await.unwrap();
    server.stop().await;
    assert!(server.allocations().is_empty());
    drop(server);
    // All its ports can be had again.
    UdpSocket::bind(relay).await.unwrap();
    UdpSocket::bind(address).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A client with a good credential may send whatever it likes, and be there afterwards.
    #[test]
    fn no_packet_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        raw in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = server();
            let mut client = Client::new(server.local_addr(), credential("ann")).await;
            client.allocate().await.unwrap();
            let (_, address) = peer().await;
            for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND, BINDING] {
                let attributes = [client::peer(address), client::channel(0x4000)];
                let mut packet = client.signed(method, &attributes);
                for (place, byte) in &changes {
                    let place = place.index(packet.len());
                    packet[place] = *byte;
                }
                client.send(&packet).await;
                client.send(&packet[..cut.index(packet.len())]).await;
            }
            client.send(&raw).await;
            client.send(&[&[0x40, 0], &raw[..]].concat()).await;
            // A task that has panicked answers nobody.
            let mut other = Client::new(server.local_addr(), credential("ben")).await;
            assert!(other.allocate().await.is_ok());
        });
    }
}
