//! Datagrams to the ports of live media and to that of TURN: STUN with damage, and noise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};
use turn_server_proto::types::stun::attribute::{AttributeType, RawAttribute, Username};
use turn_server_proto::types::stun::message::{
    BINDING, IntegrityAlgorithm, Message, MessageIntegrityCredentials, MessageWriteVec, Method,
    ShortTermCredentials,
};
use turn_server_proto::types::stun::prelude::{MessageWrite, MessageWriteExt};

use crate::Siege;
use crate::draw::Draw;
use crate::offers::Session;
use crate::report::Tally;
use crate::turn::{Client, channel, credential, lifetime, peer, udp};

/// Datagrams that are sent at once, and the time to the next.
const BURST: u64 = 10;
const EACH: Duration = Duration::from_millis(50);
/// How often it is looked which ports are open.
const LOOK: Duration = Duration::from_secs(1);

/// What a peer's first datagrams look like, by which a socket for media tells them apart (RFC 7983):
/// DTLS (a hello, an alert), SRTP, SRTCP, and what is none of these.
const FIRST: [&[u8]; 5] = [
    &[
        22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 254, 253,
        0, 0,
    ],
    &[21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40],
    &[
        128, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    ],
    &[
        128, 200, 0, 6, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 128, 0, 0, 1,
    ],
    &[64, 0, 0, 4, 1, 2, 3, 4],
];

/// A binding request of ICE (RFC 8445 section 7.1), as one who knows the session's secret sends it.
fn binding(draw: &mut Draw, session: &Session) -> Vec<u8> {
    let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
    let name = format!("{}:Qm3k", session.ufrag);
    let (priority, tie) = (draw.number().to_be_bytes(), draw.noise(9));
    // PRIORITY, ICE-CONTROLLING, USE-CANDIDATE.
    let raw = [(0x24, &priority[..]), (0x802a, &tie), (0x25, &[])];
    if let Ok(name) = Username::new(&name) {
        let _ = request.add_attribute(&name);
    }
    for (kind, value) in raw {
        let _ = request.add_attribute(&RawAttribute::new(AttributeType::new(kind), value));
    }
    let secret = ShortTermCredentials::new(session.password.clone());
    let secret = MessageIntegrityCredentials::ShortTerm(secret);
    let _ = request.add_message_integrity(&secret, IntegrityAlgorithm::Sha1);
    let _ = request.add_fingerprint();
    request.finish()
}

fn datagram(draw: &mut Draw, session: Option<&Session>) -> Vec<u8> {
    match (draw.below(10), session) {
        (0, _) => draw.noise(1400),
        (1..4, _) | (_, None) => {
            let seed = *draw.one(&FIRST);
            draw.damaged(seed)
        }
        (4, Some(session)) => binding(draw, session),
        (_, Some(session)) => {
            let seed = binding(draw, session);
            draw.damaged(&seed)
        }
    }
}

/// Datagrams to every port that the server has open for media.
pub(crate) async fn media_ports(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    let mut ports = siege.server.udp_ports();
    let mut looked = Instant::now();
    while !siege.stop.is_cancelled() {
        if looked.elapsed() >= LOOK {
            (ports, looked) = (siege.server.udp_ports(), Instant::now());
        }
        let from = SocketAddr::new(draw.address(), 0);
        let socket = UdpSocket::bind(from).await.expect("a socket");
        let session = siege.live.newest();
        for _ in 0..BURST {
            let to = match &session {
                Some(session) if draw.percent(50) => session.address,
                _ => SocketAddr::new([127, 0, 0, 1].into(), *draw.one(&ports)),
            };
            let bytes = datagram(&mut draw, session.as_ref());
            let _ = socket.send_to(&bytes, to).await;
            tally.sent(1);
        }
        let mut answer = [0; 1500];
        if timeout(EACH, socket.recv_from(&mut answer)).await.is_ok() {
            tally.taken();
        }
    }
}

/// Requests of a user of TURN, signed with damaged values or damaged as a whole.
pub(crate) async fn turn_port(siege: Siege, mut draw: Draw, tally: Arc<Tally>) {
    while !siege.stop.is_cancelled() {
        let user = format!("siege-1/p{}", draw.below(4));
        let mut client = Client::new(siege.server.turn, credential(&user)).await;
        client.challenged().await;
        if client.allocate().await.is_ok() {
            tally.taken();
        }
        for _ in 0..20 {
            for _ in 0..BURST {
                let bytes = turn_datagram(&mut draw, &client);
                let _ = client.socket.send_to(&bytes, siege.server.turn).await;
                tally.sent(1);
            }
            sleep(EACH).await;
            let mut answer = [0; 1500];
            while client.socket.try_recv_from(&mut answer).is_ok() {}
            if siege.stop.is_cancelled() {
                break;
            }
        }
        // Else they would be there for as long as they were last asked for.
        for _ in 0..2 {
            let end = client.signed(REFRESH, &[lifetime(0)]);
            client.send(&end).await;
            sleep(EACH).await;
        }
    }
}

fn turn_datagram(draw: &mut Draw, client: &Client) -> Vec<u8> {
    let [a, b, c, d] = draw.number().to_be_bytes();
    let other = match draw.percent(50) {
        true => [127, 0, 0, 1],
        false => [a, b, c, d],
    };
    let other = SocketAddr::from((other, draw.number() as u16));
    let signed = match draw.below(6) {
        0 => client.signed(ALLOCATE, &[udp(), lifetime(draw.number())]),
        1 => client.signed(REFRESH, &[lifetime(1 + draw.number() % 1000)]),
        2 => client.signed(CREATE_PERMISSION, &[peer(other), peer(other)]),
        3 => client.signed(CHANNEL_BIND, &[channel(draw.number() as u16), peer(other)]),
        4 => client.signed(Method::new(draw.number() as u16 & 0xfff), &[peer(other)]),
        _ => return datagram(draw, None),
    };
    match draw.percent(60) {
        true => draw.damaged(&signed),
        false => signed,
    }
}
