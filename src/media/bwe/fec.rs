//! Whether a mix is sent with forward error correction; pure.
//!
//! Opus can repeat in each packet, more coarsely, what was in the one before (in-band FEC, also
//! LBRR; RFC 6716 section 2.1.7). It does so within the bitrate, and only where the sound is coded
//! as speech is: what is said for the second time is missing for the first, and music suffers. So
//! it is done only while somebody who hears the mix loses packets and their decoder makes use of
//! it.

use std::time::Duration;

/// Loss share from which on FEC is worth its bits, 0 to 1.
const START_LOSS: f32 = 0.03;
/// Loss share below which FEC is no longer worth its bits.
const STOP_LOSS: f32 = 0.01;
/// How long the loss must have been below [`STOP_LOSS`]: losses come in bursts.
const HOLD: Duration = Duration::from_secs(10);
/// Time constant of the smoothing of loss. A second has only a hundred packets, of which three are
/// lost by chance where one in a hundred is.
const SMOOTHING: Duration = Duration::from_secs(4);

/// Packet loss that libopus is told while FEC is on, percent. Above 5 it leaves CELT, which has no
/// FEC, for SILK and CELT together; up to about 12 it repeats the more exactly the more is lost.
pub(crate) const ASSUMED_LOSS_PERCENT: u8 = 15;

/// Whether sound has in-band FEC, or a decoder makes use of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fec {
    /// All bits describe the sound once.
    #[default]
    Off,
    /// Each packet repeats the one before, so a lost packet can be recovered from the next.
    On,
}

/// Decides whether one listener needs FEC.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FecController {
    /// What the listener's decoder makes use of.
    usable: Fec,
    fec: Fec,
    /// Share of packets, smoothed.
    loss: f32,
    /// Time of the last known loss.
    updated: Option<Duration>,
    /// Since when next to nothing has been lost.
    calm: Option<Duration>,
}

impl FecController {
    /// For a listener whose decoder makes use of `usable`.
    pub fn new(usable: Fec) -> Self {
        Self {
            usable,
            ..Self::default()
        }
    }

    /// What the listener's sound should have, by the losses so far.
    pub fn fec(&self) -> Fec {
        self.fec
    }

    /// Takes the loss share at `now`, 0 to 1, if it is known. Returns what the listener's sound
    /// should have. Where everything is lost FEC recovers nothing, so that counts as unknown.
    pub fn update(&mut self, now: Duration, loss: Option<f32>) -> Fec {
        let loss = loss.filter(|loss| *loss < 1.0);
        if let Some(loss) = loss {
            let elapsed = now.saturating_sub(self.updated.unwrap_or(now));
            let kept = (-elapsed.as_secs_f32() / SMOOTHING.as_secs_f32()).exp();
            self.loss = self.loss * kept + loss * (1.0 - kept);
            self.updated = Some(now);
        }
        if loss.is_some() && self.loss >= STOP_LOSS {
            self.calm = None;
        } else {
            self.calm.get_or_insert(now);
        }
        if loss.is_some() && self.loss >= START_LOSS {
            self.fec = self.usable;
        } else if self.calm.is_some_and(|since| now >= since + HOLD) {
            self.fec = Fec::Off;
        }
        self.fec
    }
}

/// Whether a packet of Opus repeats the one before (LBRR flag, RFC 6716 section 4.2.4). Only
/// packets of one frame are looked into, which is what libopus makes of up to 60 ms.
pub(crate) fn repeats(packet: &[u8]) -> bool {
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
        controller: FecController,
        now: Duration,
    }

    impl Listener {
        fn new(most: Fec) -> Self {
            Self {
                controller: FecController::new(most),
                now: Duration::from_secs(100),
            }
        }

        /// What comes of it in the end, and after how long it last changed, in ms.
        fn hears(&mut self, seconds: u64, loss: Option<f32>) -> (Fec, u64) {
            let (mut was, mut changed) = (self.controller.fec, 0);
            for step in 1..=seconds * 5 {
                self.now += Duration::from_millis(200);
                let fec = self.controller.update(self.now, loss);
                if fec != was {
                    (was, changed) = (fec, step * 200);
                }
            }
            (was, changed)
        }
    }

    use Fec::{Off, On};

    #[test]
    fn sound_is_protected_while_packets_are_lost_and_for_a_while() {
        let mut listener = Listener::new(On);
        assert_eq!(listener.hears(10, None), (Off, 0));
        assert_eq!(listener.hears(60, Some(0.02)), (Off, 0));
        let (fec, after) = listener.hears(60, Some(0.1));
        assert_eq!(fec, On);
        assert!((200..2_000).contains(&after), "{after} ms");
        // What would not have begun it does not end it.
        assert_eq!(listener.hears(60, Some(0.02)), (On, 0));
        let (fec, after) = listener.hears(60, Some(0.0));
        assert_eq!(fec, Off);
        assert!((10_000..20_000).contains(&after), "{after} ms");
    }

    #[test]
    fn a_short_burst_is_none_of_its_business_and_breaks_do_not_end_it() {
        let mut listener = Listener::new(On);
        for _ in 0..20 {
            assert_eq!(listener.hears(1, Some(0.06)).0, Off);
            listener.hears(9, Some(0.0));
        }
        listener.hears(10, Some(0.05));
        for _ in 0..20 {
            assert_eq!(listener.hears(9, Some(0.0)).0, On);
            listener.hears(5, Some(0.05));
        }
    }

    #[test]
    fn it_ends_with_what_is_known_of_the_link() {
        let mut listener = Listener::new(On);
        listener.hears(10, Some(0.2));
        assert_eq!(listener.hears(9, None).0, On);
        assert_eq!(listener.hears(2, None).0, Off);
        assert_eq!(listener.hears(20, Some(1.0)), (Off, 0), "it is shut");
    }

    #[test]
    fn who_cannot_use_it_gets_none() {
        let mut listener = Listener::new(Off);
        assert_eq!(listener.hears(60, Some(0.5)), (Off, 0));
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
