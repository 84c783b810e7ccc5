//! The retransmission budget: which of the packets that a receiver misses are sent again (RTX).
//!
//! Over a link that is too narrow for what is sent, most packets are lost, and requested again. To
//! answer all requests is to send everything two and three times, and to keep sound out for as
//! long. So only a share of what arrives is sent again, and where the picture is paced nothing from
//! before its newest keyframe.

use std::time::Duration;

use crate::media::bwe::delay::{Estimate, Usage};

/// Share of the acked bitrate that is sent again at most, over a link that carries what is sent.
const SHARE: f64 = 0.25;
/// The same share over an overused link, where sound is waiting.
const SHARE_OVERUSED: f64 = 0.05;
/// Seconds of the budget that are saved up at most: losses come in bursts.
const SAVED: f64 = 0.5;
/// bit/s that may be sent again over any link.
const MIN_BITRATE: f64 = 10_000.0;
/// bit/s that may be sent again over a link of which nothing is known: at its beginning, and for who
/// sends no feedback but requests.
const UNKNOWN_BITRATE: f64 = 500_000.0;

/// The bytes that may be sent again over one link (a token bucket).
#[derive(Debug, Default)]
pub(crate) struct RtxBudget {
    bytes: f64,
    /// When it was last filled.
    filled: Duration,
}

impl RtxBudget {
    /// Takes `size` bytes at `now`, by the estimate of the link, if there is one. Returns whether
    /// there were any left.
    pub(crate) fn take(&mut self, now: Duration, link: Option<&Estimate>, size: usize) -> bool {
        let share = |link: &Estimate| match link.usage {
            Usage::Underuse | Usage::Normal => SHARE,
            Usage::Overuse => SHARE_OVERUSED,
        };
        let bitrate = link.map_or(UNKNOWN_BITRATE, |link| {
            (f64::from(link.acked_bitrate) * share(link)).max(MIN_BITRATE)
        });
        let rate = bitrate / 8.0;
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = now;
        self.bytes = (self.bytes + rate * passed).min(rate * SAVED);
        // The last one may exceed it: it may be as large as all there is.
        let may = self.bytes > 0.0;
        if may {
            self.bytes -= size as f64;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(acked_bitrate: u32, usage: Usage) -> Estimate {
        Estimate {
            acked_bitrate,
            loss: 0.0,
            queue: Duration::ZERO,
            usage,
            probe_bitrate: None,
        }
    }

    /// How many of 100 packets of 1000 bytes a second go out again in ten seconds.
    fn again(link: Option<Estimate>) -> usize {
        let mut budget = RtxBudget::default();
        let asked = (0..1000).map(|n| Duration::from_secs(100) + Duration::from_millis(n * 10));
        asked
            .filter(|now| budget.take(*now, link.as_ref(), 1000))
            .count()
    }

    #[test]
    fn a_share_of_what_arrives_is_sent_again() {
        for (acked_bitrate, usage, packets) in [
            (800_000, Usage::Underuse, 250),
            (800_000, Usage::Overuse, 50),
            (80_000, Usage::Underuse, 25),
            (0, Usage::Overuse, 12),
        ] {
            let sent = again(Some(link(acked_bitrate, usage)));
            let most = packets + packets / 8 + 2;
            assert!((packets..most).contains(&sent), "{sent} of {packets}");
        }
        assert_eq!(again(Some(link(8_000_000, Usage::Underuse))), 1000);
    }

    #[test]
    fn so_it_is_of_a_link_of_which_nothing_is_known() {
        let most = (UNKNOWN_BITRATE * (10.0 + SAVED) / 8_000.0) as usize;
        let sent = again(None);
        assert!((most - 10..=most + 1).contains(&sent), "{sent} of {most}");
    }
}
