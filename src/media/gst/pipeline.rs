//! The guard around every `GstPipeline`: one clock and one base time for all of them, state
//! changes under a deadline, `Null` on drop off the async threads, and a count of what lives.
//!
//! Pipelines are joined by taps, so a buffer's running time must mean the same moment in each:
//! they share the system clock (`CLOCK_MONOTONIC`), the base time below, and `start-time` NONE.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use gst::prelude::*;
use thiserror::Error;

use super::pool::source;
use super::teardown;

static ALIVE: AtomicI64 = AtomicI64::new(0);

/// What can go wrong with a pipeline as a whole.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The description does not parse, or an element is missing.
    #[error("pipeline {label}: {source}")]
    Build {
        /// The pipeline, as it is called in logs.
        label: String,
        /// What GStreamer says.
        source: gst::glib::Error,
    },
    /// A named element of a template is not there.
    #[error("pipeline {label} has no element {element:?}")]
    NoElement {
        /// The pipeline, as it is called in logs.
        label: String,
        /// The name that was looked for.
        element: &'static str,
    },
    /// The pipeline does not start.
    #[error("pipeline {label} does not start")]
    Start {
        /// The pipeline, as it is called in logs.
        label: String,
    },
}

/// What a pipeline reports on its bus.
#[derive(Debug, Clone)]
pub enum BusEvent {
    /// An element failed; the pipeline is of no use any more.
    Error(String),
    /// Every sink has seen the end of the stream.
    Eos,
}

/// The clock and base time of every pipeline of this process.
pub fn epoch() -> (gst::Clock, gst::ClockTime) {
    static BASE: OnceLock<gst::ClockTime> = OnceLock::new();
    let clock = gst::SystemClock::obtain();
    let base = *BASE.get_or_init(|| clock.time());
    (clock, base)
}

/// The running time now, which is the same in every pipeline.
pub fn running_time() -> gst::ClockTime {
    let (clock, base) = epoch();
    clock.time().saturating_sub(base)
}

/// The running time now, which is the same in every pipeline, as a [`Duration`].
pub(crate) fn now() -> Duration {
    running_time().into()
}

/// Distributes the latency of a pipeline among its elements. Where it is not known yet, a message
/// on the bus follows when it is.
pub(crate) fn recalculate_latency(pipeline: &gst::Pipeline) {
    if let Err(error) = pipeline.recalculate_latency() {
        tracing::debug!(pipeline = %pipeline.name(), %error, "latency not recalculated");
    }
}

/// The number of pipelines of this process that have not reached `Null`.
pub fn alive() -> i64 {
    ALIVE.load(Ordering::Relaxed)
}

/// Owns a pipeline, and brings it to `Null` on a thread of its own when it is dropped.
#[derive(Debug)]
pub struct Pipeline {
    inner: gst::Pipeline,
    label: String,
    bus: Option<tokio::task::JoinHandle<()>>,
}

impl Pipeline {
    /// An empty pipeline on the common clock. `label` is for logs and dot dumps.
    pub fn new(label: impl Into<String>) -> Self {
        Self::adopt(gst::Pipeline::new(), label.into())
    }

    /// A pipeline from a gst-launch description that is ours (never from a client).
    ///
    /// # Errors
    /// [`PipelineError::Build`] when it does not parse or an element is missing.
    pub fn parse(label: impl Into<String>, description: &str) -> Result<Self, PipelineError> {
        source::register();
        let label = label.into();
        let build = |source| PipelineError::Build {
            label: label.clone(),
            source,
        };
        let bin = gst::parse::bin_from_description(description, false).map_err(build)?;
        let pipeline = gst::Pipeline::new();
        pipeline.add(&bin).map_err(|e| {
            build(gst::glib::Error::new(
                gst::CoreError::Failed,
                &e.to_string(),
            ))
        })?;
        Ok(Self::adopt(pipeline, label))
    }

    fn adopt(inner: gst::Pipeline, label: String) -> Self {
        let (clock, base) = epoch();
        inner.use_clock(Some(&clock));
        inner.set_start_time(gst::ClockTime::NONE);
        inner.set_base_time(base);
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self {
            inner,
            label,
            bus: None,
        }
    }

    /// The `GstPipeline`, to add elements to.
    pub fn gst(&self) -> &gst::Pipeline {
        &self.inner
    }

    /// An element of the description by its name.
    ///
    /// # Errors
    /// [`PipelineError::NoElement`] when there is none of that name and type.
    pub fn element<T: IsA<gst::Element>>(&self, name: &'static str) -> Result<T, PipelineError> {
        self.inner
            .by_name(name)
            .and_then(|element| element.downcast().ok())
            .ok_or_else(|| PipelineError::NoElement {
                label: self.label.clone(),
                element: name,
            })
    }

    /// Starts the pipeline and calls `on_event`, on a tokio thread, for what its bus says.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PipelineError::Start`] when an element refuses.
    pub fn start(
        &mut self,
        on_event: impl Fn(BusEvent) + Send + 'static,
    ) -> Result<(), PipelineError> {
        let mut messages = self
            .inner
            .bus()
            .map(|bus| bus.stream())
            .ok_or_else(|| self.start_error())?;
        let weak = self.inner.downgrade();
        let label = self.label.clone();
        self.bus = Some(tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                if let Some(event) = interpret(&label, &weak, &message) {
                    on_event(event);
                }
            }
        }));
        self.inner
            .set_state(gst::State::Playing)
            .map(drop)
            .map_err(|_| self.start_error())
    }

    fn start_error(&self) -> PipelineError {
        PipelineError::Start {
            label: self.label.clone(),
        }
    }
}

/// What a bus message means for the owner of the pipeline, if anything.
fn interpret(
    label: &str,
    pipeline: &gst::glib::WeakRef<gst::Pipeline>,
    message: &gst::Message,
) -> Option<BusEvent> {
    match message.view() {
        gst::MessageView::Error(error) => {
            let text = format!("{} ({:?})", error.error(), error.debug());
            tracing::debug!(pipeline = label, "{text}");
            Some(BusEvent::Error(text))
        }
        gst::MessageView::Eos(_) => Some(BusEvent::Eos),
        gst::MessageView::Warning(warning) => {
            tracing::debug!(
                pipeline = label,
                "{} ({:?})",
                warning.error(),
                warning.debug()
            );
            None
        }
        gst::MessageView::Latency(_) => {
            if let Some(pipeline) = pipeline.upgrade() {
                recalculate_latency(&pipeline);
            }
            None
        }
        _ => None,
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.take() {
            bus.abort();
        }
        let label = std::mem::take(&mut self.label);
        teardown::begin(label, self.inner.clone(), || {
            ALIVE.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Waits until all pipelines have reached `Null`, or `deadline` has passed. Returns how many have
/// not.
pub async fn drained(deadline: Duration) -> i64 {
    let until = tokio::time::Instant::now() + deadline;
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    while alive() > 0 && tokio::time::Instant::now() < until {
        poll.tick().await;
    }
    alive()
}
