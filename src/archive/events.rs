//! The event log of a recording: what happened in the room meanwhile, one JSON object a line. For a
//! recording of tracks it is `events.jsonl` beside them; for a composite it is a file that exists
//! until the recording ends and its markers are made of it.
//!
//! Every line has `at`, a time in ms on the recording's clock, which is 0 at its beginning. The
//! tracks use the same clock: time `t` in a file is time `start + t` of the recording. Each line is
//! written as soon as the event happens, so that a server that is killed leaves all of them, and at
//! most one half of a line at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::Codec;
use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::{Fit, LayoutKind, Size};
use crate::topology::Mode;

/// Name of the event log in the folder of a recording of tracks.
pub const EVENTS: &str = "events.jsonl";

/// Version of the format, in the first line of every event log.
pub const VERSION: u32 = 1;

/// A file of a recording of tracks: one uplink of one participant, from `start` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTrack {
    /// Name of the file in the recording's folder.
    pub file: String,
    /// Participant whose uplink it holds.
    pub participant: ParticipantId,
    /// Which of the uplinks it holds.
    pub role: Role,
    /// Codec of the uplink.
    pub codec: Codec,
    /// Beginning of the file on the recording's clock, in ms.
    pub start: u64,
}

/// An event. Each kind says what holds from its time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The first line: which room this is, and how its composite is made.
    Begin {
        /// Always [`VERSION`].
        version: u32,
        /// Id of the room.
        room: RoomId,
        /// Wall-clock time (RFC 3339) at which the recording's clock is 0.
        started: String,
        /// Size of the composite in pixels.
        canvas: Size,
        /// Frames per second of the composite.
        fps: u32,
        /// How a picture of another aspect ratio is put in its tile.
        fit: Fit,
    },
    /// A participant is in the room. At time 0, one who was there before the recording.
    Join {
        /// Id of the participant.
        participant: ParticipantId,
        /// Display name at that time.
        name: String,
        /// Whether they only receive, and so have no tile.
        viewer: bool,
    },
    /// A participant has left the room.
    Leave {
        /// Id of the participant.
        participant: ParticipantId,
    },
    /// A participant has another display name.
    Name {
        /// Id of the participant.
        participant: ParticipantId,
        /// The new display name.
        name: String,
    },
    /// The composite has another layout.
    Layout {
        /// The new layout.
        layout: LayoutKind,
    },
    /// Another participant is pinned to the large tile of the spotlight, or none is.
    Pin {
        /// Id of the pinned participant, or null.
        participant: Option<ParticipantId>,
    },
    /// A participant begins or ends to be an active speaker.
    Speaker {
        /// Id of the participant.
        participant: ParticipantId,
        /// Whether they are one from now on.
        speaking: bool,
    },
    /// The room has another mode.
    Mode {
        /// The new mode.
        mode: Mode,
    },
    /// An uplink is muted or unmuted. While it is muted nothing of it is recorded.
    Mute {
        /// Participant whose uplink it is.
        participant: ParticipantId,
        /// Which of their uplinks it is.
        role: Role,
        /// Whether it is muted from now on.
        muted: bool,
    },
    /// The file of a composite has begun.
    File {
        /// Beginning of the file on the recording's clock, in ms.
        start: u64,
    },
    /// The file of a track has begun.
    Track(RecordedTrack),
    /// The file of a track has ended.
    TrackEnd {
        /// Name of the file.
        file: String,
    },
    /// The recording has ended. The last line, missing if the server was killed.
    End,
}

/// A line of the event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Time of the event on the recording's clock, in ms.
    pub at: u64,
    /// The event, whose fields are in the same JSON object.
    #[serde(flatten)]
    pub event: Event,
}

/// Appends to the event log of a recording.
#[derive(Debug)]
pub struct EventLog(File);

impl EventLog {
    /// Opens a file to append to it, and creates it if it does not exist.
    ///
    /// # Errors
    /// What opening the file fails with.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        file.map(Self)
    }

    /// Appends an event at time `at` on the recording's clock. Blocks until the system has taken
    /// the line.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn write(&mut self, at: Duration, event: Event) -> io::Result<()> {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&LogEntry { at, event })?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// Reads the event log of the recording of tracks in `folder`. Lines that do not parse, such as
