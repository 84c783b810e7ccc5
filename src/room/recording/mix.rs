//! A recording of the mix: its file, and what happens in the room meanwhile, which becomes its
//! markers. Part of a recording's task.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::event_log::EventLogWriter;
use super::tracks::WriterEvent;
use crate::archive::events::Event;
use crate::codec::Codec;
use crate::codec::Container;
use crate::media::file::recorder::{Recorder, RecorderError};
use crate::media::gst::template::Templates;
use crate::media::stream::tap::Tap;
use crate::protocol::room::RoomState;

/// The files of a recording of the mix.
#[derive(Debug)]
pub(crate) struct MixRecording {
    recorder: Recorder,
    event_log: EventLogWriter,
    /// Running time of the recording's zero.
    zero: Duration,
    begun: Begun,
}

/// Whether the events say when the file began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Unnoted,
    Noted,
}

impl MixRecording {
    /// Opens the file, which can take as long as the disk likes.
    pub(crate) async fn open(
        templates: Arc<Templates>,
        (container, path): (Container, PathBuf),
        (event_log, zero): (EventLogWriter, Duration),
        news: mpsc::UnboundedSender<WriterEvent>,
    ) -> Result<Self, RecorderError> {
        let on_failure = move |text| {
            let _ = news.send(WriterEvent::Failed(text));
        };
        let opened = tokio::task::spawn_blocking(move || {
            Recorder::start(&templates, container, &path, on_failure)
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

    /// Takes the picture or the sound from a tap from now on.
    pub(crate) fn feed(&mut self, tap: &Tap) {
        match tap.format() {
            Codec::Opus => self.recorder.feed_sound(tap),
            _ => self.recorder.feed_picture(tap),
        }
    }

    /// Notes what has changed in the room at running time `at`. What cannot be noted costs
    /// markers, and not the recording.
    pub(crate) async fn room(&mut self, at: Duration, room: Arc<RoomState>) {
        warn_of(self.event_log.room(at, room).await);
    }

    /// Notes when the file began, if it has since this was last asked.
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

    /// How much has been recorded.
    pub(crate) fn length(&self) -> Duration {
        self.recorder.length()
    }

    /// Writes what is left. Returns how long the file is.
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
