//! A recording of the mix: its media file, and its event log, which becomes its markers. Part of a
//! recording's task.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::event_log::EventLogWriter;
use super::tracks::WriterEvent;
use crate::archive::events::Event;
use crate::codec::Codec;
use crate::codec::MixFormat;
use crate::media::file::recorder::{Recorder, RecorderError};
use crate::media::gst::template::Templates;
use crate::media::stream::tap::Tap;
use crate::protocol::room::RoomState;

/// A recording of the mix that is being written.
#[derive(Debug)]
pub(crate) struct MixRecording {
    recorder: Recorder,
    event_log: EventLogWriter,
    /// Running time at which the recording began.
    zero: Duration,
    begun: Begun,
}

/// Whether the event log says when the media file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Unnoted,
    Noted,
}

impl MixRecording {
    /// Creates the media file, on a thread for blocking work.
    pub(crate) async fn open(
        templates: Arc<Templates>,
        (format, path): (MixFormat, PathBuf),
        (event_log, zero): (EventLogWriter, Duration),
        news: mpsc::UnboundedSender<WriterEvent>,
    ) -> Result<Self, RecorderError> {
        let on_failure = move |text| {
            let _ = news.send(WriterEvent::Failed(text));
        };
        let opened = tokio::task::spawn_blocking(move || {
            Recorder::start(&templates, format, &path, on_failure)
        });
        let opened = opened.await;
        let recorder =
            opened.unwrap_or_else(|error| Err(RecorderError::Failed(error.to_string())))?;
        Ok(Self {
            recorder,
            event_log,
            zero,
            begun: Begun::Unnoted,
        })
    }

    /// Takes the picture or the sound (by the tap's codec) from a tap from now on.
    pub(crate) fn feed(&mut self, tap: &Tap) {
        match tap.format() {
            Codec::Opus => self.recorder.feed_sound(tap),
            _ => self.recorder.feed_picture(tap),
        }
    }

    /// Logs what has changed in the room at running time `at`. An error costs markers, not the
    /// recording.
    pub(crate) async fn room(&mut self, at: Duration, room: Arc<RoomState>) {
        warn_of(self.event_log.room(at, room).await);
    }

    /// Logs when the media file begins, once that is known.
    pub(crate) async fn look(&mut self) {
        if self.begun == Begun::Noted {
            return;
        }
        let Some(began) = self.recorder.began() else {
            return;
        };
        self.begun = Begun::Noted;
        let start = began.saturating_sub(self.zero).as_millis();
        let start = u64::try_from(start).unwrap_or(u64::MAX);
        let noted = self
            .event_log
            .write(began, vec![Event::File { start }])
            .await;
        warn_of(noted);
    }

    /// Length of what has been recorded so far.
    pub(crate) fn length(&self) -> Duration {
        self.recorder.length()
    }

    /// Completes the media file. Returns its length.
    pub(crate) async fn finish(mut self) -> Result<Duration, RecorderError> {
        self.look().await;
        self.recorder.finish().await
    }
}

fn warn_of(noted: Result<(), RecorderError>) {
    if let Err(error) = noted {
        tracing::warn!(%error, "a recording gets no more markers");
    }
}
