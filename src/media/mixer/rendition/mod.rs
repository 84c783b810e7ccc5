//! One encoding of the composite: raw frames in, RTP out through a tap, shared by every viewer of its
//! kind.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::error::MixerError;
use crate::codec::Codec;
use crate::codec::VideoCodec;
use crate::media::bwe::ladder::{Pace, RungSpec};
use crate::media::gst::pipeline::{BusEvent, Pipeline};
use crate::media::gst::plugins;
use crate::media::gst::plugins::H264Encoder;
use crate::media::gst::pool::source::{Limits, PoolSrc};
use crate::media::gst::sps_probe;
use crate::media::gst::template::{Templates, Value};
use crate::media::rtp::h264_sps::PeakRates;
use crate::media::stream::tap::Tap;

/// Shortest time between two keyframes that are made on request.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);
/// Most frames between two keyframes. It is long because viewers request the ones they need.
const KEYFRAME_DISTANCE: u64 = 900;
/// Most frames that wait for an encoder. What it cannot take is dropped, not kept.
const MAX_QUEUED: usize = 2;
/// `cpu-used` of vp8enc: 14.5 dB SSIM at 0.46 of a core for 720p30.
const VP8_SPEED: u64 = 8;

/// One encoding of the composite. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Rendition {
    input: PoolSrc,
    tap: Tap,
    bitrate: Arc<Mutex<Bitrate>>,
    _pipeline: Pipeline,
}

/// The bitrate of a running encoder.
#[derive(Debug)]
struct Bitrate {
    element: gst::Element,
    encoder: Encoder,
    pace: Pace,
    /// The bitrate in force, bit/s.
    now: u32,
    /// Whether the first picture has been made. Until then the encoder has a lower bitrate.
    begun: bool,
}

impl Bitrate {
    fn apply(&self) {
        let element = &self.element;
        let bits = self.encoder.bitrate(self.now, self.pace);
        match self.encoder {
            Encoder::OpenH264 => element.set_property("bitrate", bits),
            Encoder::X264 => element.set_property("bitrate", (bits / 1000).max(1)),
            Encoder::Vp8 => element.set_property("target-bitrate", signed(bits)),
        }
    }
}

fn signed(bits: u32) -> i32 {
    i32::try_from(bits).unwrap_or(i32::MAX)
}

/// Sets the bitrate of the encoder once its first picture has left it. A first still is dropped:
/// its size was a guess, and the next one is the same picture ([`super::video::encoder_input`]).
fn apply_after_first_picture(encoder: &gst::Element, bitrate: &Arc<Mutex<Bitrate>>) {
    let Some(pad) = encoder.static_pad("src") else {
        return;
    };
    let pace = bitrate.lock().pace;
    let (bitrate, encoder) = (Arc::downgrade(bitrate), encoder.downgrade());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let bitrate = bitrate.clone();
        if let Some(encoder) = encoder.upgrade() {
            // Not from within the encoder, which may hold locks.
            encoder.call_async(move |_| {
                if let Some(bitrate) = bitrate.upgrade() {
                    let mut bitrate = bitrate.lock();
                    bitrate.begun = true;
                    bitrate.apply();
                }
            });
        }
        if let Some(probe) = info.id.take() {
            pad.remove_probe(probe);
        }
        match pace {
            Pace::Fps(_) => gst::PadProbeReturn::Ok,
            Pace::Still(_) => gst::PadProbeReturn::Drop,
        }
    });
}

/// The encoder to start, and what it is to make.
#[derive(Debug, Clone, Copy)]
struct Target {
    encoder: Encoder,
    pace: Pace,
    /// The bitrate to begin with, bit/s.
    bitrate: u32,
}

/// The encoders that there are templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoder {
    OpenH264,
    X264,
    Vp8,
}

impl Encoder {
    /// The encoder for a codec of pictures.
    fn of(codec: VideoCodec) -> Result<Self, MixerError> {
        match codec {
            VideoCodec::Vp8 => Ok(Self::Vp8),
            VideoCodec::Vp9 => Err(MixerError::NoCodec("VP9 encoder")),
            VideoCodec::H264 => match plugins::h264_encoder() {
                Some(H264Encoder::OpenH264) => Ok(Self::OpenH264),
                Some(H264Encoder::X264) => Ok(Self::X264),
                None => Err(MixerError::NoCodec("H.264 encoder")),
            },
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::OpenH264 => "rendition-h264",
            Self::X264 => "rendition-h264-x264",
            Self::Vp8 => "rendition-vp8",
        }
    }

    fn format(self) -> Codec {
        match self {
            Self::OpenH264 | Self::X264 => Codec::H264,
            Self::Vp8 => Codec::Vp8,
        }
    }

