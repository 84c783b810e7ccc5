//! RTCP BYE (RFC 3550 section 6.6) taken out of compound packets; pure.

/// RTCP packet type of BYE.
const BYE: u8 = 203;

/// `compound` without its BYE packets; `None` if it has none. What cannot be read is kept.
pub(crate) fn without_bye(compound: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut rest = compound;
    let mut found = false;
    while let &[_, kind, high, low, ..] = rest {
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let Some((packet, behind)) = rest.split_at_checked(length) else {
            break;
        };
        match kind {
            BYE => found = true,
            _ => kept.extend_from_slice(packet),
        }
        rest = behind;
    }
    kept.extend_from_slice(rest);
    found.then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 7];
    const GOODBYE: [u8; 12] = [0x81, 203, 0, 2, 0, 0, 0, 7, 3, b'e', b'n', b'd'];

    #[test]
    fn goodbyes_are_taken_out_and_nothing_else() {
        let names = [0x81, 202, 0, 2, 0, 0, 0, 7, 1, 1, b'x', 0];
        let compound = [&REPORT[..], &names, &GOODBYE].concat();
        let expected = [&REPORT[..], &names].concat();
        assert_eq!(without_bye(&compound), Some(expected.clone()));
        assert_eq!(without_bye(&expected), None);
        assert_eq!(without_bye(&GOODBYE), Some(Vec::new()));
        let cut = [&GOODBYE[..], &REPORT[..6]].concat();
        assert_eq!(without_bye(&cut), Some(REPORT[..6].to_vec()));
        assert_eq!(without_bye(&[]), None);
    }
}
