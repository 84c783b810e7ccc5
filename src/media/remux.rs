//! Writes a recording that was cut short anew, packets as they are.

use std::path::Path;
use std::time::Duration;

use gst::prelude::*;
use tokio::sync::watch;

use super::pipeline::{BusEvent, Pipeline};
use super::recorder::{Container, RecorderError};
use super::template::Templates;

/// Most time that may pass for one file: some gigabytes.
const DEADLINE: Duration = Duration::from_secs(600);

/// Copies the tracks of `from` to `to`, both of `container`, and returns how long the copy is.
/// There is nothing of the kind for MP4.
///
/// # Errors
/// [`RecorderError`] when `from` holds nothing that can be read, or `to` cannot be written.
pub async fn remux(
    templates: &Templates,
    container: Container,
    from: &Path,
    to: &Path,
) -> Result<Duration, RecorderError> {
    let name = match container {
        Container::Webm => "remux-webm",
        Container::Ogg => "remux-ogg",
        Container::Mp4 => return Err(RecorderError::Failed("MP4 is cut, not copied".to_owned())),
    };
    let mut pipeline = Pipeline::parse(name, &templates.fill(name, &[])?)?;
    let source = pipeline.element::<gst::Element>("source")?;
    source.set_property("location", from);
    let file = pipeline.element::<gst::Element>("file")?;
    file.set_property("location", to);
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
