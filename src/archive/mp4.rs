//! How much of an MP4 that was cut short is whole.
//!
//! A recording's MP4 grows by pairs of media data (`mdat`) and the index of it (`moof`, for the
//! first `moov`), see `mp4mux`'s `first-moov-then-finalise`. What follows the last index is named
//! by none: without it the file is one that every player takes (ISO/IEC 14496-12 section 8.8).

use std::io::{self, Read, Seek, SeekFrom};

/// Length in bytes of the part of `file` that ends with its last whole index, and 0 if it has
/// none.
///
/// # Errors
/// Whatever reading `file` fails with.
pub(super) fn whole_length(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut at, mut whole) = (0, 0);
    while let Some((kind, length)) = header(file, at, end)? {
        at += length;
        if at > end {
            break;
        }
        if matches!(&kind, b"moov" | b"moof") {
            whole = at;
        }
    }
    Ok(whole)
}

/// Kind and length of the box at `at`; `None` where none can be.
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
    fn it_ends_with_the_last_index() {
        let head = [boxed(b"ftyp", 24), boxed(b"mdat", 100), boxed(b"moov", 50)].concat();
        let next = [head.clone(), boxed(b"mdat", 90), boxed(b"moof", 20)].concat();
        let open = [next.clone(), vec![0, 0, 0, 0], b"mdat....".to_vec()].concat();
        assert_eq!(whole(&open), next.len() as u64);
        assert_eq!(whole(&open[..next.len() - 1]), head.len() as u64);
        assert_eq!(whole(&head[..head.len() - 1]), 0);
        assert_eq!(whole(b""), 0);
    }

    #[test]
    fn long_boxes_are_passed() {
        let mut long = 1u32.to_be_bytes().to_vec();
        long.extend(b"mdat");
        long.extend(40u64.to_be_bytes());
        long.resize(40, 0);
        let bytes = [long, boxed(b"moov", 3)].concat();
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
            let mut bytes = boxed(b"ftyp", 8);
            let mut ends = Vec::new();
            for (n, (data, index)) in sizes.into_iter().enumerate() {
                bytes.extend(boxed(b"mdat", data));
                bytes.extend(boxed(if n == 0 { b"moov" } else { b"moof" }, index));
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let expected = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
            prop_assert_eq!(whole(&bytes[..cut]), expected as u64);
        }
    }
}
