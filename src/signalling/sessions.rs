//! The WHIP and WHEP sessions that are under way, by the secret in their URL.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::mpsc;

use crate::id::ParticipantId;
use crate::room::{Notice, RoomHandle};

use super::sdpfrag::OfferIce;

/// The last segment of a session's URL: 128 random bits. Whoever knows it may end the
/// session, so it is never logged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ResourceId(String);

impl ResourceId {
    /// One that nobody can guess.
    pub(super) fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
    }

    /// The id a URL names.
    pub(super) fn from_path(segment: &str) -> Self {
        Self(segment.to_owned())
    }

    /// As it stands in the URL.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(..)")
    }
}

/// One session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// `/whip` or `/whep`: a session is found under the path it was made on only.
    pub(super) base: &'static str,
    /// The room.
    pub(super) room: RoomHandle,
    /// Who they are in the room.
    pub(super) participant: ParticipantId,
    /// Strong entity tag of the ICE session, quotes included.
    pub(super) etag: Arc<str>,
    /// What the offer said of ICE.
    pub(super) offer: Arc<OfferIce>,
}

/// All sessions. The lock is held for single map operations, never across an await.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<ResourceId, Session>>);

impl Sessions {
    /// Remembers a session.
    pub(super) fn insert(&self, id: ResourceId, session: Session) {
        self.lock().insert(id, session);
    }

    /// The session of that id, if it is on that path and in that room.
    pub(super) fn get(&self, base: &str, room: &str, id: &ResourceId) -> Option<Session> {
        self.lock()
            .get(id)
            .filter(|session| session.base == base && session.room.id().as_str() == room)
            .cloned()
    }

    /// Forgets a session. Only the first caller gets it.
    pub(super) fn remove(&self, id: &ResourceId) -> Option<Session> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceId, Session>> {
        // A map is whole between two operations, whatever became of the thread that held it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a session that has no connection of its own to hear of it: the room's
/// `bye`, or the room letting go of the channel. What else the room says has no way to the
/// client (RFC 9725 section 4.3.2 has no server trickle) and is dropped.
pub(super) async fn drain(mut notices: mpsc::Receiver<Notice>) {
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

    #[test]
    fn resource_ids_are_long_and_different() {
        let one = ResourceId::random();
        assert_eq!(one.as_str().len(), 22, "128 bits in base64");
        assert_ne!(one, ResourceId::random());
        assert!(!format!("{one:?}").contains(one.as_str()));
    }

    #[tokio::test]
    async fn a_bye_ends_the_drain_and_so_does_a_closed_channel() {
        let (sender, receiver) = mpsc::channel(4);
        sender
            .send(Notice::Levels(Arc::from([])))
            .await
            .expect("room in the queue");
        sender
            .send(Notice::Bye(ByeReason::Removed))
            .await
            .expect("room in the queue");
        drain(receiver).await;
        assert!(sender.is_closed());

        let (sender, receiver) = mpsc::channel(4);
        drop(sender);
        drain(receiver).await;
    }
}
