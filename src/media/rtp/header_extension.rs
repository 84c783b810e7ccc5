//! Elements of a packet's header extension (RFC 8285), in the one-byte and in the two-byte form; pure.

use std::ops::Range;

/// What the first two bytes of a header extension say in the one-byte form (RFC 8285 section 4.2).
const ONE_BYTE: u16 = 0xbede;
/// The same in the two-byte form, without the four application bits (section 4.3).
const TWO_BYTES: u16 = 0x1000;

/// The data of the element `id`; `None` if a packet has none, or is cut short.
pub(crate) fn element(packet: &[u8], id: u8) -> Option<&[u8]> {
    packet.get(find(packet, id)?)
}

/// Where the data of the element `id` lies in a packet, bytes; `None` if it has none.
pub(crate) fn find(packet: &[u8], id: u8) -> Option<Range<usize>> {
    const EXTENDED: u8 = 0x10;
    let first = *packet.first()?;
    if first & EXTENDED == 0 {
        return None;
    }
    let start = 12 + 4 * usize::from(first & 0x0f);
    let &[a, b, high, low] = packet.get(start..start + 4)? else {
        return None;
    };
    let end = start + 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    let elements = packet.get(..end)?;
    match u16::from_be_bytes([a, b]) {
        ONE_BYTE => one_byte(elements, start + 4, id),
        profile if profile & 0xfff0 == TWO_BYTES => two_bytes(elements, start + 4, id),
        _ => None,
    }
}

fn one_byte(packet: &[u8], mut at: usize, id: u8) -> Option<Range<usize>> {
    /// An id that ends the elements.
    const STOP: u8 = 15;
    loop {
        let byte = *packet.get(at)?;
        let data = at + 1..at + 2 + usize::from(byte & 0x0f);
        match byte >> 4 {
            0 => at += 1,
            STOP => return None,
            found if found == id => return (data.end <= packet.len()).then_some(data),
            _ => at = data.end,
        }
    }
}

fn two_bytes(packet: &[u8], mut at: usize, id: u8) -> Option<Range<usize>> {
    loop {
        let found = *packet.get(at)?;
        if found == 0 {
            at += 1;
            continue;
        }
        let length = usize::from(*packet.get(at + 1)?);
        let data = at + 2..at + 2 + length;
        if found == id {
            return (data.end <= packet.len()).then_some(data);
        }
        at = data.end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet with a header extension of that profile and these elements, and two bytes behind.
    fn packet(profile: u16, elements: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend(profile.to_be_bytes());
        packet.extend(
            u16::try_from(elements.len().div_ceil(4))
                .expect("short")
                .to_be_bytes(),
        );
        packet.extend(elements);
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet.extend([7, 7]);
        packet
    }

    #[test]
    fn both_forms_are_read() {
        let one = packet(ONE_BYTE, &[0x10, 9, 0, 0x41, b'a', b'b']);
        assert_eq!(element(&one, 4), Some(&b"ab"[..]));
        assert_eq!(element(&one, 1), Some(&[9][..]));
        assert_eq!(element(&one, 2), None);
        let long = b"a name of more than sixteen";
        let two = [&[1, 0, 0, 4, long.len() as u8], &long[..]].concat();
        assert_eq!(element(&packet(TWO_BYTES | 5, &two), 4), Some(&long[..]));
        assert_eq!(element(&packet(TWO_BYTES, &two), 1), Some(&[][..]));
        assert_eq!(element(&packet(0x1234, &two), 4), None);
    }

    #[test]
    fn what_ends_early_has_none() {
        let one = packet(ONE_BYTE, &[0x4f, 1, 2, 3]);
        assert_eq!(element(&one, 4), None, "longer than the extension");
        assert_eq!(
            element(&packet(ONE_BYTE, &[0xf0, 0, 0x40, 1]), 4),
            None,
            "behind a stop"
        );
        assert_eq!(element(&packet(TWO_BYTES, &[4, 9, 1, 2]), 4), None);
        assert_eq!(element(&one[..14], 4), None);
        assert_eq!(element(&[0x80; 20], 4), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), id: u8) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first |= 0x10;
            }
            if let Some(range) = find(&bytes, id) {
                prop_assert!(range.end <= bytes.len());
            }
        }
    }
}
