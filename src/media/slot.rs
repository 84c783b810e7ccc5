//! A downlink slot: an m-line negotiated at join and fed later, from one tap or another, or
//! never. Its SSRC, payload type, sequence and time line are its own and outlive its sources.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::offer::Line;
use super::pipeline::running_time;
use super::rewrite::{Entry, Rewriter, SlotParams, Verdict};
use super::rtp::{PayloadFormat, RtpHeader, Vp8Descriptor, starts_keyframe};
use super::tap::{self, Link, Tap};

/// At most this much waits in a slot; a peer whose link or pipeline stalls loses the oldest.
const SLOT_QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// A downlink slot of one peer.
#[derive(Debug)]
pub struct Slot {
    line: Line,
    ssrc: u32,
    shared: Arc<Shared>,
    link: Option<Link>,
}

/// What the streaming threads of a tap and of the peer touch.
struct Shared {
    appsrc: gst_app::AppSrc,
    format: PayloadFormat,
    rewriter: Mutex<Rewriter>,
    source: Mutex<Option<Tap>>,
    packets: AtomicU64,
}

/// What a slot is fed.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// Where its packets come from.
    pub tap: &'a Tap,
    /// Named as contributing source (CSRC, RFC 3550 section 5.1) in every packet.
    pub contributor: Option<u32>,
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
        let caps = caps_with_ssrc(&line, ssrc);
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
            clock_rate: line.clock_rate().unsigned_abs(),
            first_seq: rand::random(),
            first_timestamp: rand::random(),
            entry: match line.format {
                PayloadFormat::Opus => Entry::AnyPacket,
                _ => Entry::Keyframe,
            },
        });
        let shared = Arc::new(Shared {
            appsrc,
            format: line.format,
            rewriter: Mutex::new(rewriter),
            source: Mutex::new(None),
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
            link: None,
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

    /// Packets sent so far.
    pub fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Feeds the slot from now on, or from nothing. The old source is let go first; video starts
    /// with the new one's next keyframe, which is asked for. `opened` is called on a streaming
    /// thread when the first packet has gone out, and must not block.
    pub fn feed(&mut self, feed: Option<Feed<'_>>, opened: impl FnOnce() + Send + 'static) {
        self.link = None;
        *self.shared.source.lock() = feed.map(|feed| feed.tap.clone());
        let Some(Feed { tap, contributor }) = feed else {
            return;
        };
        let mut rewriter = self.shared.rewriter.lock();
        match tap.ssrc() {
            // Nothing of the old source can come any more: its link is gone. A source that comes
            // back must not be taken for its own straggler.
            Some(ssrc) => rewriter.switch_to(ssrc),
            None => rewriter.switch(),
        }
        drop(rewriter);
        let shared = Arc::clone(&self.shared);
        let mut opened = Some(opened);
        self.link = Some(tap.connect(Box::new(move |packets, _caps| {
            if shared.deliver(packets, contributor)
                && let Some(opened) = opened.take()
            {
                opened();
            }
        })));
        if self.shared.format != PayloadFormat::Opus {
            tap.request_keyframe();
        }
    }
}

fn caps_with_ssrc(line: &Line, ssrc: u32) -> gst::Caps {
    let mut caps = line.caps();
    caps.make_mut().set("ssrc", ssrc);
    caps
}

impl Shared {
    /// Packets of the source, rewritten into the slot's own stream. True if any was sent.
    fn deliver(&self, packets: &[gst::Buffer], contributor: Option<u32>) -> bool {
        let mut rewritten = packets.iter().filter_map(|packet| {
            let mut rewritten = gst::Buffer::from_mut_slice(self.rewrite(packet, contributor)?);
            if let Some(rewritten) = rewritten.get_mut() {
                rewritten.set_pts(packet.pts());
                rewritten.set_dts(packet.dts());
            }
            Some(rewritten)
        });
        // A full or flushing queue is the peer's own trouble; its liveness check will tell.
        let sent = if packets.len() > 1 {
            let list: gst::BufferList = rewritten.collect();
            let sent = list.len();
            if sent > 0 {
                let _ = self.appsrc.push_buffer_list(list);
            }
            sent
        } else if let Some(packet) = rewritten.next() {
            let _ = self.appsrc.push_buffer(packet);
            1
        } else {
            0
        };
        self.packets.fetch_add(sent as u64, Ordering::Relaxed);
        sent > 0
    }

    fn rewrite(&self, buffer: &gst::Buffer, contributor: Option<u32>) -> Option<Vec<u8>> {
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
            PayloadFormat::Vp8 => Vp8Descriptor::parse(payload),
            _ => None,
        };
        let now = Duration::from_nanos(running_time().nseconds());
        let keyframe = starts_keyframe(self.format, payload);
        let mut rewriter = self.rewriter.lock();
        let Verdict::Forward(header) = rewriter.rewrite(now, &header, keyframe) else {
            return None;
        };
        let numbers = vp8.map(|descriptor| (descriptor, rewriter.rewrite_vp8(&descriptor)));
        drop(rewriter);
        let mut packet = header.packet(contributor, payload);
        if let Some((descriptor, numbers)) = numbers {
            let start = packet.len() - payload.len();
            descriptor.write(packet.get_mut(start..)?, &numbers);
        }
        Some(packet)
    }
}
