//! VP9 in RTP (RFC 9628): where keyframes begin.

/// Whether the payload is the first of a keyframe, by its descriptor (section 4.2); `None`
/// if that is cut short.
pub(super) fn starts_keyframe(payload: &[u8]) -> Option<bool> {
    let (&flags, rest) = payload.split_first()?;
    let has = |bit: u8| flags & bit != 0;
    let (picture_id, inter_predicted, layers, starts_frame) =
        (has(0x80), has(0x40), has(0x20), has(0x08));
    let mut at = 0;
    if picture_id {
        at += if rest.first()? & 0x80 != 0 { 2 } else { 1 };
    }
    let spatial_layer = if layers {
        (rest.get(at)? >> 1) & 0x07
    } else {
        0
    };
    Some(!inter_predicted && starts_frame && spatial_layer == 0)
}
