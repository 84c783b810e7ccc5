//! One uplink on its way into the mix: RTP from a tap in, decoded pictures or sound out.
//!
//! Each ingest is a pipeline of its own. Nothing but decoded frames leaves it, through an
//! appsink that the mixer reads when it wants to, so a stream that is corrupt, late or absent
//! costs its sender the tile and nobody else anything; and taking one away is a `Null`, not
//! surgery on a running graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use super::MixerError;
use super::audio::gaps::Missing;
use super::video::colorimetry;
use crate::codec::Codec;
use crate::id::SourceId;
use crate::layout::{self, Fit, Size};
use crate::media::gst::pipeline::{BusEvent, Pipeline};
use crate::media::gst::plugins;
use crate::media::gst::template::{Templates, Value};
use crate::media::rtp::sanitize::Sanitizer;
use crate::media::stream::tap::{Subscription, Tap};
use crate::media::stream::{sanitize, tap};

/// At most this much RTP waits for a decoder.
const QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// A running ingest; dropping it ends it.
#[derive(Debug)]
pub struct Ingest {
    // Before the pipeline, so that nothing is pushed into one that is going away.
    _link: Subscription,
    fitter: Option<Arc<Fitter>>,
    sink: gst_app::AppSink,
    _pipeline: Pipeline,
}

impl Ingest {
    /// Starts decoding `tap`. `on_failure` is called, on a tokio thread, when the pipeline
    /// fails; the ingest is of no more use then.
    ///
    /// # Errors
    /// [`MixerError`] when the pipeline cannot be made.
    pub fn start(
        templates: &Templates,
        source: SourceId,
        tap: &Tap,
        fit: Fit,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let label = format!("ingest-{source}");
        let mut pipeline = Pipeline::parse(label, &describe(templates, tap.format())?)?;
        let input = pipeline.element::<gst_app::AppSrc>("in")?;
        input.set_leaky_type(gst_app::AppLeakyType::Downstream);
        input.set_max_time(QUEUE);
        let sink = pipeline.element::<gst_app::AppSink>("out")?;
        sink.set_property("enable-last-sample", false);
        let fitter = match tap.format() {
            Codec::Opus => None,
            _ => Some(Fitter::install(&pipeline, fit)?),
        };
        pipeline.start(move |event| {
            if let BusEvent::Error(text) = event {
                on_failure(text);
            }
        })?;
        if fitter.is_some() {
            tap::relay_keyframe_requests(&input, {
                let tap = tap.clone();
                move || Some(tap.clone())
            });
            ask_at_changes(&pipeline, tap)?;
        }
        let link = connect(tap, input);
        if fitter.is_some() {
            tap.request_keyframe();
        }
        Ok(Self {
            _link: link,
            fitter,
            sink,
            _pipeline: pipeline,
        })
    }

    /// Where the decoded pictures or sound are read.
    pub fn sink(&self) -> &gst_app::AppSink {
        &self.sink
    }

    /// Pixels decoded so far; none of sound.
    pub fn decoded_pixels(&self) -> u64 {
        let fitter = self.fitter.as_ref();
        fitter.map_or(0, |fitter| fitter.decoded.load(Ordering::Relaxed))
    }

