//! What is known of one recording: the JSON beside its file, and what the REST API shows.

use std::time::SystemTime;

use super::events::EVENTS;
use crate::codec::Container;
use crate::protocol::recording::Kind;

/// Name in the folder of recordings of the file or folder that recording `id` is written to.
pub(super) fn file_name(kind: Kind, id: &str, format: Container) -> String {
    match kind {
        Kind::Composite => format!("{id}.{}", format.extension()),
        Kind::Tracks => id.to_owned(),
    }
}

/// Path in the folder of recordings of the file that the events of recording `id` are written to.
pub(super) fn events_name(kind: Kind, id: &str) -> String {
    match kind {
        Kind::Composite => format!("{id}.{EVENTS}"),
        Kind::Tracks => format!("{id}/{EVENTS}"),
    }
}

/// A moment as the catalogue writes it.
pub(super) fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
