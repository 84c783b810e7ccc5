//! A pipeline that writes a file, from its start to the end of the file.

use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::error::RecorderError;
use crate::media::gst::pipeline::{BusEvent, Pipeline, PipelineError};

/// How far the pipeline has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WriterState {
    Running,
    Ended,
    Failed(String),
}

/// Gives the first buffer that passes a pad a duration of 1 ms if it has none. Otherwise a Matroska
/// of one picture has no duration, and GStreamer (1.22) writes a header that cannot be read: in
/// place of the duration comes a Void that is a byte too short.
pub(crate) fn ensure_duration(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        if buffer.duration().is_none() {
            buffer.make_mut().set_duration(gst::ClockTime::MSECOND);
        }
        gst::PadProbeReturn::Remove
    });
}

/// Passes on the first caps of a pad only, for streams whose keyframes carry their own parameters.
/// Matroska has no way to change them. An MP4 with fragments is destroyed by a change: at its end
/// mp4mux writes its header once more, which is longer then, over the beginning of the first
/// fragment (seen in GStreamer 1.22).
pub(crate) fn keep_first_caps(pad: &gst::Pad) {
    let known = Mutex::new(false);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let caps = info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Caps);
        match caps && std::mem::replace(&mut *known.lock(), true) {
            // Not Drop: after it, GStreamer 1.22.0 releases the event once more.
            true => gst::PadProbeReturn::Handled,
            false => gst::PadProbeReturn::Ok,
        }
    });
}

/// A pipeline that writes a file. Dropping it ends the file where it is.
#[derive(Debug)]
pub(crate) struct WritingPipeline {
    state: watch::Receiver<WriterState>,
    _pipeline: Pipeline,
}

impl WritingPipeline {
    /// Starts `pipeline`. `on_failure` is called on a tokio thread when nothing more can be
    /// written. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PipelineError::Start`], for instance when the file cannot be opened.
    pub(crate) fn start(
        mut pipeline: Pipeline,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, PipelineError> {
        let (said, state) = watch::channel(WriterState::Running);
        // What comes first counts: a pipeline that has failed still passes its end on.
        let say = move |outcome| {
            said.send_if_modified(|state| {
                let first = *state == WriterState::Running;
                if first {
                    *state = outcome;
                }
                first
            });
        };
        pipeline.start(move |event| match event {
            BusEvent::Eos => say(WriterState::Ended),
            BusEvent::Error(text) => {
                say(WriterState::Failed(text.clone()));
                on_failure(text);
            }
        })?;
        Ok(Self {
            state,
            _pipeline: pipeline,
        })
    }

    /// Whether writing has failed.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), WriterState::Failed(_))
    }

    /// Waits until the end of the file is written, after its sources got the end of the stream.
    ///
    /// # Errors
    /// [`RecorderError::Failed`], also with the reason of an earlier failure, and
    /// [`RecorderError::Stuck`] when it takes longer than `deadline`.
    pub(crate) async fn ended(mut self, deadline: Duration) -> Result<(), RecorderError> {
        let ended = self.state.wait_for(|state| *state != WriterState::Running);
        let state = tokio::time::timeout(deadline, ended)
            .await
            .map_err(|_| RecorderError::Stuck)?
            .map(|state| state.clone())
            .unwrap_or(WriterState::Ended);
        match state {
            WriterState::Failed(text) => Err(RecorderError::Failed(text)),
            WriterState::Running | WriterState::Ended => Ok(()),
        }
    }
}