    /// What it is told for so many bit/s on the whole. A still may have all the bits of its time.
    fn bitrate(self, bitrate: u32, pace: Pace) -> u32 {
        let Pace::Still(every) = pace else {
            return bitrate;
        };
        let seconds = u32::try_from(every.as_secs()).unwrap_or(u32::MAX);
        match self {
            // As if there were a picture a second, the least that it knows, and smaller ones
            // between keyframes.
            Self::OpenH264 => bitrate.saturating_mul(seconds) / 4,
            // As if there were one a second.
            Self::X264 => bitrate.saturating_mul(seconds),
            // It knows how long a picture is shown, but counts on smaller ones between keyframes.
            // Thousands are all that libvpx sees.
            Self::Vp8 => (bitrate / 8).max(1000),
        }
    }

    /// bit/s for its first picture. openh264 makes that two to three times as large as any later
    /// keyframe, by the bitrate: on a slow link it would be seconds until it is there. The first of
    /// stills is not sent.
    fn first_bitrate(self, rung: &RungSpec) -> u32 {
        match rung.pace {
            Pace::Fps(_) => rung.least / 2,
            Pace::Still(_) => self.bitrate(rung.most, rung.pace),
        }
    }
}

impl Rendition {
    /// Encodes canvas frames of caps `input` as `codec`.
    ///
    /// # Errors
    /// [`MixerError`] when the pipeline cannot be made, or there is no encoder for `codec`.
    pub(crate) fn video(
        templates: &Templates,
        codec: VideoCodec,
        rung: &RungSpec,
        input: &gst::Caps,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        Self::pictures(templates, Encoder::of(codec)?, rung, input, on_failure)
    }

    fn pictures(
        templates: &Templates,
        encoder: Encoder,
        rung: &RungSpec,
        input: &gst::Caps,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let bitrate = encoder.first_bitrate(rung);
        let distance = match rung.pace {
            Pace::Fps(_) => KEYFRAME_DISTANCE,
            // Whoever misses one must not wait for two.
            Pace::Still(_) => 1,
        };
        let values = [
            ("width", Value::Int(u64::from(rung.size.width))),
            ("height", Value::Int(u64::from(rung.size.height))),
            ("bitrate", Value::Int(u64::from(bitrate))),
            ("kbitrate", Value::Int(u64::from((bitrate / 1000).max(1)))),
            ("cpu", Value::Int(VP8_SPEED)),
            ("keyframe", Value::Int(distance)),
        ];
        let target = Target {
            encoder,
            pace: rung.pace,
            bitrate: rung.most,
        };
        let rendition = Self::start(templates, &values, target, on_failure)?;
        rendition.input.set_caps(input);
        let element = rendition.bitrate.lock().element.clone();
        if encoder.format() == Codec::H264 {
            let (fps, bitrate) = (rung.pace.fps().ceil() as u32, rung.most);
            sps_probe::patch(&element, PeakRates { fps, bitrate });
        }
        apply_after_first_picture(&element, &rendition.bitrate);
        Ok(rendition)
    }

    fn start(
        templates: &Templates,
        values: &[(&str, Value)],
        target: Target,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let (name, format) = (target.encoder.template(), target.encoder.format());
        let mut pipeline = Pipeline::parse(name, &templates.fill(name, values)?)?;
        let input = pipeline.element::<PoolSrc>("in")?;
        input.limit(Limits {
            buffers: MAX_QUEUED,
            ..Limits::NONE
        });
        let output = pipeline.element::<gst_app::AppSink>("out")?;
        let element: gst::Element = pipeline.element("encoder")?;
        let tap = Tap::new(&output, format, KEYFRAME_INTERVAL, None);
        pipeline.start(move |event| {
            if let BusEvent::Error(text) = event {
                on_failure(text);
            }
        })?;
        Ok(Self {
            input,
            tap,
            bitrate: Arc::new(Mutex::new(Bitrate {
                element,
                encoder: target.encoder,
                pace: target.pace,
                now: target.bitrate,
                begun: false,
            })),
            _pipeline: pipeline,
        })
    }

    /// Encodes at `bitrate` bit/s from the next frame on, though never before the first picture.
    pub(crate) fn set_bitrate(&self, bitrate: u32) {
        let mut setting = self.bitrate.lock();
        let changed = std::mem::replace(&mut setting.now, bitrate) != bitrate;
        if changed && setting.begun {
            setting.apply();
        }
    }

    /// The bitrate in force, bit/s.
    pub(crate) fn bitrate(&self) -> u32 {
        self.bitrate.lock().now
    }

    /// What raw frames are pushed into.
    pub(crate) fn input(&self) -> &PoolSrc {
        &self.input
    }

    /// The tap that the encoded packets leave by.
    pub(crate) fn tap(&self) -> &Tap {
        &self.tap
    }
}

#[cfg(test)]
mod tests;
