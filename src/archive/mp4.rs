//! The boxes of a recorded MP4: where its last whole fragment ends, and its chapters.
//!
//! A recording's MP4 begins with a `moov` that names no media and grows by fragments: the index of
//! one (`moof`), then its media data (`mdat`); see the mode `dash-or-mss` of `mp4mux`. An index
//! whose data is cut short is worse than none: once it is removed, every player opens the file
//! (ISO/IEC 14496-12 section 8.8).

use std::io::{self, Read, Seek, SeekFrom};

use super::markers::Chapter;
use super::reserved::ReservedSpace;

/// Length in bytes of the part of `file` that ends with its last whole fragment; 0 if it has none.
///
/// # Errors
/// What reading `file` fails with.
pub(super) fn whole_length(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut at, mut whole) = (0, 0);
    let mut last = Part::Other;
    while let Some((kind, length)) = header(file, at, end)? {
        at += length;
        if at > end {
            break;
        }
        last = match (&kind, last) {
            (b"moov", _) => Part::Beginning,
            (b"moof", Part::Beginning | Part::Fragment) => Part::Index,
            (b"mdat", Part::Index) => Part::Fragment,
            // The index of all fragments, written last of all.
            (b"mfra", Part::Fragment) => Part::Fragment,
            (_, last) => last,
        };
        if last == Part::Fragment {
            whole = at;
        }
    }
    Ok(whole)
}

/// What the boxes read so far end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// No `moov` has come yet.
    Other,
    Beginning,
    /// The `moof` of a fragment.
    Index,
    /// The `mdat` of a whole fragment.
    Fragment,
}

/// Type and length of the box at offset `at`; `None` where no whole header stands, or a box that
/// was still being written.
fn header(file: &mut (impl Read + Seek), at: u64, end: u64) -> io::Result<Option<([u8; 4], u64)>> {
    const SHORT: u64 = 8;
    const LONG: u64 = 16;
    if end.saturating_sub(at) < SHORT {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let [a, b, c, d, kind @ ..] = head;
    let length = match u32::from_be_bytes([a, b, c, d]) {
        // To the end of the file: still being written when it was cut.
        0 => return Ok(None),
        1 if end - at >= LONG => {
            let mut long = [0; 8];
            file.read_exact(&mut long)?;
            u64::from_be_bytes(long)
        }
        length => u64::from(length),
    };
    Ok((length >= SHORT).then_some((kind, length)))
}

/// Length in bytes of the header of a `free` box, the smallest filler.
pub(super) const FILLER_HEADER: usize = 8;

/// The content of the `udta` box in the file's `moov`; `None` if it has none.
///
/// # Errors
/// What reading `file` fails with.
pub(super) fn reserved_space(file: &mut (impl Read + Seek)) -> io::Result<Option<ReservedSpace>> {
    let end = file.seek(SeekFrom::End(0))?;
    let whole = ReservedSpace {
        offset: 0,
        length: end,
    };
    let Some(moov) = child(file, b"moov", whole)? else {
        return Ok(None);
    };
    child(file, b"udta", moov)
}

/// The content of the first box of type `wanted` in `within`; `None` if there is none, or it does
/// not end there.
fn child(
    file: &mut (impl Read + Seek),
    wanted: &[u8; 4],
    within: ReservedSpace,
) -> io::Result<Option<ReservedSpace>> {
    const HEADER: u64 = 8;
    let (mut at, end) = (within.offset, within.offset + within.length);
    while let Some((kind, length)) = header(file, at, end)? {
        if length > end - at {
            break;
        }
        if kind == *wanted {
            return Ok(Some(ReservedSpace {
                offset: at + HEADER,
                length: length - HEADER,
            }));
        }
        at += length;
    }
    Ok(None)
}

/// A `chpl` box with these chapters. Nero introduced it, and all players that support chapters read
/// it. Apple's alternative, a text track, would have to be declared before the recording begins.
pub(super) fn chapter_list(chapters: &[Chapter]) -> Vec<u8> {
    /// Units of a chapter's time in a millisecond.
    const TICKS: u64 = 10_000;
    // Version 1, no flags, four reserved bytes.
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
    let count = chapters.len().min(u8::MAX.into());
    body.push(u8::try_from(count).unwrap_or(u8::MAX));
    for chapter in chapters.iter().take(count) {
        let title = chapter.title.as_bytes();
        let length = u8::try_from(title.len()).unwrap_or(u8::MAX);
        body.extend(chapter.at.saturating_mul(TICKS).to_be_bytes());
        body.push(length);
        body.extend(title.iter().take(length.into()));
    }
    let length = body.len() as u64 + FILLER_HEADER as u64;
    [boxed(*b"chpl", length), body].concat()
}

/// The header of a `free` box that is `length` bytes long, header included.
pub(super) fn filler(length: u64) -> Vec<u8> {
    boxed(*b"free", length)
}

fn boxed(kind: [u8; 4], length: u64) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    [length.to_be_bytes(), kind].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: &[u8; 4], payload: usize) -> Vec<u8> {
        let mut out = u32::try_from(payload + 8).unwrap().to_be_bytes().to_vec();
        out.extend(kind);
        out.resize(payload + 8, 7);
        out
    }

    fn whole(bytes: &[u8]) -> u64 {
        whole_length(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn it_ends_with_the_last_whole_fragment() {
        let head = [boxed(b"ftyp", 24), boxed(b"moov", 50)].concat();
        let first = [head.clone(), boxed(b"moof", 20), boxed(b"mdat", 90)].concat();
        let next = [first.clone(), boxed(b"moof", 20), boxed(b"mdat", 30)].concat();
        let open = [next.clone(), boxed(b"moof", 20), vec![0, 0, 0, 9]].concat();
        let ended = [next.clone(), boxed(b"mfra", 20)].concat();
        assert_eq!(whole(&ended), ended.len() as u64);
        assert_eq!(whole(&open), next.len() as u64);
        assert_eq!(whole(&next[..next.len() - 1]), first.len() as u64);
        assert_eq!(whole(&head), 0, "it names no media");
        assert_eq!(whole(&first[24 + 8..][..100]), 0);
        assert_eq!(whole(b""), 0);
    }

    #[test]
    fn long_boxes_are_passed() {
        let mut long = 1u32.to_be_bytes().to_vec();
        long.extend(b"mdat");
        long.extend(40u64.to_be_bytes());
        long.resize(40, 0);
        let bytes = [boxed(b"moov", 3), boxed(b"moof", 3), long].concat();
        assert_eq!(whole(&bytes), bytes.len() as u64);
    }

    proptest! {
        /// Whatever the bytes are, an answer comes and lies in the file.
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(whole(&bytes) <= bytes.len() as u64);
        }

        /// A cut anywhere leaves what was whole before it.
        #[test]
        fn a_cut_costs_no_more_than_what_it_cuts(
            sizes in proptest::collection::vec((1usize..50, 1usize..20), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = [boxed(b"ftyp", 8), boxed(b"moov", 9)].concat();
            let mut ends = Vec::new();
            for (data, index) in sizes {
                bytes.extend(boxed(b"moof", index));
                bytes.extend(boxed(b"mdat", data));
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let expected = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
            prop_assert_eq!(whole(&bytes[..cut]), expected as u64);
        }
    }
}
