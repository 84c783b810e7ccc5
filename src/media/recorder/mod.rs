//! Writes a mix to a file: packets of a rendition's tap and of the full mix's, as they are, into a
//! container. A pipeline of its own, so that a disk that is slow or full never touches the call.
//!
//! MP4 holds H.264 and Opus: Chromium, Firefox and ffprobe play both, AAC would be one more encoder
//! and 20 ms more of delay against the picture. WebM holds VP8 and Opus, Ogg Opus alone.
//!
//! Threads: [`Recorder::start`] and [`Recorder::finish`] run on a tokio thread, packets come on the
//! taps' streaming threads and are put into queues there, files are written on threads of the
//! recorder's pipeline.

mod onward;
mod reserve;
#[cfg(test)]
mod testing;
mod timeline;
mod track;
pub(crate) mod writing;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::timeline::{FRAME, Lead, Timed, Timeline};
use self::writing::{Writing, keep_first_caps};
#[cfg(test)]
pub(crate) use reserve::RESERVED;
pub(crate) use reserve::reserve;
pub use track::{TrackEnd, TrackWriter};

use super::mixer::SOUND_LAG;
use super::pipeline::{Pipeline, PipelineError};
use super::rtp::{PayloadFormat, starts_keyframe};
use super::tap::{Link, Tap};
use super::template::{TemplateError, Templates};
use crate::config::VideoCodec;

/// What waits for the disk beyond this is lost, up to the next keyframe.
const BACKLOG: gst::ClockTime = gst::ClockTime::from_seconds(5);
/// Time between keyframes, so that one can seek. Each costs viewers the bits of some ten other
/// pictures, which is why there are not more.
const KEYFRAME_EVERY: Duration = Duration::from_secs(10);
/// How long writing the last of a file may take.
const FINISH_DEADLINE: Duration = Duration::from_secs(3);
/// An Opus packet of 20 ms that is silence: CELT, full band, mono, one frame of no bytes beyond
/// those that say so (RFC 6716 section 3.1).
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// A container, and with it the codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// ISO base media file format: H.264 and Opus.
    Mp4,
    /// WebM: VP8 and Opus.
    Webm,
    /// Ogg (RFC 7845): Opus alone.
    Ogg,
}

impl Container {
    /// The codec of its picture.
    pub fn codec(self) -> Option<VideoCodec> {
        match self {
            Self::Mp4 => Some(VideoCodec::H264),
            Self::Webm => Some(VideoCodec::Vp8),
            Self::Ogg => None,
        }
    }

    /// What its files end in, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::Ogg => "ogg",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Mp4 => "record-mp4",
            Self::Webm => "record-webm",
            Self::Ogg => "record-ogg",
        }
    }

    fn lead(self) -> Lead {
        match self.codec() {
            Some(_) => Lead::Picture,
            None => Lead::Sound,
        }
    }
}

/// What can go wrong with a recording.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// The pipeline could not be made or started.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A template is missing or not filled.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An element failed; mostly the disk.
    #[error("{0}")]
    Failed(String),
    /// The end of the file could not be written in time.
    #[error("the disk does not take the end of the file")]
    Stuck,
}

/// A recording under way. Dropping it ends it where it is; the file can be played, as after a
/// crash.
#[derive(Debug)]
pub struct Recorder {
    picture: Option<Link>,
    sound: Option<Link>,
    feeder: Arc<Feeder>,
    // Last, so that it is dropped after everything that points into it.
    writing: Writing,
}

