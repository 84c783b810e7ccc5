//! Coalesces keyframe requests (PLI throttling, in LiveKit): what many viewers request is requested
//! once from the sender, and counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Who makes the keyframes of a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyframeOrigin {
    /// A participant's client.
    Sender,
    /// A participant's client that sends simulcast: a request for one encoding is one for all.
    SimulcastSender,
    /// An encoder of the mixer.
    Encoder,
}

impl KeyframeOrigin {
    fn name(self) -> &'static str {
        match self {
            Self::Sender | Self::SimulcastSender => "sender",
            Self::Encoder => "encoder",
        }
    }
}

/// Coalesces the keyframe requests for one tap, or for the taps of one sender's encodings: browsers
/// answer a request for one encoding with keyframes in all. Used on any thread, without a lock.
pub(crate) struct KeyframeThrottle {
    origin: KeyframeOrigin,
    /// Shortest time between two requests, ns.
    interval: u64,
    /// Running time of the last request, ns; zero before the first.
    last: AtomicU64,
    /// A request is held back.
    pending: AtomicBool,
    asked: AtomicU64,
    avoided: AtomicU64,
}

impl KeyframeThrottle {
    /// Lets one request through to `origin` in `interval`.
    pub(crate) fn new(origin: KeyframeOrigin, interval: Duration) -> Self {
        Self {
            origin,
            interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            last: AtomicU64::new(0),
            pending: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            avoided: AtomicU64::new(0),
        }
    }

    /// Takes a request at `now`. Returns whether to send one upstream at once; else it
    /// is held back until [`Self::is_due`].
    pub(crate) fn request(&self, now: gst::ClockTime) -> bool {
        if self.take_turn(now) {
            return true;
        }
        if self.pending.swap(true, Ordering::Relaxed) {
            self.avoid();
        }
        false
    }

    /// Takes that a keyframe has come. It answers a request that is held back, unless that may have
    /// been one for another encoding.
    pub(crate) fn on_keyframe(&self) {
        if self.origin != KeyframeOrigin::SimulcastSender
            && self.pending.swap(false, Ordering::Relaxed)
        {
            self.avoid();
        }
    }

    /// How many requests were sent, and how many others' keyframes answered.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.asked), of(&self.avoided))
    }

    fn avoid(&self) {
        self.avoided.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("tessera_keyframes_avoided_total", "of" => self.origin.name())
            .increment(1);
    }

    /// Whether a request that was held back is to be sent now.
    pub(crate) fn is_due(&self, now: gst::ClockTime) -> bool {
        self.pending.load(Ordering::Relaxed)
            && self.take_turn(now)
            && self.pending.swap(false, Ordering::Relaxed)
    }

    /// Claims the right to send at `now`, at most one caller per interval.
    fn take_turn(&self, now: gst::ClockTime) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let open = last == 0 || now.nseconds().saturating_sub(last) >= self.interval;
        let won = open
            && self
                .last
                .compare_exchange(
                    last,
                    now.nseconds().max(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if won {
            self.asked.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("tessera_keyframe_requests_total", "of" => self.origin.name())
                .increment(1);
        }
        won
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(n)
    }

    #[test]
    fn requests_close_together_become_two_and_none_is_lost() {
        let throttle = KeyframeThrottle::new(KeyframeOrigin::Sender, Duration::from_millis(500));
        assert!(throttle.request(ms(1000)), "the first goes at once");
        assert!(
            !throttle.request(ms(1100))
                && !throttle.request(ms(1200))
                && !throttle.request(ms(1300))
        );
        assert!(
            !throttle.is_due(ms(1400)),
            "not before the interval is over"
        );
        assert!(
            throttle.is_due(ms(1500)),
            "what came meanwhile is sent, once"
        );
        assert!(!throttle.is_due(ms(2100)));
        assert_eq!(throttle.counts(), (2, 2));
        assert!(throttle.request(ms(2100)));
    }

    #[test]
    fn a_keyframe_answers_what_was_held_back() {
        let throttle = KeyframeThrottle::new(KeyframeOrigin::Sender, Duration::from_millis(500));
        assert!(throttle.request(ms(1000)) && !throttle.request(ms(1100)));
        throttle.on_keyframe();
        assert!(!throttle.is_due(ms(1500)));
        assert_eq!(throttle.counts(), (1, 1));
        assert!(throttle.request(ms(1500)), "the next is a new one");

        let throttle =
            KeyframeThrottle::new(KeyframeOrigin::SimulcastSender, Duration::from_millis(500));
        assert!(throttle.request(ms(1000)) && !throttle.request(ms(1100)));
        throttle.on_keyframe();
        assert!(
            throttle.is_due(ms(1500)),
            "it may have been another encoding's"
        );
    }
}
