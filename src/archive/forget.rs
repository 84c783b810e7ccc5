//! Deletes recordings that are older than they may be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Archive, metadata};
use crate::protocol::recording::Recording;

impl Archive {
    /// Looks for old recordings in a task, first after `every`, by when their age can be known, and
    /// then again and again until the archive is gone.
    pub(super) fn forget_old_every(&self, every: Duration) {
        if self.0.quotas.max_age.is_none() {
            return;
        }
        let archive = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut looks = interval_at(Instant::now() + every, every);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let Some(archive) = archive.upgrade() else {
                    return;
                };
                let forgotten = tokio::task::spawn_blocking(|| Self(archive).forget_old());
                if let Err(error) = forgotten.await {
                    tracing::error!(%error, "old recordings are kept");
                }
            }
        });
    }

    /// Deletes the recordings that ended longer ago than the quotas allow, as far as that is known.
    pub(super) fn forget_old(&self) {
        let Some(max_age) = self.0.quotas.max_age else {
            return;
        };
        let now = (self.0.clock)();
        let is_old = |one: &Recording| {
            let ended = one.ended.as_ref();
            let ended = ended.and_then(|ended| humantime::parse_rfc3339(ended).ok());
            ended.is_some_and(|at| self.0.ages.lock().is_past(&one.id, at, max_age, now))
        };
        for recording in self.list(None).into_iter().filter(is_old) {
            tracing::info!(recording = %recording.id, "too old, deleted");
            self.0.catalogue.lock().remove(&recording.id);
            self.0.ages.lock().forget(&recording.id);
            metadata::remove(&self.0.folder, &recording);
        }
    }
}
