//! A tap (LiveKit: `TrackReceiver`, mediasoup: `Producer`): the point where RTP leaves the pipeline
//! that made it and can be consumed any number of times, by downlink slots, decoders and recorders.
//!
//! This is `gstreamer-utils`' `StreamProducer` reduced to what RTP between pipelines needs. It
//! is our own because a `StreamProducer` imposes its caps and its latency on every consumer,
//! and neither fits a downlink slot.
//!
//! The lock is held while packets are handed over. Consumers push into leaky queues, or hand a packet
//! to a socket that does not block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::audio_level::AudioLevel;
use super::cadence::Cadence;
use super::keyframes::{KeyframeOrigin, KeyframeThrottle};
use super::since_keyframe::{Backlog, SinceKeyframe};
use crate::codec::Codec;
use crate::layout::Size;
use crate::media::gst::event::force_key_unit;
use crate::media::gst::pipeline::running_time;
use crate::media::rtp::header::missing_between;
use crate::media::rtp::payload::{can_begin, keyframe_size, starts_keyframe};

/// What a consumer does with packets that come at once: those of one frame if they
/// come from a payloader, one if they come from the network. Called on the thread that makes or
/// receives them.
pub(crate) type Deliver = Box<dyn FnMut(&[gst::Buffer], &gst::CapsRef) + Send>;

/// Stands for the newest sequence number before the first packet.
const NO_SEQUENCE: u32 = u32::MAX;

/// What has passed a tap since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TapCounters {
    /// RTP packets that were delivered.
    pub(crate) packets: u64,
    /// Bytes of RTP packets, headers included.
    pub(crate) bytes: u64,
    /// Keyframe requests sent upstream.
    pub(crate) keyframes_asked: u64,
    /// Keyframe requests that another one's keyframe answered.
    pub(crate) keyframes_avoided: u64,
}

/// A tap of one RTP stream. Cloning shares it. Usable on any thread; packets are delivered on the
/// thread that makes them, or receives them.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Inner>);

/// Who is asked for keyframes.
enum KeyframeSource {
    /// The elements before the sink that the packets come out of.
    Pipeline(gst_app::AppSink),
    /// Somebody's client, by this.
    Sender(Box<dyn Fn() + Send + Sync>),
    /// Nobody: it is sound.
    Nobody,
}

struct Inner {
    source: KeyframeSource,
    format: Codec,
    consumers: Mutex<Consumers>,
    next_consumer: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    /// Running time of the newest packet, ns.
    last_packet: AtomicU64,
    /// Silence after which the stream has stopped, ns.
    silence_limit: AtomicU64,
    /// Zero before the first packet.
    ssrc: AtomicU32,
    /// Sequence number of the newest packet; [`NO_SEQUENCE`] before the first.
    sequence: AtomicU32,
    /// Picture size of the newest keyframe that says it, width in the upper
    /// half; zero before the first.
    size: AtomicU32,
    audio_level: Option<AudioLevel>,
    keyframes: Arc<KeyframeThrottle>,
}

/// Who gets the packets, and what they get when they connect.
struct Consumers {
    all: Vec<(u64, Deliver)>,
    /// Nothing is kept of what an encoder of our own makes: it can be asked.
    kept: Option<SinceKeyframe>,
    /// Caps of the newest packets.
    caps: Option<gst::Caps>,
    cadence: Cadence,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap")
            .field("format", &self.0.format)
            .finish_non_exhaustive()
    }
}

/// A consumer's connection to a tap. Dropping it disconnects, and waits for a
/// delivery that is going on.
#[derive(Debug)]
#[must_use]
pub(crate) struct Subscription {
    tap: Tap,
    consumer: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut consumers = self.tap.0.consumers.lock();
        consumers.all.retain(|(id, _)| *id != self.consumer);
    }
}

impl Tap {
    /// Makes a tap of the `sink` behind an encoder, whose callbacks it takes. Keyframes are
    /// requested at most once in `keyframe_interval`. `audio_level` reads how loud the
    /// packets are, if they say so.
    pub(crate) fn new(
        sink: &gst_app::AppSink,
        format: Codec,
        keyframe_interval: Duration,
        audio_level: Option<AudioLevel>,
    ) -> Self {
        let keyframes = Arc::new(KeyframeThrottle::new(
            KeyframeOrigin::Encoder,
            keyframe_interval,
        ));
        sink.set_property("sync", false);
        sink.set_property("async", false);
        // A frame as the payloader gives it: a wakeup and a system call for each viewer and frame
        // and not for each of its packets.
        sink.set_property("buffer-list", true);
        let source = KeyframeSource::Pipeline(sink.clone());
        let tap = Self::make(source, format, keyframes, audio_level, None);
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

    /// Makes a tap of sound that is encoded without a pipeline, and what its packets are pushed into.
    /// They have this payload type.
    pub(crate) fn by_hand(format: Codec, payload_type: u8) -> (Self, TapInput) {
        let interval = Duration::ZERO;
        let keyframes = Arc::new(KeyframeThrottle::new(KeyframeOrigin::Encoder, interval));
        let tap = Self::make(KeyframeSource::Nobody, format, keyframes, None, None);
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "audio")
            .field("encoding-name", format.encoding_name())
            .field("clock-rate", 48_000)
            .field("payload", i32::from(payload_type))
            .build();
        (tap.clone(), TapInput { tap, caps })
    }

