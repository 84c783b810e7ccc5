//! A downlink slot: an m-line negotiated at join and fed later, from one tap or another, or
//! never. Its SSRC, payload type, sequence and time line are its own and outlive its sources.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::offer::Line;
use super::pipeline::running_time;
use super::rewrite::{Entry, Rewriter, SlotParams, Verdict};
use super::rtp::{PayloadFormat, RtpHeader, Vp8Descriptor, Vp8Numbers, starts_keyframe};
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

    /// Feeds the slot from `tap` from now on, or from nothing. The old source is let go first;
    /// video starts with the new one's next keyframe, which is asked for.
    pub fn feed(&mut self, tap: Option<&Tap>) {
        self.link = None;
        *self.shared.source.lock() = tap.cloned();
        let Some(tap) = tap else {
            return;
        };
        self.shared.rewriter.lock().switch();
        let shared = Arc::clone(&self.shared);
        self.link = Some(tap.connect(Box::new(move |buffer, _caps| shared.deliver(buffer))));
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
    /// One packet of the source, rewritten into the slot's own stream.
    fn deliver(&self, buffer: &gst::Buffer) {
        let Some((header, keyframe, vp8)) = self.inspect(buffer) else {
            return;
        };
        let now = Duration::from_nanos(running_time().nseconds());
        let mut rewriter = self.rewriter.lock();
        let Verdict::Forward(header) = rewriter.rewrite(now, &header, keyframe) else {
            return;
        };
        let numbers = vp8.map(|descriptor| (descriptor, rewriter.rewrite_vp8(&descriptor)));
        drop(rewriter);
        let mut copy = buffer.copy();
        if write(copy.make_mut(), &header, numbers.as_ref()).is_some() {
            // A full or flushing queue is the peer's own trouble; its liveness check will tell.
            let _ = self.appsrc.push_buffer(copy);
        }
    }

    fn inspect(&self, buffer: &gst::Buffer) -> Option<(RtpHeader, bool, Option<Vp8Descriptor>)> {
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
        Some((header, starts_keyframe(self.format, payload), vp8))
    }
}

/// Puts the slot's numbers into a packet. Only the memory that holds them is copied.
fn write(
    buffer: &mut gst::BufferRef,
    header: &RtpHeader,
    vp8: Option<&(Vp8Descriptor, Vp8Numbers)>,
) -> Option<()> {
    let mut rtp = gst_rtp::RTPBuffer::from_buffer_writable(buffer).ok()?;
    rtp.set_payload_type(header.payload_type);
    rtp.set_seq(header.seq);
    rtp.set_timestamp(header.timestamp);
    rtp.set_ssrc(header.ssrc);
    rtp.set_marker(header.marker);
    if let Some((descriptor, numbers)) = vp8 {
        descriptor.write(rtp.payload_mut().ok()?, numbers);
    }
    Some(())
}
