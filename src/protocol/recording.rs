//! Recordings on the wire: requests for them, and the resources of the catalogue.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{BadSound, Codec, Container, MixFormat, SoundCodec, VideoCodec};
use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::Size;

/// A text that is not a [`RecordingId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a recording's id is 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct BadRecordingId;

/// The id of a recording and the stem of its file names: `{room}-{date}T{time}Z-{4 hex digits}`.
/// Its characters cannot lead out of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(String);

impl RecordingId {
    /// The id that `text` spells.
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

    /// A new id for a recording of `room` that begins at `now`.
    pub(crate) fn invent(room: &RoomId, now: SystemTime) -> Self {
        let stamp = humantime::format_rfc3339_seconds(now).to_string();
        let stamp: String = stamp.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        Self(format!("{room}-{stamp}-{:04x}", rand::random::<u16>()))
    }

    /// The id as it is written on the wire and in file names.
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

/// What a recording holds of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum RecordingKind {
    /// The composite and the mix, as a viewer receives them, in one file.
    #[default]
    Composite,
    /// Each uplink of each participant as it comes, in a file of its own, with an event log.
    Tracks,
}

/// What to record of a room, and in which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The composite and the mix, in one file of this format.
    Mix(MixFormat),
    /// The uplinks, in a folder of WebM files; Matroska for those in H.264.
    Tracks,
}

impl Subject {
    /// The kind of such a recording.
    pub fn kind(self) -> RecordingKind {
        match self {
            Self::Mix(_) => RecordingKind::Composite,
            Self::Tracks => RecordingKind::Tracks,
        }
    }

    /// The container of its file, or that of most of its files.
    pub fn format(self) -> Container {
        match self {
            Self::Mix(format) => format.container(),
            Self::Tracks => Container::Webm,
        }
    }
}

impl From<Container> for Subject {
    fn from(container: Container) -> Self {
        Self::Mix(container.into())
    }
}

/// A file of a recording of tracks, as the catalogue lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TrackFile {
    /// Name of the file in the recording's folder.
    pub file: String,
    /// Participant whose uplink it holds.
    pub participant: ParticipantId,
    /// Display name of the participant when the file began.
    pub name: String,
    /// Which of the uplinks it holds.
    pub role: Role,
    /// Codec of the uplink.
    pub codec: Codec,
    /// Beginning of the file in ms from that of the recording.
    pub start_ms: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// The state of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum RecordingStatus {
    /// It is being written.
    Recording,
    /// It has ended, and its file is complete.
    Finished,
    /// The server was killed while it was being written; its file was repaired.
    Recovered,
    /// It ended with an error. What was written before that is kept.
    Failed,
}

/// A recording as the catalogue and the REST API show it, and as its metadata file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Recording {
    /// Id of the recording.
    pub id: RecordingId,
    /// Room that was recorded.
    pub room: RoomId,
    /// What it holds of the room.
    pub kind: RecordingKind,
    /// Container of its file, or `webm` for tracks.
    pub format: Container,
    /// Whether it is being written, and how it ended.
    pub state: RecordingStatus,
    /// Name in the folder of recordings of its file, or of its folder of tracks.
    pub file: String,
    /// Time at which it was requested (RFC 3339).
    pub started: String,
    /// Time at which it ended (RFC 3339); null while it is being written.
    pub ended: Option<String>,
    /// Length in ms; 0 while it is being written.
    pub duration_ms: u64,
    /// Size of its file, or of all files of its folder, in bytes; 0 while it is being written.
    pub bytes: u64,
    /// Size of the composite in pixels; null for sound alone and for tracks.
    pub size: Option<Size>,
    /// Video codec of the composite; null for sound alone and for tracks.
    pub video: Option<VideoCodec>,
    /// Codec of the mixed sound; null for tracks.
    #[serde(default)]
    pub audio: Option<SoundCodec>,
    /// Display names of all participants who were in the room while it was being written.
    pub participants: Vec<String>,
    /// Why it ended by itself, for people; null if it was stopped.
    pub reason: Option<String>,
    /// The files of a recording of tracks that has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackFile>,
    /// Who joined, left and spoke, in order of time, once it has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<Marker>,
}

impl Recording {
    /// What it holds of the room, and in which format.
    pub fn subject(&self) -> Subject {
        match self.kind {
            RecordingKind::Composite => {
                let known = self.audio.map(|sound| MixFormat::new(self.format, sound));
                Subject::Mix(known.and_then(Result::ok).unwrap_or(self.format.into()))
            }
            RecordingKind::Tracks => Subject::Tracks,
        }
    }
}

/// One page of a list of recordings, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RecordingPage {
    /// The recordings on this page.
    pub recordings: Vec<Recording>,
    /// Number of recordings in the whole list.
    pub total: usize,
    /// Number of recordings in the list before those on this page.
    pub offset: usize,
}

/// The kind of event that a marker stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum MarkerKind {
    /// A participant joins; at 0, one who was there when the recording began.
    Join,
    /// A participant leaves.
    Leave,
    /// A participant begins to speak, other than the one who spoke before.
    Speaker,
}

