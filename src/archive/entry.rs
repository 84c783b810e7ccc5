//! What is known of one recording: the JSON beside its file, and what the REST API shows.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::journal::{EVENTS, TrackCodec};
use super::markers::Marker;
use crate::config::VideoCodec;
use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::Size;
use crate::media::recorder::Container;

/// Why a text is not the id of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a recording's id is 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct BadRecordingId;

/// A recording's name and the stem of its files: `{room}-{date}T{time}Z-{4 hex digits}`.
/// Its characters cannot lead out of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(String);

impl RecordingId {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// [`BadRecordingId`] unless `text` matches `[A-Za-z0-9_-]{1,128}`.
    pub fn new(text: impl Into<String>) -> Result<Self, BadRecordingId> {
        let text = text.into();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(fits);
        if fits {
            Ok(Self(text))
        } else {
            Err(BadRecordingId)
        }
    }

    /// A new one for a recording of `room` that begins at `now`.
    pub(super) fn invent(room: &RoomId, now: SystemTime) -> Self {
        let stamp = humantime::format_rfc3339_seconds(now).to_string();
        let stamp: String = stamp.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        Self(format!("{room}-{stamp}-{:04x}", rand::random::<u16>()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RecordingId {
    type Error = BadRecordingId;

    fn try_from(text: String) -> Result<Self, BadRecordingId> {
        Self::new(text)
    }
}

impl From<RecordingId> for String {
    fn from(id: RecordingId) -> Self {
        id.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is recorded of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The mix, as a viewer gets it.
    #[default]
    Composite,
    /// Every participant's uplinks as they come, a file each, and what happened in the room.
    Tracks,
}

/// A [`Kind`] with what it is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The mix, in one file.
    Mix(Container),
    /// The uplinks, in a folder of WebM files, and Matroska where they are H.264.
    Tracks,
}

impl Subject {
    /// What it is of a room.
    pub fn kind(self) -> Kind {
        match self {
            Self::Mix(_) => Kind::Composite,
            Self::Tracks => Kind::Tracks,
        }
    }

    /// The container, or that of most of its files.
    pub fn format(self) -> Container {
        match self {
            Self::Mix(container) => container,
            Self::Tracks => Container::Webm,
        }
    }
}

impl Kind {
    /// Name in the folder of recordings of what `id` is written to.
    pub(super) fn file_of(self, id: &str, format: Container) -> String {
        match self {
            Self::Composite => format!("{id}.{}", format.extension()),
            Self::Tracks => id.to_owned(),
        }
    }

    /// The same of what its events are written to.
    pub(super) fn events_of(self, id: &str) -> String {
        match self {
            Self::Composite => format!("{id}.{EVENTS}"),
            Self::Tracks => format!("{id}/{EVENTS}"),
        }
    }
}

/// A file of a recording of tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TrackFile {
    /// Its name in the recording's folder.
    pub file: String,
    /// Whose.
    pub participant: ParticipantId,
    /// What they were called when it began.
    pub name: String,
    /// Which uplink.
    pub role: Role,
    /// What is in it.
    pub codec: TrackCodec,
    /// When it begins, ms from the recording's beginning.
    pub start_ms: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// How a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It goes on.
    Recording,
    /// It was stopped, and its file has its end.
    Finished,
    /// The server ended without stopping it; its file was repaired.
    Recovered,
    /// It ended by an error; what was written before is there, if anything was.
    Failed,
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Of which room.
    pub room: RoomId,
    /// What of it.
    pub kind: Kind,
    /// In which container.
    pub format: Container,
    /// How it stands.
    pub state: Standing,
    /// Name of its file in the folder of recordings, or of its own folder there.
    pub file: String,
    /// When it was asked for (RFC 3339).
    pub started: String,
    /// When it ended.
    pub ended: Option<String>,
    /// How long it is, ms. 0 while it goes on.
    pub duration_ms: u64,
    /// Bytes in the file, or in all of them. 0 while it goes on.
    pub bytes: u64,
    /// Size of the picture, pixels.
    pub size: Option<Size>,
    /// Codec of the picture.
    pub video: Option<VideoCodec>,
    /// Names of all who were in the room while it went on.
    pub participants: Vec<String>,
    /// Why it ended, where nobody stopped it.
    pub reason: Option<String>,
    /// Its files beside the events, where it is one of tracks that has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackFile>,
    /// Who came, went and spoke, in order, once it has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<Marker>,
}

impl Recording {
    /// What of the room it is, and as what.
    pub fn subject(&self) -> Subject {
        match self.kind {
            Kind::Composite => Subject::Mix(self.format),
            Kind::Tracks => Subject::Tracks,
        }
    }
}

/// Some of the recordings, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Page {
    /// Those of this page.
    pub recordings: Vec<Recording>,
    /// How many there are in all.
    pub total: usize,
    /// How many come before these.
    pub offset: usize,
}

/// A moment as the catalogue writes it.
pub(super) fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn ids_stay_in_their_folder() {
        let room = RoomId::new("room_1-a").unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let id = RecordingId::invent(&room, at);
        assert!(
            id.as_str().starts_with("room_1-a-20260921T141320Z-"),
            "{id}"
        );
        assert_eq!(RecordingId::new(id.as_str()), Ok(id));
        for bad in ["", "..", "a/b", "a.b", "a%2e", &"x".repeat(129)] {
            assert_eq!(RecordingId::new(bad), Err(BadRecordingId), "{bad:?}");
        }
    }
}
