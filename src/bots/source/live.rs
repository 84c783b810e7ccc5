//! Time codes, encoded as they are drawn: one encoder for all bots of a format and phase.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use gst::prelude::*;
use parking_lot::{Mutex, MutexGuard};

use super::encode::{self, Content, encoder, named, raw_caps};
use super::media_source::MediaSource;
use super::pace::{self, Paced, next_due};
use crate::bots::clock;
use crate::bots::error::BotError;
use crate::bots::observe::probe::Picture;
use crate::bots::observe::probe::timecode::TimeCode;
use crate::bots::source::settings::VideoFormat;
use crate::media::gst::event::force_key_unit;

/// Number of parts into which a frame interval is divided; each sender starts at one of them.
pub(crate) const PHASES: u32 = 4;

/// The colour around the code, R'G'B'.
pub(crate) const BACKGROUND: [u8; 3] = [64, 80, 112];

type Subscribers = Mutex<Vec<Weak<MediaSource>>>;

/// An encoder of time codes. It runs while somebody holds it.
#[derive(Debug)]
pub(crate) struct LiveSource {
    pipeline: gst::Pipeline,
    input: gst_app::AppSrc,
    output: gst_app::AppSink,
    format: VideoFormat,
    blank: Picture,
    layout: gst_video::VideoInfo,
    subscribers: Arc<Subscribers>,
}

type Sources = HashMap<(VideoFormat, u32), Weak<LiveSource>>;

/// The encoders that run. Locked while one is made, so that two bots do not make the same.
static SOURCES: LazyLock<Mutex<Sources>> = LazyLock::new(Mutex::default);

impl LiveSource {
    /// The encoder of a format and phase, which is started if it does not run. Blocks while it
    /// starts.
    pub(crate) fn obtain(format: VideoFormat, phase: u32) -> Result<Arc<Self>, BotError> {
        let phase = phase % PHASES;
        let mut sources = SOURCES.lock();
        if let Some(source) = sources.get(&(format, phase)).and_then(Weak::upgrade) {
            return Ok(source);
        }
        let source = Arc::new(Self::start(format)?);
        sources.retain(|_, source| source.strong_count() > 0);
        sources.insert((format, phase), Arc::downgrade(&source));
        let interval = Duration::from_secs(1) / format.fps.max(1);
        // All phases are cut from one raster, whenever their encoders start.
        let now = clock::now().as_nanos();
        let raster = now - now % interval.as_nanos().max(1);
        let start = Duration::from_nanos(u64::try_from(raster).unwrap_or(0));
        pace::schedule(&source, start + interval + interval * phase / PHASES);
        Ok(source)
    }

    fn start(format: VideoFormat) -> Result<Self, BotError> {
        let launch = format!(
            "appsrc name=in is-live=true format=time max-buffers=3 leaky-type=upstream caps=\"{}\" \
             ! {} ! appsink name=out sync=false",
            raw_caps(format.size, format.fps),
            encoder(format, Content::Moving),
        );
        let pipeline = gst::parse::launch(&launch)
            .map_err(|e| BotError::media("time code pipeline", e))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| BotError::Media("time code pipeline".into()))?;
        let output = named::<gst_app::AppSink>(&pipeline, "out")?;
        encode::sign(&pipeline);
        let subscribers = Arc::<Subscribers>::default();
        let weak = Arc::downgrade(&subscribers);
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let (Some(buffer), Some(subscribers)) = (sample.buffer_owned(), weak.upgrade()) {
                distribute(&subscribers, buffer);
            }
            Ok(gst::FlowSuccess::Ok)
        });
        output.set_callbacks(callbacks.build());
        let source = Self {
            input: named(&pipeline, "in")?,
            output,
            blank: Picture::solid(format.size.width, format.size.height, BACKGROUND),
            layout: encode::raw_info(format.size)?,
            pipeline,
            format,
            subscribers,
        };
        source
            .pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| BotError::media("starting the time code", e))?;
        Ok(source)
    }

    /// Sends every frame from the next keyframe on into `media_source`.
    pub(crate) fn subscribe(&self, media_source: &Arc<MediaSource>) {
        media_source.restart();
        self.lock().push(Arc::downgrade(media_source));
    }

    /// Sends no more frames into `media_source`.
    pub(crate) fn unsubscribe(&self, media_source: &Arc<MediaSource>) {
        self.lock()
            .retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(media_source)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<MediaSource>>> {
        self.subscribers.lock()
    }

    fn key_needed(&self, now: Duration) -> bool {
        self.lock()
            .iter()
            .filter_map(Weak::upgrade)
            .any(|media_source| media_source.needs_key(now))
    }
}