    /// Makes a tap of an uplink whose packets have that SSRC and these caps, and what they are pushed
    /// into in their order. It shares its keyframe requests with the sender's other encodings, which is asked by
    /// `request`, and keeps what has come since the last keyframe.
    pub(crate) fn of_uplink(
        (ssrc, format): (u32, Codec),
        caps: gst::Caps,
        keyframes: Arc<KeyframeThrottle>,
        request: Box<dyn Fn() + Send + Sync>,
        audio_level: Option<AudioLevel>,
    ) -> (Self, TapInput) {
        let kept = (format != Codec::Opus).then(SinceKeyframe::default);
        let source = KeyframeSource::Sender(request);
        let tap = Self::make(source, format, keyframes, audio_level, kept);
        tap.0.ssrc.store(ssrc, Ordering::Relaxed);
        (tap.clone(), TapInput { tap, caps })
    }

    fn make(
        source: KeyframeSource,
        format: Codec,
        keyframes: Arc<KeyframeThrottle>,
        audio_level: Option<AudioLevel>,
        kept: Option<SinceKeyframe>,
    ) -> Self {
        Self(Arc::new(Inner {
            source,
            format,
            consumers: Mutex::new(Consumers {
                all: Vec::new(),
                kept,
                caps: None,
                cadence: Cadence::default(),
            }),
            next_consumer: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            last_packet: AtomicU64::new(0),
            silence_limit: AtomicU64::new(0),
            ssrc: AtomicU32::new(0),
            sequence: AtomicU32::new(NO_SEQUENCE),
            size: AtomicU32::new(0),
            audio_level,
            keyframes,
        }))
    }

    /// Whether both are clones of one tap.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The codec of the packets.
    pub(crate) fn format(&self) -> Codec {
        self.0.format
    }

    /// Connects a consumer: `deliver` is called with all packets from now on.
    pub(crate) fn connect(&self, deliver: Deliver) -> Subscription {
        self.connect_with(Backlog::None, deliver)
    }

    /// Forgets what came so far: nobody who connects from now on gets any of it.
    pub(crate) fn forget(&self) {
        if let Some(kept) = &mut self.0.consumers.lock().kept {
            kept.clear();
        }
    }

    /// Connects a consumer: `deliver` is called with `backlog` first, on this thread, and then with
    /// all packets from now on.
    pub(crate) fn connect_with(&self, backlog: Backlog, mut deliver: Deliver) -> Subscription {
        let consumer = self.0.next_consumer.fetch_add(1, Ordering::Relaxed);
        let mut consumers = self.0.consumers.lock();
        if let (Some(kept), Some(caps)) = (&consumers.kept, &consumers.caps) {
            let packets = kept.packets(backlog);
            if !packets.is_empty() {
                deliver(packets, caps);
            }
        }
        consumers.all.push((consumer, deliver));
        drop(consumers);
        Subscription {
            tap: self.clone(),
            consumer,
        }
    }

    /// Requests a keyframe from the sender or encoder. Requests that come close together become
    /// one. The last of them is never lost: it is sent when the interval has passed.
    pub(crate) fn request_keyframe(&self) {
        if self.0.keyframes.request(running_time()) {
            self.0.send_keyframe_request();
        }
    }

    /// SSRC of the newest packet; `None` before the first.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        match self.0.ssrc.load(Ordering::Relaxed) {
            0 => None,
            ssrc => Some(ssrc),
        }
    }

    /// The size of the picture, pixels; `None` if its packets do not say it.
    pub(crate) fn picture_size(&self) -> Option<Size> {
        let size = self.0.size.load(Ordering::Relaxed);
        let (width, height) = (size >> 16, size & 0xffff);
        (width > 0 && height > 0).then_some(Size { width, height })
    }

    /// How loud the packets are; `None` if the sender does not say it.
    pub(crate) fn audio_level(&self) -> Option<&AudioLevel> {
        self.0.audio_level.as_ref()
    }

    /// Running time of the newest packet; zero before the first.
    pub(crate) fn last_packet(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.0.last_packet.load(Ordering::Relaxed))
    }

    /// Silence after which the stream has stopped, by how often its packets come.
    pub(crate) fn silence_limit(&self) -> Duration {
        Duration::from_nanos(self.0.silence_limit.load(Ordering::Relaxed))
    }

    /// What has passed so far.
    pub(crate) fn counters(&self) -> TapCounters {
        let (keyframes_asked, keyframes_avoided) = self.0.keyframes.counts();
        TapCounters {
            packets: self.0.packets.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            keyframes_asked,
            keyframes_avoided,
        }
    }
}

