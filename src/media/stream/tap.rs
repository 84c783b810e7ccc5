//! A tap: the point where RTP leaves the pipeline that made it and can be consumed any number
//! of times, by downlink slots and by decoders.
//!
//! This is `gstreamer-utils`' `StreamProducer` reduced to what RTP between pipelines needs. It
//! is our own because a `StreamProducer` imposes its caps and its latency on every consumer,
//! and both must stand still on a downlink slot: webrtcbin renegotiates when the caps of a sink
//! pad change, and its clocksync would hold every packet back for the uplink's jitterbuffer.
//!
//! The lock is held while packets are handed over; consumers only push into leaky queues, so
//! nothing under it can block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::audio_level::Speech;
use super::keyframes::{KeyframeGate, Maker};
use crate::codec::Codec;
use crate::layout::Size;
use crate::media::gst::pipeline::running_time;
use crate::media::rtp::payload::{keyframe_size, starts_keyframe};

/// What a consumer does with packets that come at once: those of one frame if they come from a
/// payloader, one if they come from the network. Called on the streaming thread of the tap's
/// pipeline.
pub(crate) type Deliver = Box<dyn FnMut(&[gst::Buffer], &gst::CapsRef) + Send>;

/// What stands for the sequence number before the first packet's.
const NO_SEQUENCE: u32 = u32::MAX;

/// Counters of a tap since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TapCounters {
    /// RTP packets.
    pub packets: u64,
    /// Bytes of RTP, headers included.
    pub bytes: u64,
    /// Keyframe requests sent upstream.
    pub keyframes_asked: u64,
    /// Keyframe requests that another one's keyframe answered.
    pub keyframes_avoided: u64,
}

/// A tap. Cloning shares it.
#[derive(Clone)]
pub struct Tap(Arc<Inner>);

struct Inner {
    sink: gst_app::AppSink,
    format: Codec,
    consumers: Mutex<Vec<(u64, Deliver)>>,
    next_consumer: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    last_packet: AtomicU64,
    /// Zero before the first packet.
    ssrc: AtomicU32,
    /// Sequence number of the newest packet; [`NO_SEQUENCE`] before the first.
    sequence: AtomicU32,
    /// Of the newest keyframe that says it, width in the upper half; zero before the first.
    size: AtomicU32,
    speech: Option<Speech>,
    keyframes: Arc<KeyframeGate>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap")
            .field("sink", &self.0.sink.name())
            .field("format", &self.0.format)
            .finish_non_exhaustive()
    }
}

/// A consumer's connection to a tap; dropping it disconnects.
#[derive(Debug)]
#[must_use]
pub struct Link {
    tap: Tap,
    consumer: u64,
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut consumers = self.tap.0.consumers.lock();
        consumers.retain(|(id, _)| *id != self.consumer);
    }
}

impl Tap {
    /// Makes a tap of an encoder's `sink`, whose callbacks it takes. Keyframes are asked for at most once per
    /// `keyframe_interval`; `speech` listens to what the packets say of their loudness.
    pub fn new(
        sink: &gst_app::AppSink,
        format: Codec,
        keyframe_interval: Duration,
        speech: Option<Speech>,
    ) -> Self {
        let keyframes = Arc::new(KeyframeGate::new(Maker::Encoder, keyframe_interval));
        Self::sharing(sink, format, keyframes, speech)
    }

    /// The same for one of several taps that a keyframe asked of any of them is asked of.
    pub(crate) fn sharing(
        sink: &gst_app::AppSink,
        format: Codec,
        keyframes: Arc<KeyframeGate>,
        speech: Option<Speech>,
    ) -> Self {
        sink.set_property("sync", false);
        sink.set_property("async", false);
        // A frame as the payloader gives it: a wakeup and a system call for each viewer and frame
        // and not for each of its packets.
        sink.set_property("buffer-list", true);
        let tap = Self(Arc::new(Inner {
            sink: sink.clone(),
            format,
            consumers: Mutex::new(Vec::new()),
            next_consumer: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_packet: AtomicU64::new(0),
            ssrc: AtomicU32::new(0),
            sequence: AtomicU32::new(NO_SEQUENCE),
            size: AtomicU32::new(0),
            speech,
            keyframes,
        }));
        let weak = Arc::downgrade(&tap.0);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(inner) = weak.upgrade() {
                        inner.deliver(&sample);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        tap
    }

    /// Whether the two are one tap.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What the packets carry.
    pub fn format(&self) -> Codec {
        self.0.format
    }

    /// Connects a consumer: `deliver` sees all packets from now on.
    pub(crate) fn connect(&self, deliver: Deliver) -> Link {
        let consumer = self.0.next_consumer.fetch_add(1, Ordering::Relaxed);
        self.0.consumers.lock().push((consumer, deliver));
        Link {
            tap: self.clone(),
            consumer,
        }
    }

    /// Asks the sender or encoder for a keyframe. Requests that come close together become one;
    /// the last of them is never lost, it is sent when the interval has passed.
    pub fn request_keyframe(&self) {
        if self.0.keyframes.ask(running_time()) {
            self.0.send_keyframe_request();
        }
    }

    /// The SSRC of the newest packet.
    pub fn ssrc(&self) -> Option<u32> {
        match self.0.ssrc.load(Ordering::Relaxed) {
            0 => None,
            ssrc => Some(ssrc),
        }
    }

    /// The size of the picture, pixels, where its packets say it.
    pub fn picture_size(&self) -> Option<Size> {
        let size = self.0.size.load(Ordering::Relaxed);
        let (width, height) = (size >> 16, size & 0xffff);
        (width > 0 && height > 0).then_some(Size { width, height })
    }

    /// What the packets say of their loudness, where the sender says it.
    pub fn speech(&self) -> Option<&Speech> {
        self.0.speech.as_ref()
    }

    /// Running time of the newest packet; zero before the first.
    pub fn last_packet(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.0.last_packet.load(Ordering::Relaxed))
    }

