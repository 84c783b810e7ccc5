//! Which of the packets that a receiver misses are sent again.
//!
//! Over a link that is too narrow for what is sent, most of it is lost, and asked for again: to
//! answer that is to send it two and three times, and to keep sound out for as long. So what is
//! sent again is a share of what arrives, and where the picture is held to what a link carries it
//! is nothing of which a newer keyframe has come.
//!
//! Threads: requests come on the thread that receives RTCP, packets are noted on the one that
//! sends, each under one short lock.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use crate::media::bwe::delay::{Estimate, Load};
use crate::media::bwe::packet_train;

/// The share of what arrives that is sent again at most, over a link that carries what is sent...
const LIGHT: f64 = 0.25;
/// ... and over one that does not: sound is waiting.
const HEAVY: f64 = 0.05;
/// For how long nothing may have been asked for, and all of it be had at once. Losses come in bursts.
const SAVED: f64 = 0.5;
/// bit/s that may be sent again over any link.
const LEAST: f64 = 10_000.0;
/// Packets of a slot that are remembered: more than can be asked for.
const REMEMBERED: usize = 1024;

/// What a slot has sent; pure.
#[derive(Debug, Default)]
pub struct History {
    /// Bytes, by the sequence number.
    sizes: Vec<u16>,
    /// Timestamp and first sequence number of the newest keyframe.
    key: Option<(u32, u16)>,
}

impl History {
    /// Notes a packet of `size` bytes. `keyframe` is whether one starts with it.
    pub fn note(&mut self, seq: u16, timestamp: u32, size: usize, keyframe: bool) {
        self.sizes.resize(REMEMBERED, 0);
        if let Some(place) = self.sizes.get_mut(usize::from(seq) % REMEMBERED) {
            *place = u16::try_from(size).unwrap_or(u16::MAX);
        }
        // A keyframe of H.264 has more than one packet that could be its first.
        if keyframe && self.key.is_none_or(|(newest, _)| newest != timestamp) {
            self.key = Some((timestamp, seq));
        }
    }

    /// Whether a packet came before the newest keyframe.
    pub fn is_past(&self, seq: u16) -> bool {
        self.key
            .is_some_and(|(_, key)| seq.wrapping_sub(key) >= 0x8000)
    }

    /// Bytes of a packet; of another one if it has been forgotten.
    pub fn size(&self, seq: u16) -> usize {
        let size = self.sizes.get(usize::from(seq) % REMEMBERED);
        size.copied().map_or(0, usize::from)
    }
}

/// How much may be sent again; pure.
#[derive(Debug, Default)]
struct Allowance {
    bytes: f64,
    filled: Duration,
}

impl Allowance {
    /// Whether `size` bytes may be sent again at `now`, by what is known of the link.
    fn take(&mut self, now: Duration, link: &Estimate, size: usize) -> bool {
        let share = match link.load {
            Load::Light | Load::Steady => LIGHT,
            Load::Heavy => HEAVY,
        };
        let rate = (f64::from(link.arriving) * share).max(LEAST) / 8.0;
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

/// Whose packets are asked for: `None` where there is no use in a packet, else its size.
type Wanted = Box<dyn Fn(u16) -> Option<usize> + Send + Sync>;

/// Decides for one connection. Cloning shares it.
#[derive(Clone, Default)]
pub struct Resends(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    allowance: Allowance,
    /// By SSRC.
    slots: Vec<(u32, Wanted)>,
    /// `None` while nothing is known of it.
    link: Option<Estimate>,
}

impl std::fmt::Debug for Resends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resends").finish_non_exhaustive()
    }
}

