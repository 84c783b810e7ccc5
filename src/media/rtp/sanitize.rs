//! What depayloaders may be given; pure.
//!
//! What comes from a participant can be anything, and some of it GStreamer's depayloaders do not
//! survive: of a fragment that ends with its header, `rtph264depay` (1.22 to 1.26) makes a unit of
//! minus one byte and copies four gigabytes, or writes behind what it has allocated; and what is
//! never said to have ended is gathered without a limit. Whatever hands an uplink's packets to one
//! asks here first (`stream::sanitize`). What is only wrong, and not dangerous, passes: it is the
//! decoder's affair.
//!
//! Of H.264 nothing passes before a decoder can begin, at first and after each loss. `rtph264depay`
//! can wait for that, too, but only for keyframes, which a sender that refreshes its pictures bit by
//! bit does not send.

use super::header::missing_between;
use super::payload::can_begin;
use crate::codec::Codec;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passes to the depayloader.
    Pass,
    /// It carries nothing, such as padding alone, and is left out as if it had never been sent.
    Empty,
    /// It is left out before a decoder can begin.
    Early,
    /// It is left out because a depayloader would not survive it.
    Malformed,
}

/// Most bytes of payload of an unfinished frame: ten times a large keyframe.
const MAX_UNFINISHED: usize = 4 << 20;

/// Checks the packets of one stream on their way to a depayloader.
#[derive(Debug, Clone)]
pub(crate) struct Sanitizer {
    format: Codec,
    /// Bytes of payload since the last marker bit.
    unfinished: usize,
    /// Sequence number of the newest packet; `None` before the first.
    last: Option<u16>,
    entry: Entry,
}

/// Whether a decoder has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// It waits for a packet that it can begin with.
    Awaited,
    /// It has what it needs.
    Begun,
}

impl Sanitizer {
    /// For a stream of this codec.
    pub(crate) fn new(format: Codec) -> Self {
        Self {
            format,
            unfinished: 0,
            last: None,
            entry: match format {
                Codec::H264 => Entry::Awaited,
                // Their depayloaders wait by themselves.
                _ => Entry::Begun,
            },
        }
    }

    /// What becomes of a packet with this payload. `sequence` and `marker` are those of the RTP
    /// header. Behind one that is left out and is not [`Verdict::Empty`] the depayloader sees a gap,
    /// and drops what it has gathered. While [`Verdict::Early`] ones come it sees nothing, so whoever
    /// asks here has to ask for a keyframe.
    pub(crate) fn judge(&mut self, sequence: u16, payload: &[u8], marker: bool) -> Verdict {
        let is_gapped = self
            .last
            .is_some_and(|last| missing_between(last, sequence) > 0);
        self.last = Some(sequence);
        if self.format == Codec::Opus {
            // Every packet stands for itself, and an empty one for a lost one.
            return Verdict::Pass;
        }
        if payload.is_empty() {
            return self.after(is_gapped, Verdict::Empty);
        }
        if self.format == Codec::H264 && !is_h264(payload) {
            return self.after(true, Verdict::Malformed);
        }
        self.after(is_gapped, Verdict::Pass);
        if self.entry == Entry::Awaited && !can_begin(self.format, payload) {
            return Verdict::Early;
        }
        self.entry = Entry::Begun;
        self.count(payload, marker)
    }

    /// Takes note of a loss, after which H.264 begins anew.
    fn after(&mut self, is_lost: bool, verdict: Verdict) -> Verdict {
        if is_lost && self.format == Codec::H264 {
            self.entry = Entry::Awaited;
        }
        verdict
    }

    /// Limits what is gathered of a frame.
    fn count(&mut self, payload: &[u8], marker: bool) -> Verdict {
        if marker {
            self.unfinished = 0;
            return Verdict::Pass;
        }
        if self.unfinished + payload.len() > MAX_UNFINISHED {
            return Verdict::Malformed;
        }
        self.unfinished += payload.len();
        Verdict::Pass
    }
}

