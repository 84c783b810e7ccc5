//! H.264 in RTP (RFC 6184): where a decoder can begin, and how large pictures are.

use crate::media::rtp::h264_sps;

const NAL_IDR: u8 = 5;
const NAL_SEI: u8 = 6;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// Type of the SEI message that says that pictures are whole from here on, or after some more
/// (recovery point, ITU-T H.264 section D.2.8).
const RECOVERY_POINT: u8 = 6;

/// Whether the payload is the first of a keyframe; `None` if it is cut short.
pub(super) fn starts_keyframe(payload: &[u8]) -> Option<bool> {
    let (&indicator, rest) = payload.split_first()?;
    match indicator & 0x1f {
        NAL_STAP_A => Some(units(rest).any(nal_starts_keyframe)),
        NAL_FU_A => {
            let (&header, fragment) = rest.split_first()?;
            let is_first = header & 0x80 != 0;
            Some(is_first && starts(header & 0x1f, fragment))
        }
        _ => Some(nal_starts_keyframe(payload)),
    }
}

/// Whether the payload has a recovery point; `None` if it is cut short.
pub(super) fn has_recovery_point(payload: &[u8]) -> Option<bool> {
    let of_nal = |nal: &[u8]| {
        let parts = nal.split_first();
        parts.is_some_and(|(header, body)| header & 0x1f == NAL_SEI && recovers(body))
    };
    match payload.first()? & 0x1f {
        NAL_STAP_A => Some(units(payload.get(1..)?).any(of_nal)),
        _ => Some(of_nal(payload)),
    }
}

/// Width and height of the pictures that a parameter set in this payload describes, pixels; `None`
/// if there is none.
pub(super) fn picture_size(payload: &[u8]) -> Option<(u16, u16)> {
    match payload.first()? & 0x1f {
        NAL_STAP_A => units(payload.get(1..)?).find_map(h264_sps::picture_size),
        _ => h264_sps::picture_size(payload),
    }
}

/// The units of a STAP-A. Each has 16 bits of size before it (RFC 6184 section 5.7.1).
fn units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk::<2>()?;
        let size = usize::from(u16::from_be_bytes(*size));
        let (unit, after) = behind.split_at_checked(size)?;
        rest = after;
        Some(unit)
    })
}

fn nal_starts_keyframe(nal: &[u8]) -> bool {
    let parts = nal.split_first();
    parts.is_some_and(|(header, body)| starts(header & 0x1f, body))
}

fn starts(nal_type: u8, body: &[u8]) -> bool {
    match nal_type {
        NAL_SPS => true,
        // A keyframe can have several slices. The first one says first_mb_in_slice = 0, which as
        // an Exp-Golomb code is a single 1 bit (ITU-T H.264 section 7.3.3).
        NAL_IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    }
}

/// Whether one of the messages of an SEI unit is a recovery point. Types and sizes are sums of bytes
/// up to one that is not 255 (section 7.3.2.3.1).
fn recovers(mut body: &[u8]) -> bool {
    let sum = |body: &mut &[u8]| {
        let mut sum = 0;
        loop {
            let (byte, rest) = body.split_first()?;
            *body = rest;
            sum += usize::from(*byte);
            if *byte != 255 {
                return Some(sum);
            }
        }
    };
    loop {
        // The last byte holds the stop bit.
        if body.len() < 2 {
            return false;
        }
        let (Some(kind), Some(size)) = (sum(&mut body), sum(&mut body)) else {
            return false;
        };
        if kind == usize::from(RECOVERY_POINT) {
            return true;
        }
        let Some(rest) = body.get(size..) else {
            return false;
        };
        body = rest;
    }
}