impl Recorder {
    /// Begins to write `container` to `path`. Nothing is written before there is something to
    /// write: [`Recorder::feed_sound`], [`Recorder::feed_picture`]. `on_failure` is called on a
    /// tokio thread when nothing more can be written.
    ///
    /// # Errors
    /// [`RecorderError`] when the pipeline cannot be made or the file not be opened.
    pub fn start(
        templates: &Templates,
        container: Container,
        path: &Path,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, RecorderError> {
        let name = container.template();
        let pipeline = Pipeline::parse(name, &templates.fill(name, &[])?)?;
        let file = pipeline.element::<gst::Element>("file")?;
        file.set_property("location", path);
        reserve(container, &pipeline)?;
        let picture = match container.lead() {
            Lead::Picture => {
                let parse = pipeline.element::<gst::Element>("parse")?;
                if let Some(pad) = parse.static_pad("src") {
                    keep_first_caps(&pad);
                }
                Some(pipeline.element("picture")?)
            }
            Lead::Sound => None,
        };
        let feeder = Arc::new(Feeder {
            picture,
            sound: pipeline.element("sound")?,
            timeline: Mutex::new(Timeline::new(container.lead())),
        });
        Ok(Self {
            picture: None,
            sound: None,
            feeder,
            writing: Writing::start(pipeline, on_failure)?,
        })
    }

    /// Takes the picture from `tap` from now on, beginning with a keyframe, which is asked for.
    pub fn feed_picture(&mut self, tap: &Tap) {
        self.picture = None;
        self.feeder.timeline.lock().picture_broken();
        let (feeder, source) = (Arc::clone(&self.feeder), tap.clone());
        let mut asked = Duration::ZERO;
        self.picture = Some(tap.connect(Box::new(move |packets, caps| {
            if feeder.pictures(source.format(), packets, caps, &mut asked) {
                source.request_keyframe();
            }
        })));
        tap.request_keyframe();
    }

    /// Takes the sound from `tap` from now on: mono Opus, 20 ms a packet.
    pub fn feed_sound(&mut self, tap: &Tap) {
        self.sound = None;
        let feeder = Arc::clone(&self.feeder);
        self.sound = Some(tap.connect(Box::new(move |packets, _caps| feeder.sounds(packets))));
    }

    /// Running time at which the file began, if it has.
    pub fn began(&self) -> Option<Duration> {
        self.feeder.timeline.lock().start()
    }

    /// How much has been recorded.
    pub fn length(&self) -> Duration {
        self.feeder.timeline.lock().length()
    }

    /// Writes what is left, and the index. Returns how long the file is.
    ///
    /// # Errors
    /// [`RecorderError::Failed`] with the reason of an earlier failure too, and
    /// [`RecorderError::Stuck`] after three seconds. What was written stays, and can be repaired
    /// as after a crash.
    pub async fn finish(mut self) -> Result<Duration, RecorderError> {
        self.picture = None;
        self.sound = None;
        self.feeder.end();
        let length = self.length();
        self.writing.ended(FINISH_DEADLINE).await?;
        Ok(length)
    }
}

/// What the taps' threads share.
#[derive(Debug)]
struct Feeder {
    picture: Option<gst_app::AppSrc>,
    sound: gst_app::AppSrc,
    timeline: Mutex<Timeline<gst::Buffer>>,
}

impl Feeder {
    /// Takes packets of the picture. True if a keyframe is wanted.
    fn pictures(
        &self,
        format: PayloadFormat,
        packets: &[gst::Buffer],
        caps: &gst::CapsRef,
        asked: &mut Duration,
    ) -> bool {
        let Some(appsrc) = &self.picture else {
            return false;
        };
        if appsrc.caps().as_deref() != Some(caps) {
            appsrc.set_caps(Some(&caps.to_owned()));
        }
        if is_behind(appsrc) {
            self.timeline.lock().picture_broken();
            return false;
        }
        let mut wanted = false;
        for packet in packets {
            let (Some(at), Some(timestamp)) = (packet.pts().map(Duration::from), timestamp(packet))
            else {
                continue;
            };
            let keyframe = opens(format, packet);
            let time = self.timeline.lock().picture(at, timestamp, keyframe);
            if keyframe {
                *asked = at;
            }
            if at.saturating_sub(*asked) > KEYFRAME_EVERY {
                *asked = at;
                wanted = true;
            }
            if let Some(time) = time {
                push(appsrc, packet, time);
            }
        }
        self.pass_sounds_on();
        wanted
    }

    fn sounds(&self, packets: &[gst::Buffer]) {
        let mut timeline = self.timeline.lock();
        for packet in packets {
            let opus = payload(packet);
            if let (Some(at), Some(opus)) = (packet.pts().map(Duration::from), opus) {
                // The mixer stamps a block with the moment it is complete, and what is in it is
                // older than the picture of that moment.
                let first_sample = at.saturating_sub(FRAME + SOUND_LAG);
                timeline.sound(first_sample, gst::Buffer::from_slice(opus));
            }
        }
        drop(timeline);
        self.pass_sounds_on();
    }

    fn pass_sounds_on(&self) {
        // Held while they are pushed, which does not block, so that they stay in order.
        let mut timeline = self.timeline.lock();
        let sounds: Vec<Timed<gst::Buffer>> = timeline.sounds();
        if is_behind(&self.sound) {
            return;
        }
        sounds.into_iter().for_each(|sound| self.push_sound(sound));
    }

    fn push_sound(&self, (time, packet): Timed<gst::Buffer>) {
        let packet = packet.unwrap_or_else(|| gst::Buffer::from_slice(SILENCE));
        push(&self.sound, &packet, time);
    }

    fn end(&self) {
        if let Some(silence) = self.timeline.lock().end() {
            self.push_sound(silence);
        }
        for appsrc in self.picture.iter().chain([&self.sound]) {
            let _ = appsrc.end_of_stream();
        }
    }
}

/// Whether the disk is too slow for what it gets.
fn is_behind(appsrc: &gst_app::AppSrc) -> bool {
    appsrc.current_level_time() > BACKLOG
}

fn opens(format: PayloadFormat, packet: &gst::Buffer) -> bool {
    gst_rtp::RTPBuffer::from_buffer_readable(packet)
        .ok()
        .and_then(|rtp| rtp.payload().ok().map(|p| starts_keyframe(format, p)))
        .unwrap_or_default()
}

/// RFC 3550 section 5.1.
fn timestamp(packet: &gst::Buffer) -> Option<u32> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    Some(rtp.timestamp())
}

fn payload(packet: &gst::Buffer) -> Option<Vec<u8>> {
    let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet).ok()?;
    rtp.payload().ok().map(<[u8]>::to_vec)
}

/// Puts a copy of a packet, its bytes shared, into a queue.
fn push(appsrc: &gst_app::AppSrc, packet: &gst::Buffer, time: Duration) {
    let mut packet = packet.clone();
    let time = gst::ClockTime::try_from(time).ok();
    let writable = packet.make_mut();
    writable.set_pts(time);
    writable.set_dts(None::<gst::ClockTime>);
    writable.set_duration(None::<gst::ClockTime>);
    // Refused once the pipeline has failed, which it says itself.
    let _ = appsrc.push_buffer(packet);
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