/// An event of a recording that a player can seek to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Marker {
    /// Time of the event in ms from the beginning of the file.
    pub at_ms: u64,
    /// The kind of event that a marker stands for.
    #[serde(rename = "type")]
    pub kind: MarkerKind,
    /// Participant who joined, left or spoke.
    pub participant: ParticipantId,
    /// Display name of the participant at that time.
    pub name: String,
}

/// The body of [`ClientMessage::Record`](super::ClientMessage::Record).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Record {
    /// Begin a recording of the room.
    Start(StartRecording),
    /// End a recording of the room.
    Stop {
        /// Id of the recording.
        recording: RecordingId,
    },
}

/// The body of `POST /api/v1/rooms/{room}/recordings`, and of a [`Record::Start`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(as = "RecordingWords"))]
#[serde(try_from = "RecordingWords", into = "RecordingWords")]
pub struct StartRecording {
    /// What to record of the room, and in which format.
    pub subject: Subject,
}

/// A [`StartRecording`] as its JSON has it.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
struct RecordingWords {
    /// `mp4`, `webm` or `ogg` (sound alone) for the mix; `webm` or nothing for tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Container>,
    /// Codec of the mixed sound: `aac` or `opus` for `mp4`, of which `aac` may be left out; `opus`
    /// or nothing for `webm` and `ogg`; nothing for tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio: Option<SoundCodec>,
    /// `composite` or `tracks`.
    #[serde(default)]
    kind: RecordingKind,
}

/// Why a request to record cannot be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
enum BadStart {
    #[error("missing field `format`")]
    NoFormat,
    #[error("tracks are of format webm")]
    TrackFormat,
    #[error("tracks are recorded in the codecs that come: `audio` is for the mix")]
    TrackSound,
    #[error(transparent)]
    Sound(#[from] BadSound),
}

impl TryFrom<RecordingWords> for StartRecording {
    type Error = BadStart;

    fn try_from(words: RecordingWords) -> Result<Self, Self::Error> {
        let subject = match (words.kind, words.format, words.audio) {
            (RecordingKind::Composite, None, _) => return Err(BadStart::NoFormat),
            (RecordingKind::Composite, Some(container), None) => Subject::from(container),
            (RecordingKind::Composite, Some(container), Some(sound)) => {
                Subject::Mix(MixFormat::new(container, sound)?)
            }
            (RecordingKind::Tracks, None | Some(Container::Webm), None) => Subject::Tracks,
            (RecordingKind::Tracks, None | Some(Container::Webm), Some(_)) => {
                return Err(BadStart::TrackSound);
            }
            (RecordingKind::Tracks, Some(_), _) => return Err(BadStart::TrackFormat),
        };
        Ok(Self { subject })
    }
}

impl From<StartRecording> for RecordingWords {
    fn from(start: StartRecording) -> Self {
        let mix = match start.subject {
            Subject::Mix(mix) => Some(mix),
            Subject::Tracks => None,
        };
        let not_implied = |mix: &MixFormat| *mix != MixFormat::from(mix.container());
        Self {
            format: mix.map(MixFormat::container),
            audio: mix.filter(not_implied).map(MixFormat::sound),
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

    fn start(json: &str) -> Result<Subject, String> {
        let start: Result<StartRecording, _> = serde_json::from_str(json);
        start
            .map(|start| start.subject)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_mp4_has_aac_unless_opus_is_asked_for() {
        let mp4 = |sound| Ok(Subject::Mix(MixFormat::new(Container::Mp4, sound).unwrap()));
        assert_eq!(start(r#"{"format":"mp4"}"#), mp4(SoundCodec::Aac));
        assert_eq!(
            start(r#"{"format":"mp4","audio":"aac"}"#),
            mp4(SoundCodec::Aac)
        );
        assert_eq!(
            start(r#"{"format":"mp4","audio":"opus"}"#),
            mp4(SoundCodec::Opus)
        );
        for container in ["webm", "ogg"] {
            let plain = start(&format!(r#"{{"format":"{container}"}}"#));
            let opus = start(&format!(r#"{{"format":"{container}","audio":"opus"}}"#));
            assert!(plain.is_ok() && plain == opus, "{plain:?} {opus:?}");
            let aac = start(&format!(r#"{{"format":"{container}","audio":"aac"}}"#));
            assert!(aac.is_err_and(|words| words.contains("aac is for mp4")));
        }
        let tracks = start(r#"{"kind":"tracks","audio":"opus"}"#);
        assert!(tracks.is_err_and(|words| words.contains("for the mix")));
        assert!(start(r#"{"format":"mp4","audio":"mp3"}"#).is_err());
    }

    #[test]
    fn what_is_implied_is_not_written() {
        let written = |json: &str| {
            let start: StartRecording = serde_json::from_str(json).unwrap();
            serde_json::to_value(start).unwrap()["audio"].clone()
        };
        assert!(written(r#"{"format":"mp4","audio":"aac"}"#).is_null());
        assert_eq!(written(r#"{"format":"mp4","audio":"opus"}"#), "opus");
    }
}
