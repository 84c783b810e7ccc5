//! Nonces that need no memory; pure.
//!
//! A nonce is the time at which it was made with a MAC over that time and the client's address. The
//! server stores none of them, so clients that never authenticate use no memory, however many
//! there are.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::credentials::unix_seconds;

/// Time for which a nonce is accepted; RFC 8656 section 5 recommends an hour at most. An older one
/// is answered with 438 (Stale Nonce) and a new nonce.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Makes nonces with a secret key of its own, and recognizes those it made.
pub(super) struct NonceIssuer([u8; 32]);

impl NonceIssuer {
    /// An issuer with a random key: no other accepts its nonces.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// A nonce for a client address.
    pub(super) fn issue(&self, client: SocketAddr, now: SystemTime) -> String {
        self.made_at(client, unix_seconds(now))
    }

    /// Whether a nonce was issued to this client address and is not older than an hour.
    pub(super) fn accepts(&self, nonce: &str, client: SocketAddr, now: SystemTime) -> bool {
        let made = nonce
            .get(..16)
            .and_then(|made| u64::from_str_radix(made, 16).ok());
        let Some(made) = made else { return false };
        let expected = self.made_at(client, made);
        let age = unix_seconds(now).checked_sub(made);
        bool::from(expected.as_bytes().ct_eq(nonce.as_bytes()))
            && age.is_some_and(|age| age <= LIFETIME.as_secs())
    }

    fn made_at(&self, client: SocketAddr, made: u64) -> String {
        let mut nonce = format!("{made:016x}");
        // HMAC takes keys of any length; the error type is that of fixed ones.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(&made.to_be_bytes());
            mac.update(&client.port().to_be_bytes());
            match client.ip() {
                std::net::IpAddr::V4(ip) => mac.update(&ip.octets()),
                std::net::IpAddr::V6(ip) => mac.update(&ip.octets()),
            }
            let bytes = mac.finalize().into_bytes();
            nonce.extend(bytes.iter().take(12).map(|byte| format!("{byte:02x}")));
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_nonce_is_known_to_its_maker_for_an_hour() {
        let issuer = NonceIssuer::random();
        let client: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let nonce = issuer.issue(client, at(1_000_000));
        for now in [1_000_000, 1_003_600] {
            assert!(issuer.accepts(&nonce, client, at(now)), "{now}");
        }
        for now in [999_999, 1_003_601] {
            assert!(!issuer.accepts(&nonce, client, at(now)), "{now}");
        }
        assert!(!NonceIssuer::random().accepts(&nonce, client, at(1_000_000)));
    }

    #[test]
    fn it_belongs_to_one_client() {
        let issuer = NonceIssuer::random();
        let client: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let nonce = issuer.issue(client, at(9));
        for other in ["192.0.2.7:5001", "192.0.2.8:5000", "[::1]:5000"] {
            let other = other.parse().expect("an address");
            assert!(!issuer.accepts(&nonce, other, at(9)), "{other}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        let issuer = NonceIssuer::random();
        let client: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let nonce = issuer.issue(client, at(9));
        let forged = format!("{:016x}{}", 10, &nonce[16..]);
        for other in [
            "",
            "x",
            "0000000000000009",
            &nonce[1..],
            &forged,
            "ääääääääääääääää",
        ] {
            assert!(!issuer.accepts(other, client, at(10)), "{other}");
        }
    }
}
