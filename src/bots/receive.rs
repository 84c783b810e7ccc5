//! What comes in on one m-line: counted always, decoded where asked.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use gst::prelude::*;
use gst_video::prelude::*;
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use super::clock;
use super::codec::Codec;
use super::config::Decode;
use super::error::BotError;
use super::probe::{Cadence, Picture};
use crate::id::{Mid, Role};

/// 20 ms chunks of sound kept for somebody who listens slowly: 5 s.
const SOUND_BACKLOG: usize = 250;

/// What came in on an m-line since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamStats {
    /// What the m-line is for.
    pub role: Role,
    /// RTP packets.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// Sequence numbers that never came, late ones included.
    pub lost: u64,
    /// Whole frames of video (RTP markers), or packets of sound.
    pub frames: u64,
    /// Video frames that a decoder can start with.
    pub keyframes: u64,
    /// Frames that came out of the decoder.
    pub decoded: u64,
    /// Longest time without a frame, the one in progress included; of decoded frames where video
    /// is decoded.
    #[serde(serialize_with = "as_ms")]
    pub longest_gap: Duration,
    /// Freezes by the rule of webrtc-stats.
    pub freezes: u32,
    /// How long they lasted together.
    #[serde(serialize_with = "as_ms")]
    pub frozen: Duration,
    /// How long the measurement has lasted.
    #[serde(serialize_with = "as_ms")]
    pub measured: Duration,
}

impl StreamStats {
    /// Mean rate, bit/s.
    pub fn bitrate(&self) -> f64 {
        8.0 * self.bytes as f64 / self.measured.as_secs_f64().max(0.001)
    }
}

/// Milliseconds, for reports.
pub(super) fn as_ms<S: serde::Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(value.as_secs_f64() * 1000.0)
}

#[derive(Debug, Default)]
struct Counters {
    since: Duration,
    packets: u64,
    bytes: u64,
    lost: u64,
    keyframes: u64,
    next_sequence: Option<u16>,
    key_in_frame: bool,
    received: Cadence,
    decoded: Cadence,
}

/// One recvonly m-line of a bot.
#[derive(Debug)]
pub struct Incoming {
    mid: OnceLock<Mid>,
    role: Role,
    decode: Decode,
    counters: Mutex<Counters>,
    /// When the first picture or sound came, on the machine's clock.
    first: watch::Sender<Option<Duration>>,
    picture: watch::Sender<Option<Arc<Picture>>>,
    sound: broadcast::Sender<Arc<[f32]>>,
}

impl Incoming {
    pub(super) fn new(role: Role, decode: Decode) -> Arc<Self> {
        let counters = Counters {
            since: clock::now(),
            ..Counters::default()
        };
        Arc::new(Self {
            mid: OnceLock::new(),
            role,
            decode,
            counters: Mutex::new(counters),
            first: watch::Sender::new(None),
            picture: watch::Sender::new(None),
            sound: broadcast::Sender::new(SOUND_BACKLOG),
        })
    }

    /// The m-line's name, once the offer has given it one.
    pub fn mid(&self) -> Option<&Mid> {
        self.mid.get()
    }

    /// What the m-line is for.
    pub fn role(&self) -> Role {
        self.role
    }

