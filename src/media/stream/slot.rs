//! A downlink slot: an m-line negotiated at join and fed later, from one tap or another, or
//! never. Its SSRC, payload type, sequence and time line are its own and outlive its sources.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::pacer::{Pacer, Pacing};
use super::rtx_budget::History;
use super::tap::{self, Link, Tap};
use crate::codec::Codec;
use crate::media::bwe::packet_train;
use crate::media::bwe::twcc::TRANSPORT_WIDE_CC;
use crate::media::gst::pipeline::{now, running_time};
use crate::media::rtp::payload::{RtpHeader, Vp8Descriptor, starts_keyframe};
use crate::media::rtp::rewrite::{Entry, Reason, Rewriter, SlotParams, Verdict};
use crate::media::sdp::offer::Line;

/// At most this much waits in a slot; a peer whose link or pipeline stalls loses the oldest.
const SLOT_QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// How long a source that sends may leave a request for a keyframe unanswered until it is asked
/// again: requests are not repeated when they are lost.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A downlink slot of one peer.
#[derive(Debug)]
pub struct Slot {
    line: Line,
    ssrc: u32,
    shared: Arc<Shared>,
    /// The source that has the slot and the one that is to follow, and perhaps ones that are past.
    sources: Vec<Source>,
    /// Counts the sources.
    newest: u64,
}

/// A source connected to a slot.
#[derive(Debug)]
struct Source {
    number: u64,
    tap: Tap,
    _link: Link,
}

/// What the streaming threads of a tap and of the peer touch.
struct Shared {
    appsrc: gst_app::AppSrc,
    pacer: Pacer,
    format: Codec,
    /// The header extension in which packets have room for a number ([`crate::media::peer::link_monitor`]).
    numbered: Option<u8>,
    gate: Mutex<Gate>,
    history: Mutex<History>,
    /// Who is asked for keyframes.
    source: Mutex<Option<Tap>>,
    /// When they were last, running time in ns.
    asked: AtomicU64,
    packets: AtomicU64,
}

/// Whose packets are let through. Never held while a tap is disconnected: taps hold a lock of
/// their own while they deliver.
struct Gate {
    rewriter: Rewriter,
    /// The number of the source that has the slot; of none if it is zero.
    current: u64,
    /// The number of the one that takes it over as soon as it can.
    next: Option<u64>,
    /// To be told when the newest source delivers.
    opened: Option<Opened>,
    newest: Newest,
}

/// The last packets sent.
#[derive(Debug, Default)]
struct Newest {
    /// Their numbers and sizes in bytes, the oldest first.
    packets: VecDeque<(u16, usize)>,
    bytes: usize,
    /// Running time of the last one.
    at: Duration,
}

impl Newest {
    fn note(&mut self, now: Duration, number: u16, size: usize) {
        self.at = now;
        self.bytes += size;
        self.packets.push_back((number, size));
        while let Some((_, first)) = self.packets.front()
            && (self.bytes - first >= packet_train::ENOUGH
                || self.packets.len() > packet_train::MOST)
        {
            self.bytes -= first;
            self.packets.pop_front();
        }
    }
}

/// Called once, on a streaming thread; must not block.
type Opened = Box<dyn FnOnce() + Send>;

/// What a slot is fed.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// Where its packets come from.
    pub tap: &'a Tap,
    /// Named as contributing source (CSRC, RFC 3550 section 5.1) in every packet.
    pub contributor: Option<u32>,
    /// What becomes of the source before.
    pub change: Change,
}

