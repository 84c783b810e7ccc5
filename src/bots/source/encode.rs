//! Encoding at low cost: small pipelines that turn a source into encoded frames.

use std::time::Duration;

use gst::prelude::*;

use crate::bots::error::BotError;
use crate::bots::observe::probe::Picture;
use crate::bots::source::settings::VideoFormat;
use crate::codec::VideoCodec;
use crate::layout::Size;
use crate::media::gst::sps_probe;
use crate::media::rtp::h264_sps::PeakRates;

/// The length of an Opus packet.
pub(crate) const PACKET: Duration = Duration::from_millis(20);

/// An encoded frame or packet. The timestamp of its buffer means nothing.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) buffer: gst::Buffer,
    pub(crate) key: bool,
}

/// Caps of encoded video, as payloaders take it.
pub(crate) fn video_caps(codec: VideoCodec) -> gst::Caps {
    match codec {
        VideoCodec::H264 => gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", "constrained-baseline")
            // The level of the offer's profile-level-id: the payloader takes none higher, nor none.
            .field("level", "3.1")
            .build(),
        VideoCodec::Vp8 => gst::Caps::builder("video/x-vp8").build(),
        VideoCodec::Vp9 => gst::Caps::builder("video/x-vp9").build(),
    }
}

/// What an encoder is to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Pictures that change, encoded at the bitrate of the format.
    Moving,
    /// Pictures of one colour. Left alone, a VP8 encoder misses it by up to 7 of 255 in chroma and
    /// never corrects that; fine quantisation does, and costs no more bits.
    Flat,
    /// Pictures that belong to a moment. Every one is a keyframe, because a receiver that begins in
    /// the middle must not begin with another one.
    Timed,
}

/// The name of an encoder that does not write into its stream that pictures are BT.601.
const SILENT: &str = "silent";

/// What no bot sends more of than.
const MOST: PeakRates = PeakRates {
    fps: 30,
    bitrate: 14_000_000,
};

/// Makes the encoder of a pipeline write the colorimetry of [`raw_caps`] into its stream.
pub(crate) fn sign(pipeline: &gst::Pipeline) {
    if let Some(encoder) = pipeline.by_name(SILENT) {
        sps_probe::patch(&encoder, MOST);
    }
}

/// The encoder of a format in gst-launch syntax: a keyframe each second, no frame skipped. The
/// pipeline has to be passed to [`sign`].
pub(crate) fn encoder(format: VideoFormat, content: Content) -> String {
    let (bitrate, fps) = (format.bitrate(), format.fps);
    let coarsest = match content {
        Content::Moving | Content::Timed => 63,
        Content::Flat => 20,
    };
    let distance = match content {
        Content::Timed => 1,
        Content::Moving | Content::Flat => fps,
    };
    let vpx = format!(
        "deadline=1 cpu-used=8 target-bitrate={bitrate} end-usage=cbr threads=1 \
         keyframe-max-dist={distance} lag-in-frames=0 buffer-size=1000 buffer-initial-size=500 \
         buffer-optimal-size=600 min-quantizer=0 max-quantizer={coarsest}"
    );
    match format.codec {
        VideoCodec::H264 => format!(
            "openh264enc name={SILENT} bitrate={bitrate} max-bitrate={} rate-control=bitrate \
             complexity=low gop-size={distance} multi-thread=1 enable-frame-skip=false ! \
             video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
            bitrate * 2
        ),
        VideoCodec::Vp8 => format!("vp8enc {vpx}"),
        VideoCodec::Vp9 => format!("vp9enc {vpx} row-mt=false"),
    }
}

/// Caps of raw video. The matrix is BT.601 at every size, as cameras of browsers have it.
pub(crate) fn raw_caps(size: Size, fps: u32) -> String {
    let Size { width, height } = size;
    format!(
        "video/x-raw,format=I420,width={width},height={height},framerate={fps}/1,\
         pixel-aspect-ratio=1/1,colorimetry=bt601"
    )
}

