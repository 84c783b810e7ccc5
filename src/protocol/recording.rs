//! Recordings on the wire: what is asked for, and what the catalogue shows.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{Codec, Container, VideoCodec};
use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::Size;

/// Why a text is not the id of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a recording's id is 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct BadRecordingId;

/// A recording's name and the stem of its files: `{room}-{date}T{time}Z-{4 hex digits}`.
/// Its characters cannot lead out of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    pub(crate) fn invent(room: &RoomId, now: SystemTime) -> Self {
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
#[serde(rename_all = "lowercase")]
pub enum RecordingKind {
    /// The mix, as a viewer gets it.
    #[default]
    Composite,
    /// Every participant's uplinks as they come, a file each, and what happened in the room.
    Tracks,
}

/// A [`RecordingKind`] with what it is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The mix, in one file.
    Mix(Container),
    /// The uplinks, in a folder of WebM files, and Matroska where they are H.264.
    Tracks,
}

impl Subject {
    /// What it is of a room.
    pub fn kind(self) -> RecordingKind {
        match self {
            Self::Mix(_) => RecordingKind::Composite,
            Self::Tracks => RecordingKind::Tracks,
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

/// A file of a recording of tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub codec: Codec,
    /// When it begins, ms from the recording's beginning.
    pub start_ms: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// How a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingStatus {
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
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Of which room.
    pub room: RoomId,
    /// What of it.
    pub kind: RecordingKind,
    /// In which container.
    pub format: Container,
    /// How it stands.
    pub state: RecordingStatus,
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
            RecordingKind::Composite => Subject::Mix(self.format),
            RecordingKind::Tracks => Subject::Tracks,
        }
    }
}

/// Some of the recordings, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingPage {
    /// Those of this page.
    pub recordings: Vec<Recording>,
    /// How many there are in all.
    pub total: usize,
    /// How many come before these.
    pub offset: usize,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkerKind {
    /// Somebody is there from now on.
    Join,
    /// Somebody has gone.
    Leave,
    /// Somebody else than before begins to speak.
    Speaker,
}

/// A moment of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// When, ms from the recording's beginning.
    pub at_ms: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: MarkerKind,
    /// To whom.
    pub participant: ParticipantId,
    /// What they were called then.
    pub name: String,
}

/// The body of [`ClientMessage::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Record {
    /// Begin one.
    Start(StartRecording),
    /// End one.
    Stop {
        /// Which.
        recording: RecordingId,
    },
}

/// The body of `POST /api/v1/rooms/{room}/recordings`, and of a [`Record::Start`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RecordingWords", into = "RecordingWords")]
pub struct StartRecording {
    /// What of the room is to be recorded, and as what.
    pub subject: Subject,
}

/// A [`StartRecording`] as it is written.
#[derive(Serialize, Deserialize)]
struct RecordingWords {
    /// `mp4`, `webm` or `ogg` (sound alone) for the mix; `webm` or nothing for tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Container>,
    /// `composite` or `tracks`.
    #[serde(default)]
    kind: RecordingKind,
}

impl TryFrom<RecordingWords> for StartRecording {
    type Error = &'static str;

    fn try_from(words: RecordingWords) -> Result<Self, Self::Error> {
        let subject = match (words.kind, words.format) {
            (RecordingKind::Composite, Some(container)) => Subject::Mix(container),
            (RecordingKind::Composite, None) => return Err("missing field `format`"),
            (RecordingKind::Tracks, None | Some(Container::Webm)) => Subject::Tracks,
            (RecordingKind::Tracks, Some(_)) => return Err("tracks are of format webm"),
        };
        Ok(Self { subject })
    }
}

impl From<StartRecording> for RecordingWords {
    fn from(start: StartRecording) -> Self {
        Self {
            format: match start.subject {
                Subject::Mix(container) => Some(container),
                Subject::Tracks => None,
            },
            kind: start.subject.kind(),
        }
    }
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