/// How a slot gets from one source to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The old one is let go at once: it is somebody else.
    AtOnce,
    /// The old one goes on until the new one's first keyframe: it is the same in another form.
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
    /// A slot for an m-line, with an SSRC of its own. Its source element is
    /// [`Slot::element`].
    pub fn new(line: Line) -> Self {
        let ssrc = rand::random::<u32>().max(1);
        // rtpsession is not to know of the numbers in what is sent: it would number the packets
        // itself, and remember each until feedback comes, if ever.
        let plain = Line {
            extensions: Vec::new(),
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
            payload_type: line.payload_type,
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
            gate: Mutex::new(Gate {
                rewriter,
                current: 0,
                next: None,
                opened: None,
                newest: Newest::default(),
            }),
            history: Mutex::default(),
            source: Mutex::new(None),
            asked: AtomicU64::new(0),
            packets: AtomicU64::new(0),
        });
        // A viewer's PLI or FIR goes to whoever feeds the slot when it comes.
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
            newest: 0,
        }
    }

    /// The `appsrc` to link to the peer's webrtcbin.
    pub fn element(&self) -> &gst_app::AppSrc {
        &self.shared.appsrc
    }

    /// The m-line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The SSRC of everything this slot sends.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Caps of the transceiver: the line's, with the slot's SSRC.
    pub fn caps(&self) -> gst::Caps {
        caps_with_ssrc(&self.line, self.ssrc)
    }

    /// Sends like this from now on, so that what comes at once is spread; as it comes if that is
    /// `None`.
    pub fn pace(&self, pacing: Option<Pacing>) {
        self.shared.pacer.limit(pacing);
    }

    /// Says of a packet of this slot, by its sequence number, how many bytes it has, or that there
    /// is no use in sending it again: where the picture is paced, nothing before its newest keyframe
    /// is worth the time.
    pub fn wanted_again(&self) -> Box<dyn Fn(u16) -> Option<usize> + Send + Sync> {
        let shared = Arc::downgrade(&self.shared);
        Box::new(move |seq| {
            let shared = shared.upgrade()?;
            let history = shared.history.lock();
            let useless = history.is_past(seq) && shared.pacer.is_limited();
            (!useless).then(|| history.size(seq))
        })
    }

    /// The numbers of the last packets sent, the oldest first: as many as make up `bytes`, which is
    /// `packet_train::ENOUGH` at most.
    pub fn newest(&self, bytes: usize) -> Vec<u16> {
        let gate = self.shared.gate.lock();
        let mut missing = bytes;
        let packets = gate.newest.packets.iter().rev();
        let packets = packets.take_while(|(_, size)| {
            let more = missing > 0;
            missing = missing.saturating_sub(*size);
            more
        });
        let mut numbers: Vec<u16> = packets.map(|(number, _)| *number).collect();
        numbers.reverse();
        numbers
    }

    /// Running time of the last of them.
    pub fn last_sent(&self) -> Duration {
        self.shared.gate.lock().newest.at
    }

    /// Packets sent so far.
    pub fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Feeds the slot from now on, or from nothing. Video starts with the new source's next
    /// keyframe, which is asked for; [`Change`] says what is sent until then. `opened` is called
    /// on a streaming thread when the first packet has gone out, and must not block.
    pub fn feed(&mut self, feed: Option<Feed<'_>>, opened: impl FnOnce() + Send + 'static) {
        *self.shared.source.lock() = feed.map(|feed| feed.tap.clone());
        let current = match feed.map(|feed| feed.change) {
            Some(Change::WhenReady) if self.shared.format != Codec::Opus => {
                let gate = &mut *self.shared.gate.lock();
                (gate.next, gate.opened) = (None, None);
                gate.current
            }
            _ => self.shared.shut(),
        };
        self.sources.retain(|source| source.number == current);
        let Some(Feed {
            tap, contributor, ..
        }) = feed
        else {
            return;
        };
        let opened: Opened = Box::new(opened);
        if self.sources.iter().any(|source| source.tap.is_same(tap)) {
            // It was to be left, and has not been.
            self.shared.gate.lock().opened = Some(opened);
            return;
        }
        self.newest += 1;
        let number = self.newest;
        self.shared.expect(number, tap.ssrc(), opened);
        let shared = Arc::clone(&self.shared);
        let link = tap.connect(Box::new(move |packets, _caps| {
            shared.deliver(number, packets, contributor);
        }));
        self.sources.push(Source {
            number,
            tap: tap.clone(),
            _link: link,
        });
        if self.shared.format != Codec::Opus {
            let now = running_time().nseconds();
            self.shared.asked.store(now, Ordering::Relaxed);
            tap.request_keyframe();
        }
    }

    /// Disconnects what does not have the slot any more. To be called when `opened` has been:
    /// a streaming thread of one tap must not wait for another's.
    pub fn settle(&mut self) {
        let (current, next) = {
            let gate = self.shared.gate.lock();
            (gate.current, gate.next)
        };
        self.sources
            .retain(|source| source.number == current || Some(source.number) == next);
    }
}

