//! Who asks, and whether it may: what every request passes before an allocation sees it; pure.
//!
//! The long-term credential mechanism (RFC 8489 section 9.2) without memory: the nonce is a
//! [`Challenger`]'s, the password follows from the username by the [`Secret`].

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
use super::nonce::Challenger;

/// The realm of all credentials. It only has to be the same everywhere.
pub(super) const REALM: &str = "tessera";

/// What a message starts with room for.
const USUAL_LENGTH: usize = 160;

/// A client whose credential is good.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// `EXPIRY:USER`.
    pub(super) username: String,
    /// Whose allocations count together.
    pub(super) user: String,
    pub(super) password: String,
    key: IntegrityKey,
}

/// What is said to a request.
#[derive(Debug)]
pub(super) enum Ruling {
    /// It is authentic.
    Admitted(Login),
    /// It is not, or not yet: the answer; `None` where there is nothing to be said.
    Refused(Option<Vec<u8>>),
}

/// The check.
pub(super) struct Gate {
    secret: Secret,
    challenger: Challenger,
}

impl Gate {
    /// A gate for credentials made with `secret`.
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            secret,
            challenger: Challenger::random(),
        }
    }

    /// Judges a request of `client` (RFC 8489 section 9.2.4).
    pub(super) fn judge(
        &self,
        request: &Message<'_>,
        client: SocketAddr,
        now: SystemTime,
    ) -> Ruling {
        if !request.has_attribute(MessageIntegrity::TYPE) {
            return self.challenge(request, ErrorCode::UNAUTHORIZED, client, now);
        }
        let username = request.attribute::<Username>();
        let nonce = request.attribute::<Nonce>();
        let (Ok(username), Ok(nonce), Ok(_realm)) = (username, nonce, request.attribute::<Realm>())
        else {
            return Ruling::Refused(error(request, ErrorCode::BAD_REQUEST, &[], None));
        };
        if !self.challenger.knows(nonce.nonce(), client, now) {
            return self.challenge(request, ErrorCode::STALE_NONCE, client, now);
        }
        match self.login(username.username(), now) {
            Some(login) if request.validate_integrity_with_key(&login.key).is_ok() => {
                Ruling::Admitted(login)
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
    ) -> Ruling {
        let nonce = self.challenger.nonce(client, now);
        let answer = Realm::new(REALM)
            .and_then(|realm| Ok((realm, Nonce::new(&nonce)?)))
            .ok()
            .and_then(|(realm, nonce)| error(request, code, &[&realm, &nonce], None));
        Ruling::Refused(answer)
    }
}

impl Login {
    /// The answer that an authentic request is refused with.
    pub(super) fn refusal(&self, request: &Message<'_>, code: u16) -> Option<Vec<u8>> {
        error(request, code, &[], Some(&self.key))
    }

    /// The same request as if it had been made with another nonce, for a server that checks its
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
        let room = MessageWriteVec::with_capacity(request.as_bytes().len() + USUAL_LENGTH);
        let mut written = Message::builder(request.get_type(), request.transaction_id(), room);
        // What stands behind the integrity is not among them.
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

/// The answer to a Binding request (RFC 8489 section 6.3.1): the address it came from. `None` for
/// one with attributes that have to be understood and are not, which no client of ours sends.
pub(super) fn binding(request: &Message<'_>, client: SocketAddr) -> Option<Vec<u8>> {
    let mut attributes = request.iter_attributes();
    if attributes.any(|(_, one)| is_foreign(one.get_type())) {
        return error(request, ErrorCode::UNKNOWN_ATTRIBUTE, &[], None);
    }
    let room = MessageWriteVec::with_capacity(USUAL_LENGTH);
    let mut answer = Message::builder_success(request, room);
    let address = XorMappedAddress::new(client, request.transaction_id());
    answer.add_attribute(&address).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}

/// Whether a Binding request with this attribute must be refused. Those of authentication and of
/// ICE do no harm.
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
    let room = MessageWriteVec::with_capacity(USUAL_LENGTH);
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
