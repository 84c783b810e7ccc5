//! One uplink of pictures on its way into the mix: RTP from a tap in, decoded pictures out.
//!
//! Each ingest is a pipeline of its own. Nothing but decoded pictures leaves it, through an
//! appsink that the mixer reads when it wants to, so a stream that is corrupt, late or absent
//! costs its sender the tile and nobody else anything; and taking one away is a `Null`, not
//! surgery on a running graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use super::error::MixerError;
use super::video::colorimetry;
use crate::codec::Codec;
use crate::id::SourceId;
use crate::layout::{self, Fit, Size};
use crate::media::gst::pipeline::{BusEvent, Pipeline, running_time};
use crate::media::gst::plugins;
use crate::media::gst::pool::source::{Hold, Limits, PoolSrc};
use crate::media::gst::template::{Templates, Value};
use crate::media::rtp::budget::MAX_PICTURE;
use crate::media::stream::decode_watch::DecodeWatch;
use crate::media::stream::sanitize::PacketGate;
use crate::media::stream::since_keyframe::Backlog;
use crate::media::stream::tap;
use crate::media::stream::tap::{Deliver, Subscription, Tap};

/// Most RTP that waits for a decoder. Beyond it the oldest packets are dropped.
const QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// Most that waits for a decoder, however short its time: more than a tap keeps of what came since a
/// keyframe.
const BACKLOG: Limits = Limits {
    buffers: 8_192,
    bytes: 4 << 20,
    time: gst::ClockTime::MAX,
};

/// The decoder of one uplink. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Ingest {
    // Before the pipeline, so that nothing is pushed into one that is going away.
    _link: Subscription,
    scaler: Arc<TileScaler>,
    sink: gst_app::AppSink,
    _pipeline: Pipeline,
}

impl Ingest {
    /// Starts decoding `tap`. `on_failure` is called, on a tokio thread, when the pipeline
    /// fails; the ingest is of no use any more then.
    ///
    /// # Errors
    /// [`MixerError`] when the pipeline cannot be made.
    pub(crate) fn start(
        templates: &Templates,
        source: SourceId,
        tap: &Tap,
        fit: Fit,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let label = format!("ingest-{source}");
        let mut pipeline = Pipeline::parse(label, &describe(templates, tap.format())?)?;
        let input = pipeline.element::<PoolSrc>("in")?;
        input.limit(BACKLOG);
        let sink = pipeline.element::<gst_app::AppSink>("out")?;
        sink.set_property("enable-last-sample", false);
        let scaler = TileScaler::install(&pipeline, fit)?;
        pipeline.start(move |event| {
            if let BusEvent::Error(text) = event {
                on_failure(text);
            }
        })?;
        tap::relay_keyframe_requests(input.pad(), tap.clone());
        request_keyframe_at_changes(&pipeline, tap)?;
        let link = connect(source, tap, input, Arc::clone(&scaler));
        tap.request_keyframe();
        Ok(Self {
            _link: link,
            scaler,
            sink,
            _pipeline: pipeline,
        })
    }

    /// The appsink that decoded pictures are read from.
    pub(crate) fn sink(&self) -> &gst_app::AppSink {
        &self.sink
    }

    /// Pixels decoded so far.
    pub(crate) fn decoded_pixels(&self) -> u64 {
        self.scaler.decoded.load(Ordering::Relaxed)
    }

    /// Sets the size of the tile that pictures are cropped and scaled to from the next frame on.
    pub(crate) fn set_tile(&self, tile: Size) {
        self.scaler.set_tile(tile);
    }
}

fn describe(templates: &Templates, format: Codec) -> Result<String, MixerError> {
    let name = format!("ingest-{}", format.encoding_name().to_ascii_lowercase());
    let values = match format {
        Codec::H264 => {
            let decoder = plugins::h264_decoder().ok_or(MixerError::NoCodec("H.264 decoder"))?;
            vec![("decoder", Value::Word(decoder))]
        }
        _ => Vec::new(),
    };
    Ok(templates.fill(&name, &values)?)
}

/// Asks for a keyframe whenever the caps of the stream change. The decoder starts anew then, and a
/// sender that changes its track need not send a keyframe by itself.
fn request_keyframe_at_changes(pipeline: &Pipeline, tap: &Tap) -> Result<(), MixerError> {
    let depay = pipeline.element::<gst::Element>("depay")?;
    if let Some(pad) = depay.static_pad("src") {
        let tap = tap.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && event.type_() == gst::EventType::Caps
            {
                tap.request_keyframe();
            }
            gst::PadProbeReturn::Ok
        });
    }
    Ok(())
}

