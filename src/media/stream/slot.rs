//! A downlink slot (LiveKit: `DownTrack`, mediasoup: `Consumer`): an m-line negotiated at join and
//! fed later, from one tap or another, or never. Its SSRC, payload type, sequence numbers and
//! timeline are its own and outlive its sources.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::outgoing::{Outgoing, Outlet, Payload};
use super::pacer::{Pacer, Pacing};
use super::since_keyframe::Backlog;
use super::tap::{Deliver, Subscription, Tap};
use crate::codec::Codec;
use crate::media::gst::pipeline::{now, running_time};
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::payload::starts_keyframe;
use crate::media::rtp::payload::vp8::Vp8Descriptor;
use crate::media::rtp::rewrite::{DropReason, Entry, Rewriter, SlotParams, Verdict};
use crate::media::sdp::line::Line;

/// Time after which an unanswered keyframe request is repeated, while the source sends packets. A
/// request that is lost is repeated by nobody else.
const REQUEST_AGAIN: Duration = Duration::from_secs(1);

/// The payload type of Opus that is made another codec of behind the slot: none of the static ones.
pub(crate) const TRANSCODED: u8 = 111;

/// A downlink slot of one peer. Fed by the room, while packets pass on the streaming threads of
/// taps.
#[derive(Debug)]
pub struct Slot {
    line: Line,
    ssrc: u32,
    shared: Arc<Shared>,
    /// The source that has the slot, the one that is to follow, and perhaps past ones.
    sources: Vec<Source>,
    /// Number of the source that was connected last; zero before the first.
    last_source: u64,
}

/// A source connected to a slot.
#[derive(Debug)]
struct Source {
    number: u64,
    tap: Tap,
    _subscription: Subscription,
}

/// What the streaming threads of a tap and of the peer touch.
struct Shared {
    pacer: Pacer,
    format: Codec,
    switch: Mutex<Switch>,
    /// The tap that keyframes are requested from.
    source: Mutex<Option<Tap>>,
    /// Running time of the last request, ns.
    requested: AtomicU64,
    packets: AtomicU64,
    /// Running time at which the last packet was sent, ns.
    last_sent: AtomicU64,
}

/// Decides which source's packets are let through. Its lock is never held while a tap is
/// disconnected: taps hold a lock of their own while they deliver.
struct Switch {
    rewriter: Rewriter,
    /// Number of the source that has the slot; zero if none has.
    current: u64,
    /// Number of the source that takes it over as soon as it can.
    next: Option<u64>,
    /// Called when the source connected last delivers.
    opened: Option<Opened>,
}

/// Called once, on a streaming thread. Must not block.
type Opened = Box<dyn FnOnce() + Send>;

/// A source to feed a slot from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotFeed<'a> {
    pub(crate) tap: &'a Tap,
    /// Contributing source (CSRC, RFC 3550 section 5.1) to name in every packet.
    pub(crate) contributor: Option<u32>,
    /// What becomes of the source before.
    pub(crate) handoff: Handoff,
}

