//! Time-limited credentials from a shared secret (draft-uberti-behave-turn-rest-00); pure.
//!
//! The username is the time of expiry and a name, `1735689600:r1/p7`; the password is
//! `base64(HMAC-SHA1(secret, username))`. A server with the secret can verify a credential without
//! having stored it, so a separate TURN server (coturn with `use-auth-secret`) accepts them like
//! the built-in one.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use thiserror::Error;

/// Time for which a credential opens allocations. An open allocation goes on after it as long as
/// the client refreshes it, as with coturn, so that a call may last longer than a day.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The shared secret that credentials are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The secret that an operator has chosen.
    pub fn new(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// A random secret, for credentials of the built-in server alone.
    pub fn random() -> Self {
        Self(rand::random::<[u8; 32]>().to_vec())
    }

    /// A credential for `user` that is valid until `expires`, to the second.
    pub fn issue(&self, user: &str, expires: SystemTime) -> Credential {
        let username = format!("{}:{user}", unix_seconds(expires));
        Credential {
            password: self.password(&username),
            username,
        }
    }

    /// The password that belongs to a username, and the user that it names. The caller has to
    /// compare the password.
    ///
    /// # Errors
    /// [`BadUsername`] if it names no time of expiry, or one before `now`.
    pub fn look_up<'a>(
        &self,
        username: &'a str,
        now: SystemTime,
    ) -> Result<(String, &'a str), BadUsername> {
        let (expires, user) = username.split_once(':').unwrap_or((username, ""));
        let expires: u64 = expires.parse().map_err(|_| BadUsername::Unreadable)?;
        if expires < unix_seconds(now) {
            return Err(BadUsername::Expired);
        }
        Ok((self.password(username), user))
    }

    fn password(&self, username: &str) -> String {
        // HMAC takes keys of any length; the error type is that of fixed ones.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The long-term credential of a client for a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name of the form `EXPIRY:USER`, with the expiry in seconds since 1970.
    pub username: String,
    /// Password, which proves that the credential was made with the secret.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, ..)", self.username)
    }
}

/// Why a username is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadUsername {
    /// It does not begin with a time of expiry.
    #[error("the username does not begin with the time it expires at")]
    Unreadable,
    /// Its time of expiry has passed.
    #[error("the credential has expired")]
    Expired,
}

/// Whole seconds since 1970; 0 for a time before.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// `printf '1735689600:r1/p7' | openssl dgst -sha1 -hmac north -binary | base64`
    #[test]
    fn the_password_is_what_coturn_computes() {
        let credential = Secret::new("north").issue("r1/p7", at(1_735_689_600));
        assert_eq!(credential.username, "1735689600:r1/p7");
        assert_eq!(credential.password, "ni0YQSBzb2JJI2slDzhNLhjRnvc=");
    }

    #[test]
    fn a_credential_is_good_until_it_expires() {
        let secret = Secret::new("north");
        let issued = secret.issue("r1/p7", at(1000));
        for now in [0, 999, 1000] {
            let (password, user) = secret.look_up(&issued.username, at(now)).expect("good");
            assert_eq!((password, user), (issued.password.clone(), "r1/p7"));
        }
        assert_eq!(
            secret.look_up(&issued.username, at(1001)),
            Err(BadUsername::Expired)
        );
    }

    #[test]
    fn usernames_of_another_kind_have_no_password() {
        let secret = Secret::new("north");
        for name in ["", "ann", ":ann", "-1:ann", "1e9:ann", "ann:9999999999"] {
            let found = secret.look_up(name, at(0));
            assert_eq!(found, Err(BadUsername::Unreadable), "{name}");
        }
        // coturn takes these as well.
        assert!(secret.look_up("9999999999", at(0)).is_ok());
    }

    #[test]
    fn another_secret_makes_another_password() {
        let (north, south) = (Secret::new("north"), Secret::new("south"));
        assert_ne!(north.issue("a", at(9)), south.issue("a", at(9)));
        assert_ne!(Secret::random(), Secret::random());
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::new("north");
        let credential = secret.issue("ann", at(9));
        let shown = format!("{secret:?} {credential:?}");
        assert!(!shown.contains("north") && !shown.contains(&credential.password));
    }
}
