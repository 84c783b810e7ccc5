//! Repairs a recording that was cut short: copies its packets into a new file.

use std::path::Path;
use std::time::Duration;

use gst::prelude::*;
use tokio::sync::watch;

use super::recorder::error::RecorderError;
use super::recorder::reserve;
use super::recorder::writing::ensure_duration;
use crate::codec::Container;
use crate::codec::Contents;
use crate::media::gst::pipeline::{BusEvent, Pipeline};
use crate::media::gst::template::Templates;

/// How long the copy of one file may take; enough for some gigabytes.
const DEADLINE: Duration = Duration::from_secs(600);

/// Copies the tracks of `from` to `to`. Returns the duration of the copy.
///
/// # Errors
/// [`RecorderError`] when `from` holds nothing that can be read, or `to` cannot be written.
pub(crate) async fn remux(
    templates: &Templates,
    contents: Contents,
    from: &Path,
    to: &Path,
) -> Result<Duration, RecorderError> {
    let name = match contents {
        Contents::Webm => "remux-webm",
        Contents::Ogg => "remux-ogg",
        Contents::Picture => "remux-picture",
        Contents::Voice => "remux-voice",
    };
    let mut pipeline = Pipeline::parse(name, &templates.fill(name, &[])?)?;
    let source = pipeline.element::<gst::Element>("source")?;
    source.set_property("location", from);
    let file = pipeline.element::<gst::Element>("file")?;
    file.set_property("location", to);
    if matches!(contents, Contents::Webm | Contents::Picture) {
        let mux = pipeline.element::<gst::Element>("mux")?;
        if let Some(pad) = mux.static_pad("video_0") {
            ensure_duration(&pad);
        }
    }
    if contents == Contents::Webm {
        reserve(Container::Webm, &pipeline)?;
    }
    let (said, mut outcome) = watch::channel(None);
    pipeline.start(move |event| {
        let end = match event {
            BusEvent::Eos => Ok(()),
            BusEvent::Error(text) => Err(text),
        };
        said.send_if_modified(|outcome| outcome.is_none() && outcome.replace(end).is_none());
    })?;
    let ended = outcome.wait_for(Option::is_some);
    let end = tokio::time::timeout(DEADLINE, ended)
        .await
        .map_err(|_| RecorderError::Stuck)?
        .map(|end| end.clone());
    if let Ok(Some(Err(text))) = end {
        return Err(RecorderError::Failed(text));
    }
    let length = file.query_position::<gst::ClockTime>();
    Ok(length.map(Duration::from).unwrap_or_default())
}
