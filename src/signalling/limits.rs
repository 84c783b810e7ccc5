//! How often and how much a client may send: every bound of the signalling layer that is no
//! setting, and the meters that hold clients to the rates among them.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::ApiError;
use super::guard::census::Capacity;
use super::guard::guesses::Guesses;
use super::guard::rate::{Bucket, Buckets, Rate};
use crate::id::{ParticipantId, RoomId};
use crate::net::subscriber;

/// Time after which a WebSocket whose client has not joined is closed.
pub(super) const JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// Interval of pings on a WebSocket.
pub(super) const PING_EVERY: Duration = Duration::from_secs(5);
/// Time after which a WebSocket counts as lost if nothing has come on it, not even a pong.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(15);
/// Time after which a WebSocket counts as lost if the client does not read what is written.
pub(super) const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Time within which the head of a request has to arrive, counted from the opening of the connection
/// or from the last response; otherwise the connection is closed.
pub(super) const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes, which is also what is read of a connection at a time.
pub(super) const HEAD_LIMIT: usize = 32 * 1024;
/// Time after which a connection is closed whose client takes nothing of what is sent to it.
pub(super) const STALL_DEADLINE: Duration = Duration::from_secs(60);
/// Time that the client has to answer the close of a WebSocket.
pub(super) const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// Time within which the body of a request has to arrive; otherwise it is refused.
pub(super) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Number of notices that may wait for a client. With more the room removes it as too slow.
pub(super) const NOTICE_QUEUE: usize = 64;
/// Number of messages in a row that may be unusable; one more ends the connection.
pub(super) const MALFORMED_LIMIT: u32 = 20;
/// Largest body, and largest message of a participant, that is read, in bytes. One between
/// [`crate::config::Config::max_message`] and this is read and refused with an error that says so;
/// a larger one ends the connection. If the setting is larger, it counts instead. Before a client
/// has joined, only as much as the setting allows is read of a message.
pub(super) const HARD_LIMIT: usize = 4 * 1024 * 1024;
/// Longest chat text that is accepted, in characters.
pub(super) const CHAT_LIMIT: usize = 2000;
/// Largest `data` of a `signal` that is accepted, in bytes of JSON.
pub(super) const SIGNAL_LIMIT: usize = 64 * 1024;
/// Largest number of `pictures` in a `sizes` message: more than are ever forwarded to one client.
pub(super) const SIZES_LIMIT: usize = 128;
/// Longest candidate and `mid` that are accepted, in bytes. Real ones stay below 300.
pub(super) const CANDIDATE_LIMIT: usize = 1024;
/// Bytes that are read of a WebSocket at a time.
pub(super) const READ_BUFFER: usize = 16 * 1024;

/// Connections that the system takes before the server has looked at them. With fewer, a burst of
/// strangers' keeps others waiting for a second and more: what does not fit is not answered, and tried
/// again by the client. The system may allow less (`net.core.somaxconn`).
pub(super) const BACKLOG: u32 = 1024;
/// Largest number of connections that no participant owns: of HTTP, and WebSockets before their
/// join. One more is closed at once. No more than one in [`FILES_SHARE`] of the files that the
/// process may open are taken for them, either.
pub(super) const CONNECTIONS: usize = 2048;
/// The part of the files that the process may open that connections without a participant take at
/// most: one in so many.
pub(super) const FILES_SHARE: u64 = 4;
/// Largest number of those connections from one address (IPv6: one /64). Those of a trusted proxy
/// count in all alone.
pub(super) const CONNECTIONS_PER_ADDRESS: usize = 256;
/// WebSockets at once whose client has not joined yet, by the address that a trusted proxy tells.
pub(super) const UNJOINED: Capacity = Capacity {
    total: 512,
    each: 64,
};

/// Messages and pings of one WebSocket. Of what comes beyond, messages are refused as
/// `rate_limited`, and no more is read for a while. The largest burst of a normal client are its
/// trickled candidates.
pub(super) const MESSAGES: Rate = Rate::per_second(50, 200);
/// Time for which nothing is read of a WebSocket that sends faster than [`MESSAGES`].
pub(super) const READ_PAUSE: Duration = Duration::from_millis(5);
/// Commands of one participant that change the room or what is sent to them: mode, layout, mute,
/// hand, pin, view, limits, recordings.
const COMMANDS: Rate = Rate::per_second(10, 40);
/// Candidates of one participant that come over HTTP, in requests.
const TRICKLES: Rate = Rate::per_second(20, 100);
/// Requests of the REST API from one address that change something.
const CHANGES: Rate = Rate::per_second(20, 100);
/// Recordings that are begun from one address.
const RECORDINGS: Rate = Rate::once_in(Duration::from_secs(6), 10);
/// Wrong secrets, each different, from one address. While there is none left, no secret from there is
/// looked at.
const GUESSES: Rate = Rate::once_in(Duration::from_secs(6), 10);

/// How often something may be done, for each `K`.
#[derive(Debug)]
struct Meter<K> {
    /// What is metered, for the client.
    what: &'static str,
    buckets: Mutex<Buckets<K>>,
}

