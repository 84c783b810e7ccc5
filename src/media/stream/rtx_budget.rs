//! The retransmission budget: which of the packets that a receiver misses are sent again (RTX).
//!
//! Over a link that is too narrow for what is sent, most packets are lost, and requested again. To
//! answer all requests is to send everything two and three times, and to keep sound out for as
//! long. So only a share of what arrives is sent again, and where the picture is paced nothing from
//! before its newest keyframe.
//!
//! Threads: requests come on the thread that receives RTCP, packets are noted on the one that
//! sends, each under one short lock.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::bwe::delay::{Estimate, Usage};
use crate::media::bwe::packet_train;

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
/// Packets of a slot that are remembered: more than can be requested.
const REMEMBERED: usize = 1024;

/// The packets that a slot has sent; pure.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Bytes of the packets, by sequence number modulo [`REMEMBERED`].
    sizes: Vec<u16>,
    /// Timestamp and first sequence number of the newest keyframe.
    keyframe: Option<(u32, u16)>,
}

impl History {
    /// Records a packet of `size` bytes that is sent, and whether a keyframe starts with it.
    pub(crate) fn record(&mut self, seq: u16, timestamp: u32, size: usize, starts_keyframe: bool) {
        self.sizes.resize(REMEMBERED, 0);
        if let Some(place) = self.sizes.get_mut(usize::from(seq) % REMEMBERED) {
            *place = u16::try_from(size).unwrap_or(u16::MAX);
        }
        // A keyframe of H.264 has more than one packet that could be its first.
        let is_other = self.keyframe.is_none_or(|(newest, _)| newest != timestamp);
        if starts_keyframe && is_other {
            self.keyframe = Some((timestamp, seq));
        }
    }

    /// Whether a packet was sent before the newest keyframe.
    pub(crate) fn is_before_keyframe(&self, seq: u16) -> bool {
        self.keyframe
            .is_some_and(|(_, first)| seq.wrapping_sub(first) >= 0x8000)
    }

    /// Bytes of a packet; those of another one if it has been forgotten.
    pub(crate) fn size(&self, seq: u16) -> usize {
        let size = self.sizes.get(usize::from(seq) % REMEMBERED);
        size.copied().map_or(0, usize::from)
    }
}

/// The bytes that may be sent again (a token bucket); pure.
#[derive(Debug, Default)]
struct Allowance {
    bytes: f64,
    /// When it was last filled.
    filled: Duration,
}

impl Allowance {
    /// Takes `size` bytes at `now`, by the estimate of the link, if there is one. Returns whether
    /// there were any left.
    fn take(&mut self, now: Duration, link: Option<&Estimate>, size: usize) -> bool {
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

/// Says of a packet, by its sequence number, how many bytes it has; `None` if there is no
/// use in sending it again.
type Wanted = Box<dyn Fn(u16) -> Option<usize> + Send + Sync>;

/// The retransmission budget of one connection. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct RtxBudget(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    allowance: Allowance,
    /// By the slot's SSRC.
    slots: Vec<(u32, Wanted)>,
    /// The last estimate; `None` while nothing is known of the link.
    link: Option<Estimate>,
}

impl std::fmt::Debug for RtxBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtxBudget").finish_non_exhaustive()
    }
}

impl RtxBudget {
    /// Applies to the rtprtxsend elements that `webrtc` makes from now on. `now` is the time on a
    /// clock that does not go back.
    pub(crate) fn install(webrtc: &gst::Element, now: fn() -> Duration) -> Self {
        let budget = Self::default();
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            let inner = Arc::downgrade(&budget.0);
            bin.connect_deep_element_added(move |_, _, element| {
                let is_ours = element.factory().is_some_and(|f| f.name() == "rtprtxsend");
                let Some(pad) = element.static_pad("src").filter(|_| is_ours) else {
                    return;
                };
                let inner = inner.clone();
                pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                    let (Some(inner), Some(packet)) = (inner.upgrade(), requested(info)) else {
                        return gst::PadProbeReturn::Ok;
                    };
                    let (ssrc, seq) = packet;
                    match inner.lock().allows(now(), ssrc, seq) {
                        true => gst::PadProbeReturn::Ok,
                        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the event
                        // once more.
                        false => gst::PadProbeReturn::Handled,
                    }
                });
            });
        }
        budget
    }

    /// Adds a slot: `wanted` says which of the packets of its SSRC are worth sending again.
    pub(crate) fn add(&self, ssrc: u32, wanted: Wanted) {
        self.0.lock().slots.push((ssrc, wanted));
    }

    /// Takes the estimate of the link, which decides how much may be sent again.
    pub(crate) fn set_estimate(&self, link: Option<Estimate>) {
        self.0.lock().link = link;
    }
}

impl Inner {
    fn allows(&mut self, now: Duration, ssrc: u32, seq: u16) -> bool {
        let slot = self.slots.iter().find(|(of, _)| *of == ssrc);
        let Some(size) = slot.map_or(Some(0), |(_, wanted)| wanted(seq)) else {
            return false;
        };
        self.allowance.take(now, self.link.as_ref(), size)
    }
}

/// SSRC and sequence number of the packet that an event requests again. `None` for other events,
/// and for requests that make a packet train.
fn requested(info: &gst::PadProbeInfo<'_>) -> Option<(u32, u16)> {
    let event = info.event()?.structure()?;
    if event.name() != "GstRTPRetransmissionRequest" || event.has_field(packet_train::MARK) {
        return None;
    }
    let seq = event.get::<u32>("seqnum").ok()?;
    Some((event.get("ssrc").ok()?, u16::try_from(seq).ok()?))
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
        let mut allowance = Allowance::default();
        let asked = (0..1000).map(|n| Duration::from_secs(100) + Duration::from_millis(n * 10));
        asked
            .filter(|now| allowance.take(*now, link.as_ref(), 1000))
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

    #[test]
    fn what_a_keyframe_follows_is_past() {
        let mut history = History::default();
        assert!(!history.is_before_keyframe(7));
        for (seq, timestamp, keyframe) in [
            (65_533, 1, true),
            (65_534, 2, false),
            (65_535, 3, true),
            // Parameter sets and what follows them.
            (0, 3, true),
            (1, 4, false),
        ] {
            history.record(seq, timestamp, usize::from(seq) % 100, keyframe);
        }
        let past = [65_533, 65_534, 65_535, 0, 1].map(|seq| history.is_before_keyframe(seq));
        assert_eq!(past, [true, true, false, false, false]);
        assert_eq!([65_534, 1].map(|seq| history.size(seq)), [34, 1]);
    }

    #[test]
    fn requests_of_a_connection_are_decided_on() {
        let budget = RtxBudget::default();
        budget.add(5, Box::new(|seq| (seq > 10).then_some(1000)));
        let allows = |at, ssrc, seq| budget.0.lock().allows(Duration::from_secs(at), ssrc, seq);
        assert!(allows(1, 5, 11) && !allows(1, 5, 10) && allows(1, 6, 10));
        budget.set_estimate(Some(link(0, Usage::Overuse)));
        assert!(
            allows(1, 5, 11) && !allows(1, 5, 11),
            "what is saved is cut"
        );
        budget.set_estimate(None);
        assert!(!allows(1, 5, 11) && allows(2, 5, 11));
    }
}