impl Paced for LiveSource {
    fn tick(&self, due: Duration) -> Option<Duration> {
        let now = clock::now();
        if self.key_needed(now) {
            self.output.send_event(force_key_unit());
        }
        let mut picture = self.blank.clone();
        TimeCode::at(now).draw(&mut picture);
        // Picture and layout were made for one size.
        let mut buffer = encode::raw_frame(&self.layout, &picture)?;
        if let Some(buffer) = buffer.get_mut() {
            // On the machine's clock, so that it can be told from it in each bot's pipeline.
            buffer.set_pts(gst::ClockTime::try_from(now).ok());
        }
        // Refused only while the pipeline stops.
        let _ = self.input.push_buffer(buffer);
        Some(next_due(
            due,
            Duration::from_secs(1) / self.format.fps.max(1),
        ))
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        // Never the encoder's own thread, which holds only the subscribers.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn distribute(subscribers: &Subscribers, buffer: gst::Buffer) {
    let Some(taken) = buffer.pts() else { return };
    let frame = encode::frame(buffer);
    let mut subscribers = subscribers.lock();
    subscribers.retain(|media_source| match media_source.upgrade() {
        Some(media_source) => {
            media_source.push(&frame, taken.into());
            true
        }
        None => false,
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bots::source::media_source::PipelineInput;
    use crate::codec::VideoCodec;
    use crate::layout::Size;

    /// The first picture that comes out of a decoder of what a live source sends.
    fn first_picture(format: VideoFormat) -> Picture {
        let launch = match format.codec {
            VideoCodec::H264 => "h264parse ! avdec_h264 max-threads=1",
            _ => "vp8dec threads=1",
        };
        let launch = format!(
            "appsrc name=in is-live=true format=time caps=\"{}\" ! {launch} ! videoconvert \
             ! video/x-raw,format=I420 ! appsink name=out sync=false",
            encode::video_caps(format.codec)
        );
        let pipeline = gst::parse::launch(&launch).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let sink = named::<gst_app::AppSink>(&pipeline, "out").unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let input = PipelineInput::new(named(&pipeline, "in").unwrap());
        let media_source = MediaSource::with(&input);
        let source = LiveSource::obtain(format, 0).unwrap();
        source.subscribe(&media_source);
        input.open();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(20));
        let sample = sample.unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let plane = |i: usize| (&map[info.offset()[i]..], info.stride()[i] as usize);
        let planes = [plane(0), plane(1), plane(2)];
        Picture::from_planes(info.width(), info.height(), planes, clock::now(), 1).unwrap()
    }

    #[test]
    fn every_width_is_encoded_as_it_was_drawn() {
        gst::init().unwrap();
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            // The tiles of nine people have rows, of luma and of chroma, that are no multiple of
            // four bytes.
            for (width, height) in [(320, 180), (426, 238), (212, 118), (196, 110)] {
                let format = VideoFormat::sized(codec, width, height);
                let picture = first_picture(format);
                let Size { width, height } = format.size;
                assert_eq!((picture.width, picture.height), (width, height));
                let code = TimeCode::read(&picture, picture.bounds());
                let age = code.map(|code| code.age(picture.arrival));
                assert!(
                    age.is_some_and(|age| age < Duration::from_secs(20)),
                    "{format:?}: {age:?}"
                );
                // Near the corners, where rows of the wrong length end in something else; at the
                // very edge openh264 mixes in what it pads the picture with.
                let (right, bottom) = (width - 5, height - 5);
                for (x, y) in [(4, 4), (right, 4), (4, bottom), (right, bottom)] {
                    let seen = picture.rgb(x, y);
                    let off = seen.iter().zip(BACKGROUND).map(|(a, b)| a.abs_diff(b));
                    assert!(off.max().unwrap() < 12, "{format:?} at {x},{y}: {seen:?}");
                }
            }
        }
    }
}