/// Passes on the packets of the tap that a depayloader can survive and a decoder is to decode, and
/// caps when they change.
fn connect(sender: SourceId, tap: &Tap, input: PoolSrc, scaler: Arc<TileScaler>) -> Subscription {
    let mut known: Option<gst::Caps> = None;
    let mut gate = PacketGate::new(tap.format());
    let mut watch = DecodeWatch::default();
    let mut limit = QueueLimit::Off;
    let source = tap.clone();
    let deliver: Deliver = Box::new(move |packets, caps| {
        if known.as_deref() != Some(caps) {
            input.set_caps(known.insert(caps.to_owned()));
        }
        let now = running_time();
        if scaler.was_too_large() {
            gate.shut(now);
        }
        for packet in packets {
            let Some(packet) = gate.admit(packet, now) else {
                continue;
            };
            let hold = match ends_picture(&packet) {
                true => Hold::Never,
                false => Hold::UntilNext,
            };
            input.push(packet, hold);
            if watch.wants_keyframe(now.into(), scaler.decoded.load(Ordering::Relaxed)) {
                source.request_keyframe();
            }
        }
        if let Some(over) = gate.newly_over() {
            tracing::warn!(source = %sender, of = over.name(), "more is sent than is decoded");
        }
        if gate.wants_keyframe(now) {
            source.request_keyframe();
        }
        limit.set_once_drained(&input);
    });
    tap.connect_with(Backlog::SinceKeyframe, deliver)
}

/// Whether a packet is the last of its picture, by the marker of RTP, as all formats of pictures use it.
fn ends_picture(packet: &gst::BufferRef) -> bool {
    let mut head = [0; 2];
    packet.copy_to_slice(0, &mut head).is_ok() && head[1] & 0x80 != 0
}

/// Whether the queue of a decoder has its limit, [`QUEUE`]. What came since the last keyframe is
/// longer than that, comes at once, and must not be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueueLimit {
    Off,
    On,
}

impl QueueLimit {
    fn set_once_drained(&mut self, input: &PoolSrc) {
        if *self == Self::Off && input.waiting() < QUEUE {
            input.limit(Limits {
                time: QUEUE,
                ..BACKLOG
            });
            *self = Self::On;
        }
    }
}

/// Converts the pictures of a decoder to the size of their tile and to the colorimetry of the
/// canvas, whatever the sender sends; and counts decoded pixels.
///
/// The size of the tile comes from the room's task, that of the source from the streaming thread of
/// the decoder. Each is one atomic, and a change of either applies both.
#[derive(Debug)]
pub(crate) struct TileScaler {
    crop: gst::Element,
    size: gst::Element,
    fit: Fit,
    tile: AtomicU64,
    source: AtomicU64,
    /// The size of the source with square pixels.
    shown: AtomicU64,
    /// Pixels decoded so far.
    decoded: AtomicU64,
}

