//! What happens in a room, written down while it is recorded. Part of a recording's task, which
//! waits for the disk where the room's must not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::state_diff;
use crate::archive::events::{Event, EventLog};
use crate::media::file::recorder::RecorderError;
use crate::protocol::room::RoomState;

/// The events of one recording.
#[derive(Debug)]
pub(crate) struct EventLogWriter {
    /// Running time of the recording's zero.
    zero: Duration,
    /// Gone while it is being written to, and after that went wrong.
    file: Option<EventLog>,
    known: Option<Arc<RoomState>>,
}

impl EventLogWriter {
    /// Opens the file, and writes the first event to it.
    pub(crate) async fn begin(
        path: PathBuf,
        zero: Duration,
        event: Event,
    ) -> Result<Self, RecorderError> {
        let file = on_disk(move || EventLog::open(&path)).await?;
        let mut event_log = Self {
            zero,
            file: Some(file),
            known: None,
        };
        event_log.write(zero, vec![event]).await?;
        Ok(event_log)
    }

    /// Notes what has changed in the room at running time `at`.
    pub(crate) async fn room(
        &mut self,
        at: Duration,
        room: Arc<RoomState>,
    ) -> Result<(), RecorderError> {
        let events = state_diff::changes(self.known.as_deref(), &room);
        self.known = Some(room);
        self.write(at, events).await
    }

    /// Writes events of running time `at`. After an error it writes nothing more.
    pub(crate) async fn write(
        &mut self,
        at: Duration,
        events: Vec<Event>,
    ) -> Result<(), RecorderError> {
        if events.is_empty() {
            return Ok(());
        }
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let at = at.saturating_sub(self.zero);
        let written = move || {
            for event in events {
                file.write(at, event)?;
            }
            Ok(file)
        };
        self.file = Some(on_disk(written).await?);
        Ok(())
    }
}

/// Does what can take as long as the disk likes.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, RecorderError> {
    let failed = |error: &dyn std::fmt::Display| RecorderError::Failed(error.to_string());
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}
