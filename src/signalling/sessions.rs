//! The open WHIP and WHEP sessions, by the secret in their URL.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::ParticipantId;
use crate::room::{Notice, NoticeReceiver, RoomHandle};

use super::sdpfrag::OfferIce;

/// The last segment of a session's URL: 128 random bits. A client that knows it may end the
/// session, so it is never logged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ResourceId(String);

impl ResourceId {
    /// A new id that cannot be guessed.
    pub(super) fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
    }

    /// The id in a segment of a URL.
    pub(super) fn from_path(segment: &str) -> Self {
        Self(segment.to_owned())
    }

    /// The segment of the URL.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(..)")
    }
}

/// A WHIP or WHEP session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// `/whip` or `/whep`: the path that it was created on, and is only found under.
    pub(super) base: &'static str,
    pub(super) room: RoomHandle,
    pub(super) participant: ParticipantId,
    /// Strong entity tag of the ICE session, with its quotes.
    pub(super) etag: Arc<str>,
    /// M-lines and ICE credentials of the offer.
    pub(super) offer: Arc<OfferIce>,
}

/// All open sessions. The lock is held for single operations of the map, never across an await.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<ResourceId, Session>>);

impl Sessions {
    pub(super) fn insert(&self, id: ResourceId, session: Session) {
        self.lock().insert(id, session);
    }

    /// The session of this id; `None` if there is none on this path and in this room.
    pub(super) fn get(&self, base: &str, room: &str, id: &ResourceId) -> Option<Session> {
        self.lock()
            .get(id)
            .filter(|session| session.base == base && session.room.id().as_str() == room)
            .cloned()
    }

    /// Removes a session. Only the first caller gets it.
    pub(super) fn remove(&self, id: &ResourceId) -> Option<Session> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceId, Session>> {
        // The map is consistent between operations, even if a thread panicked while it held the
        // lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the room ends a session, with a `bye` or by dropping the channel. Other notices are
/// dropped: WHIP has no connection to send them on, and no trickle of the server (RFC 9725 section
/// 4.3.2).
pub(super) async fn drain(mut notices: NoticeReceiver) {
    while let Some(notice) = notices.recv().await {
        if let Notice::Bye(reason) = notice {
            tracing::info!(?reason, "session ended by the room");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::room::ByeReason;
    use crate::room::notices;

    #[test]
    fn resource_ids_are_long_and_different() {
        let one = ResourceId::random();
        assert_eq!(one.as_str().len(), 22, "128 bits in base64");
        assert_ne!(one, ResourceId::random());
        assert!(!format!("{one:?}").contains(one.as_str()));
    }

    #[tokio::test]
    async fn a_bye_ends_the_drain_and_so_does_a_closed_channel() {
        let (sender, receiver) = notices::queue(4);
        for notice in [
            Notice::Levels(Arc::from([])),
            Notice::Bye(ByeReason::Removed),
        ] {
            sender.send(notice).expect("room in the queue");
        }
        drain(receiver).await;
        assert!(sender.is_closed());

        let (sender, receiver) = notices::queue(4);
        drop(sender);
        drain(receiver).await;
    }
}
