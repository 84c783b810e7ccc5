#![allow(clippy::unwrap_used)]

use std::fs;

use super::events::{Event, EventLog, RecordedTrack};
use super::*;
use crate::codec::Codec;
use crate::codec::Container;
use crate::id::{ParticipantId, Role};

const QUOTAS: RecordingQuotas = RecordingQuotas {
    free_space: 0,
    max_length: Duration::from_secs(3600),
    max_age: None,
};
const SIZE: Size = Size {
    width: 1280,
    height: 720,
};

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

async fn open(folder: &Path, quotas: RecordingQuotas) -> Archive {
    gst::init().unwrap();
    let templates = Arc::new(Templates::default());
    Archive::open(folder, quotas, templates).await.unwrap()
}

async fn begin(archive: &Archive, name: &str) -> Recording {
    let begun = archive.begin(room(name), Container::Mp4.into(), SIZE);
    begun.await.unwrap()
}

fn ending() -> Ending {
    Ending {
        length: Duration::from_millis(1234),
        participants: vec!["Ann".to_owned()],
        reason: None,
        file: FileEnd::Written,
    }
}

/// Bytes with the boxes of an MP4 and a fragment that is cut.
fn cut_short() -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    for (kind, length) in [
        (b"ftyp", 16u32),
        (b"moov", 60),
        (b"moof", 40),
        (b"mdat", 100),
    ] {
        bytes.extend(length.to_be_bytes());
        bytes.extend(kind);
        bytes.resize(bytes.len() + length as usize - 8, 0);
    }
    let whole = bytes.len();
    bytes.extend(*b"\0\0\0\0mdat and then");
    (bytes, whole)
}

#[tokio::test]
async fn a_recording_is_listed_ended_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), QUOTAS).await;
    let one = begin(&archive, "one").await;
    let two = begin(&archive, "two").await;
    fs::write(archive.path(&one), b"12345").unwrap();
    assert_eq!(archive.delete(&one.id).await, Err(ArchiveError::GoesOn));
    archive.end(one.id.clone(), ending()).await;

    let ended = archive.ended(&one.id).await.unwrap();
    assert_eq!((ended.state, ended.bytes), (RecordingStatus::Finished, 5));
    assert_eq!((ended.duration_ms, ended.size), (1234, Some(SIZE)));
    let again = open(folder.path(), QUOTAS).await;
    assert_eq!(again.get(&one.id), Some(ended), "as it was written");
    assert_eq!(again.list(Some(&room("two")))[0].id, two.id);

    assert_eq!(archive.delete(&one.id).await, Ok(()));
    assert_eq!(archive.delete(&one.id).await, Err(ArchiveError::Unknown));
    assert!(!archive.path(&one).exists());
    assert_eq!(archive.list(None).len(), 1);
}

#[tokio::test]
async fn what_was_left_open_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, whole) = cut_short();
    let (full, empty) = {
        let archive = open(folder.path(), QUOTAS).await;
        let full = begin(&archive, "full").await;
        fs::write(archive.path(&full), &bytes).unwrap();
        (full, begin(&archive, "empty").await)
    };
    let archive = open(folder.path(), QUOTAS).await;
    let full = archive.get(&full.id).unwrap();
    assert_eq!(full.state, RecordingStatus::Recovered);
    assert_eq!(full.bytes, whole as u64);
    assert_eq!(fs::read(archive.path(&full)).unwrap(), bytes[..whole]);
    assert_eq!(
        archive.get(&empty.id).unwrap().state,
        RecordingStatus::Failed
    );
}

#[tokio::test]
async fn quotas_hold() {
    let folder = tempfile::tempdir().unwrap();
    let full = RecordingQuotas {
        free_space: u64::MAX,
        ..QUOTAS
    };
    let archive = open(folder.path(), full).await;
    let refused = archive.begin(room("r"), Container::Webm.into(), SIZE);
    let refused = refused.await;
    assert!(
        matches!(refused, Err(ArchiveError::Full { .. })),
        "{refused:?}"
    );
    assert!(archive.list(None).is_empty());

    let short_lived = RecordingQuotas {
        max_age: Some(Duration::ZERO),
        ..QUOTAS
    };
    let archive = open(folder.path(), short_lived).await;
    let old = begin(&archive, "old").await;
    archive.end(old.id.clone(), ending()).await;
    let new = begin(&archive, "new").await;
    let left: Vec<_> = archive.list(None).into_iter().map(|one| one.id).collect();
    assert_eq!(
        left,
        [new.id],
        "what has ended is too old, what goes on is not"
    );
    assert!(!archive.path(&old).exists());
}

