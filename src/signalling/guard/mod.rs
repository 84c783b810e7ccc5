//! Who is let in, and how much of what: the checks before anything is done for a client.
//!
//! | file | decides |
//! | --- | --- |
//! | `host` | by which names the server may be asked (DNS rebinding) |
//! | `origin` | which web pages may use it, and which may read WHIP and WHEP (CORS) |
//! | `policy` | what browsers let pages of the server do |
//! | `forwarded` | who the client behind reverse proxies is |
//! | `rights` | what a secret allows |
//! | `guesses` | how often an address may show a wrong one |
//! | `rate` | how often something may be done: token buckets |
//! | `census` | how many of something there may be at once, in all and by address |
//! | `rooms` | how many rooms that nobody is in one address may have made |
//! | `names` | what may be a display name |
//!
//! All of them are pure but `census`, which counts behind a lock, and `rooms`, which asks whether
//! a room still runs.

pub(super) mod census;
pub(super) mod forwarded;
pub(super) mod guesses;
pub(super) mod host;
pub(super) mod names;
pub(super) mod origin;
pub(super) mod policy;
pub(super) mod rate;
pub(super) mod rights;
pub(super) mod rooms;
