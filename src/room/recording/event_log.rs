//! Writes the event log of a recording: what happens in the room meanwhile. Part of the recording's
//! task, which may wait for the disk; the room's task must not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::state_diff;
use crate::archive::events::{Event, EventLog};
use crate::media::file::recorder::RecorderError;
use crate::protocol::room::RoomState;

/// Writer of a recording's event log.
#[derive(Debug)]
pub(crate) struct EventLogWriter {
    /// Running time at which the recording began.
    zero: Duration,
    /// `None` while it is being written to, and after an error.
    file: Option<EventLog>,
    known: Option<Arc<RoomState>>,
}

impl EventLogWriter {
    /// Creates the file and writes the first event to it.
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

    /// Writes what has changed since the last call, as events of running time `at`. The first call says
    /// what there was when the recording began.
    pub(crate) async fn room(
        &mut self,
        at: Duration,
        room: Arc<RoomState>,
    ) -> Result<(), RecorderError> {
        let at = match self.known {
            Some(_) => at,
            None => self.zero,
        };
        let events = state_diff::changes(self.known.as_deref(), &room);
        self.known = Some(room);
        self.write(at, events).await
    }

    /// Writes events of running time `at`. After an error, later calls do nothing.
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

/// Does blocking file work on a thread for it.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, RecorderError> {
    let failed = |error: &dyn std::fmt::Display| RecorderError::Failed(error.to_string());
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::super::state_diff::tests::room;
    use super::*;
    use crate::archive::events;
    use crate::layout::LayoutKind;

    /// What is there when a recording begins is there at its zero, however late the task gets to it.
    #[tokio::test]
    async fn what_was_there_at_the_beginning_is_there_from_zero_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let zero = Duration::from_secs(7);
        let path = folder.path().join("events.jsonl");
        let began = EventLogWriter::begin(path, zero, Event::End).await;
        let mut log = began.expect("a file");
        let mut state = room(Vec::new());
        let late = zero + Duration::from_millis(40);
        log.room(late, Arc::new(state.clone()))
            .await
            .expect("it is written");
        state.layout = LayoutKind::Spotlight;
        let later = zero + Duration::from_millis(90);
        log.room(later, Arc::new(state))
            .await
            .expect("it is written");
        let lines = events::read(folder.path()).expect("events");
        let last = lines.last().map(|line| line.at);
        let before: Vec<u64> = lines.iter().rev().skip(1).map(|line| line.at).collect();
        assert!(
            before.len() > 1 && before.iter().all(|at| *at == 0),
            "{lines:?}"
        );
        assert_eq!(last, Some(90));
    }
}