#[tokio::test]
async fn a_clock_that_jumps_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let right = Clocks::read();
    let clocks = Arc::new(Mutex::new(right));
    let hour = Duration::from_secs(3600);
    let day = 24 * hour;
    let after = |time, ahead, behind| Clocks {
        wall: right.wall + time + ahead - behind,
        steady: right.steady + time,
    };
    let quotas = RecordingQuotas {
        max_age: Some(30 * day),
        ..QUOTAS
    };
    gst::init().unwrap();
    let read = Arc::clone(&clocks);
    let clock: Clock = Arc::new(move || *read.lock());
    let archive = Archive::open_by(clock, folder.path(), quotas, Arc::default());
    let archive = archive.await.unwrap();
    let one = begin(&archive, "one").await;
    *clocks.lock() = after(hour, Duration::ZERO, 2 * day);
    archive.end(one.id.clone(), ending()).await;
    let ended = archive.get(&one.id).unwrap();
    assert!(ended.ended.unwrap() > one.started, "an hour later");
    *clocks.lock() = after(hour, 60 * day, Duration::ZERO);
    let two = begin(&archive, "two").await;
    assert_eq!(archive.list(None).len(), 2, "nothing is deleted");
    *clocks.lock() = after(31 * day, Duration::ZERO, Duration::ZERO);
    let _three = begin(&archive, "three").await;
    assert!(archive.get(&one.id).is_none(), "old by both clocks");
    assert!(archive.get(&two.id).is_some(), "it goes on");
}

/// What an earlier run has left is deleted without anybody recording anything, but not by a clock that
/// nothing is known of.
#[tokio::test]
async fn recordings_of_an_earlier_run_are_deleted_once_the_clock_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = open(folder.path(), QUOTAS).await;
    let old = begin(&earlier, "old").await;
    earlier.end(old.id.clone(), ending()).await;
    let quotas = RecordingQuotas {
        max_age: Some(Duration::from_secs(30 * 24 * 3600)),
        ..QUOTAS
    };
    let mut ahead = Clocks::read();
    ahead.wall += Duration::from_secs(3000 * 24 * 3600);
    let clocks = Arc::new(Mutex::new(ahead));
    let read = Arc::clone(&clocks);
    let clock: Clock = Arc::new(move || *read.lock());
    let archive = Archive::open_by(clock, folder.path(), quotas, Arc::default());
    let archive = archive.await.unwrap();
    let _new = begin(&archive, "new").await;
    assert!(archive.get(&old.id).is_some(), "nothing is known yet");
    archive.forget_old_every(Duration::from_millis(1));
    let an_hour = SETTLED;
    *clocks.lock() = Clocks {
        wall: ahead.wall + an_hour,
        steady: ahead.steady + an_hour,
    };
    let gone = async {
        let mut poll = tokio::time::interval(Duration::from_millis(10));
        while archive.get(&old.id).is_some() {
            poll.tick().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(30), gone).await;
    gone.expect("it is deleted by and by");
}

#[tokio::test]
async fn a_file_that_is_gone_was_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("films");
    let archive = open(&path, QUOTAS).await;
    let one = begin(&archive, "one").await;
    let two = begin(&archive, "two").await;
    fs::remove_dir_all(&path).unwrap();
    archive.end(one.id.clone(), ending()).await;
    let reason = format!("cannot write {}", archive.path(&two).display());
    let failing = Ending {
        reason: Some(reason),
        file: FileEnd::Missing,
        ..ending()
    };
    archive.end(two.id.clone(), failing).await;
    for id in [&one.id, &two.id] {
        let ended = archive.get(id).unwrap();
        assert_eq!(ended.state, RecordingStatus::Failed);
        let reason = ended.reason.unwrap();
        assert!(!reason.contains("films/"), "{reason}");
    }
}

