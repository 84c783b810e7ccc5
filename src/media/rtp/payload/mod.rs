//! What the server must know of an RTP payload to start, stop and splice streams; pure.
//!
//! Payloads come from outside: every function here accepts any bytes and never panics.

mod bits;
pub(crate) mod demand;
mod h264;
mod opus;
pub(crate) mod reader;
pub mod vp8;
pub(crate) mod vp9;

use crate::codec::Codec;

/// Whether any decoder that has seen nothing can begin with this payload. Of video it is the first
/// of a keyframe; of sound it is any that is not empty.
pub fn starts_keyframe(format: Codec, payload: &[u8]) -> bool {
    match format {
        Codec::Vp8 => vp8::starts_keyframe(payload).unwrap_or(false),
        Codec::H264 => h264::starts_keyframe(payload).unwrap_or(false),
        Codec::Vp9 => vp9::starts_keyframe(payload).unwrap_or(false),
        Codec::Opus => !payload.is_empty(),
    }
}

/// Whether our own decoders, and players of files, can begin with this payload: also with a picture
/// from which on a sender refreshes its pictures bit by bit, and sends no keyframes (recovery point).
/// Browsers cannot.
pub(crate) fn can_begin(format: Codec, payload: &[u8]) -> bool {
    let recovers = || format == Codec::H264 && h264::has_recovery_point(payload).unwrap_or(false);
    starts_keyframe(format, payload) || recovers()
}

/// Width and height in pixels of the pictures that begin with this payload. `None` if it does not
/// say it: in VP8 and VP9 the first packet of a keyframe does, in H.264 a parameter set.
pub(crate) fn keyframe_size(format: Codec, payload: &[u8]) -> Option<(u16, u16)> {
    match format {
        Codec::Vp8 => vp8::keyframe_size(payload),
        Codec::H264 => h264::picture_size(payload),
        Codec::Vp9 => vp9::keyframe_size(payload),
        Codec::Opus => None,
    }
}

#[cfg(test)]
mod tests;
