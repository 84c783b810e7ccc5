//! Which m-line a stream belongs to, from its first packet (RFC 9143 section 9.2); pure.

/// What tells packets of one m-line from those of others on the same transport.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DemuxLine {
    pub(crate) mid: String,
    /// Id of the header extension that carries the mid, if one was negotiated.
    pub(crate) mid_extension: Option<u8>,
    /// The SSRCs that it announces.
    pub(crate) ssrcs: Vec<u32>,
    pub(crate) payload_type: u8,
}

/// What a packet says of where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clues<'a> {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// The whole packet, for its header extensions.
    pub(crate) packet: &'a [u8],
}

/// The place of the m-line that a packet belongs to: the one that it names, or else the one that
/// announces its SSRC, or else the only one of its payload type. `None` for a packet that names an
/// m-line that is not there, and where several could be meant.
pub(crate) fn line_of(lines: &[DemuxLine], clues: Clues<'_>) -> Option<usize> {
    let mids = lines.iter().filter_map(|line| line.mid_extension);
    let mid = mids
        .filter_map(|id| super::header_extension::element(clues.packet, id))
        .next();
    if let Some(mid) = mid {
        return lines.iter().position(|line| line.mid.as_bytes() == mid);
    }
    let announced = |line: &DemuxLine| line.ssrcs.contains(&clues.ssrc);
    lines.iter().position(announced).or_else(|| {
        let same = |line: &DemuxLine| line.payload_type == clues.payload_type;
        let first = lines.iter().position(same)?;
        let last = lines.iter().rposition(same)?;
        (first == last).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mid: &str, ssrcs: &[u32], payload_type: u8) -> DemuxLine {
        DemuxLine {
            mid: mid.to_owned(),
            mid_extension: Some(4),
            ssrcs: ssrcs.to_vec(),
            payload_type,
        }
    }

    /// A packet that names the m-line `mid`, in the one-byte form.
    fn naming(mid: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1];
        packet.push(4 << 4 | (mid.len() as u8 - 1));
        packet.extend(mid);
        packet.resize(20, 0);
        packet
    }

    fn lines() -> [DemuxLine; 3] {
        [
            line("0", &[1], 111),
            line("10", &[2, 3], 96),
            line("cam", &[], 96),
        ]
    }

    fn of(packet: &[u8], ssrc: u32, payload_type: u8) -> Option<usize> {
        let clues = Clues {
            ssrc,
            payload_type,
            packet,
        };
        line_of(&lines(), clues)
    }

    #[test]
    fn the_mid_comes_first() {
        assert_eq!(of(&naming(b"cam"), 1, 111), Some(2));
        assert_eq!(of(&naming(b"10"), 1, 111), Some(1));
        assert_eq!(
            of(&naming(b"1"), 1, 111),
            None,
            "not the beginning of a name"
        );
    }

    #[test]
    fn then_the_ssrc_and_then_a_payload_type_of_one_line() {
        assert_eq!(of(&[0x80; 12], 3, 111), Some(1));
        assert_eq!(of(&[0x80; 12], 9, 111), Some(0));
        assert_eq!(of(&[0x80; 12], 9, 96), None, "two could be meant");
        assert_eq!(of(&[0x80; 12], 9, 97), None);
    }
}