#[tokio::test]
async fn what_is_reserved_for_the_end_of_an_entry_is_gone_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), QUOTAS).await;
    let (one, two) = (begin(&archive, "one").await, begin(&archive, "two").await);
    let files = || fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 6, "a file, an entry and the reserve of each");
    archive.end(one.id.clone(), ending()).await;
    archive.discard(&two.id).await;
    assert_eq!(files(), 2);
    let again = open(folder.path(), QUOTAS).await;
    assert_eq!(again.get(&one.id), archive.get(&one.id));
}

#[tokio::test]
async fn a_folder_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let templates = Arc::new(Templates::default());
    let refused = Archive::open(&file, QUOTAS, templates).await;
    assert!(matches!(refused, Err(ArchiveError::Unusable { .. })));
}

#[tokio::test]
async fn entries_do_not_name_files_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), QUOTAS).await;
    let mut recording = begin(&archive, "r").await;
    recording.file = "../../etc/passwd".to_owned();
    metadata::write(folder.path(), &recording).unwrap();
    fs::write(folder.path().join("note.json"), b"{}").unwrap();
    let archive = open(folder.path(), QUOTAS).await;
    assert_eq!(archive.list(None), []);
}

/// A folder of tracks of which one file was begun and has nothing in it.
async fn tracks(archive: &Archive) -> Recording {
    let begun = archive.begin(room("tracks"), Subject::Tracks, SIZE);
    let recording = begun.await.unwrap();
    let folder = archive.path(&recording);
    let mut log = EventLog::open(&folder.join(events::EVENTS)).unwrap();
    let participant = ParticipantId::new(1);
    let join = Event::Join {
        participant,
        name: "Ann".to_owned(),
        viewer: false,
    };
    let track = Event::Track(RecordedTrack {
        file: "p1-mic-1.webm".to_owned(),
        participant,
        role: Role::Mic,
        codec: Codec::Opus,
        start: 250,
    });
    for (at, event) in [(0, join), (260, track)] {
        log.write(Duration::from_millis(at), event).unwrap();
    }
    fs::write(folder.join("p1-mic-1.webm"), b"").unwrap();
    recording
}

#[tokio::test]
async fn tracks_are_listed_with_their_files_and_deleted_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), QUOTAS).await;
    let recording = tracks(&archive).await;
    let files = archive.path(&recording);
    fs::write(files.join("p1-mic-1.webm"), b"12345").unwrap();
    archive.end(recording.id.clone(), ending()).await;

    let ended = archive.get(&recording.id).unwrap();
    assert_eq!((ended.kind, ended.size), (RecordingKind::Tracks, None));
    let [track] = &ended.tracks[..] else {
        panic!("{:?}", ended.tracks)
    };
    assert_eq!(
        (track.name.as_str(), track.start_ms, track.bytes),
        ("Ann", 250, 5)
    );
    let events = fs::metadata(files.join(events::EVENTS)).unwrap().len();
    assert_eq!(ended.bytes, events + 5);
    let again = open(folder.path(), QUOTAS).await;
    assert_eq!(again.get(&recording.id), Some(ended), "as it was written");

    assert_eq!(archive.delete(&recording.id).await, Ok(()));
    assert!(!files.exists());
}

#[tokio::test]
async fn tracks_that_were_left_open_get_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tracks(&open(folder.path(), QUOTAS).await).await;
    let events = folder.path().join(&recording.file).join(events::EVENTS);
    let torn = [&fs::read(&events).unwrap()[..], b"{\"at\":30"].concat();
    fs::write(&events, torn).unwrap();

    let archive = open(folder.path(), QUOTAS).await;
    let found = archive.get(&recording.id).unwrap();
    assert_eq!(
        (found.state, found.duration_ms),
        (RecordingStatus::Recovered, 260)
    );
    assert_eq!(found.tracks.len(), 1);
    let lines = events::read(&archive.path(&found)).unwrap();
    assert_eq!((lines.len(), &lines[2].event), (3, &Event::End));
}