/// How a slot gets from one source to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handoff {
    /// The old source is let go at once. For a picture of somebody else.
    AtOnce,
    /// The old source goes on until the new one's first keyframe. For another
    /// encoding of the same picture.
    WhenReady,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Slot {
    /// Makes a slot for an m-line, whose packets have this SSRC and go to `outlet`.
    pub(crate) fn new(line: Line, ssrc: u32, outlet: Arc<dyn Outlet>) -> Self {
        let rewriter = Rewriter::new(SlotParams {
            ssrc,
            payload_type: inner_payload_type(&line),
            clock_rate: line.format.clock_rate(),
            // Far from where numbers wrap, for a receiver of SRTP that misses the first packets has
            // to guess whether they have (RFC 3711 section 3.3.1).
            first_seq: rand::random::<u16>() >> 1,
            first_timestamp: rand::random(),
            entry: match line.format {
                Codec::Opus => Entry::AnyPacket,
                _ => Entry::Keyframe,
            },
        });
        let shared = Arc::new(Shared {
            pacer: Pacer::new(outlet),
            format: line.format,
            switch: Mutex::new(Switch {
                rewriter,
                current: 0,
                next: None,
                opened: None,
            }),
            source: Mutex::new(None),
            requested: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            last_sent: AtomicU64::new(0),
        });
        Self {
            line,
            ssrc,
            shared,
            sources: Vec::new(),
            last_source: 0,
        }
    }

    /// Asks the source that feeds the slot for a keyframe, which the viewer wants.
    pub(crate) fn keyframe_requests(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.shared);
        move || {
            let source = shared.upgrade().and_then(|s| s.source.lock().clone());
            if let Some(source) = source {
                source.request_keyframe();
            }
        }
    }

    /// Whether packets are paced when it is called.
    pub(crate) fn is_paced(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.shared);
        move || {
            let shared = shared.upgrade();
            shared.is_some_and(|shared| shared.pacer.is_limited())
        }
    }

    /// The SSRC of everything this slot sends.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Caps of the transceiver: the line's, with the slot's SSRC.
    pub(crate) fn caps(&self) -> gst::Caps {
        caps_with_ssrc(&self.line, self.ssrc)
    }

    /// Paces packets like this from now on, so that large frames are spread;
    /// as they come with `None`.
    pub(crate) fn pace(&self, pacing: Option<Pacing>) {
        self.shared.pacer.limit(pacing);
    }

    /// Running time at which the last packet was sent; zero before the first.
    pub(crate) fn last_sent(&self) -> Duration {
        Duration::from_nanos(self.shared.last_sent.load(Ordering::Relaxed))
    }

    /// How many packets were sent so far.
    pub(crate) fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Feeds the slot from another source from now on, or from nothing. Video starts with
    /// the new source's next keyframe, which is requested; [`Handoff`] says what is sent
    /// until then. `opened` is called on a streaming thread when the first packet has gone
    /// out, and must not block.
    pub(crate) fn feed(
        &mut self,
        feed: Option<SlotFeed<'_>>,
        opened: impl FnOnce() + Send + 'static,
    ) {
        *self.shared.source.lock() = feed.map(|feed| feed.tap.clone());
        let current = match feed.map(|feed| feed.handoff) {
            Some(Handoff::WhenReady) if self.shared.format != Codec::Opus => {
                let switch = &mut *self.shared.switch.lock();
                (switch.next, switch.opened) = (None, None);
                switch.current
            }
            _ => self.shared.shut(),
        };
        self.sources.retain(|source| source.number == current);
        let Some(SlotFeed {
            tap, contributor, ..
        }) = feed
        else {
            return;
        };
        let opened: Opened = Box::new(opened);
        if self.sources.iter().any(|source| source.tap.is_same(tap)) {
            // It was to be left, and has not been.
            self.shared.switch.lock().opened = Some(opened);
            return;
        }
        self.last_source += 1;
        let number = self.last_source;
        self.shared.expect(number, tap.ssrc(), opened);
        let shared = Arc::clone(&self.shared);
        let deliver: Deliver = Box::new(move |packets, _caps| {
            shared.deliver(number, packets, contributor);
        });
        let subscription = tap.connect_with(Backlog::JustBegun, deliver);
        self.sources.push(Source {
            number,
            tap: tap.clone(),
            _subscription: subscription,
        });
        if self.shared.format != Codec::Opus {
            let now = running_time().nseconds();
            self.shared.requested.store(now, Ordering::Relaxed);
            tap.request_keyframe();
        }
    }

    /// Disconnects sources that do not have the slot any more. To be called after `opened` was, and
    /// not on a streaming thread: that of one tap must not wait for another's.
    pub(crate) fn settle(&mut self) {
        let (current, next) = {
            let switch = self.shared.switch.lock();
            (switch.current, switch.next)
        };
        self.sources
            .retain(|source| source.number == current || Some(source.number) == next);
    }
}

/// The payload type of what a slot gives: that of the line, or, where it is converted behind the slot,
/// one that Opus can have, which is none of the static ones.
fn inner_payload_type(line: &Line) -> u8 {
    line.legacy.map_or(line.payload_type, |_| TRANSCODED)
}

