//! What depayloaders may be given; pure.
//!
//! What comes from a participant can be anything, and some of it GStreamer's depayloaders do not
//! survive: of a fragment that ends with its header, `rtph264depay` (1.22 to 1.26) makes a unit of
//! minus one byte and copies four gigabytes, or writes behind what it has allocated; and what is
//! never said to have ended is gathered without a limit. Whatever hands an uplink's packets to one
//! asks here first (`stream::sanitize`). What is only wrong, and not dangerous, passes: it is the
//! decoder's affair.

use crate::codec::Codec;

/// Most bytes of payload of an unfinished frame: ten times a large keyframe.
const MAX_UNFINISHED: usize = 4 << 20;

/// Checks the packets of one stream on their way to a depayloader.
#[derive(Debug, Clone)]
pub(crate) struct Sanitizer {
    format: Codec,
    /// Bytes of payload since the last marker bit.
    unfinished: usize,
}

impl Sanitizer {
    /// For a stream of this codec.
    pub(crate) fn new(format: Codec) -> Self {
        Self {
            format,
            unfinished: 0,
        }
    }

    /// Whether a packet with this payload may pass to the depayloader. Where one is left out the
    /// depayloader sees a gap, drops what it has gathered, and asks for a keyframe. `marker` is
    /// that of the RTP header.
    pub(crate) fn passes(&mut self, payload: &[u8], marker: bool) -> bool {
        match self.format {
            // Every packet stands for itself, and an empty one for a lost one.
            Codec::Opus => return true,
            Codec::H264 if !is_h264(payload) => return false,
            Codec::H264 | Codec::Vp8 | Codec::Vp9 => {}
        }
        if marker {
            self.unfinished = 0;
            return true;
        }
        if self.unfinished + payload.len() > MAX_UNFINISHED {
            return false;
        }
        self.unfinished += payload.len();
        true
    }
}

/// Whether this is a payload of packetization mode 0 or 1 (RFC 6184 section 5.2) that has
/// what its first byte promises.
fn is_h264(payload: &[u8]) -> bool {
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    match payload {
        [] => false,
        [first, ..] => match first & 0x1f {
            1..=23 => true,
            // A length and a byte at least (section 5.7.1).
            STAP_A => payload.len() > 3,
            // The FU header and a byte at least (section 5.8).
            FU_A => payload.len() > 2,
            // Undefined, or of the interleaved mode, which is never agreed on.
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_has_what_it_promises() {
        let mut sanitizer = Sanitizer::new(Codec::H264);
        let sound: [&[u8]; 5] = [
            &[0x65],
            &[0x61, 0x9a],
            &[0x78, 0, 1, 9],
            &[0x7c, 0x85, 0],
            &[0x7c, 0x45, 0],
        ];
        for payload in sound {
            assert!(sanitizer.passes(payload, true), "{payload:x?}");
        }
        let unsound: [&[u8]; 9] = [
            &[],
            &[0x7c],
            &[0x7c, 0x85],
            &[0x7c, 0x05],
            &[0x78],
            &[0x78, 0, 1],
            &[0x60, 1, 2, 3],
            &[0x7d, 1, 2, 3],
            &[0x7b, 1, 2, 3],
        ];
        for payload in unsound {
            assert!(!sanitizer.passes(payload, true), "{payload:x?}");
        }
    }

    #[test]
    fn what_does_not_end_is_cut_off_until_something_does() {
        for format in [Codec::Vp8, Codec::Vp9, Codec::H264] {
            let mut sanitizer = Sanitizer::new(format);
            let payload = [0x61; 1000];
            let admitted = (0..10_000).filter(|_| sanitizer.passes(&payload, false));
            assert_eq!(admitted.count(), MAX_UNFINISHED / 1000, "{format:?}");
            assert!(sanitizer.passes(&payload, true));
            assert!(sanitizer.passes(&payload, false));
        }
    }

    #[test]
    fn sound_always_passes() {
        let mut sanitizer = Sanitizer::new(Codec::Opus);
        assert!((0..10_000).all(|_| sanitizer.passes(&[0; 1000], false)));
        assert!(sanitizer.passes(&[], false));
    }
}
