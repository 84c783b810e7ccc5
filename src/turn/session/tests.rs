//! Sessions in virtual time, with requests that were authenticated.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use turn_server_proto::types::attribute::{
    AdditionalAddressFamily, ChannelNumber, Data, EvenPort, Lifetime, RequestedTransport,
    XorPeerAddress, XorRelayedAddress,
};
use turn_server_proto::types::channel::ChannelData;
use turn_server_proto::types::message::{DATA, REFRESH, SEND};
use turn_server_proto::types::stun::attribute::{Realm, Username};
use turn_server_proto::types::stun::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, MessageClass, MessageType, Method,
};
use turn_server_proto::types::stun::prelude::{AttributeWrite, MessageWriteExt};

use super::*;
use crate::turn::auth::{Authenticator, Verdict};
use crate::turn::credentials::Secret;
use crate::turn::permissions::MAX_PERMISSIONS;

const MINUTE: Duration = Duration::from_secs(60);

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A client with an authenticator in front, at a time of its own.
struct Story {
    auth: Authenticator,
    secret: Secret,
    session: Session,
    policy: PeerPolicy,
    now: Instant,
}

type Attribute<'a> = &'a dyn Fn(TransactionId) -> Box<dyn AttributeWrite>;

fn udp(_: TransactionId) -> Box<dyn AttributeWrite> {
    Box::new(RequestedTransport::new(RequestedTransport::UDP))
}

fn peer(address: &'static str) -> impl Fn(TransactionId) -> Box<dyn AttributeWrite> {
    move |id| Box::new(XorPeerAddress::new(at(address), id))
}

fn channel(number: u16) -> impl Fn(TransactionId) -> Box<dyn AttributeWrite> {
    move |_| Box::new(ChannelNumber::new(number))
}

fn lifetime(seconds: u32) -> impl Fn(TransactionId) -> Box<dyn AttributeWrite> {
    move |_| Box::new(Lifetime::new(seconds))
}

const CLIENT: &str = "192.0.2.1:5000";
const RELAY: &str = "192.0.2.9:40000";
const PEER: &str = "192.0.2.2:6000";

impl Story {
    fn new() -> Self {
        let secret = Secret::new("north");
        let auth = Authenticator::new(secret.clone());
        let request = signed(&auth, &secret, ALLOCATE, &[&udp]);
        let session = Session::new(at(CLIENT), at("192.0.2.9:3478"), admitted(&auth, &request));
        Self {
            auth,
            secret,
            session,
            policy: PeerPolicy::default(),
            now: Instant::from_nanos(1_000_000_000),
        }
    }

    /// One with an allocation.
    fn open() -> Self {
        let mut story = Self::new();
        let actions = story.ask(ALLOCATE, &[&udp]);
        assert_eq!(actions, [Action::Open(AddressFamily::IPV4, Port::Any)]);
        let actions = story.opened(Ok(at(RELAY)));
        assert_eq!(code(&actions), 0);
        story
    }

    fn opened(&mut self, relay: Result<SocketAddr, SocketAllocateError>) -> Vec<Action> {
        self.session.opened(AddressFamily::IPV4, relay, self.now)
    }

    fn ask(&mut self, method: Method, attributes: &[Attribute<'_>]) -> Vec<Action> {
        let request = signed(&self.auth, &self.secret, method, attributes);
        self.pass(&request)
    }

    fn pass(&mut self, request: &[u8]) -> Vec<Action> {
        let login = admitted(&self.auth, request);
        let request = Message::from_bytes(request).expect("a request");
        self.session
            .request(&request, &login, &self.policy, self.now)
    }

    fn sends(&mut self, to: &str, payload: &[u8]) -> Option<Vec<u8>> {
        let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
        let id = TransactionId::generate();
        let mut message = Message::builder(kind, id, MessageWriteVec::new());
        let address = XorPeerAddress::new(at(to), id);
        message.add_attribute(&address).expect("it fits");
        message.add_attribute(&Data::new(payload)).expect("it fits");
        self.goes_out(&message.finish())
            .filter(|(peer, _)| *peer == at(to))
            .map(|(_, data)| data)
    }

    fn goes_out(&mut self, packet: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut out = [0; 2000];
        let sent = self
            .session
            .outbound(packet, &mut out, &self.policy, self.now)?;
        assert_eq!(sent.relay, at(RELAY));
        Some((sent.peer, out[..sent.length].to_vec()))
    }

    fn comes_in(&mut self, from: &str, payload: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0; 2000];
        let length = self
            .session
            .inbound(at(RELAY), at(from), payload, &mut out, self.now)?;
        Some(out[..length].to_vec())
    }
}

fn admitted(auth: &Authenticator, request: &[u8]) -> Login {
    let request = Message::from_bytes(request).expect("a request");
    match auth.authenticate(&request, at(CLIENT), SystemTime::now()) {
        Verdict::Admitted(login) => login,
        Verdict::Refused(_) => panic!("refused"),
    }
}

