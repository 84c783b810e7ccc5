//! What happened in a room while it was recorded, one JSON object a line: `events.jsonl` beside the
//! tracks of one, and for as long as a composite is recorded a file beside that, which becomes its
//! markers.
//!
//! Every line has `at`, ms on the recording's clock, whose zero is the moment it began. It is the
//! clock of the tracks too: what stands at `t` in a file is of the moment `start + t`. A line is
//! handed to the system as soon as it is known, so that a killed server leaves all of them, and
//! half of the last one at most.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ParticipantId, Role, RoomId};
use crate::layout::{Fit, LayoutKind, Size};
use crate::media::rtp::PayloadFormat;
use crate::topology::Mode;

/// The file's name in the folder of a recording of tracks.
pub const EVENTS: &str = "events.jsonl";

/// The version of what the file says.
pub const VERSION: u32 = 1;

/// What a track is encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum TrackCodec {
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// H.264.
    H264,
    /// Opus.
    Opus,
}

impl TrackCodec {
    /// What its files end in, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            // WebM knows no H.264.
            Self::H264 => "mkv",
            Self::Vp8 | Self::Vp9 | Self::Opus => "webm",
        }
    }
}

impl From<PayloadFormat> for TrackCodec {
    fn from(format: PayloadFormat) -> Self {
        match format {
            PayloadFormat::Vp8 => Self::Vp8,
            PayloadFormat::Vp9 => Self::Vp9,
            PayloadFormat::H264 => Self::H264,
            PayloadFormat::Opus => Self::Opus,
        }
    }
}

/// A file with a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Its name in the recording's folder.
    pub file: String,
    /// Whose.
    pub participant: ParticipantId,
    /// Which uplink.
    pub role: Role,
    /// As what it is encoded.
    pub codec: TrackCodec,
    /// What is 0 in the file is this on the recording's clock, ms.
    pub start: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The first line: of what it is, and how the room's composite is made.
    Begin {
        /// [`VERSION`].
        version: u32,
        /// The room.
        room: RoomId,
        /// The recording's zero, by the wall clock (RFC 3339).
        started: String,
        /// The composite's size.
        canvas: Size,
        /// Its frames per second.
        fps: u32,
        /// How a picture is put in its tile.
        fit: Fit,
    },
    /// Somebody is there: at the beginning, or from now on.
    Join {
        /// Who.
        participant: ParticipantId,
        /// As given at join.
        name: String,
        /// Only receives, and has no tile.
        viewer: bool,
    },
    /// Somebody has gone.
    Leave {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody is called otherwise.
    Name {
        /// Who.
        participant: ParticipantId,
        /// From now on.
        name: String,
    },
    /// The layout of the composite, from now on.
    Layout {
        /// Which.
        layout: LayoutKind,
    },
    /// Who has the large tile of the spotlight, or null.
    Pin {
        /// Who.
        participant: Option<ParticipantId>,
    },
    /// Somebody is heard from now on, or no longer.
    Speaker {
        /// Who.
        participant: ParticipantId,
        /// Heard.
        speaking: bool,
    },
    /// The mode, from now on.
    Mode {
        /// Which.
        mode: Mode,
    },
    /// An uplink is muted, or no longer. Nothing of it is recorded meanwhile.
    Mute {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        role: Role,
        /// Muted.
        muted: bool,
    },
    /// The file of a composite has begun.
    File {
        /// What is 0 in the file is this on the recording's clock, ms.
        start: u64,
    },
    /// The file of a track has begun.
    Track(Track),
    /// No more comes into a file.
    TrackEnd {
        /// Which.
        file: String,
    },
    /// The last line, of a recording that was not cut short.
    End,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, ms on the recording's clock.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Writes the file.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Goes on at the end of a file, which is made if it is not there.
    ///
    /// # Errors
    /// Whatever opening it fails with.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        file.map(Self)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn write(&mut self, at: Duration, event: Event) -> io::Result<()> {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&Line { at, event })?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// The lines of the file in `folder`. What is no line of it, as the half of one, is left out.
///
/// # Errors
/// Whatever reading it fails with.
pub fn read(folder: &Path) -> io::Result<Vec<Line>> {
    read_file(&folder.join(EVENTS))
}

/// The same of a file.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<Line>> {
    let bytes = std::fs::read(path)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let known = lines.filter_map(|line| serde_json::from_slice(line).ok());
    Ok(known.collect())
}

/// Takes the half of a line off the end of the file in `folder`, and syncs it.
///
/// # Errors
/// Whatever reading or writing it fails with.
pub(super) fn mend(folder: &Path) -> io::Result<()> {
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

/// When the file of a composite began, ms, if it did.
pub(super) fn start(lines: &[Line]) -> Option<u64> {
    lines.iter().find_map(|line| match line.event {
        Event::File { start } => Some(start),
        _ => None,
    })
}

/// The tracks among the lines, and the names of their people when they began.
pub(super) fn tracks(lines: &[Line]) -> Vec<(&Track, String)> {
    let mut names = std::collections::BTreeMap::new();
    let mut tracks = Vec::new();
    for line in lines {
        match &line.event {
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

/// Whether a text can be the name of a file of a recording: it cannot lead out of its folder.
pub fn is_file_name(name: &str) -> bool {
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
        Event::Track(Track {
            file: "p1-camera-1.webm".to_owned(),
            participant: ParticipantId::new(1),
            role: Role::Camera,
            codec: TrackCodec::Vp8,
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
        let mut journal = Journal::open(&events).unwrap();
        journal.write(ms(0), join("Ann")).unwrap();
        journal.write(ms(140), track(123)).unwrap();
        let written = std::fs::read_to_string(folder.path().join(EVENTS)).unwrap();
        assert_eq!(
            written.lines().nth(1),
            Some(
                r#"{"at":140,"type":"track","file":"p1-camera-1.webm","participant":"p1","role":"camera","codec":"vp8","start":123}"#
            )
        );
        let lines = read(folder.path()).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[1].at, &lines[1].event), (140, &track(123)));
        assert_eq!(tracks(&lines)[0].1, "Ann");

        let torn = format!("{written}{{\"at\":200,\"type\":\"e");
        std::fs::write(folder.path().join(EVENTS), torn).unwrap();
        assert_eq!(read(folder.path()).unwrap(), lines);
        mend(folder.path()).unwrap();
        Journal::open(&events)
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