fn caps_with_ssrc(line: &Line, ssrc: u32) -> gst::Caps {
    let mut caps = line.caps();
    caps.make_mut().set("ssrc", ssrc);
    caps
}

impl Shared {
    /// Lets nobody through any more, nor what is on its way. Returns that nobody has the slot.
    fn shut(&self) -> u64 {
        self.pacer.clear();
        let gate = &mut *self.gate.lock();
        (gate.current, gate.next, gate.opened) = (0, None, None);
        gate.current
    }

    /// The source of that number takes the slot over as soon as it can.
    fn expect(&self, number: u64, ssrc: Option<u32>, opened: Opened) {
        let gate = &mut *self.gate.lock();
        gate.next = Some(number);
        gate.opened = Some(opened);
        // A source that comes back must not be taken for its own straggler. Where there is none
        // any more, nothing of it can come: its link is gone.
        match (gate.current, ssrc) {
            (0, Some(ssrc)) => gate.rewriter.switch_to(ssrc),
            (0, None) => gate.rewriter.switch(),
            (_, Some(ssrc)) => gate.rewriter.expect(ssrc),
            (_, None) => {}
        }
    }

    /// Packets of a source, rewritten into the slot's own stream.
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

    /// Asks for the keyframe that is awaited once more, if that was long ago.
    fn ask_again(&self, now: Duration) {
        let asked = Duration::from_nanos(self.asked.load(Ordering::Relaxed));
        if now < asked + ASK_AGAIN {
            return;
        }
        let at = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.asked.store(at, Ordering::Relaxed);
        let source = self.source.lock().clone();
        if let Some(source) = source {
            source.request_keyframe();
        }
    }

    /// Whom to tell, if the source of that number is the one awaited.
    fn opened(&self, number: u64) -> Option<Opened> {
        let gate = &mut *self.gate.lock();
        let awaited = gate.current == number && gate.next.is_none();
        gate.opened.take_if(|_| awaited)
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
        let mut gate = self.gate.lock();
        if number != gate.current && Some(number) != gate.next {
            return None;
        }
        let header = match gate.rewriter.rewrite(now, &header, keyframe) {
            Verdict::Forward(header) => header,
            Verdict::Drop(reason) => {
                drop(gate);
                if reason == Reason::AwaitingKeyframe {
                    self.ask_again(now);
                }
                return None;
            }
        };
        if number != gate.current {
            (gate.current, gate.next) = (number, None);
        }
        let numbers = vp8.map(|descriptor| (descriptor, gate.rewriter.rewrite_vp8(&descriptor)));
        gate.newest.note(now, header.seq, payload.len());
        drop(gate);
        let mut packet = header.packet(contributor, self.numbered, payload);
        if self.format != Codec::Opus {
            let mut history = self.history.lock();
            history.note(header.seq, header.timestamp, packet.len(), keyframe);
        }
        if let Some((descriptor, numbers)) = numbers {
            let start = packet.len() - payload.len();
            descriptor.write(packet.get_mut(start..)?, &numbers);
        }
        Some(packet)
    }
}