    /// The tile the pictures are for; they are cut and scaled to it from the next frame on.
    pub fn set_tile(&self, tile: Size) {
        if let Some(fitter) = &self.fitter {
            fitter.set_tile(tile);
        }
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

/// Asks for a keyframe whenever a decoder is told something new of its stream: it starts afresh
/// then, and a sender whose samples become others (another track) need not send one by itself.
fn ask_at_changes(pipeline: &Pipeline, tap: &Tap) -> Result<(), MixerError> {
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

/// Passes every packet of the tap on that a depayloader may be given, and its caps when they change;
/// and where sound is missing, how much.
fn connect(tap: &Tap, input: gst_app::AppSrc) -> Subscription {
    let mut known: Option<gst::Caps> = None;
    let mut missing = (tap.format() == Codec::Opus).then(Missing::default);
    let mut sanitizer = Sanitizer::new(tap.format());
    tap.connect(Box::new(move |packets, caps| {
        if known.as_deref() != Some(caps) {
            known = Some(caps.to_owned());
            input.set_caps(known.as_ref());
        }
        // Flushing means the ingest is going away, and the link with it.
        for packet in packets {
            if !sanitize::admits(&mut sanitizer, packet) {
                continue;
            }
            if let Some(lost) = missing.as_mut().and_then(|m| lost_before(m, packet)) {
                input.send_event(lost);
            }
            let _ = input.push_buffer(packet.clone());
        }
    }))
}

/// What a jitterbuffer says of the sound that was lost before a packet.
fn lost_before(missing: &mut Missing, packet: &gst::Buffer) -> Option<gst::Event> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    let lost = missing.before(rtp.seq(), rtp.timestamp())?;
    let duration = gst::ClockTime::try_from(lost).ok()?;
    let structure = gst::Structure::builder("GstRTPPacketLost")
        .field("timestamp", packet.pts()?.saturating_sub(duration))
        .field("duration", duration)
        .build();
    Some(gst::event::CustomDownstream::new(structure))
}

/// Keeps the size that a branch delivers equal to the tile's, and its matrix to the canvas's,
/// whatever the sender sends; and counts what the decoder made.
///
/// The tile comes from the room's task and the source size from the branch's streaming thread;
/// each is one atomic, and whoever changes one applies both.
#[derive(Debug)]
pub(crate) struct Fitter {
    crop: gst::Element,
    size: gst::Element,
    fit: Fit,
    tile: AtomicU64,
    source: AtomicU64,
    /// Pixels.
    decoded: AtomicU64,
}

impl Fitter {
    /// Sees to the elements `crop` and `size` of a pipeline.
    ///
    /// # Errors
    /// [`MixerError::Pipeline`] where it has none.
    pub(crate) fn install(pipeline: &Pipeline, fit: Fit) -> Result<Arc<Self>, MixerError> {
        let fitter = Arc::new(Self {
            crop: pipeline.element("crop")?,
            size: pipeline.element("size")?,
            fit,
            tile: AtomicU64::new(0),
            source: AtomicU64::new(0),
            decoded: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&fitter);
        if let Some(pad) = fitter.crop.static_pad("sink") {
            let (counts, total) = (
                weak.clone(),
                metrics::counter!("tessera_decoded_pixels_total"),
            );
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                if let Some(fitter) = counts.upgrade() {
                    total.increment(fitter.count_picture());
                }
                gst::PadProbeReturn::Ok
            });
            pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
                if let Some(gst::PadProbeData::Event(event)) = &mut info.data
                    && let gst::EventView::Caps(caps) = event.view()
                {
                    if let Some(fitter) = weak.upgrade() {
                        fitter.set_source(caps.caps());
                    }
                    if let Some(named) = colorimetry::with_matrix(caps.caps()) {
                        let seqnum = event.seqnum();
                        *event = gst::event::Caps::builder(&named).seqnum(seqnum).build();
                    }
                }
                gst::PadProbeReturn::Ok
            });
        }
        Ok(fitter)
    }

    fn set_source(&self, caps: &gst::CapsRef) {
        if let Ok(info) = gst_video::VideoInfo::from_caps(caps) {
            let source = Size {
                width: info.width(),
                height: info.height(),
            };
            self.source.store(pack(source), Ordering::Release);
            self.apply();
        }
    }

    /// A picture of the source has been decoded: of how many pixels.
    fn count_picture(&self) -> u64 {
        let source = unpack(self.source.load(Ordering::Acquire));
        let pixels = source.map_or(0, |s| u64::from(s.width) * u64::from(s.height));
        self.decoded.fetch_add(pixels, Ordering::Relaxed);
        pixels
    }

    /// The tile is of this size from the next picture on.
    pub(crate) fn set_tile(&self, tile: Size) {
        if self.tile.swap(pack(tile), Ordering::AcqRel) != pack(tile) {
            self.apply();
        }
    }

    fn apply(&self) {
        let source = unpack(self.source.load(Ordering::Acquire));
        let tile = unpack(self.tile.load(Ordering::Acquire));
        let (Some(source), Some(tile)) = (source, tile) else {
            return;
        };
        let placement = layout::fit(source, tile, self.fit);
        let crop = placement.crop;
        let edges = [
            ("left", crop.x),
            ("right", source.width.saturating_sub(crop.x + crop.w)),
            ("top", crop.y),
            ("bottom", source.height.saturating_sub(crop.y + crop.h)),
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

fn pack(size: Size) -> u64 {
    u64::from(size.width) << 32 | u64::from(size.height)
}

/// `None` for the zero that stands for "not known yet".
fn unpack(packed: u64) -> Option<Size> {
    let size = Size {
        width: u32::try_from(packed >> 32).ok()?,
        height: u32::try_from(packed & u64::from(u32::MAX)).ok()?,
    };
    (size.width > 0 && size.height > 0).then_some(size)
}

#[cfg(test)]
mod tests;