impl TileScaler {
    /// Controls the elements `crop` and `size` of `pipeline` from now on.
    ///
    /// # Errors
    /// [`MixerError::Pipeline`] when it does not have them.
    pub(crate) fn install(pipeline: &Pipeline, fit: Fit) -> Result<Arc<Self>, MixerError> {
        let scaler = Arc::new(Self {
            crop: pipeline.element("crop")?,
            size: pipeline.element("size")?,
            fit,
            tile: AtomicU64::new(0),
            source: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            decoded: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&scaler);
        if let Some(pad) = scaler.crop.static_pad("sink") {
            let (counts, total) = (
                weak.clone(),
                metrics::counter!("tessera_decoded_pixels_total"),
            );
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                if let Some(scaler) = counts.upgrade() {
                    total.increment(scaler.count_picture());
                }
                gst::PadProbeReturn::Ok
            });
            pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
                if let Some(gst::PadProbeData::Event(event)) = &mut info.data
                    && let gst::EventView::Caps(caps) = event.view()
                {
                    if let Some(scaler) = weak.upgrade() {
                        scaler.set_source(caps.caps());
                    }
                    if let Some(named) = colorimetry::with_matrix(caps.caps()) {
                        let seqnum = event.seqnum();
                        *event = gst::event::Caps::builder(&named).seqnum(seqnum).build();
                    }
                }
                gst::PadProbeReturn::Ok
            });
        }
        Ok(scaler)
    }

    fn set_source(&self, caps: &gst::CapsRef) {
        if let Ok(info) = gst_video::VideoInfo::from_caps(caps) {
            let source = Size {
                width: info.width(),
                height: info.height(),
            };
            self.source.store(pack(source), Ordering::Release);
            self.shown
                .store(pack(as_shown(source, info.par())), Ordering::Release);
            self.apply();
        }
    }

    /// Whether the pictures have become larger than any that is decoded, though their headers did not
    /// say so: a decoder of VP9 also decodes frames that stand behind another one. Says so once, and
    /// again after other pictures have come.
    fn was_too_large(&self) -> bool {
        let packed = self.source.load(Ordering::Acquire);
        let is_too_large = unpack(packed)
            .is_some_and(|s| u64::from(s.width) * u64::from(s.height) > u64::from(MAX_PICTURE));
        let forget = || {
            let source = &self.source;
            source.compare_exchange(packed, 0, Ordering::AcqRel, Ordering::Acquire)
        };
        is_too_large && forget().is_ok()
    }

    /// Counts a decoded picture. Returns its number of pixels.
    fn count_picture(&self) -> u64 {
        let source = unpack(self.source.load(Ordering::Acquire));
        let pixels = source.map_or(0, |s| u64::from(s.width) * u64::from(s.height));
        self.decoded.fetch_add(pixels, Ordering::Relaxed);
        pixels
    }

    /// Sets the size of the tile from the next picture on.
    pub(crate) fn set_tile(&self, tile: Size) {
        if self.tile.swap(pack(tile), Ordering::AcqRel) != pack(tile) {
            self.apply();
        }
    }

    fn apply(&self) {
        let source = unpack(self.source.load(Ordering::Acquire));
        let tile = unpack(self.tile.load(Ordering::Acquire));
        let shown = unpack(self.shown.load(Ordering::Acquire));
        let (Some(source), Some(shown), Some(tile)) = (source, shown, tile) else {
            return;
        };
        let placement = layout::fit(shown, tile, self.fit);
        let crop = placement.crop;
        // What is cropped is cropped before scaling, in pixels as they were sent.
        let across = |pixels: u32| scaled(pixels, source.width, shown.width);
        let down = |pixels: u32| scaled(pixels, source.height, shown.height);
        let edges = [
            ("left", across(crop.x)),
            ("right", across(shown.width.saturating_sub(crop.x + crop.w))),
            ("top", down(crop.y)),
            ("bottom", down(shown.height.saturating_sub(crop.y + crop.h))),
        ];
        for (edge, pixels) in edges {
            let pixels = i32::try_from(pixels).unwrap_or_default();
            if self.crop.property::<i32>(edge) != pixels {
                self.crop.set_property(edge, pixels);
            }
        }
        let dimension = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", dimension(placement.scaled.width))
            .field("height", dimension(placement.scaled.height))
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", colorimetry::NAME)
            .build();
        self.size.set_property("caps", caps);
    }
}

/// The size of a picture with square pixels, one edge of which stays as it is. `aspect` is width to
/// height of its own pixels; one that is none leaves it as it is.
fn as_shown(source: Size, aspect: gst::Fraction) -> Size {
    let positive = |number: i32| u32::try_from(number).ok().filter(|number| *number > 0);
    match (positive(aspect.numer()), positive(aspect.denom())) {
        (Some(wide), Some(high)) if wide > high => Size {
            width: scaled(source.width, wide, high),
            ..source
        },
        (Some(wide), Some(high)) => Size {
            height: scaled(source.height, high, wide),
            ..source
        },
        _ => source,
    }
}

/// `value * to / from`, and not more than fits.
fn scaled(value: u32, to: u32, from: u32) -> u32 {
    let scaled = u64::from(value) * u64::from(to) / u64::from(from.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

fn pack(size: Size) -> u64 {
    u64::from(size.width) << 32 | u64::from(size.height)
}

/// The inverse of [`pack`]; `None` for 0, which stands for a size that is not known yet.
fn unpack(packed: u64) -> Option<Size> {
    let size = Size {
        width: u32::try_from(packed >> 32).ok()?,
        height: u32::try_from(packed & u64::from(u32::MAX)).ok()?,
    };
    (size.width > 0 && size.height > 0).then_some(size)
}

#[cfg(test)]
mod tests;
