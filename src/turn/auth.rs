//! Authentication: what every request passes before an allocation sees it; pure.
//!
//! The long-term credential mechanism (RFC 8489 section 9.2) without stored state: the nonce is
//! verified by a [`NonceIssuer`], the password is computed from the username with the [`Secret`].

use std::net::SocketAddr;
use std::time::SystemTime;

use turn_server_proto::types::stun::attribute::{
    AttributeType, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256, Nonce,
    PasswordAlgorithm, PasswordAlgorithms, Realm, Userhash, Username, XorMappedAddress,
};
use turn_server_proto::types::stun::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageWriteVec,
    StunWriteError,
};
use turn_server_proto::types::stun::prelude::{
    Attribute, AttributeStaticType, AttributeWrite, MessageWrite, MessageWriteExt,
};

use super::credentials::Secret;
use super::nonce::NonceIssuer;

/// The realm of all credentials. Any text will do, as long as challenges, passwords and the
/// library agree on it.
pub(super) const REALM: &str = "tessera";

/// Initial capacity of the buffer of an answer, in bytes: enough for the usual ones.
const TYPICAL_LENGTH: usize = 160;

/// The credential of a request that was verified.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// User name of the form `EXPIRY:USER`.
    pub(super) username: String,
    /// The part of the username that quotas count by.
    pub(super) user: String,
    pub(super) password: String,
    key: IntegrityKey,
}

/// The result of authenticating a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The request is authentic.
    Admitted(Login),
    /// It is not, or carries no credential yet. Holds the error response, a challenge in most
    /// cases; `None` if it cannot be written.
    Refused(Option<Vec<u8>>),
}

/// Authenticates requests.
pub(super) struct Authenticator {
    secret: Secret,
    nonces: NonceIssuer,
}

impl Authenticator {
    /// Accepts credentials made with `secret`.
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            secret,
            nonces: NonceIssuer::random(),
        }
    }

    /// Authenticates a request from the address `client` (RFC 8489 section 9.2.4).
    pub(super) fn authenticate(
        &self,
        request: &Message<'_>,
        client: SocketAddr,
        now: SystemTime,
    ) -> Verdict {
        if !request.has_attribute(MessageIntegrity::TYPE) {
            return self.challenge(request, ErrorCode::UNAUTHORIZED, client, now);
        }
        let username = request.attribute::<Username>();
        let nonce = request.attribute::<Nonce>();
        let (Ok(username), Ok(nonce), Ok(_realm)) = (username, nonce, request.attribute::<Realm>())
        else {
            return Verdict::Refused(error(request, ErrorCode::BAD_REQUEST, &[], None));
        };
        if !self.nonces.accepts(nonce.nonce(), client, now) {
            return self.challenge(request, ErrorCode::STALE_NONCE, client, now);
        }
        match self.login(username.username(), now) {
            Some(login) if request.validate_integrity_with_key(&login.key).is_ok() => {
                Verdict::Admitted(login)
            }
            _ => self.challenge(request, ErrorCode::UNAUTHORIZED, client, now),
        }
    }

    fn login(&self, username: &str, now: SystemTime) -> Option<Login> {
        let (password, user) = self.secret.look_up(username, now).ok()?;
        let credentials =
            LongTermKeyCredentials::new(username.into(), password.clone(), REALM.into());
        Some(Login {
            username: username.into(),
            user: user.into(),
            password,
            key: credentials.make_key(IntegrityAlgorithm::Sha1),
        })
    }

    fn challenge(
        &self,
        request: &Message<'_>,
        code: u16,
        client: SocketAddr,
        now: SystemTime,
    ) -> Verdict {
        let nonce = self.nonces.issue(client, now);
        let answer = Realm::new(REALM)
            .and_then(|realm| Ok((realm, Nonce::new(&nonce)?)))
            .ok()
            .and_then(|(realm, nonce)| error(request, code, &[&realm, &nonce], None));
        Verdict::Refused(answer)
    }
}

impl Login {
    /// An error response to an authentic request, signed with its key.
    pub(super) fn refusal(&self, request: &Message<'_>, code: u16) -> Option<Vec<u8>> {
        error(request, code, &[], Some(&self.key))
    }

    /// The same request signed with another nonce, for the library, which checks a nonce of its
    /// own. `None` if it cannot be written.
    pub(super) fn resigned(&self, request: &Message<'_>, nonce: &str) -> Option<Vec<u8>> {
        self.try_resigned(request, nonce).ok()
    }

    fn try_resigned(&self, request: &Message<'_>, nonce: &str) -> Result<Vec<u8>, StunWriteError> {
        const REPLACED: [AttributeType; 9] = [
            Username::TYPE,
            Userhash::TYPE,
            Realm::TYPE,
            Nonce::TYPE,
            PasswordAlgorithm::TYPE,
            PasswordAlgorithms::TYPE,
            MessageIntegrity::TYPE,
            MessageIntegritySha256::TYPE,
            Fingerprint::TYPE,
        ];
        let room = MessageWriteVec::with_capacity(request.as_bytes().len() + TYPICAL_LENGTH);
        let mut written = Message::builder(request.get_type(), request.transaction_id(), room);
        // The iterator ends before what follows MESSAGE-INTEGRITY.
        for (_, attribute) in request.iter_attributes() {
            if !REPLACED.contains(&attribute.get_type()) {
                written.add_attribute(&attribute)?;
            }
        }
        written.add_attribute(&Username::new(&self.username)?)?;
        written.add_attribute(&Realm::new(REALM)?)?;
        written.add_attribute(&Nonce::new(nonce)?)?;
        written.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1)?;
        Ok(written.finish())
    }
}

/// The response to a Binding request (RFC 8489 section 6.3.1): the address it came from, or error
/// 420 for one with comprehension-required attributes that are unknown here. `None` if the response
/// cannot be written.
pub(super) fn binding(request: &Message<'_>, client: SocketAddr) -> Option<Vec<u8>> {
    let mut attributes = request.iter_attributes();
    if attributes.any(|(_, one)| is_foreign(one.get_type())) {
        return error(request, ErrorCode::UNKNOWN_ATTRIBUTE, &[], None);
    }
    let room = MessageWriteVec::with_capacity(TYPICAL_LENGTH);
    let mut answer = Message::builder_success(request, room);
    let address = XorMappedAddress::new(client, request.transaction_id());
    answer.add_attribute(&address).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}

/// Whether a Binding request with this attribute must be refused. Attributes of authentication and
/// of ICE are ignored.
fn is_foreign(kind: AttributeType) -> bool {
    const KNOWN: [u16; 8] = [
        0x0006, // USERNAME
        0x0008, // MESSAGE-INTEGRITY
        0x0014, // REALM
        0x0015, // NONCE
        0x001c, // MESSAGE-INTEGRITY-SHA256
        0x001d, // PASSWORD-ALGORITHM
        0x0024, // PRIORITY
        0x0025, // USE-CANDIDATE
    ];
    kind.comprehension_required() && !KNOWN.contains(&kind.value())
}

fn error(
    request: &Message<'_>,
    code: u16,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Option<Vec<u8>> {
    let room = MessageWriteVec::with_capacity(TYPICAL_LENGTH);
    let mut answer = Message::builder_error(request, room);
    let reason = ErrorCode::builder(code).build().ok()?;
    answer.add_attribute(&reason).ok()?;
    for attribute in attributes {
        answer.add_attribute(*attribute).ok()?;
    }
    if let Some(key) = key {
        answer
            .add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1)
            .ok()?;
    }
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}
