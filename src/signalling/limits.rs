//! What a client may do how often and how large, and the checks of what it may say.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use crate::net::subscriber;

/// A client that has not joined by then is sent away.
pub(super) const JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// How often a WebSocket is pinged.
pub(super) const PING_EVERY: Duration = Duration::from_secs(5);
/// A WebSocket that has said nothing for this long, not even pong, is lost.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(15);
/// A write that the client does not take for this long means the same.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How long the peer may take to answer a WebSocket close.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// How long a request's body may take to arrive.
pub(super) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Notices that may wait for a client before its room takes it for too slow.
pub(super) const NOTICE_QUEUE: usize = 64;
/// That many messages in a row that are not understood end a connection.
pub(super) const MALFORMED_LIMIT: u32 = 20;
/// What is over [`crate::config::Config::max_message`] is refused with a clear error; what is
/// over this is not even read.
pub(super) const HARD_LIMIT: usize = 4 * 1024 * 1024;
/// Longest chat text, in characters.
pub(super) const CHAT_LIMIT: usize = 2000;
/// Largest `data` of a `signal`, in bytes of JSON.
pub(super) const SIGNAL_LIMIT: usize = 64 * 1024;
/// Most `pictures` of a `sizes`: more than are ever forwarded to anybody.
pub(super) const SIZES_LIMIT: usize = 128;
/// Longest candidate line and `mid`, in bytes. Real ones stay below 300.
pub(super) const CANDIDATE_LIMIT: usize = 1024;
/// Longest display name, in characters.
const NAME_LIMIT: usize = 64;
/// Messages a second on one WebSocket, and how many may come at once. Trickled candidates
/// are the largest honest burst.
const MESSAGES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
const MESSAGE_BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// Meters joins by client address, for every transport together.
pub(super) struct JoinLimiter(DefaultKeyedRateLimiter<IpAddr>);

impl JoinLimiter {
    /// `per_second` joins from one address, twice as many at once.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        Self(RateLimiter::keyed(quota))
    }

    /// Takes one join of `client`'s allowance.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), ApiError> {
        self.0
            .check_key(&subscriber(client))
            .map_err(|_| ApiError::RateLimited("joins from this address"))
    }

    /// Forgets addresses whose allowance is whole again, so that the map stays as small as
    /// the number of recent clients.
    pub(super) fn prune(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

/// Meters the messages of one WebSocket.
pub(super) struct MessageLimiter(DefaultDirectRateLimiter);

impl MessageLimiter {
    /// A full allowance.
    pub(super) fn new() -> Self {
        let quota = Quota::per_second(MESSAGES_PER_SECOND).allow_burst(MESSAGE_BURST);
        Self(RateLimiter::direct(quota))
    }

    /// Takes one message of the allowance.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        self.0
            .check()
            .map_err(|_| ApiError::RateLimited("messages on this connection"))
    }
}

/// The display name in `text`: trimmed, 1 to 64 characters, nothing that moves a cursor.
pub(super) fn display_name(text: &str) -> Result<String, ApiError> {
    let name = text.trim();
    let fits = (1..=NAME_LIMIT).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(ApiError::BadName)
    }
}

/// Compares a client's token with the configured one, if there is one, in a time that tells
/// nothing about how much of it was right.
pub(super) fn check_token(expected: Option<&str>, given: Option<&str>) -> Result<(), ApiError> {
    match (expected, given) {
        (None, _) => Ok(()),
        (Some(expected), Some(given))
            if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) =>
        {
            Ok(())
        }
        _ => Err(ApiError::Unauthorized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn joins_are_metered_by_address() {
        let limiter = JoinLimiter::new(3);
        let taken = (0..20)
            .filter(|_| limiter.check(ip("10.0.0.1")).is_ok())
            .count();
        assert!((6..=7).contains(&taken), "twice the rate at once: {taken}");
        assert!(limiter.check(ip("10.0.0.2")).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let limiter = JoinLimiter::new(3);
        let hosts = (0..20u16).map(|host| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, host]));
        let taken = hosts.filter(|host| limiter.check(*host).is_ok()).count();
        assert!((6..=7).contains(&taken), "twice the rate at once: {taken}");
        assert!(limiter.check(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn names_are_trimmed_and_checked() {
        assert_eq!(display_name("  Ann \u{e4} "), Ok("Ann \u{e4}".into()));
        assert!(display_name(&"\u{1f600}".repeat(64)).is_ok());
        for bad in ["", "   ", "a\u{0}b", "a\nb", &"x".repeat(65)] {
            assert_eq!(display_name(bad), Err(ApiError::BadName), "{bad:?}");
        }
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(check_token(None, None).is_ok());
        assert!(check_token(None, Some("x")).is_ok());
        assert!(check_token(Some("abc"), Some("abc")).is_ok());
        for given in [None, Some(""), Some("ab"), Some("abd"), Some("abcd")] {
            assert_eq!(check_token(Some("abc"), given), Err(ApiError::Unauthorized));
        }
    }
}
