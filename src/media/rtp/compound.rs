//! The form of a compound RTCP packet (RFC 3550 section 6.1, RFC 5506), read and written.

/// RTCP packet types (RFC 3550 section 12.1, RFC 4585 section 6.1).
pub(crate) const SENDER_REPORT: u8 = 200;
/// A receiver report.
pub(crate) const RECEIVER_REPORT: u8 = 201;
/// A description of sources.
pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
/// The end of sources.
pub(crate) const BYE: u8 = 203;
/// Feedback of the transport layer.
pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
/// Feedback of the payload.
pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;

/// FMT of transport layer feedback that names missing packets: NACK (RFC 4585 section 6.2.1).
pub(crate) const GENERIC_NACK: u8 = 1;
/// FMT of transport layer feedback that says when packets arrived
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
pub(crate) const TRANSPORT_WIDE: u8 = 15;
/// FMT of payload feedback that asks for a keyframe: PLI (RFC 4585 section 6.3.1).
pub(crate) const PICTURE_LOSS: u8 = 1;
/// FMT of payload feedback that asks for a keyframe of each stream in a list: FIR (RFC 5104 section
/// 4.3.1).
pub(crate) const FULL_INTRA: u8 = 4;

/// FMT of payload feedback that an application defines (RFC 4585 section 6.4), such as REMB.
pub(crate) const APPLICATION_LAYER: u8 = 15;

/// Version 2, in the upper two bits of a packet's first byte.
const VERSION: u8 = 2;
/// Bytes before the body of a packet.
const HEADER: usize = 4;

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// How many blocks, chunks or sources it has, or the format (FMT) of its feedback, 0 to 31.
    pub(crate) count: u8,
    /// Its packet type.
    pub(crate) kind: u8,
    /// What follows the first four bytes, without padding.
    pub(crate) body: &'a [u8],
}

/// The packets of a compound in their order; `None` if it is not one from its first byte to its
/// last.
pub(crate) fn packets(compound: &[u8]) -> Option<Vec<Packet<'_>>> {
    let mut all = Vec::new();
    let mut rest = compound;
    while !rest.is_empty() {
        let &[first, kind, high, low, ..] = rest else {
            return None;
        };
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let (packet, behind) = rest.split_at_checked(length)?;
        let is_padded = first & 0x20 != 0;
        // Only the last one may be padded (RFC 3550 section 6.4.1).
        if first >> 6 != VERSION || is_padded && !behind.is_empty() {
            return None;
        }
        let body = packet.get(HEADER..)?;
        all.push(Packet {
            count: first & 0x1f,
            kind,
            body: if is_padded { unpadded(body)? } else { body },
        });
        rest = behind;
    }
    (!all.is_empty()).then_some(all)
}

/// A body without its padding, whose last byte says how long it is.
fn unpadded(body: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*body.last()?);
    let is_whole = padding > 0 && padding.is_multiple_of(4);
    body.get(..body.len().checked_sub(padding)?)
        .filter(|_| is_whole)
}

/// Appends a packet. The body is a whole number of words of 32 bits, shorter than 256 KiB.
pub(crate) fn write(to: &mut Vec<u8>, kind: u8, count: u8, body: &[u8]) {
    let words = u16::try_from(body.len() / 4).unwrap_or(u16::MAX);
    to.extend([VERSION << 6 | count & 0x1f, kind]);
    to.extend(words.to_be_bytes());
    to.extend(body);
}

/// Whether a packet with this second byte is RTCP to `rtpsession`, if it is no good RTP. No payload
/// type of RTP gives that byte (RFC 5761 section 4).
pub(crate) fn is_rtcp(second: u8) -> bool {
    (200..208).contains(&second)
}

/// The SSRC at the beginning of `bytes`.
pub(crate) fn ssrc(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
