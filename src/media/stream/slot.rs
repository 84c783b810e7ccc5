//! A downlink slot (LiveKit: `DownTrack`, mediasoup: `Consumer`): an m-line negotiated at join and
//! fed later, from one tap or another, or never. Its SSRC, payload type, sequence numbers and
//! timeline are its own and outlive its sources.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::pacer::{Pacer, Pacing};
use super::recent_packets::RecentPackets;
use super::rtx_budget::History;
use super::since_keyframe::Backlog;
use super::tap::{self, Deliver, Subscription, Tap};
use crate::codec::Codec;
use crate::media::gst::pipeline::{now, running_time};
use crate::media::rtp::extensions::TRANSPORT_WIDE_CC;
use crate::media::rtp::header::RtpHeader;
use crate::media::rtp::payload::starts_keyframe;
use crate::media::rtp::payload::vp8::Vp8Descriptor;
use crate::media::rtp::rewrite::{DropReason, Entry, Rewriter, SlotParams, Verdict};
use crate::media::sdp::line::Line;

/// Packets that wait in a slot at most. A peer whose link or pipeline stalls loses the oldest.
const SLOT_QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// Time after which an unanswered keyframe request is repeated, while the source sends packets. A
/// request that is lost is repeated by nobody else.
const REQUEST_AGAIN: Duration = Duration::from_secs(1);

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
    appsrc: gst_app::AppSrc,
    pacer: Pacer,
    format: Codec,
    /// Id of the header extension that packets leave room for: that of the transport-wide sequence
    /// number, which is written as they leave the peer.
    numbered: Option<u8>,
    switch: Mutex<Switch>,
    history: Mutex<History>,
    /// The tap that keyframes are requested from.
    source: Mutex<Option<Tap>>,
    /// Running time of the last request, ns.
    requested: AtomicU64,
    packets: AtomicU64,
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
    recent: RecentPackets,
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
    /// Makes a slot for an m-line, with an SSRC of its own.
    pub(crate) fn new(line: Line) -> Self {
        let ssrc = rand::random::<u32>().max(1);
        // rtpsession must not know that packets are numbered: it would number them itself, and
        // remember each until feedback comes, if ever.
        let plain = Line {
            extensions: Vec::new(),
            legacy: None,
            payload_type: inner_payload_type(&line),
            ..line.clone()
        };
        let caps = caps_with_ssrc(&plain, ssrc);
        let appsrc = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            .block(false)
            .max_time(SLOT_QUEUE)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            .min_latency(0)
            .build();
        let rewriter = Rewriter::new(SlotParams {
            ssrc,
            payload_type: plain.payload_type,
            clock_rate: line.format.clock_rate(),
            first_seq: rand::random(),
            first_timestamp: rand::random(),
            entry: match line.format {
                Codec::Opus => Entry::AnyPacket,
                _ => Entry::Keyframe,
            },
        });
        let shared = Arc::new(Shared {
            pacer: Pacer::new(appsrc.clone()),
            appsrc,
            format: line.format,
            numbered: line.extension(TRANSPORT_WIDE_CC),
            switch: Mutex::new(Switch {
                rewriter,
                current: 0,
                next: None,
                opened: None,
                recent: RecentPackets::default(),
            }),
            history: Mutex::default(),
            source: Mutex::new(None),
            requested: AtomicU64::new(0),
            packets: AtomicU64::new(0),
        });
        // A viewer's PLI or FIR goes to the source that feeds the slot when it comes.
        let weak = Arc::downgrade(&shared);
        tap::relay_keyframe_requests(&shared.appsrc, move || {
            weak.upgrade()
                .and_then(|shared| shared.source.lock().clone())
        });
        Self {
            line,
            ssrc,
            shared,
            sources: Vec::new(),
            last_source: 0,
        }
    }

    /// The `appsrc` to link to the peer's webrtcbin.
    pub(crate) fn element(&self) -> &gst_app::AppSrc {
        &self.shared.appsrc
    }

    /// The m-line, as it was answered.
    pub(crate) fn line(&self) -> &Line {
        &self.line
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

    /// A function that says of a packet of this slot, by its sequence number, how many bytes it
    /// has; `None` if there is no use in sending it again. Where the picture is paced, packets
    /// before its newest keyframe are not worth the time.
    pub(crate) fn wanted_again(&self) -> Box<dyn Fn(u16) -> Option<usize> + Send + Sync> {
        let shared = Arc::downgrade(&self.shared);
        Box::new(move |seq| {
            let shared = shared.upgrade()?;
            let history = shared.history.lock();
            let useless = history.is_before_keyframe(seq) && shared.pacer.is_limited();
            (!useless).then(|| history.size(seq))
        })
    }

    /// Sequence numbers of the last packets sent, the oldest first: as many as make
    /// up `bytes`, at most [`crate::media::bwe::packet_train::TARGET_BYTES`].
    pub(crate) fn recent_packets(&self, bytes: usize) -> Vec<u16> {
        self.shared.switch.lock().recent.newest(bytes)
    }

    /// Running time at which the last packet was sent; zero before the first.
    pub(crate) fn last_sent(&self) -> Duration {
        self.shared.switch.lock().recent.last_sent()
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
    const OPUS: u8 = 111;
    line.legacy.map_or(line.payload_type, |_| OPUS)
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
        let rewritten = packets.iter().filter_map(|packet| {
            let bytes = self.rewrite(number, packet, contributor)?;
            let mut rewritten = gst::Buffer::from_mut_slice(bytes);
            if let Some(rewritten) = rewritten.get_mut() {
                rewritten.set_pts(packet.pts());
                rewritten.set_dts(packet.dts());
            }
            Some(rewritten)
        });
        // What becomes of them is the peer's own trouble; its liveness check will tell.
        let rewritten: Vec<gst::Buffer> = rewritten.collect();
        let sent = rewritten.len();
        if sent > 0 {
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
    ) -> Option<Vec<u8>> {
        let rtp = gst_rtp::RTPBuffer::from_buffer_readable(buffer).ok()?;
        let header = RtpHeader {
            payload_type: rtp.payload_type(),
            seq: rtp.seq(),
            timestamp: rtp.timestamp(),
            ssrc: rtp.ssrc(),
            marker: rtp.is_marker(),
        };
        let payload = rtp.payload().ok()?;
        let vp8 = match self.format {
            Codec::Vp8 => Vp8Descriptor::parse(payload),
            _ => None,
        };
        let now = now();
        let keyframe = starts_keyframe(self.format, payload);
        let mut switch = self.switch.lock();
        if number != switch.current && Some(number) != switch.next {
            return None;
        }
        let header = match switch.rewriter.rewrite(now, &header, keyframe) {
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
        let numbers = vp8.map(|descriptor| (descriptor, switch.rewriter.rewrite_vp8(&descriptor)));
        switch.recent.record(now, header.seq, payload.len());
        drop(switch);
        let mut packet = header.packet(contributor, self.numbered, payload);
        if self.format != Codec::Opus {
            let mut history = self.history.lock();
            history.record(header.seq, header.timestamp, packet.len(), keyframe);
        }
        if let Some((descriptor, numbers)) = numbers {
            let start = packet.len() - payload.len();
            descriptor.write(packet.get_mut(start..)?, &numbers);
        }
        Some(packet)
    }
}
