//! Chapters, written into the file of a finished recording. The recorder reserves space for them
//! ahead of the media, so that nothing has to be moved.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::markers::Chapter;
use super::reserved::ReservedSpace;
use super::{mp4, webm};
use crate::codec::Container;

/// Number of bytes at the beginning of the list that are written last, in one write. Until then the
/// header of a filler element stands there, and players skip the rest.
const HEAD: usize = 16;

/// Whether a file has chapters after [`write()`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// The file reserves no space, or too little: an older version wrote it, or its container (Ogg)
    /// has no chapters.
    NoSpace,
}

/// Writes chapters into a file that lasts `length` ms. If the process is killed meanwhile, the file
/// has either all of them or none.
///
/// # Errors
/// What reading or writing the file fails with.
pub(super) fn write(
    path: &Path,
    container: Container,
    chapters: &[Chapter],
    length: u64,
) -> io::Result<Written> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let list = match container {
        Container::Mp4 => mp4::reserved_space(&mut file)?.map(|space| {
            let list = mp4::chapter_list(chapters);
            (
                space,
                list,
                mp4::filler as fn(u64) -> Vec<u8>,
                mp4::FILLER_HEADER,
            )
        }),
        Container::Webm => webm::reserved_space(&mut file)?.map(|space| {
            let list = webm::edition(chapters, length);
            (
                space,
                list,
                webm::filler as fn(u64) -> Vec<u8>,
                webm::FILLER_HEADER,
            )
        }),
        Container::Ogg => None,
    };
    let Some((space, list, filler, filler_header)) = list else {
        return Ok(Written::NoSpace);
    };
    if space.length < (list.len().max(HEAD) + filler_header) as u64 {
        return Ok(Written::NoSpace);
    }
    fill(&mut file, space, &list, filler)?;
    Ok(Written::Yes)
}

/// Writes the list, and a filler element over the rest of the space.
fn fill(
    file: &mut File,
    space: ReservedSpace,
    list: &[u8],
    filler: fn(u64) -> Vec<u8>,
) -> io::Result<()> {
    write_at(file, space.offset, &filler(space.length))?;
    let rest = filler(space.length - list.len() as u64);
    let (head, body) = list.split_at(HEAD.min(list.len()));
    write_at(
        file,
        space.offset + head.len() as u64,
        &[body, &rest].concat(),
    )?;
    write_at(file, space.offset, head)?;
    file.sync_all()
}

fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::markers::{MAX_MARKERS, MAX_TITLE};
    use crate::media::file::recorder::RESERVED;

    fn fullest() -> Vec<Chapter> {
        let chapter = |n| Chapter {
            at: n as u64 * 1_000,
            title: "x".repeat(MAX_TITLE),
        };
        // That of the beginning comes on top of those of the markers.
        (0..=MAX_MARKERS).map(chapter).collect()
    }

    #[test]
    fn the_longest_list_fits_into_what_is_reserved() {
        let list = mp4::chapter_list(&fullest()).len() + mp4::FILLER_HEADER;
        assert!(list <= RESERVED, "{list} of an MP4");
        let edition = webm::edition(&fullest(), 1_000_000).len() + webm::FILLER_HEADER;
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
            assert_eq!((done, after), (Written::NoSpace, without));
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
            let heads: [&[u8]; 3] = [
                b"",
                b"\0\0\0\x99moov\0\0\0\x80udta",
                b"\x18\x53\x80\x67\xff\x10\x43\xa7\x70",
            ];
            let bytes = [heads[head], &bytes].concat();
            let container = if webm { Container::Webm } else { Container::Mp4 };
            let (_, after) = written(&bytes, container, &[]);
            prop_assert_eq!(after.len(), bytes.len());
        }
    }
}