/// The memory layout of pictures of [`raw_caps`].
pub(crate) fn raw_info(size: Size) -> Result<gst_video::VideoInfo, BotError> {
    let format = gst_video::VideoFormat::I420;
    gst_video::VideoInfo::builder(format, size.width, size.height)
        .build()
        .map_err(|e| BotError::media("raw video", e))
}

/// A picture as a buffer of that layout; `None` if it has another size.
///
/// GStreamer pads rows to four bytes, and vp8enc (1.22) does not check whether a buffer is long
/// enough for its caps: too short a one crashes the process.
pub(crate) fn raw_frame(info: &gst_video::VideoInfo, picture: &Picture) -> Option<gst::Buffer> {
    if (picture.width, picture.height) != (info.width(), info.height()) {
        return None;
    }
    let mut bytes = vec![0; info.size()];
    let widths = [picture.width, picture.width.div_ceil(2)].map(|width| width as usize);
    for (plane, rows) in picture.planes().into_iter().enumerate() {
        let width = widths[plane.min(1)];
        let stride = usize::try_from(*info.stride().get(plane)?).ok()?;
        let target = bytes.get_mut(*info.offset().get(plane)?..)?;
        for (to, from) in target.chunks_mut(stride).zip(rows.chunks_exact(width)) {
            to.get_mut(..width)?.copy_from_slice(from);
        }
    }
    Some(gst::Buffer::from_mut_slice(bytes))
}

/// Runs a pipeline that ends in an appsink named `out` until its end, and returns what came out.
/// `input` goes into its appsrc named `in`, if it has one. Blocks.
///
/// # Errors
/// The first error of the pipeline.
pub(crate) fn run(launch: &str, input: Option<&'static [u8]>) -> Result<Vec<Frame>, BotError> {
    let pipeline = gst::parse::launch(launch)
        .map_err(|e| BotError::media("encoder pipeline", e))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| BotError::Media(format!("not a pipeline: {launch}")))?;
    let result = drain(&pipeline, input);
    // Nothing can be done about a failure to stop, and the frames are there.
    let _ = pipeline.set_state(gst::State::Null);
    result
}

fn drain(pipeline: &gst::Pipeline, input: Option<&'static [u8]>) -> Result<Vec<Frame>, BotError> {
    let sink = named::<gst_app::AppSink>(pipeline, "out")?;
    sign(pipeline);
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| BotError::media("starting an encoder", e))?;
    if let Some(bytes) = input {
        let source = named::<gst_app::AppSrc>(pipeline, "in")?;
        source
            .push_buffer(gst::Buffer::from_slice(bytes))
            .and_then(|_| source.end_of_stream())
            .map_err(|e| BotError::media("feeding an encoder", e))?;
    }
    let mut frames = Vec::new();
    // Fails at the end of the stream and on an error; the bus tells which it was.
    while let Ok(sample) = sink.pull_sample() {
        if let Some(frame) = sample.buffer_owned().map(frame) {
            frames.push(frame);
        }
    }
    let bus = pipeline
        .bus()
        .ok_or_else(|| BotError::Media("no bus".into()))?;
    match bus.pop_filtered(&[gst::MessageType::Error]) {
        Some(message) => Err(BotError::Media(format!("encoding: {message:?}"))),
        None if frames.is_empty() => Err(BotError::Media("an encoder gave nothing".into())),
        None => Ok(frames),
    }
}

/// The frame of an encoder's buffer.
pub(crate) fn frame(buffer: gst::Buffer) -> Frame {
    let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    Frame { buffer, key }
}

/// The element with that name and type in a pipeline.
pub(crate) fn named<T: IsA<gst::Element>>(
    pipeline: &gst::Pipeline,
    name: &str,
) -> Result<T, BotError> {
    pipeline
        .by_name(name)
        .and_then(|element| element.downcast().ok())
        .ok_or_else(|| BotError::Media(format!("no element {name} of the right kind")))
}
