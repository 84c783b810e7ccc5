//! The chapters of a WebM: where a file reserves space for them, and how they are written (RFC 9559
//! section 5.1.7, EBML: RFC 8794).

use std::io::{self, Read, Seek, SeekFrom};

use super::markers::Chapter;
use super::reserved::ReservedSpace;

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const CHAPTERS: u32 = 0x1043_A770;
const EDITION_ENTRY: &[u8] = &[0x45, 0xB9];
const CHAPTER_ATOM: &[u8] = &[0xB6];
const CHAPTER_UID: &[u8] = &[0x73, 0xC4];
const TIME_START: &[u8] = &[0x91];
const TIME_END: &[u8] = &[0x92];
const DISPLAY: &[u8] = &[0x80];
const STRING: &[u8] = &[0x85];
const LANGUAGE: &[u8] = &[0x43, 0x7C];
const VOID: &[u8] = &[0xEC];

/// Length in bytes of the header of a `Void` element, the smallest filler.
pub(super) const FILLER_HEADER: usize = 9;

/// The content of the file's `Chapters` element; `None` if there is none before its first cluster.
///
/// # Errors
/// What reading `file` fails with.
pub(super) fn reserved_space(file: &mut (impl Read + Seek)) -> io::Result<Option<ReservedSpace>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    while let Some(element) = element(file, at, end)? {
        at = match element.id {
            EBML => element.end(),
            // Its length may be unknown: it stands open while the file is being written.
            SEGMENT => element.body,
            CHAPTERS if element.end() <= end => {
                return Ok(Some(ReservedSpace {
                    offset: element.body,
                    length: element.length,
                }));
            }
            CLUSTER | CHAPTERS => return Ok(None),
            _ => element.end(),
        };
    }
    Ok(None)
}

/// The header of an EBML element.
struct Element {
    id: u32,
    /// Byte offset of its content from the beginning of the file.
    body: u64,
    length: u64,
}

impl Element {
    fn end(&self) -> u64 {
        self.body.saturating_add(self.length)
    }
}

/// The element at byte offset `at`; `None` where none can be.
fn element(file: &mut (impl Read + Seek), at: u64, end: u64) -> io::Result<Option<Element>> {
    if at >= end {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut head = Vec::new();
    file.take(4 + 8).read_to_end(&mut head)?;
    let Some((id, id_bytes)) = number(&head) else {
        return Ok(None);
    };
    let Some((length, length_bytes)) = number(&head[id_bytes..]) else {
        return Ok(None);
    };
    let Ok(id) = u32::try_from(id) else {
        return Ok(None);
    };
    Ok(Some(Element {
        id,
        body: at + (id_bytes + length_bytes) as u64,
        // The first bit that is set marks the length of the number, and is not part of it.
        length: length & !(1 << (7 * length_bytes)),
    }))
}

/// Reads a variable-length number with its length marker (RFC 8794 section 4). Returns it with its
/// length in bytes; `None` if it is cut short.
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let bytes = bytes.get(..length).filter(|_| length <= 8)?;
    let value = bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some((value, length))
}

/// An `EditionEntry` with these chapters, for a file that lasts `length` ms.
pub(super) fn edition(chapters: &[Chapter], length: u64) -> Vec<u8> {
    const NS: u64 = 1_000_000;
    let mut atoms = Vec::new();
    for (n, chapter) in chapters.iter().enumerate() {
        let next = chapters.get(n + 1);
        let end = next.map_or(length, |next| next.at).max(chapter.at);
        let shown = [
            element_of(STRING, chapter.title.as_bytes()),
            element_of(LANGUAGE, b"und"),
        ];
        let atom = [
            element_of(CHAPTER_UID, &(n as u64 + 1).to_be_bytes()),
            element_of(TIME_START, &chapter.at.saturating_mul(NS).to_be_bytes()),
            element_of(TIME_END, &end.saturating_mul(NS).to_be_bytes()),
            element_of(DISPLAY, &shown.concat()),
        ];
        atoms.extend(element_of(CHAPTER_ATOM, &atom.concat()));
    }
    element_of(EDITION_ENTRY, &atoms)
}

/// The header of a `Void` element that is `length` bytes long, header included.
pub(super) fn filler(length: u64) -> Vec<u8> {
    header(VOID, length.saturating_sub(FILLER_HEADER as u64))
}

fn element_of(id: &[u8], body: &[u8]) -> Vec<u8> {
    [&header(id, body.len() as u64), body].concat()
}

/// The header of an element, with its length in eight bytes.
fn header(id: &[u8], length: u64) -> Vec<u8> {
    const EIGHT: u64 = 1 << 56;
    [id, &(EIGHT | length).to_be_bytes()].concat()
}
