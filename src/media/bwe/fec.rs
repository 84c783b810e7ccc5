//! Whether a mix is sent with forward error correction; pure.
//!
//! Opus can say again in each packet, more coarsely, what was in the one before (in-band FEC, RFC
//! 6716 section 2.1.7). It does so within the bitrate, and only where the sound is coded as speech
//! is: what is said for the second time is missing for the first, and music suffers. So it is done
//! while somebody who hears the mix loses packets, and can make something of it.

use std::time::Duration;

/// The share of packets lost from which on it is worth that.
const LOSSY: f32 = 0.03;
/// The share below which it is not any more.
const SOUND: f32 = 0.01;
/// How long the share must have been below: losses come in bursts.
const HOLD: Duration = Duration::from_secs(10);
/// How fast the share follows what is told: in this time by 63 %. A second has but a hundred
/// packets, of which three are lost by chance where one in a hundred is.
const INERTIA: Duration = Duration::from_secs(4);

/// What libopus is told of losses, percent. Above 5 it leaves CELT, which has no FEC, for SILK and
/// CELT together; up to about 12 it repeats the more exactly the more is lost.
pub const TOLD: i32 = 15;

/// How sound is encoded, or may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// As well as it can be.
    #[default]
    None,
    /// So that a lost packet can be had from the next one.
    Fec,
}

/// What has been lost on the way to one listener.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Guard {
    /// What their decoder makes use of.
    most: Protection,
    protection: Protection,
    /// Share of packets, smoothed.
    loss: f32,
    /// When that was told last.
    told: Option<Duration>,
    /// Since when next to nothing has been lost.
    calm: Option<Duration>,
}

impl Guard {
    /// That of a listener who can use `most`.
    pub fn new(most: Protection) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// What their sound should have.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Takes the share of packets that are lost at `now`, 0 to 1, if it is known; returns what
    /// their sound should have. Where nothing gets through nothing can be mended.
    pub fn note(&mut self, now: Duration, loss: Option<f32>) -> Protection {
        let loss = loss.filter(|loss| *loss < 1.0);
        if let Some(loss) = loss {
            let elapsed = now.saturating_sub(self.told.unwrap_or(now));
            let kept = (-elapsed.as_secs_f32() / INERTIA.as_secs_f32()).exp();
            self.loss = self.loss * kept + loss * (1.0 - kept);
            self.told = Some(now);
        }
        if loss.is_some() && self.loss >= SOUND {
            self.calm = None;
        } else {
            self.calm.get_or_insert(now);
        }
        if loss.is_some() && self.loss >= LOSSY {
            self.protection = self.most;
        } else if self.calm.is_some_and(|since| now >= since + HOLD) {
            self.protection = Protection::None;
        }
        self.protection
    }
}

/// Whether a packet of Opus says again what was in the one before (RFC 6716 section 4.2.4). Only
/// packets of one frame are looked into, which is what libopus makes of up to 60 ms.
pub fn repeats(packet: &[u8]) -> bool {
    let &[toc, first, ..] = packet else {
        return false;
    };
    // Section 3.1. SILK codes frames of 20 ms, of which one of Opus can hold three.
    let frames = match (toc >> 3, toc & 3) {
        (config @ 0..12, 0) => (config % 4).max(1),
        (12..16, 0) => 1,
        _ => return false,
    };
    // Section 4.2.3: for each channel, whether there is speech in each frame, and then this.
    let flag = |nth: u8| first >> (7 - nth) & 1 == 1;
    let stereo = toc & 4 != 0;
    flag(frames) || stereo && flag(2 * frames + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener who is told of losses five times a second.
    struct Listener {
        guard: Guard,
        now: Duration,
    }

    impl Listener {
        fn new(most: Protection) -> Self {
            Self {
                guard: Guard::new(most),
                now: Duration::from_secs(100),
            }
        }

        /// What comes of it in the end, and after how long it last changed, in ms.
        fn hears(&mut self, seconds: u64, loss: Option<f32>) -> (Protection, u64) {
            let (mut was, mut changed) = (self.guard.protection, 0);
            for step in 1..=seconds * 5 {
                self.now += Duration::from_millis(200);
                let protection = self.guard.note(self.now, loss);
                if protection != was {
                    (was, changed) = (protection, step * 200);
                }
            }
            (was, changed)
        }
    }

    use Protection::{Fec, None as Plain};

    #[test]
    fn sound_is_protected_while_packets_are_lost_and_for_a_while() {
        let mut listener = Listener::new(Fec);
        assert_eq!(listener.hears(10, None), (Plain, 0));
        assert_eq!(listener.hears(60, Some(0.02)), (Plain, 0));
        let (protection, after) = listener.hears(60, Some(0.1));
        assert_eq!(protection, Fec);
        assert!((200..2_000).contains(&after), "{after} ms");
        // What would not have begun it does not end it.
        assert_eq!(listener.hears(60, Some(0.02)), (Fec, 0));
        let (protection, after) = listener.hears(60, Some(0.0));
        assert_eq!(protection, Plain);
        assert!((10_000..20_000).contains(&after), "{after} ms");
    }

    #[test]
    fn a_short_burst_is_none_of_its_business_and_breaks_do_not_end_it() {
        let mut listener = Listener::new(Fec);
        for _ in 0..20 {
            assert_eq!(listener.hears(1, Some(0.06)).0, Plain);
            listener.hears(9, Some(0.0));
        }
        listener.hears(10, Some(0.05));
        for _ in 0..20 {
            assert_eq!(listener.hears(9, Some(0.0)).0, Fec);
            listener.hears(5, Some(0.05));
        }
    }

    #[test]
    fn it_ends_with_what_is_known_of_the_link() {
        let mut listener = Listener::new(Fec);
        listener.hears(10, Some(0.2));
        assert_eq!(listener.hears(9, None).0, Fec);
        assert_eq!(listener.hears(2, None).0, Plain);
        assert_eq!(listener.hears(20, Some(1.0)), (Plain, 0), "it is shut");
    }

    #[test]
    fn who_cannot_use_it_gets_none() {
        let mut listener = Listener::new(Plain);
        assert_eq!(listener.hears(60, Some(0.5)), (Plain, 0));
    }

    #[test]
    fn the_flag_is_where_the_frames_before_it_leave_it() {
        // Configuration, then speech in one frame and the flag.
        assert!(repeats(&[15 << 3, 0b1100_0000]) && !repeats(&[15 << 3, 0b1000_0000]));
        assert!(repeats(&[1 << 3, 0b0100_0000]), "SILK of 20 ms");
        assert!(repeats(&[0, 0b0100_0000]), "of 10 ms");
        assert!(repeats(&[3 << 3, 0b0001_0000]) && !repeats(&[3 << 3, 0b1110_1111]));
        assert!(repeats(&[15 << 3 | 4, 0b0001_0000]), "the side of stereo");
        assert!(!repeats(&[15 << 3, 0b0001_0000]));
        assert!(!repeats(&[31 << 3, 0xff]), "CELT has none");
        assert!(!repeats(&[15 << 3 | 1, 0xff]), "two frames");
        assert!(!repeats(&[15 << 3]) && !repeats(&[]), "a pause");
    }
}
