//! Source descriptions (RFC 3550 section 6.5), of which the canonical name alone is passed on:
//! sound and picture are synchronised by it. `rtpsession` (1.22) reads beyond the end of a private
//! item (PRIV) whose prefix is longer than the item.

use crate::media::rtp::compound::ssrc;

/// Item type of the canonical name.
const CNAME: u8 = 1;
/// What ends the items of a chunk.
const END: u8 = 0;

/// The chunks of a body that has `count` of them, each with its SSRC and canonical name; `None` if
/// they are not whole.
pub(super) fn names(body: &[u8], count: u8) -> Option<Vec<(u32, &[u8])>> {
    let mut rest = body;
    let mut names = Vec::new();
    for _ in 0..count {
        let of = ssrc(rest)?;
        let (name, length) = items(rest.get(4..)?)?;
        names.extend(name.map(|name| (of, name)));
        rest = rest.get((4 + length).next_multiple_of(4)..)?;
    }
    Some(names)
}

/// The canonical name among items, and how long they are with what ends them.
fn items(bytes: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    let (mut name, mut at) = (None, 0);
    loop {
        let kind = *bytes.get(at)?;
        if kind == END {
            return Some((name, at + 1));
        }
        let length = usize::from(*bytes.get(at + 1)?);
        let text = bytes.get(at + 2..at + 2 + length)?;
        if kind == CNAME {
            name.get_or_insert(text);
        }
        at += 2 + length;
    }
}

/// A chunk with a canonical name, which has 255 bytes at most.
pub(super) fn chunk(of: u32, name: &[u8]) -> Vec<u8> {
    let mut chunk = of.to_be_bytes().to_vec();
    chunk.extend([CNAME, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
    chunk.extend(name);
    // One zero at least, and up to the next word.
    chunk.resize((chunk.len() + 1).next_multiple_of(4), END);
    chunk
}
