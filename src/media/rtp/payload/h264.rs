//! H.264 in RTP (RFC 6184): where keyframes begin.

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// Whether the payload is the first of a keyframe; `None` if it is cut short.
pub(super) fn starts_keyframe(payload: &[u8]) -> Option<bool> {
    let (&indicator, rest) = payload.split_first()?;
    match indicator & 0x1f {
        NAL_STAP_A => Some(aggregate_starts_keyframe(rest)),
        NAL_FU_A => {
            let (&header, fragment) = rest.split_first()?;
            let is_first = header & 0x80 != 0;
            Some(is_first && nal_starts_keyframe(header & 0x1f, fragment))
        }
        nal_type => Some(nal_starts_keyframe(nal_type, rest)),
    }
}

/// Whether one of the units of a STAP-A begins a keyframe. Each has 16 bits of size before
/// it (RFC 6184 section 5.7.1).
fn aggregate_starts_keyframe(mut units: &[u8]) -> bool {
    while let Some((size, rest)) = units.split_first_chunk::<2>() {
        let size = usize::from(u16::from_be_bytes(*size));
        let Some((unit, after)) = rest.split_at_checked(size) else {
            return false;
        };
        if let Some((&header, body)) = unit.split_first()
            && nal_starts_keyframe(header & 0x1f, body)
        {
            return true;
        }
        units = after;
    }
    false
}

fn nal_starts_keyframe(nal_type: u8, body: &[u8]) -> bool {
    match nal_type {
        NAL_SPS => true,
        // A keyframe can have several slices. The first one says first_mb_in_slice = 0, which as
        // an Exp-Golomb code is a single 1 bit (ITU-T H.264 section 7.3.3).
        NAL_IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}