/// Passes the keyframe requests that come up to `pad` of a source on to `tap`. The source hands them on
/// to nobody by itself.
pub(crate) fn relay_keyframe_requests(pad: &gst::Pad, tap: Tap) {
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let asked = info
            .event()
            .is_some_and(|event| gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok());
        if !asked {
            return gst::PadProbeReturn::Ok;
        }
        tap.request_keyframe();
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the event once more.
        gst::PadProbeReturn::Handled
    });
}

/// What packets are pushed into that no pipeline makes.
#[derive(Debug)]
pub(crate) struct TapInput {
    tap: Tap,
    caps: gst::Caps,
}

impl TapInput {
    /// What packets of an uplink are pushed into, which say their level in this header extension, if
    /// any; and its tap.
    #[cfg(test)]
    pub(crate) fn of_microphone(level: AudioLevel) -> (Self, Tap) {
        let throttle = Arc::new(KeyframeThrottle::new(
            KeyframeOrigin::Sender,
            Duration::ZERO,
        ));
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "audio")
            .field("encoding-name", "OPUS")
            .field("clock-rate", 48_000)
            .field("payload", 111)
            .build();
        let (tap, input) = Tap::of_uplink(
            (0, Codec::Opus),
            caps,
            throttle,
            Box::new(|| {}),
            Some(level),
        );
        (input, tap)
    }

    /// Delivers packets that come at once, RTP with the running time of their first sample, on this
    /// thread.
    pub(crate) fn push(&self, packets: &[gst::Buffer]) {
        self.tap.0.hand_over(packets, &self.caps);
    }
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
        let mut is_gapped = false;
        let mut consumers = self.consumers.lock();
        consumers.cadence.arrived(now.into());
        let limit = consumers.cadence.limit().as_nanos();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        self.silence_limit.store(limit, Ordering::Relaxed);
        if consumers.kept.is_some() && consumers.caps.as_deref() != Some(caps) {
            consumers.caps = Some(caps.to_owned());
        }
        for packet in packets {
            is_gapped |= self.read_header(packet, now, &mut consumers.kept);
        }
        for (_, deliver) in &mut consumers.all {
            deliver(packets, caps);
        }
        // What is missing here was NACKed in vain. A viewer would NACK it in vain, too, and request
        // a keyframe only then.
        is_gapped &= !consumers.all.is_empty();
        drop(consumers);
        if self.keyframes.is_due(now) || (is_gapped && self.keyframes.request(now)) {
            self.send_keyframe_request();
        }
    }

    /// Takes over what a packet says, and keeps it in `kept`. Returns whether packets are missing
    /// before it, of video.
    fn read_header(
        &self,
        buffer: &gst::Buffer,
        now: gst::ClockTime,
        kept: &mut Option<SinceKeyframe>,
    ) -> bool {
        let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(buffer) else {
            return false;
        };
        self.ssrc.store(rtp.ssrc(), Ordering::Relaxed);
        let last = self.sequence.swap(rtp.seq().into(), Ordering::Relaxed);
        let is_video = self.format != Codec::Opus;
        let is_gapped =
            is_video && u16::try_from(last).is_ok_and(|last| missing_between(last, rtp.seq()) > 0);
        if let Ok(payload) = rtp.payload() {
            let starts = is_video && starts_keyframe(self.format, payload);
            if starts {
                self.keyframes.on_keyframe();
            }
            if let Some(kept) = kept {
                if is_gapped {
                    kept.clear();
                }
                let begins = starts || can_begin(self.format, payload);
                kept.record(buffer, rtp.timestamp(), begins, now);
            }
            if let Some((width, height)) = keyframe_size(self.format, payload) {
                let size = u32::from(width) << 16 | u32::from(height);
                self.size.store(size, Ordering::Relaxed);
            }
        }
        if let Some(audio_level) = &self.audio_level {
            audio_level.on_packet(&rtp, now);
        }
        is_gapped
    }

    fn send_keyframe_request(&self) {
        match &self.source {
            KeyframeSource::Pipeline(sink) => {
                if let Some(pad) = sink.static_pad("sink") {
                    pad.push_event(force_key_unit());
                }
            }
            KeyframeSource::Sender(request) => request(),
            KeyframeSource::Nobody => {}
        }
    }
}

#[cfg(test)]
mod tests;
