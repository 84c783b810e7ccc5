#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

const QUOTAS: Quotas = Quotas {
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

async fn open(folder: &Path, quotas: Quotas) -> Archive {
    gst::init().unwrap();
    let templates = Arc::new(Templates::default());
    Archive::open(folder, quotas, templates).await.unwrap()
}

async fn begin(archive: &Archive, name: &str) -> Recording {
    let begun = archive.begin(room(name), Kind::Composite, Container::Mp4, SIZE);
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
    assert_eq!((ended.state, ended.bytes), (Standing::Finished, 5));
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
    assert_eq!(full.state, Standing::Recovered);
    assert_eq!(full.bytes, whole as u64);
    assert_eq!(fs::read(archive.path(&full)).unwrap(), bytes[..whole]);
    assert_eq!(archive.get(&empty.id).unwrap().state, Standing::Failed);
}

#[tokio::test]
async fn quotas_hold() {
    let folder = tempfile::tempdir().unwrap();
    let full = Quotas {
        free_space: u64::MAX,
        ..QUOTAS
    };
    let archive = open(folder.path(), full).await;
    let refused = archive.begin(room("r"), Kind::Composite, Container::Webm, SIZE);
    let refused = refused.await;
    assert!(
        matches!(refused, Err(ArchiveError::Full { .. })),
        "{refused:?}"
    );
    assert!(archive.list(None).is_empty());

    let short_lived = Quotas {
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
    archive.write(&recording).unwrap();
    fs::write(folder.path().join("note.json"), b"{}").unwrap();
    let archive = open(folder.path(), QUOTAS).await;
    assert_eq!(archive.list(None), []);
}
