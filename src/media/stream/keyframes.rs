//! Coalescing keyframe requests: what many ask for is asked for once, and counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Who makes a tap's keyframes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// Somebody's browser.
    Sender,
    /// One that sends a picture in several encodings: what is asked of one is asked of all.
    Simulcaster,
    /// An encoder of ours.
    Encoder,
}

impl Maker {
    fn name(self) -> &'static str {
        match self {
            Self::Sender | Self::Simulcaster => "sender",
            Self::Encoder => "encoder",
        }
    }
}

/// Coalesces keyframe requests, of one tap or of those of one sender's encodings: browsers answer
/// a request for one of these with keyframes in all.
pub(crate) struct KeyframeGate {
    maker: Maker,
    interval: u64,
    last: AtomicU64,
    pending: AtomicBool,
    asked: AtomicU64,
    avoided: AtomicU64,
}

impl KeyframeGate {
    /// A gate that lets one request through to `maker` in `interval`.
    pub(crate) fn new(maker: Maker, interval: Duration) -> Self {
        Self {
            maker,
            interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            last: AtomicU64::new(0),
            pending: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            avoided: AtomicU64::new(0),
        }
    }

    /// A request at `now`: whether to send one upstream at once.
    pub(crate) fn ask(&self, now: gst::ClockTime) -> bool {
        if self.take_turn(now) {
            return true;
        }
        if self.pending.swap(true, Ordering::Relaxed) {
            self.avoid();
        }
        false
    }

    /// A keyframe has come: it answers what was held back until now, unless that may have been
    /// asked of another encoding.
    pub(crate) fn came(&self) {
        if self.maker != Maker::Simulcaster && self.pending.swap(false, Ordering::Relaxed) {
            self.avoid();
        }
    }

    /// Requests sent, and those that others' keyframes answered.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.asked), of(&self.avoided))
    }

    fn avoid(&self) {
        self.avoided.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("tessera_keyframes_avoided_total", "of" => self.maker.name())
            .increment(1);
    }

    /// Whether a request that was held back is to be sent now.
    pub(crate) fn due(&self, now: gst::ClockTime) -> bool {
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
            metrics::counter!("tessera_keyframe_requests_total", "of" => self.maker.name())
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
        let gate = KeyframeGate::new(Maker::Sender, Duration::from_millis(500));
        assert!(gate.ask(ms(1000)), "the first goes at once");
        assert!(!gate.ask(ms(1100)) && !gate.ask(ms(1200)) && !gate.ask(ms(1300)));
        assert!(!gate.due(ms(1400)), "not before the interval is over");
        assert!(gate.due(ms(1500)), "what came meanwhile is sent, once");
        assert!(!gate.due(ms(2100)));
        assert_eq!(gate.counts(), (2, 2));
        assert!(gate.ask(ms(2100)));
    }

    #[test]
    fn a_keyframe_answers_what_was_held_back() {
        let gate = KeyframeGate::new(Maker::Sender, Duration::from_millis(500));
        assert!(gate.ask(ms(1000)) && !gate.ask(ms(1100)));
        gate.came();
        assert!(!gate.due(ms(1500)));
        assert_eq!(gate.counts(), (1, 1));
        assert!(gate.ask(ms(1500)), "the next is a new one");

        let gate = KeyframeGate::new(Maker::Simulcaster, Duration::from_millis(500));
        assert!(gate.ask(ms(1000)) && !gate.ask(ms(1100)));
        gate.came();
        assert!(gate.due(ms(1500)), "it may have been another encoding's");
    }
}