    /// Counters so far.
    pub fn counters(&self) -> TapCounters {
        let (keyframes_asked, keyframes_avoided) = self.0.keyframes.counts();
        TapCounters {
            packets: self.0.packets.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            keyframes_asked,
            keyframes_avoided,
        }
    }
}

/// Takes the keyframe requests that come up to `appsrc`, from a decoder or a viewer, to the tap
/// that `source` names at that moment. An appsrc hands them on to nobody by itself.
pub(crate) fn relay_keyframe_requests(
    appsrc: &gst_app::AppSrc,
    source: impl Fn() -> Option<Tap> + Send + Sync + 'static,
) {
    let Some(pad) = appsrc.static_pad("src") else {
        return;
    };
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let asked = info
            .event()
            .is_some_and(|event| gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok());
        if !asked {
            return gst::PadProbeReturn::Ok;
        }
        if let Some(tap) = source() {
            tap.request_keyframe();
        }
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the event once more.
        gst::PadProbeReturn::Handled
    });
}

impl Inner {
    fn deliver(&self, sample: &gst::Sample) {
        let Some(caps) = sample.caps() else {
            return;
        };
        if let Some(packet) = sample.buffer_owned() {
            self.hand_over(std::slice::from_ref(&packet), caps);
        } else if let Some(list) = sample.buffer_list() {
            let packets: Vec<gst::Buffer> = list.iter_owned().collect();
            self.hand_over(&packets, caps);
        }
    }

    fn hand_over(&self, packets: &[gst::Buffer], caps: &gst::CapsRef) {
        let now = running_time();
        let bytes: usize = packets.iter().map(|packet| packet.size()).sum();
        self.packets
            .fetch_add(packets.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_packet.store(now.nseconds(), Ordering::Relaxed);
        let mut lacking = false;
        for packet in packets {
            lacking |= self.read_header(packet, now);
        }
        let mut consumers = self.consumers.lock();
        for (_, deliver) in consumers.iter_mut() {
            deliver(packets, caps);
        }
        // What is missing here was asked for again in vain. A viewer it would have been forwarded
        // to asks in vain too, and only then for a keyframe.
        lacking &= !consumers.is_empty();
        drop(consumers);
        if self.keyframes.due(now) || (lacking && self.keyframes.ask(now)) {
            self.send_keyframe_request();
        }
    }

    /// Notes what a packet says. True if, of video, one is missing before it.
    fn read_header(&self, buffer: &gst::Buffer, now: gst::ClockTime) -> bool {
        let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(buffer) else {
            return false;
        };
        self.ssrc.store(rtp.ssrc(), Ordering::Relaxed);
        let last = self.sequence.swap(rtp.seq().into(), Ordering::Relaxed);
        let is_video = self.format != Codec::Opus;
        let lacking = is_video && u16::try_from(last).is_ok_and(|last| skips(last, rtp.seq()));
        if let Ok(payload) = rtp.payload() {
            if is_video && starts_keyframe(self.format, payload) {
                self.keyframes.came();
            }
            if let Some((width, height)) = keyframe_size(self.format, payload) {
                let size = u32::from(width) << 16 | u32::from(height);
                self.size.store(size, Ordering::Relaxed);
            }
        }
        if let Some(speech) = &self.speech {
            speech.hear(&rtp, now);
        }
        lacking
    }

    fn send_keyframe_request(&self) {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build();
        if let Some(pad) = self.sink.static_pad("sink") {
            pad.push_event(event);
        }
    }
}

/// Whether packets are missing between one and the next that came.
fn skips(last: u16, next: u16) -> bool {
    // One from behind is no jump ahead.
    (2..0x8000).contains(&next.wrapping_sub(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn a_frame_is_delivered_at_once_and_counted_by_packets() {
        gst::init().unwrap();
        let pipeline = gst::parse::launch("appsrc name=in format=time ! appsink name=out").unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("in").unwrap();
        let source = source.downcast::<gst_app::AppSrc>().unwrap();
        source.set_caps(Some(&gst::Caps::new_empty_simple("application/x-rtp")));
        let sink = pipeline.by_name("out").unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        let tap = Tap::new(&sink, Codec::H264, Duration::from_millis(500), None);
        let (sender, delivered) = std::sync::mpsc::channel();
        let _link = tap.connect(Box::new(move |packets, _| {
            let sizes: Vec<usize> = packets.iter().map(|packet| packet.size()).collect();
            sender.send(sizes).unwrap();
        }));
        pipeline.set_state(gst::State::Playing).unwrap();
        let packet = |size| gst::Buffer::from_mut_slice(vec![0x80; size]);
        let frame: gst::BufferList = [20, 30].map(packet).into_iter().collect();
        source.push_buffer_list(frame).unwrap();
        source.push_buffer(packet(40)).unwrap();
        let wait = Duration::from_secs(10);
        assert_eq!(delivered.recv_timeout(wait), Ok(vec![20, 30]));
        assert_eq!(delivered.recv_timeout(wait), Ok(vec![40]));
        let counters = tap.counters();
        assert_eq!((counters.packets, counters.bytes), (3, 90));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
