//! Whether a decoder makes pictures of what it is given; pure.
//!
//! Depayloaders and decoders ask for a keyframe when they notice that something is wrong, and each
//! version of GStreamer notices something else: given noise, `rtpvp8depay` of 1.26 waits for ever
//! where that of 1.22 asks. That nothing comes out is to be seen from outside.

use std::time::Duration;

/// Packets without a picture, and the time from the first of them to the last, after which a decoder
/// needs a keyframe. A picture can be one packet, and a camera may send one a second.
const PACKETS: u32 = 5;
/// See [`PACKETS`].
const SILENCE: Duration = Duration::from_secs(1);
/// Time between two requests: requests can be lost.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Watches one decoder.
#[derive(Debug, Default)]
pub(crate) struct DecodeWatch {
    /// What had come out when a packet went in last: a count that grows with each picture.
    made: u64,
    /// Packets since, and when the first of them came.
    packets: u32,
    since: Duration,
    asked: Option<Duration>,
}

impl DecodeWatch {
    /// Notes a packet that goes in at `now`, when `made` has come out. Says whether a keyframe is to
    /// be asked for.
    pub(crate) fn wants_keyframe(&mut self, now: Duration, made: u64) -> bool {
        if self.packets == 0 || made != self.made {
            self.made = made;
            self.packets = 0;
            self.since = now;
        }
        self.packets = self.packets.saturating_add(1);
        let is_silent = self.packets > PACKETS && now.saturating_sub(self.since) >= SILENCE;
        let was_asked = |at: Duration| now.saturating_sub(at) < ASK_AGAIN;
        let asks = is_silent && !self.asked.is_some_and(was_asked);
        if asks {
            self.asked = Some(now);
        }
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a keyframe is asked for, when `packets` come each 10 ms and `made` says what has
    /// come out at a packet.
    fn asked(packets: u64, every: u64, made: impl Fn(u64) -> u64) -> usize {
        let mut watch = DecodeWatch::default();
        let ask = |n: &u64| watch.wants_keyframe(Duration::from_millis(n * every), made(*n));
        (0..packets).filter(ask).count()
    }

    #[test]
    fn a_decoder_that_makes_nothing_is_helped_once_a_second() {
        assert_eq!(asked(100, 10, |_| 0), 0, "not a second yet");
        assert_eq!(asked(101, 10, |_| 0), 1);
        assert_eq!(asked(1000, 10, |_| 7), 9);
    }

    #[test]
    fn one_that_makes_pictures_is_left_alone() {
        assert_eq!(asked(1000, 10, |n| n / 3), 0);
        assert_eq!(
            asked(60, 1000, |n| n.saturating_sub(3)),
            0,
            "three behind, one a second"
        );
    }

    #[test]
    fn a_pause_of_the_sender_is_no_silence_of_the_decoder() {
        let mut watch = DecodeWatch::default();
        for second in 0..20 {
            for packet in 0..3 {
                let now = Duration::from_millis(second * 5_000 + packet);
                assert!(!watch.wants_keyframe(now, second));
            }
        }
    }
}