/// Whether this is a payload of packetization mode 0 or 1 (RFC 6184 section 5.2) that has
/// what its first byte promises.
fn is_h264(payload: &[u8]) -> bool {
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    match payload.first().map(|first| first & 0x1f) {
        Some(1..=23) => true,
        // A length and a byte at least (section 5.7.1).
        Some(STAP_A) => payload.len() > 3,
        // The FU header and a byte at least (section 5.8).
        Some(FU_A) => payload.len() > 2,
        // Undefined, or of the interleaved mode, which is never agreed on.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of packets that follow one another, all of them with the marker bit.
    fn judged(format: Codec, payloads: &[&[u8]]) -> Vec<Verdict> {
        let mut sanitizer = Sanitizer::new(format);
        let numbered = (0u16..).zip(payloads);
        numbered
            .map(|(n, payload)| sanitizer.judge(n, payload, true))
            .collect()
    }

    /// A keyframe in one packet.
    const IDR: &[u8] = &[0x65, 0x88];
    /// A picture that refers to others.
    const DELTA: &[u8] = &[0x41, 0x9a];

    #[test]
    fn h264_has_what_it_promises() {
        let sound: [&[u8]; 5] = [
            IDR,
            &[0x61, 0x9a],
            &[0x78, 0, 1, 9],
            &[0x7c, 0x85, 0],
            &[0x7c, 0x45, 0],
        ];
        assert_eq!(judged(Codec::H264, &sound), [Verdict::Pass; 5]);
        let unsound: [&[u8]; 8] = [
            &[0x7c],
            &[0x7c, 0x85],
            &[0x7c, 0x05],
            &[0x78],
            &[0x78, 0, 1],
            &[0x60, 1, 2, 3],
            &[0x7d, 1, 2, 3],
            &[0x7b, 1, 2, 3],
        ];
        assert_eq!(judged(Codec::H264, &unsound), [Verdict::Malformed; 8]);
    }

    #[test]
    fn padding_alone_is_as_if_it_had_not_been_sent() {
        use Verdict::{Empty, Pass};
        for (format, first) in [
            (Codec::H264, IDR),
            (Codec::Vp8, &[0x10, 0][..]),
            (Codec::Vp9, &[0x08, 0][..]),
        ] {
            let mut sanitizer = Sanitizer::new(format);
            let verdicts = [
                sanitizer.judge(65_534, first, true),
                sanitizer.judge(65_535, &[], false),
                sanitizer.judge(0, first, true),
            ];
            assert_eq!(verdicts, [Pass, Empty, Pass], "{format:?}");
        }
    }

    #[test]
    fn h264_begins_at_a_keyframe_or_a_recovery_point_and_again_after_each_loss() {
        use Verdict::{Early, Pass};
        let recovery: &[u8] = &[0x06, 0x06, 0x01, 0xc4, 0x80];
        assert_eq!(
            judged(Codec::H264, &[DELTA, recovery, DELTA]),
            [Early, Pass, Pass]
        );
        let other: &[u8] = &[0x06, 0x05, 0x02, 1, 2, 0x80];
        assert_eq!(
            judged(Codec::H264, &[other, DELTA, IDR]),
            [Early, Early, Pass]
        );
        let mut sanitizer = Sanitizer::new(Codec::H264);
        let came = [(1, IDR), (2, DELTA), (4, DELTA), (5, IDR), (6, DELTA)];
        let verdicts = came.map(|(n, payload)| sanitizer.judge(n, payload, true));
        assert_eq!(verdicts, [Pass, Pass, Early, Pass, Pass]);
    }

    #[test]
    fn what_does_not_end_is_cut_off_until_something_does() {
        for format in [Codec::Vp8, Codec::Vp9, Codec::H264] {
            let mut sanitizer = Sanitizer::new(format);
            sanitizer.judge(0, IDR, true);
            let payload = [0x61; 1000];
            let passed =
                (1..10_001).filter(|n| sanitizer.judge(*n, &payload, false) == Verdict::Pass);
            assert_eq!(passed.count(), MAX_UNFINISHED / 1000, "{format:?}");
            assert_eq!(sanitizer.judge(10_001, &payload, true), Verdict::Pass);
            assert_eq!(sanitizer.judge(10_002, &payload, false), Verdict::Pass);
        }
    }

    #[test]
    fn sound_always_passes() {
        let mut sanitizer = Sanitizer::new(Codec::Opus);
        let all = (0..10_000).all(|n| sanitizer.judge(n, &[0; 1000], false) == Verdict::Pass);
        assert!(all);
        assert_eq!(sanitizer.judge(0, &[], false), Verdict::Pass);
    }
}
