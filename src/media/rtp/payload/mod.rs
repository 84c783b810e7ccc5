//! What the server must know of an RTP payload to start, stop and splice streams; pure.
//!
//! Payloads come from outside: every function here accepts any bytes and never panics.

mod h264;
pub mod vp8;
mod vp9;

use crate::codec::Codec;

/// Whether a decoder that has seen nothing can begin with this payload. Of video it is the first of
/// a keyframe; of sound it is any that is not empty.
pub fn starts_keyframe(format: Codec, payload: &[u8]) -> bool {
    match format {
        Codec::Vp8 => vp8::starts_keyframe(payload).unwrap_or(false),
        Codec::H264 => h264::starts_keyframe(payload).unwrap_or(false),
        Codec::Vp9 => vp9::starts_keyframe(payload).unwrap_or(false),
        Codec::Opus => !payload.is_empty(),
    }
}

/// Width and height in pixels of the keyframe that begins with this payload. `None` if no keyframe
/// begins with it, and for codecs other than VP8.
pub(crate) fn keyframe_size(format: Codec, payload: &[u8]) -> Option<(u16, u16)> {
    match format {
        Codec::Vp8 => vp8::keyframe_size(payload),
        Codec::H264 | Codec::Vp9 | Codec::Opus => None,
    }
}

#[cfg(test)]
mod tests;
