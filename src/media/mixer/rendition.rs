//! One encoding of the composite or of a mix: raw frames in, RTP out through a tap, shared by
//! every viewer of its kind.

use std::time::Duration;

use super::MixerError;
use crate::config::VideoCodec;
use crate::layout::Size;
use crate::media::offer::format_of;
use crate::media::pipeline::{BusEvent, Pipeline};
use crate::media::plugins::{self, H264Encoder};
use crate::media::rtp::PayloadFormat;
use crate::media::tap::Tap;
use crate::media::template::{Templates, Value};
use crate::media::vui;

/// An encoder makes a keyframe on request at most this often.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);
/// Most frames between keyframes; viewers ask for theirs.
const KEYFRAME_DISTANCE: u64 = 900;
/// vp8enc's speed: 14.5 dB SSIM at 0.46 core for 720p30 (DESIGN section 5).
const VP8_SPEED: u64 = 8;

/// A running encoder; dropping it ends it.
#[derive(Debug)]
pub struct Rendition {
    input: gst_app::AppSrc,
    tap: Tap,
    _pipeline: Pipeline,
}

/// Size and rate of a video rendition.
#[derive(Debug, Clone, Copy)]
pub struct VideoRung {
    /// Encoded size, pixels.
    pub size: Size,
    /// bit/s.
    pub bitrate: u32,
}

impl Rendition {
    /// Encodes canvas frames of caps `input` as `codec`.
    ///
    /// # Errors
    /// [`MixerError`] when the pipeline cannot be made, or there is no encoder for `codec`.
    pub fn video(
        templates: &Templates,
        codec: VideoCodec,
        rung: VideoRung,
        input: &gst::Caps,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let format = format_of(codec);
        let template = match codec {
            VideoCodec::Vp8 => "rendition-vp8",
            VideoCodec::Vp9 => return Err(MixerError::NoCodec("VP9 encoder")),
            VideoCodec::H264 => match plugins::h264_encoder() {
                Some(H264Encoder::OpenH264) => "rendition-h264",
                Some(H264Encoder::X264) => "rendition-h264-x264",
                None => return Err(MixerError::NoCodec("H.264 encoder")),
            },
        };
        let values = [
            ("width", Value::Int(u64::from(rung.size.width))),
            ("height", Value::Int(u64::from(rung.size.height))),
            ("bitrate", Value::Int(u64::from(rung.bitrate))),
            ("kbitrate", Value::Int(u64::from(rung.bitrate / 1000))),
            ("cpu", Value::Int(VP8_SPEED)),
            ("keyframe", Value::Int(KEYFRAME_DISTANCE)),
        ];
        let rendition = Self::start(templates, template, format, &values, on_failure)?;
        rendition.input.set_caps(Some(input));
        Ok(rendition)
    }

    /// Encodes 20 ms blocks of 48 kHz mono float as Opus at `bitrate` bit/s.
    ///
    /// # Errors
    /// [`MixerError`] when the pipeline cannot be made.
    pub fn sound(
        templates: &Templates,
        bitrate: u32,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let values = [("bitrate", Value::Int(u64::from(bitrate)))];
        Self::start(
            templates,
            "rendition-opus",
            PayloadFormat::Opus,
            &values,
            on_failure,
        )
    }

    fn start(
        templates: &Templates,
        name: &str,
        format: PayloadFormat,
        values: &[(&str, Value)],
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, MixerError> {
        let mut pipeline = Pipeline::parse(name, &templates.fill(name, values)?)?;
        let input = pipeline.element::<gst_app::AppSrc>("in")?;
        let output = pipeline.element::<gst_app::AppSink>("out")?;
        if format == PayloadFormat::H264 {
            vui::sign(&pipeline.element("encoder")?);
        }
        let tap = Tap::new(&output, format, KEYFRAME_INTERVAL, None);
        pipeline.start(move |event| {
            if let BusEvent::Error(text) = event {
                on_failure(text);
            }
        })?;
        Ok(Self {
            input,
            tap,
            _pipeline: pipeline,
        })
    }

    /// Where raw frames go.
    pub fn input(&self) -> &gst_app::AppSrc {
        &self.input
    }

    /// Where its RTP is had.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }
}