/// A request with a fresh nonce and a good credential.
fn signed(
    auth: &Authenticator,
    secret: &Secret,
    method: Method,
    attributes: &[Attribute<'_>],
) -> Vec<u8> {
    let bare = Message::builder_request(method, MessageWriteVec::new()).finish();
    let bare = Message::from_bytes(&bare).expect("a request");
    let Verdict::Refused(Some(challenge)) = auth.authenticate(&bare, at(CLIENT), SystemTime::now())
    else {
        panic!("no challenge");
    };
    let challenge = Message::from_bytes(&challenge).expect("an answer");
    let nonce = challenge.attribute::<Nonce>().expect("a nonce");

    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let credential = secret.issue("ann", expires);
    let key = LongTermKeyCredentials::new(
        credential.username.clone(),
        credential.password,
        REALM.into(),
    );
    let mut request = Message::builder_request(method, MessageWriteVec::new());
    let id = request.transaction_id();
    for attribute in attributes {
        request
            .add_attribute(attribute(id).as_ref())
            .expect("it fits");
    }
    let username = Username::new(&credential.username).expect("a name");
    request.add_attribute(&username).expect("it fits");
    let realm = Realm::new(REALM).expect("a realm");
    request.add_attribute(&realm).expect("it fits");
    request.add_attribute(&nonce).expect("it fits");
    let key = key.make_key(IntegrityAlgorithm::Sha1);
    request
        .add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1)
        .expect("it fits");
    request.finish()
}

/// The error code of the one answer, 0 for success.
fn code(actions: &[Action]) -> u16 {
    let [Action::Answer(answer)] = actions else {
        panic!("{actions:?}");
    };
    let answer = Message::from_bytes(answer).expect("an answer");
    answer
        .attribute::<ErrorCode>()
        .map_or(0, |error| error.code())
}

#[test]
fn an_allocation_is_what_the_edge_opened() {
    let mut story = Story::new();
    let request = signed(&story.auth, &story.secret, ALLOCATE, &[&udp]);
    assert_eq!(
        story.pass(&request),
        [Action::Open(AddressFamily::IPV4, Port::Any)]
    );
    let first = story.opened(Ok(at(RELAY)));
    let [Action::Answer(answer)] = &first[..] else {
        panic!("{first:?}");
    };
    let answer = Message::from_bytes(answer).expect("an answer");
    let relay = answer.attribute::<XorRelayedAddress>().expect("an address");
    assert_eq!(relay.addr(answer.transaction_id()), at(RELAY));
    assert_eq!(story.session.relays(), [at(RELAY)]);
    // The same request again, when the answer was lost; and another.
    assert_eq!(story.pass(&request), first);
    assert_eq!(code(&story.ask(ALLOCATE, &[&udp])), 437);
}

#[test]
fn without_a_socket_there_is_none() {
    for (error, expected) in [
        (SocketAllocateError::InsufficientCapacity, 508),
        (SocketAllocateError::AddressFamilyNotSupported, 440),
    ] {
        let mut story = Story::new();
        story.ask(ALLOCATE, &[&udp]);
        assert_eq!(code(&story.opened(Err(error))), expected);
        assert!(story.session.relays().is_empty());
    }
}

#[test]
fn ports_are_even_on_request_and_never_reserved() {
    let even = |next| move |_| -> Box<dyn AttributeWrite> { Box::new(EvenPort::new(next)) };
    let mut story = Story::new();
    assert_eq!(code(&story.ask(ALLOCATE, &[&udp, &even(true)])), 508);
    let actions = story.ask(ALLOCATE, &[&udp, &even(false)]);
    assert_eq!(actions, [Action::Open(AddressFamily::IPV4, Port::Even)]);
}

#[test]
fn both_families_can_be_asked_for() {
    let both = |_| -> Box<dyn AttributeWrite> {
        Box::new(AdditionalAddressFamily::new(AddressFamily::IPV6))
    };
    let mut story = Story::new();
    let mut actions = story.ask(ALLOCATE, &[&udp, &both]);
    actions.sort_by_key(|act| format!("{act:?}"));
    let families = [AddressFamily::IPV4, AddressFamily::IPV6];
    assert_eq!(
        actions,
        families.map(|family| Action::Open(family, Port::Any))
    );
    assert_eq!(story.opened(Ok(at(RELAY))), []);
    let refused = Err(SocketAllocateError::AddressFamilyNotSupported);
    let actions = story
        .session
        .opened(AddressFamily::IPV6, refused, story.now);
    assert_eq!(code(&actions), 0);
    assert_eq!(story.session.relays(), [at(RELAY)]);
}

