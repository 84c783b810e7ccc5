//! How often and how much a client may send, and checks of what it sends.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use crate::net::subscriber;

/// Time after which a WebSocket whose client has not joined is closed.
pub(super) const JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// Interval of pings on a WebSocket.
pub(super) const PING_EVERY: Duration = Duration::from_secs(5);
/// Time after which a WebSocket counts as lost if nothing has come on it, not even a pong.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(15);
/// Time after which a WebSocket counts as lost if the client does not read what is written.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Time that the client has to answer the close of a WebSocket.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// Time within which the body of a request has to arrive; otherwise it is refused.
pub(super) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Number of notices that may wait for a client. With more the room removes it as too slow.
pub(super) const NOTICE_QUEUE: usize = 64;
/// Number of messages in a row that may be unusable; one more ends the connection.
pub(super) const MALFORMED_LIMIT: u32 = 20;
/// Largest body or message that is read, in bytes. One between
/// [`crate::config::Config::max_message`] and this is read and refused with an error that says so;
/// a larger one ends the connection. If the setting is larger, it counts instead.
pub(super) const HARD_LIMIT: usize = 4 * 1024 * 1024;
/// Longest chat text that is accepted, in characters.
pub(super) const CHAT_LIMIT: usize = 2000;
/// Largest `data` of a `signal` that is accepted, in bytes of JSON.
pub(super) const SIGNAL_LIMIT: usize = 64 * 1024;
/// Largest number of `pictures` in a `sizes` message: more than are ever forwarded to one client.
pub(super) const SIZES_LIMIT: usize = 128;
/// Longest candidate and `mid` that are accepted, in bytes. Real ones stay below 300.
pub(super) const CANDIDATE_LIMIT: usize = 1024;
/// Longest display name that is accepted, in characters.
const NAME_LIMIT: usize = 64;
/// Messages per second that one WebSocket may send; further ones are refused as `rate_limited`.
const MESSAGES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Messages that may come at once. The largest burst of a normal client are its trickled
/// candidates.
const MESSAGE_BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// Limits the rate of joins by client address, for all transports together.
pub(super) struct JoinLimiter(DefaultKeyedRateLimiter<IpAddr>);

impl JoinLimiter {
    /// Allows `per_second` joins a second from one address, in bursts of twice as many.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_add(rate.get()));
        Self(RateLimiter::keyed(quota))
    }

    /// Takes one join of a client's allowance.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if none is left.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), ApiError> {
        self.0
            .check_key(&subscriber(client))
            .map_err(|_| ApiError::RateLimited("joins from this address"))
    }

    /// Forgets the addresses whose allowance is full again, so that the map holds only recent
    /// clients.
    pub(super) fn prune(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

/// Limits the rate of messages on one WebSocket.
pub(super) struct MessageLimiter(DefaultDirectRateLimiter);

impl MessageLimiter {
    /// A limiter with a full allowance.
    pub(super) fn new() -> Self {
        let quota = Quota::per_second(MESSAGES_PER_SECOND).allow_burst(MESSAGE_BURST);
        Self(RateLimiter::direct(quota))
    }

    /// Takes one message of the allowance.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if none is left.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        self.0
            .check()
            .map_err(|_| ApiError::RateLimited("messages on this connection"))
    }
}

/// The display name in `text`, without the spaces around it.
///
/// # Errors
/// [`ApiError::BadName`] unless it has 1 to 64 characters, none of them a control character.
pub(super) fn display_name(text: &str) -> Result<String, ApiError> {
    let name = text.trim();
    let fits = (1..=NAME_LIMIT).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(ApiError::BadName)
    }
}

/// Compares the token of a client with the configured one, in constant time. Any token is accepted
/// if none is configured.
///
/// # Errors
/// [`ApiError::Unauthorized`] if it is missing or differs.
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
