//! Chapters, written into a file that is otherwise whole: whoever wrote it left room for them ahead
//! of the media, so that neither is moved.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::markers::Chapter;
use super::{mp4, webm};
use crate::codec::Container;

/// Bytes at the beginning of the room that are written last, at once: as long as they are not,
/// what stands there says that the rest is of no meaning.
const HEAD: usize = 16;

/// Where in a file something can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) at: u64,
    /// Bytes.
    pub(super) length: u64,
}

/// Whether a file has chapters now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// There is no room for them: an older version wrote it, or its container has none.
    No,
}

/// Writes chapters into a file of `length` ms. A process that is killed meanwhile leaves it with
/// these or with none.
///
/// # Errors
/// Whatever reading or writing it fails with.
pub(super) fn write(
    path: &Path,
    container: Container,
    chapters: &[Chapter],
    length: u64,
) -> io::Result<Written> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let list = match container {
        Container::Mp4 => mp4::room(&mut file)?.map(|room| {
            let list = mp4::chapter_list(chapters);
            (room, list, mp4::filler as fn(u64) -> Vec<u8>, mp4::FILLER)
        }),
        Container::Webm => webm::room(&mut file)?.map(|room| {
            let list = webm::edition(chapters, length);
            (room, list, webm::filler as fn(u64) -> Vec<u8>, webm::FILLER)
        }),
        Container::Ogg => None,
    };
    let Some((room, list, filler, least)) = list else {
        return Ok(Written::No);
    };
    if room.length < (list.len().max(HEAD) + least) as u64 {
        return Ok(Written::No);
    }
    fill(&mut file, room, &list, filler)?;
    Ok(Written::Yes)
}

fn fill(file: &mut File, room: Room, list: &[u8], filler: fn(u64) -> Vec<u8>) -> io::Result<()> {
    put(file, room.at, &filler(room.length))?;
    let rest = filler(room.length - list.len() as u64);
    let (head, body) = list.split_at(HEAD.min(list.len()));
    put(file, room.at + head.len() as u64, &[body, &rest].concat())?;
    put(file, room.at, head)?;
    file.sync_all()
}

fn put(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::markers::{MOST, TITLE};
    use crate::media::file::recorder::RESERVED;

    fn fullest() -> Vec<Chapter> {
        let chapter = |n| Chapter {
            at: n as u64 * 1_000,
            title: "x".repeat(TITLE),
        };
        // That of the beginning comes on top of those of the markers.
        (0..=MOST).map(chapter).collect()
    }

    #[test]
    fn the_longest_list_fits_into_what_is_reserved() {
        let list = mp4::chapter_list(&fullest()).len() + mp4::FILLER;
        assert!(list <= RESERVED, "{list} of an MP4");
        let edition = webm::edition(&fullest(), 1_000_000).len() + webm::FILLER;
        assert!(edition <= RESERVED, "{edition} of a WebM");
    }

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&length[..], kind, body].concat()
    }

    fn written(bytes: &[u8], container: Container, chapters: &[Chapter]) -> (Written, Vec<u8>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let written = write(file.path(), container, chapters, 9_000).unwrap();
        (written, std::fs::read(file.path()).unwrap())
    }

    #[test]
    fn an_mp4_keeps_its_length_and_what_is_around_the_list() {
        let chapters = [Chapter {
            at: 1_500,
            title: "Ann".to_owned(),
        }];
        let moov = |body: &[u8]| boxed(b"moov", &[boxed(b"mvhd", &[5; 9]), body.to_vec()].concat());
        let file = |udta: &[u8]| [boxed(b"ftyp", b"x"), moov(udta), boxed(b"moof", b"y")].concat();
        let before = file(&boxed(b"udta", &[b' '; 100]));
        let (done, after) = written(&before, Container::Mp4, &chapters);
        let list = [
            &[0, 0, 0, 29][..],
            b"chpl",
            &[1, 0, 0, 0, 0, 0, 0, 0, 1],
            &15_000_000u64.to_be_bytes(),
            &[3],
            b"Ann",
        ];
        let room = [list.concat(), boxed(b"free", &[b' '; 63])].concat();
        assert_eq!((done, after), (Written::Yes, file(&boxed(b"udta", &room))));
        for without in [file(b""), file(&boxed(b"udta", &[b' '; 30]))] {
            let (done, after) = written(&without, Container::Mp4, &chapters);
            assert_eq!((done, after), (Written::No, without));
        }
    }

    proptest! {
        /// Whatever a file is, it is as long afterwards.
        #[test]
        fn no_file_grows_or_shrinks(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            head in 0usize..3,
            webm in any::<bool>(),
        ) {
            let heads: [&[u8]; 3] = [b"", b"\0\0\0\x99moov\0\0\0\x80udta", b"\x18\x53\x80\x67\xff\x10\x43\xa7\x70"];
            let bytes = [heads[head], &bytes].concat();
            let container = if webm { Container::Webm } else { Container::Mp4 };
            let (_, after) = written(&bytes, container, &[]);
            prop_assert_eq!(after.len(), bytes.len());
        }
    }
}