#[test]
fn nothing_passes_without_a_permission_or_after_it() {
    let mut story = Story::open();
    assert_eq!(story.sends(PEER, b"hello"), None);
    assert_eq!(story.comes_in(PEER, b"hello"), None);
    assert_eq!(code(&story.ask(CREATE_PERMISSION, &[&peer(PEER)])), 0);
    assert_eq!(story.sends(PEER, b"hello").as_deref(), Some(&b"hello"[..]));
    let data = story.comes_in(PEER, b"hello").expect("it passes");
    assert!(
        Message::from_bytes(&data)
            .expect("a message")
            .has_method(DATA)
    );
    // It is for the address, whatever the port, and for no other address.
    assert!(story.comes_in("192.0.2.2:7000", b"hello").is_some());
    assert_eq!(story.comes_in("192.0.2.3:6000", b"hello"), None);
    // RFC 8656 section 9: five minutes.
    story.now += 5 * MINUTE + Duration::from_secs(1);
    assert_eq!(story.session.tick(story.now), []);
    assert_eq!(story.sends(PEER, b"hello"), None);
    assert_eq!(story.comes_in(PEER, b"hello"), None);
}

#[test]
fn channels_carry_packets_for_ten_minutes() {
    let mut story = Story::open();
    let bind: [Attribute<'_>; 2] = [&channel(0x4000), &peer(PEER)];
    assert_eq!(code(&story.ask(CHANNEL_BIND, &bind)), 0);
    let mut packet = [0; 9];
    ChannelData::new(0x4000, b"hello").write_into_unchecked(&mut packet);
    let sent = story.goes_out(&packet).expect("it passes");
    assert_eq!(sent, (at(PEER), b"hello".to_vec()));
    assert_eq!(story.comes_in(PEER, b"hello").as_deref(), Some(&packet[..]));
    story.now += 10 * MINUTE - Duration::from_secs(1);
    // The permission it brought is over sooner.
    assert_eq!(story.goes_out(&packet), None);
    assert_eq!(code(&story.ask(REFRESH, &[&lifetime(600)])), 0);
    assert_eq!(code(&story.ask(CHANNEL_BIND, &bind)), 0);
    assert!(story.goes_out(&packet).is_some());
}

#[test]
fn an_allocation_ends_when_it_is_given_up_or_not_refreshed() {
    let mut story = Story::open();
    story.now += 9 * MINUTE;
    assert_eq!(code(&story.ask(REFRESH, &[&lifetime(600)])), 0);
    story.now += 9 * MINUTE;
    assert_eq!(story.session.tick(story.now), []);
    story.now += 2 * MINUTE;
    assert_eq!(story.session.tick(story.now), [Action::Close(at(RELAY))]);
    assert!(story.session.relays().is_empty());
    assert_eq!(code(&story.ask(REFRESH, &[&lifetime(600)])), 437);

    let mut story = Story::open();
    let actions = story.ask(REFRESH, &[&lifetime(0)]);
    assert_eq!(code(&actions[..1]), 0);
    assert_eq!(actions[1..], [Action::Close(at(RELAY))]);
}

#[test]
fn forbidden_peers_get_no_permission_and_no_packet() {
    let mut story = Story::open();
    for bad in ["10.0.0.1:6000", "127.0.0.1:6000", "169.254.0.1:6000"] {
        let id: Attribute<'_> = &move |id| Box::new(XorPeerAddress::new(at(bad), id));
        assert_eq!(code(&story.ask(CREATE_PERMISSION, &[id])), 403, "{bad}");
        assert_eq!(
            code(&story.ask(CREATE_PERMISSION, &[&peer(PEER), id])),
            403,
            "{bad}"
        );
        assert_eq!(
            code(&story.ask(CHANNEL_BIND, &[&channel(0x4000), id])),
            403,
            "{bad}"
        );
    }
    assert_eq!(
        code(&story.ask(CHANNEL_BIND, &[&channel(0x4000), &peer("192.0.2.2:53")])),
        403
    );
    // The port is looked at with each packet, for permissions have none.
    assert_eq!(
        code(&story.ask(CREATE_PERMISSION, &[&peer("192.0.2.2:53")])),
        0
    );
    assert_eq!(story.sends("192.0.2.2:53", b"hello"), None);
    assert!(story.sends("192.0.2.2:1053", b"hello").is_some());
    let many: Vec<Attribute<'_>> = vec![&|id| Box::new(XorPeerAddress::new(at(PEER), id)); 17];
    assert_eq!(code(&story.ask(CREATE_PERMISSION, &many[..16])), 0);
    assert_eq!(code(&story.ask(CREATE_PERMISSION, &many)), 400);
}

#[test]
fn a_client_has_permissions_for_so_many_addresses_and_those_stay() {
    let mut story = Story::open();
    let permit = |story: &mut Story, host: u8| {
        let peer = SocketAddr::from(([198, 51, 100, host], 5000));
        let address =
            move |id| -> Box<dyn AttributeWrite> { Box::new(XorPeerAddress::new(peer, id)) };
        code(&story.ask(CREATE_PERMISSION, &[&address]))
    };
    for host in 1..=MAX_PERMISSIONS {
        assert_eq!(permit(&mut story, u8::try_from(host).expect("a byte")), 0);
    }
    assert_eq!(permit(&mut story, 200), 508);
    assert_eq!(permit(&mut story, 1), 0, "renewed");
    assert!(story.sends("198.51.100.32:5000", b"hello").is_some());
    assert!(story.sends("198.51.100.200:5000", b"hello").is_none());
}
