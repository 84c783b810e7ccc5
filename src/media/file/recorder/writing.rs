//! A pipeline that writes a file, from its start to the file's end.

use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::RecorderError;
use crate::media::gst::pipeline::{BusEvent, Pipeline, PipelineError};

/// How the pipeline fares.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Course {
    Running,
    Ended,
    Failed(String),
}

/// Lets the first of what passes a pad last a moment, where nothing says how long it lasts. Of one
/// picture alone a Matroska would last for no time, and GStreamer (1.22) then writes its header such
/// that it cannot be read: in place of the duration comes a Void that is a byte too short.
pub(crate) fn lasts(pad: &gst::Pad) {
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

/// Lets an element announce what leaves its pad once only, for streams that say themselves what they
/// are wherever one can begin. Matroska knows no change of it; an MP4 with fragments is destroyed by
/// one, for at its end mp4mux writes its header once more, which is longer then, over the beginning of
/// the first fragment (seen in GStreamer 1.22).
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

/// A file being written. Dropping it ends it where it is.
#[derive(Debug)]
pub(crate) struct Writing {
    course: watch::Receiver<Course>,
    _pipeline: Pipeline,
}

impl Writing {
    /// Starts `pipeline`. `on_failure` is called on a tokio thread when nothing more can be
    /// written. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PipelineError::Start`], as when the file cannot be opened.
    pub(crate) fn start(
        mut pipeline: Pipeline,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, PipelineError> {
        let (said, course) = watch::channel(Course::Running);
        // What comes first counts: a pipeline that has failed still passes its end on.
        let say = move |outcome| {
            said.send_if_modified(|course| {
                let first = *course == Course::Running;
                if first {
                    *course = outcome;
                }
                first
            });
        };
        pipeline.start(move |event| match event {
            BusEvent::Eos => say(Course::Ended),
            BusEvent::Error(text) => {
                say(Course::Failed(text.clone()));
                on_failure(text);
            }
        })?;
        Ok(Self {
            course,
            _pipeline: pipeline,
        })
    }

    /// Whether nothing more can be written.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.course.borrow(), Course::Failed(_))
    }

    /// Waits until the end that its sources were told of is written.
    ///
    /// # Errors
    /// [`RecorderError::Failed`] with the reason of an earlier failure too, and
    /// [`RecorderError::Stuck`] after `deadline`.
    pub(crate) async fn ended(mut self, deadline: Duration) -> Result<(), RecorderError> {
        let ended = self.course.wait_for(|course| *course != Course::Running);
        let course = tokio::time::timeout(deadline, ended)
            .await
            .map_err(|_| RecorderError::Stuck)?
            .map(|course| course.clone())
            .unwrap_or(Course::Ended);
        match course {
            Course::Failed(text) => Err(RecorderError::Failed(text)),
            Course::Running | Course::Ended => Ok(()),
        }
    }
}
