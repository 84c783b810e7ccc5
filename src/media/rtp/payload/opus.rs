//! Opus in RTP (RFC 7587): how long a packet sounds, and whether it says that it is silence.

/// Longest packet (RFC 6716 section 2.1.4), samples at 48 kHz.
const LONGEST: u32 = 5_760;

/// Samples at 48 kHz that a packet is decoded to, by its first bytes (RFC 6716 section 3.1); as many
/// as the longest has for one that is cut short or says more.
pub(super) fn samples(packet: &[u8]) -> u32 {
    let Some(first) = packet.first() else {
        return 0;
    };
    let configuration = usize::from(first >> 3);
    let frame = match configuration {
        0..12 => [480, 960, 1_920, 2_880][configuration % 4],
        12..16 => [480, 960][configuration % 2],
        _ => [120, 240, 480, 960][configuration % 4],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet
            .get(1)
            .map_or(u32::MAX, |second| u32::from(second & 0x3f)),
    };
    frames.saturating_mul(frame).min(LONGEST)
}

/// Whether a packet says itself that nothing is heard: it has no frame in it, as in a pause
/// (discontinuous transmission, RFC 6716 section 3.2.1), or one of CELT that begins with its flag of
/// silence (section 4.3, the first 15 bits). Silence that a speech mode describes is not told.
pub(super) fn is_silence(packet: &[u8]) -> bool {
    const LEAST_CELT: u8 = 16;
    match packet {
        [] | [_] | [_, _] => true,
        [first, second, third, ..] => {
            let has_one_frame_of_celt = first >> 3 >= LEAST_CELT && first & 3 == 0;
            has_one_frame_of_celt && *second == 0xff && *third >= 0xfe
        }
    }
}