impl Resends {
    /// Decides on what the elements that `webrtc` makes from now on are asked for. `now` is the
    /// time on a clock that does not go back.
    pub fn install(webrtc: &gst::Element, now: fn() -> Duration) -> Self {
        let resends = Self::default();
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            let inner = Arc::downgrade(&resends.0);
            bin.connect_deep_element_added(move |_, _, element| {
                let is_ours = element.factory().is_some_and(|f| f.name() == "rtprtxsend");
                let Some(pad) = element.static_pad("src").filter(|_| is_ours) else {
                    return;
                };
                let inner = inner.clone();
                pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                    let (Some(inner), Some(asked)) = (inner.upgrade(), asked(info)) else {
                        return gst::PadProbeReturn::Ok;
                    };
                    let (ssrc, seq) = asked;
                    match inner.lock().allows(now(), ssrc, seq) {
                        true => gst::PadProbeReturn::Ok,
                        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the event
                        // once more.
                        false => gst::PadProbeReturn::Handled,
                    }
                });
            });
        }
        resends
    }

    /// From now on `wanted` is asked of the packets of an SSRC.
    pub fn add(&self, ssrc: u32, wanted: Wanted) {
        self.0.lock().slots.push((ssrc, wanted));
    }

    /// What is known of the link now.
    pub fn know(&self, link: Option<Estimate>) {
        self.0.lock().link = link;
    }
}

impl Inner {
    fn allows(&mut self, now: Duration, ssrc: u32, seq: u16) -> bool {
        let slot = self.slots.iter().find(|(of, _)| *of == ssrc);
        let Some(size) = slot.map_or(Some(0), |(_, wanted)| wanted(seq)) else {
            return false;
        };
        match &self.link {
            Some(link) => self.allowance.take(now, link, size),
            None => true,
        }
    }
}

/// SSRC and sequence number, if it is a request for a packet that is missed.
fn asked(info: &gst::PadProbeInfo<'_>) -> Option<(u32, u16)> {
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

    fn link(arriving: u32, load: Load) -> Estimate {
        Estimate {
            arriving,
            loss: 0.0,
            queue: Duration::ZERO,
            load,
            train: None,
        }
    }

    /// How many of 100 packets of 1000 bytes a second go out again in ten seconds.
    fn again(link: &Estimate) -> usize {
        let mut allowance = Allowance::default();
        let asked = (0..1000).map(|n| Duration::from_secs(100) + Duration::from_millis(n * 10));
        asked.filter(|now| allowance.take(*now, link, 1000)).count()
    }

    #[test]
    fn a_share_of_what_arrives_is_sent_again() {
        for (arriving, load, packets) in [
            (800_000, Load::Light, 250),
            (800_000, Load::Heavy, 50),
            (80_000, Load::Light, 25),
            (0, Load::Heavy, 12),
        ] {
            let sent = again(&link(arriving, load));
            let most = packets + packets / 8 + 2;
            assert!((packets..most).contains(&sent), "{sent} of {packets}");
        }
        assert_eq!(again(&link(8_000_000, Load::Light)), 1000);
    }

    #[test]
    fn what_a_keyframe_follows_is_past() {
        let mut history = History::default();
        assert!(!history.is_past(7));
        for (seq, timestamp, keyframe) in [
            (65_533, 1, true),
            (65_534, 2, false),
            (65_535, 3, true),
            // Parameter sets and what follows them.
            (0, 3, true),
            (1, 4, false),
        ] {
            history.note(seq, timestamp, usize::from(seq) % 100, keyframe);
        }
        let past = [65_533, 65_534, 65_535, 0, 1].map(|seq| history.is_past(seq));
        assert_eq!(past, [true, true, false, false, false]);
        assert_eq!([65_534, 1].map(|seq| history.size(seq)), [34, 1]);
    }

    #[test]
    fn requests_of_a_connection_are_decided_on() {
        let resends = Resends::default();
        resends.add(5, Box::new(|seq| (seq > 10).then_some(1000)));
        let allows = |ssrc, seq| resends.0.lock().allows(Duration::ZERO, ssrc, seq);
        assert!(allows(5, 11) && !allows(5, 10) && allows(6, 10));
        resends.know(Some(link(0, Load::Heavy)));
        assert!(!allows(5, 11), "nothing has been saved");
        resends.know(None);
        assert!(allows(5, 11));
    }
}
