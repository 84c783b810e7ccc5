//! How many rooms that nobody is in one address may have made.
//!
//! A room that is made over REST stays until it is deleted. Without a bound one client could make all
//! the rooms that the server may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::net::subscriber;
use crate::room::{Registry, RoomError, RoomHandle};
use crate::signalling::error::ApiError;

/// Largest number of rooms that one address (IPv6: one /64) has made over REST and that nobody is
/// in. The administrator's token is not held to it.
pub(in crate::signalling) const EMPTY_ROOMS: usize = 20;
/// When a client who has made too many is told to try again: a room is not deleted by the second.
const RETRY: Duration = Duration::from_secs(10);

/// The rooms that were made over REST, by who made them.
#[derive(Debug, Default)]
pub(in crate::signalling) struct MadeRooms(Mutex<HashMap<IpAddr, Vec<RoomHandle>>>);

impl MadeRooms {
    /// Makes a room for a client, unless too many of theirs stand empty.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] then, and what `make` refuses.
    pub(in crate::signalling) fn make(
        &self,
        client: IpAddr,
        registry: &Registry,
        make: impl FnOnce() -> Result<RoomHandle, RoomError>,
    ) -> Result<RoomHandle, ApiError> {
        // Held while the room is made, so that requests at the same time count each other.
        let mut all = self.0.lock();
        let theirs = all.entry(subscriber(client)).or_default();
        theirs.retain(|room| runs(room, registry));
        let is_empty = |room: &&RoomHandle| room.state().participants.is_empty();
        if theirs.iter().filter(is_empty).count() >= EMPTY_ROOMS {
            let what = "rooms from this address that nobody is in";
            return Err(ApiError::RateLimited(what, RETRY));
        }
        let room = make()?;
        theirs.push(room.clone());
        Ok(room)
    }

    /// Forgets rooms that have ended.
    pub(in crate::signalling) fn prune(&self, registry: &Registry) {
        self.0.lock().retain(|_, theirs| {
            theirs.retain(|room| runs(room, registry));
            !theirs.is_empty()
        });
    }
}

fn runs(room: &RoomHandle, registry: &Registry) -> bool {
    let running = registry.get(room.id());
    running.is_some_and(|running| running.is_same(room))
}
