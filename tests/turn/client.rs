//! A TURN client that says what it is told to.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tessera::turn::credentials::{Credential, Secret};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use turn_server_proto::types::attribute::{
    ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_server_proto::types::channel::ChannelData;
use turn_server_proto::types::message::{
    ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND,
};
use turn_server_proto::types::stun::attribute::{ErrorCode, Nonce, Realm, Username};
use turn_server_proto::types::stun::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWriteVec, Method, TransactionId,
};
use turn_server_proto::types::stun::prelude::{AttributeWrite, MessageWrite, MessageWriteExt};

/// Longer than any answer takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The secret of the servers here.
pub(crate) const SECRET: &str = "north";

/// A credential that is good for an hour.
pub(crate) fn credential(user: &str) -> Credential {
    credential_of(SECRET, user, SystemTime::now() + Duration::from_secs(3600))
}

/// Any credential.
pub(crate) fn credential_of(secret: &str, user: &str, expires: SystemTime) -> Credential {
    Secret::new(secret).issue(user, expires)
}

/// One client, at an address of its own.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    server: SocketAddr,
    pub(crate) credential: Credential,
    /// As the server last gave it.
    pub(crate) nonce: String,
    realm: String,
}

/// An attribute of some request.
type Attribute = Box<dyn Fn(TransactionId) -> Box<dyn AttributeWrite> + Send + Sync>;

pub(crate) fn udp() -> Attribute {
    Box::new(|_| Box::new(RequestedTransport::new(RequestedTransport::UDP)))
}

pub(crate) fn peer(address: SocketAddr) -> Attribute {
    Box::new(move |id| Box::new(XorPeerAddress::new(address, id)))
}

pub(crate) fn channel(number: u16) -> Attribute {
    Box::new(move |_| Box::new(ChannelNumber::new(number)))
}

pub(crate) fn lifetime(seconds: u32) -> Attribute {
    Box::new(move |_| Box::new(Lifetime::new(seconds)))
}

impl Client {
    pub(crate) async fn new(server: SocketAddr, credential: Credential) -> Self {
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            server,
            credential,
            nonce: String::new(),
            realm: String::new(),
        }
    }

    /// Sends bytes and returns what comes back.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        self.socket.send_to(bytes, self.server).await.unwrap();
        self.receive().await
    }

    pub(crate) async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).await.unwrap();
    }

    pub(crate) async fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let received = timeout(PATIENCE, self.socket.recv_from(&mut buffer));
        let (length, from) = received.await.expect("an answer").unwrap();
        assert_eq!(from, self.server);
        buffer[..length].to_vec()
    }

    /// A request without a credential.
    pub(crate) fn bare(method: Method) -> Vec<u8> {
        Message::builder_request(method, MessageWriteVec::new()).finish()
    }

    /// A request signed with the credential, by the last nonce.
    pub(crate) fn signed(&self, method: Method, attributes: &[Attribute]) -> Vec<u8> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        let id = request.transaction_id();
        for attribute in attributes {
            request.add_attribute(attribute(id).as_ref()).unwrap();
        }
        let Credential { username, password } = self.credential.clone();
        request
            .add_attribute(&Username::new(&username).unwrap())
            .unwrap();
        request
            .add_attribute(&Realm::new(&self.realm).unwrap())
            .unwrap();
        request
            .add_attribute(&Nonce::new(&self.nonce).unwrap())
            .unwrap();
        let key = LongTermKeyCredentials::new(username, password, self.realm.clone());
        let key = key.make_key(IntegrityAlgorithm::Sha1);
        request
            .add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1)
            .unwrap();
        request.finish()
    }

    /// Asks without a credential first, as RFC 8489 section 9.2.3 has it, and keeps the nonce.
    pub(crate) async fn challenged(&mut self) {
        let answer = self.exchange(&Self::bare(ALLOCATE)).await;
        assert_eq!(code(&answer), 401);
        let answer = Message::from_bytes(&answer).unwrap();
        self.nonce = answer.attribute::<Nonce>().unwrap().nonce().to_owned();
        self.realm = answer.attribute::<Realm>().unwrap().realm().to_owned();
    }

    /// The error code of a signed request, 0 for success.
    pub(crate) async fn ask(&self, method: Method, attributes: &[Attribute]) -> u16 {
        code(&self.exchange(&self.signed(method, attributes)).await)
    }

    /// Opens an allocation; its relayed address, or the error code.
    pub(crate) async fn allocate(&mut self) -> Result<SocketAddr, u16> {
        if self.nonce.is_empty() {
            self.challenged().await;
        }
        let answer = self.exchange(&self.signed(ALLOCATE, &[udp()])).await;
        relayed(&answer)
    }

    pub(crate) async fn refresh(&self, seconds: u32) -> u16 {
        self.ask(REFRESH, &[lifetime(seconds)]).await
    }

    pub(crate) async fn permit(&self, address: SocketAddr) -> u16 {
        self.ask(CREATE_PERMISSION, &[peer(address)]).await
    }

    pub(crate) async fn bind(&self, number: u16, address: SocketAddr) -> u16 {
        self.ask(CHANNEL_BIND, &[channel(number), peer(address)])
            .await
    }

    /// Sends a packet to a peer with a Send indication.
    pub(crate) async fn send_to(&self, address: SocketAddr, payload: &[u8]) {
        let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
        let id = TransactionId::generate();
        let mut message = Message::builder(kind, id, MessageWriteVec::new());
        message
            .add_attribute(&XorPeerAddress::new(address, id))
            .unwrap();
        message.add_attribute(&Data::new(payload)).unwrap();
        self.send(&message.finish()).await;
    }

    /// Sends a packet through a channel.
    pub(crate) async fn send_through(&self, number: u16, payload: &[u8]) {
        let mut packet = vec![0; payload.len() + 4];
        ChannelData::new(number, payload).write_into_unchecked(&mut packet);
        self.send(&packet).await;
    }

    /// The next packet of a peer: who sent it, by channel or address, and what.
    pub(crate) async fn relayed(&self) -> (From, Vec<u8>) {
        let packet = self.receive().await;
        if packet[0] >= 0x40 {
            let channel = ChannelData::parse(&packet).unwrap();
            return (From::Channel(channel.id()), channel.data().to_vec());
        }
        let message = Message::from_bytes(&packet).unwrap();
        assert!(message.has_method(DATA) && message.has_class(MessageClass::Indication));
        let peer = message.attribute::<XorPeerAddress>().unwrap();
        let data = message.attribute::<Data>().unwrap();
        let peer = peer.addr(message.transaction_id());
        (From::Peer(peer), data.data().to_vec())
    }
}

/// How a peer is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Channel(u16),
    Peer(SocketAddr),
}

/// The error code of an answer, 0 for success.
pub(crate) fn code(answer: &[u8]) -> u16 {
    let answer = Message::from_bytes(answer).expect("a STUN message");
    assert!(answer.is_response());
    answer
        .attribute::<ErrorCode>()
        .map_or(0, |error| error.code())
}

/// The relayed address in an answer, or its error code.
pub(crate) fn relayed(answer: &[u8]) -> Result<SocketAddr, u16> {
    match code(answer) {
        0 => {
            let answer = Message::from_bytes(answer).unwrap();
            let relay = answer.attribute::<XorRelayedAddress>().unwrap();
            Ok(relay.addr(answer.transaction_id()))
        }
        code => Err(code),
    }
}