fn caps_with_ssrc(line: &Line, ssrc: u32) -> gst::Caps {
    let mut caps = line.caps();
    caps.make_mut().set("ssrc", ssrc);
    caps
}

impl Shared {
    /// Lets no source through any more, and drops what is held. Returns the number of the source
    /// that has the slot: none.
    fn shut(&self) -> u64 {
        self.pacer.clear();
        let switch = &mut *self.switch.lock();
        (switch.current, switch.next, switch.opened) = (0, None, None);
        switch.current
    }

    /// Lets the source of that number take the slot over as soon as it can.
    fn expect(&self, number: u64, ssrc: Option<u32>, opened: Opened) {
        let switch = &mut *self.switch.lock();
        switch.next = Some(number);
        switch.opened = Some(opened);
        // A source that comes back must not be taken for its own straggler. Where no source has the
        // slot there are no stragglers: its subscription is gone.
        match (switch.current, ssrc) {
            (0, Some(ssrc)) => switch.rewriter.switch_to(ssrc),
            (0, None) => switch.rewriter.switch(),
            (_, Some(ssrc)) => switch.rewriter.expect(ssrc),
            (_, None) => {}
        }
    }

    /// Rewrites packets of a source into the slot's own stream, and sends them.
    fn deliver(&self, number: u64, packets: &[gst::Buffer], contributor: Option<u32>) {
        let rewritten = packets.iter();
        let rewritten = rewritten.filter_map(|packet| self.rewrite(number, packet, contributor));
        let rewritten: Vec<Outgoing> = rewritten.collect();
        let sent = rewritten.len();
        if sent > 0 {
            let now = running_time().nseconds();
            self.last_sent.store(now, Ordering::Relaxed);
            // What becomes of them is the peer's own trouble; its liveness check will tell.
            self.pacer.send(rewritten);
        }
        self.packets.fetch_add(sent as u64, Ordering::Relaxed);
        if sent > 0
            && let Some(opened) = self.opened(number)
        {
            opened();
        }
    }

    /// Repeats the request for the keyframe that is awaited, if that was long ago.
    fn request_again(&self, now: Duration) {
        let requested = Duration::from_nanos(self.requested.load(Ordering::Relaxed));
        if now < requested + REQUEST_AGAIN {
            return;
        }
        let at = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.requested.store(at, Ordering::Relaxed);
        let source = self.source.lock().clone();
        if let Some(source) = source {
            source.request_keyframe();
        }
    }

    /// What to call, if the source of that number is the one awaited and has the slot.
    fn opened(&self, number: u64) -> Option<Opened> {
        let switch = &mut *self.switch.lock();
        let awaited = switch.current == number && switch.next.is_none();
        switch.opened.take_if(|_| awaited)
    }

    fn rewrite(
        &self,
        number: u64,
        buffer: &gst::Buffer,
        contributor: Option<u32>,
    ) -> Option<Outgoing> {
        let bytes = buffer.map_readable().ok()?;
        let (header, place) = RtpHeader::parse(&bytes)?;
        let payload = bytes.get(place.clone())?;
        let vp8 = match self.format {
            Codec::Vp8 => Vp8Descriptor::parse(payload),
            _ => None,
        };
        let now = now();
        let starts_keyframe = starts_keyframe(self.format, payload);
        let mut switch = self.switch.lock();
        if number != switch.current && Some(number) != switch.next {
            return None;
        }
        let header = match switch.rewriter.rewrite(now, &header, starts_keyframe) {
            Verdict::Forward(header) => header,
            Verdict::Drop(reason) => {
                drop(switch);
                if reason == DropReason::AwaitingKeyframe {
                    self.request_again(now);
                }
                return None;
            }
        };
        if number != switch.current {
            (switch.current, switch.next) = (number, None);
        }
        let vp8 = vp8.map(|descriptor| (descriptor, switch.rewriter.rewrite_vp8(&descriptor)));
        drop(switch);
        Some(Outgoing {
            header,
            contributor,
            starts_keyframe,
            media_time: buffer.pts().map_or(now, Duration::from),
            payload: Payload::new(buffer, place, vp8),
        })
    }
}