impl<K: Eq + Hash> Meter<K> {
    fn new(what: &'static str, rate: Rate) -> Self {
        Self {
            what,
            buckets: Mutex::new(Buckets::new(rate)),
        }
    }

    fn take(&self, key: K) -> Result<(), ApiError> {
        let taken = self.buckets.lock().take(key, Instant::now());
        taken.map_err(|wait| ApiError::RateLimited(self.what, wait))
    }

    fn prune(&self) {
        self.buckets.lock().prune(Instant::now());
    }
}

/// A participant of a room.
type Member = (RoomId, ParticipantId);

/// The rates to which clients are held, whatever they use to do it. Addresses count by subscriber:
/// an IPv6 network of /64 is one.
#[derive(Debug)]
pub(super) struct Meters {
    joins: Meter<IpAddr>,
    changes: Meter<IpAddr>,
    recordings: Meter<IpAddr>,
    guesses: Mutex<Guesses>,
    commands: Meter<Member>,
    trickles: Meter<Member>,
}

impl Meters {
    /// Meters of which that of joins allows `joins` a second, in bursts of twice as many.
    pub(super) fn new(joins: u32) -> Self {
        let joins = Rate::per_second(joins, joins.saturating_mul(2));
        Self {
            joins: Meter::new("joins from this address", joins),
            changes: Meter::new("changes from this address", CHANGES),
            recordings: Meter::new("recordings from this address", RECORDINGS),
            guesses: Mutex::new(Guesses::new(GUESSES)),
            commands: Meter::new("commands of this participant", COMMANDS),
            trickles: Meter::new("candidates of this participant", TRICKLES),
        }
    }

    /// Counts a join.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`], as all of these, if that was one too many.
    pub(super) fn join(&self, client: IpAddr) -> Result<(), ApiError> {
        self.joins.take(subscriber(client))
    }

    /// Counts a request that changes something.
    pub(super) fn change(&self, client: IpAddr) -> Result<(), ApiError> {
        self.changes.take(subscriber(client))
    }

    /// Counts the beginning of a recording.
    pub(super) fn recording(&self, client: IpAddr) -> Result<(), ApiError> {
        self.recordings.take(subscriber(client))
    }

    /// Counts a command of a participant.
    pub(super) fn command(&self, room: &RoomId, who: ParticipantId) -> Result<(), ApiError> {
        self.commands.take((room.clone(), who))
    }

    /// Counts a request with candidates of a participant.
    pub(super) fn trickle(&self, room: &RoomId, who: ParticipantId) -> Result<(), ApiError> {
        self.trickles.take((room.clone(), who))
    }

    /// Whether a secret from this address is looked at. Counts nothing.
    pub(super) fn may_guess(&self, client: IpAddr, secret: &str) -> Result<(), ApiError> {
        let guesses = self.guesses.lock();
        let looked_at = guesses.check(subscriber(client), secret, Instant::now());
        looked_at.map_err(|wait| ApiError::RateLimited("wrong tokens from this address", wait))
    }

    /// Counts a wrong secret.
    pub(super) fn wrong_guess(&self, client: IpAddr, secret: &str) {
        let mut guesses = self.guesses.lock();
        guesses.wrong(subscriber(client), secret, Instant::now());
    }

    /// Forgets whose allowance is full again, so that only recent clients are kept.
    pub(super) fn prune(&self) {
        for addresses in [&self.joins, &self.changes, &self.recordings] {
            addresses.prune();
        }
        self.guesses.lock().prune(Instant::now());
        for members in [&self.commands, &self.trickles] {
            members.prune();
        }
    }
}

/// Limits the rate of messages on one WebSocket.
#[derive(Debug, Default)]
pub(super) struct MessageLimiter(Bucket);

impl MessageLimiter {
    /// Takes one message of the allowance.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] if none is left.
    pub(super) fn take(&mut self) -> Result<(), ApiError> {
        let taken = self.0.take(MESSAGES, Instant::now());
        taken.map_err(|wait| ApiError::RateLimited("messages on this connection", wait))
    }
}

/// How many connections without a participant there may be, where the process may open so many
/// files.
pub(super) fn connections(open_files: u64) -> Capacity {
    let share = usize::try_from(open_files / FILES_SHARE).unwrap_or(CONNECTIONS);
    Capacity {
        total: CONNECTIONS.min(share).max(1),
        each: CONNECTIONS_PER_ADDRESS,
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
        let meters = Meters::new(3);
        let taken = (0..20)
            .filter(|_| meters.join(ip("10.0.0.1")).is_ok())
            .count();
        assert!((6..=7).contains(&taken), "twice the rate at once: {taken}");
        assert!(meters.join(ip("10.0.0.2")).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let meters = Meters::new(3);
        let hosts = (0..20u16).map(|host| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, host]));
        let taken = hosts.filter(|host| meters.join(*host).is_ok()).count();
        assert!((6..=7).contains(&taken), "twice the rate at once: {taken}");
        assert!(meters.join(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn connections_leave_files_for_participants() {
        assert_eq!(connections(1024).total, 256);
        assert_eq!(connections(1_048_576).total, CONNECTIONS);
        assert_eq!(connections(0).total, 1);
        assert_eq!(connections(u64::MAX).total, CONNECTIONS);
    }
}