/// half a line at the end, are skipped.
///
/// # Errors
/// What reading the file fails with.
pub fn read(folder: &Path) -> io::Result<Vec<LogEntry>> {
    read_file(&folder.join(EVENTS))
}

/// Reads an event log, as [`read`] does, from the file at `path`.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<LogEntry>> {
    let bytes = std::fs::read(path)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let known = lines.filter_map(|line| serde_json::from_slice(line).ok());
    Ok(known.collect())
}

/// Cuts half a line off the end of the event log in `folder`, and waits until that is on the disk.
///
/// # Errors
/// What reading or writing the file fails with.
pub(super) fn repair(folder: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(folder.join(EVENTS))?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |last| last + 1);
    file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
    file.sync_all()
}

/// Beginning of a composite's file on the recording's clock, in ms; `None` if none began.
pub(super) fn start(entries: &[LogEntry]) -> Option<u64> {
    entries.iter().find_map(|entry| match entry.event {
        Event::File { start } => Some(start),
        _ => None,
    })
}

/// The tracks of a recording, each with the display name of its participant when it began.
pub(super) fn tracks(entries: &[LogEntry]) -> Vec<(&RecordedTrack, String)> {
    let mut names = std::collections::BTreeMap::new();
    let mut tracks = Vec::new();
    for entry in entries {
        match &entry.event {
            Event::Join {
                participant, name, ..
            }
            | Event::Name { participant, name } => drop(names.insert(*participant, name)),
            Event::Track(track) => {
                let name = names.get(&track.participant);
                tracks.push((track, name.map(|name| (*name).clone()).unwrap_or_default()));
            }
            _ => {}
        }
    }
    tracks
}

/// Whether a text has the form of the name of a file of a recording of tracks. Such a name cannot
/// lead out of the folder.
pub(crate) fn is_file_name(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let known = ["webm", "mkv", "jsonl"].contains(&extension);
    known && (1..=64).contains(&stem.len()) && stem.bytes().all(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn track(start: u64) -> Event {
        Event::Track(RecordedTrack {
            file: "p1-camera-1.webm".to_owned(),
            participant: ParticipantId::new(1),
            role: Role::Camera,
            codec: Codec::Vp8,
            start,
        })
    }

    fn join(name: &str) -> Event {
        Event::Join {
            participant: ParticipantId::new(1),
            name: name.to_owned(),
            viewer: false,
        }
    }

    #[test]
    fn lines_are_read_as_written_and_half_a_one_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let ms = Duration::from_millis;
        let events = folder.path().join(EVENTS);
        let mut log = EventLog::open(&events).unwrap();
        log.write(ms(0), join("Ann")).unwrap();
        log.write(ms(140), track(123)).unwrap();
        let written = std::fs::read_to_string(folder.path().join(EVENTS)).unwrap();
        let expected = concat!(
            r#"{"at":140,"type":"track","file":"p1-camera-1.webm","participant":"p1","#,
            r#""role":"camera","codec":"vp8","start":123}"#
        );
        assert_eq!(written.lines().nth(1), Some(expected));
        let lines = read(folder.path()).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[1].at, &lines[1].event), (140, &track(123)));
        assert_eq!(tracks(&lines)[0].1, "Ann");

        let torn = format!("{written}{{\"at\":200,\"type\":\"e");
        std::fs::write(folder.path().join(EVENTS), torn).unwrap();
        assert_eq!(read(folder.path()).unwrap(), lines);
        repair(folder.path()).unwrap();
        EventLog::open(&events)
            .unwrap()
            .write(ms(300), Event::End)
            .unwrap();
        let mended = read(folder.path()).unwrap();
        assert_eq!((mended.len(), &mended[2].event), (3, &Event::End));
    }

    #[test]
    fn names_stay_in_their_folder() {
        for good in ["p1-mic-1.webm", "p12-camera-3.mkv", EVENTS] {
            assert!(is_file_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".webm",
            "a/b.webm",
            "../a.webm",
            "a.json",
            "a.webm.part",
            "a%2f.webm",
        ] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }
}