    pub(super) fn name(&self, mid: Mid) {
        // Set once: there is one offer.
        let _ = self.mid.set(mid);
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures since the start or the last reset.
    pub fn stats(&self) -> StreamStats {
        let now = clock::now();
        let counters = self.lock();
        let seen = if self.decodes_video() {
            &counters.decoded
        } else {
            &counters.received
        };
        StreamStats {
            role: self.role,
            packets: counters.packets,
            bytes: counters.bytes,
            lost: counters.lost,
            frames: counters.received.count(),
            keyframes: counters.keyframes,
            decoded: counters.decoded.count(),
            longest_gap: seen.longest(now),
            freezes: seen.freezes(),
            frozen: seen.frozen(),
            measured: now.saturating_sub(counters.since),
        }
    }

    /// Measures from now on.
    pub fn reset_stats(&self) {
        let mut counters = self.lock();
        counters.since = clock::now();
        (counters.packets, counters.bytes) = (0, 0);
        (counters.lost, counters.keyframes) = (0, 0);
        counters.received.reset();
        counters.decoded.reset();
    }

    /// When the first picture or sound came, on the machine's clock: the first decoded one where
    /// it is decoded, else the first whole keyframe or packet.
    pub fn first(&self) -> watch::Receiver<Option<Duration>> {
        self.first.subscribe()
    }

    /// Sees every decoded picture, or the newest where the reader is slow.
    pub fn pictures(&self) -> watch::Receiver<Option<Arc<Picture>>> {
        self.picture.subscribe()
    }

    /// Hears everything from now on: mono, 48 kHz, full scale 1.0.
    pub fn sound(&self) -> broadcast::Receiver<Arc<[f32]>> {
        self.sound.subscribe()
    }

    fn decodes_video(&self) -> bool {
        !self.role.is_audio() && self.decode.video()
    }

    fn decodes_audio(&self) -> bool {
        self.role.is_audio() && self.decode.audio()
    }

    fn arrived(&self, at: Duration) {
        self.first
            .send_if_modified(|first| first.is_none() && first.replace(at).is_none());
    }

    /// Counts an RTP packet.
    fn packet(&self, buffer: &gst::BufferRef, codec: Codec) {
        let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(buffer) else {
            return;
        };
        let now = clock::now();
        let mut counters = self.lock();
        counters.packets += 1;
        counters.bytes += buffer.size() as u64;
        let sequence = rtp.seq();
        if let Some(expected) = counters.next_sequence {
            let missed = sequence.wrapping_sub(expected);
            // A packet from behind (reordered or retransmitted) is no jump ahead.
            if missed < 0x8000 {
                counters.lost += u64::from(missed);
            }
        }
        counters.next_sequence = Some(sequence.wrapping_add(1));
        let payload = rtp.payload().unwrap_or_default();
        counters.key_in_frame |= codec.starts_key(payload);
        if self.role.is_audio() || rtp.is_marker() {
            counters.received.push(now);
            let key = std::mem::take(&mut counters.key_in_frame);
            counters.keyframes += u64::from(key);
            drop(counters);
            let decoded = self.decodes_video() || self.decodes_audio();
            if !decoded && (key || self.role.is_audio()) {
                self.arrived(now);
            }
        }
    }

    fn show(&self, sample: &gst::Sample, codec: Codec) -> Option<()> {
        let arrival = clock::now();
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let frame =
            gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
        let plane = |i: u32| {
            let stride = usize::try_from(*frame.plane_stride().get(i as usize)?).ok()?;
            Some((frame.plane_data(i).ok()?, stride))
        };
        let number = {
            let mut counters = self.lock();
            counters.decoded.push(arrival);
            counters.decoded.count()
        };
        let planes = [plane(0)?, plane(1)?, plane(2)?];
        let picture = Picture::from_planes(frame.width(), frame.height(), planes, arrival, number)?
            .in_matrix(codec.matrix(sample.caps()?));
        self.picture.send_replace(Some(Arc::new(picture)));
        self.arrived(arrival);
        Some(())
    }

    fn hear(&self, sample: &gst::Sample) -> Option<()> {
        let map = sample.buffer()?.map_readable().ok()?;
        let chunk = map
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        self.lock().decoded.push(clock::now());
        self.arrived(clock::now());
        // Nobody listening is fine.
        let _ = self.sound.send(chunk);
        Some(())
    }
}

/// Links a pad of webrtcbin to what its m-line needs. Runs on a streaming thread, and leaves the
/// pad linked or reports why not.
pub(super) fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    incoming: &Arc<Incoming>,
) -> Result<(), BotError> {
    let codec = Codec::of(pad).ok_or_else(|| BotError::Media("an unknown codec".into()))?;
    count(pad, incoming, codec);
    let launch = if incoming.decodes_audio() {
        format!(
            "{} ! audioconvert ! audioresample ! \
             audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1 ! \
             appsink name=out sync=false async=false",
            codec.decoder()
        )
    } else if incoming.decodes_video() {
        format!(
            "{} ! videoconvert ! video/x-raw,format=I420 ! \
             appsink name=out sync=false async=false max-buffers=4 drop=true",
            codec.decoder()
        )
    } else {
        "fakesink sync=false async=false".to_owned()
    };
    let branch = gst::parse::bin_from_description(&launch, true)
        .map_err(|e| BotError::media("receive branch", e))?;
    if let Ok(sink) = bin_named(&branch) {
        let weak = Arc::downgrade(incoming);
        let audio = incoming.role.is_audio();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(incoming) = weak.upgrade() {
                // A frame of no use is the server's doing and shows in the figures.
                let _ = if audio {
                    incoming.hear(&sample)
                } else {
                    incoming.show(&sample, codec)
                };
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
    }
    pipeline
        .add(&branch)
        .map_err(|e| BotError::media("receive branch", e))?;
    branch
        .sync_state_with_parent()
        .map_err(|e| BotError::media("receive branch", e))?;
    let sink = branch
        .static_pad("sink")
        .ok_or_else(|| BotError::Media("a receive branch without a pad".into()))?;
    pad.link(&sink)
        .map(|_| ())
        .map_err(|e| BotError::media("receive branch", e))
}

fn bin_named(bin: &gst::Bin) -> Result<gst_app::AppSink, BotError> {
    bin.by_name("out")
        .and_then(|element| element.downcast().ok())
        .ok_or(BotError::NotConfigured("decoder"))
}

fn count(pad: &gst::Pad, incoming: &Arc<Incoming>, codec: Codec) {
    let weak = Arc::downgrade(incoming);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        if let Some(incoming) = weak.upgrade() {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => incoming.packet(buffer, codec),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter()
                        .for_each(|buffer| incoming.packet(buffer, codec));
                }
                _ => {}
            }
        }
        gst::PadProbeReturn::Ok
    });
}
