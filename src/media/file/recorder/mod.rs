//! Records a mix: writes the packets of a rendition and of the full mix into a container. The
//! pipeline is its own, so that a slow or full disk never affects the call.
//!
//! MP4 holds H.264 and AAC, the only sound in an MP4 that iPhones, QuickTime and most editors know;
//! it is made of the mix's Opus here (`media/file/aac`). Everything else is written as it comes:
//! MP4 with Opus, WebM with VP8 and Opus, Ogg with Opus alone.
//!
//! Threads: [`Recorder::start`] and [`Recorder::finish`] run on a tokio thread, packets come on the
//! taps' streaming threads and are put into queues there, files are written on threads of the
//! recorder's pipeline.

pub(crate) mod error;
mod monotonic;
mod packets;
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

pub(crate) use self::error::RecorderError;
use self::packets::{FINISH_DEADLINE, SILENCE, is_behind, opens, payload, push, timestamp};
use self::timeline::{FRAME, LeadTrack, Timed, Timeline};
use self::writing::{WritingPipeline, keep_first_caps};
#[cfg(test)]
pub(crate) use reserve::RESERVED;
pub(crate) use reserve::reserve;
pub(crate) use track::{TrackEnd, TrackWriter};

use crate::codec::Codec;
use crate::codec::{Container, MixFormat, SoundCodec};
use crate::media::file::aac;
use crate::media::gst::pipeline::Pipeline;
use crate::media::gst::template::Templates;
use crate::media::mixer::audio::sound::SOUND_LAG;
use crate::media::stream::tap::{Subscription, Tap};

/// Time between keyframes, so that one can seek. Each costs viewers the bits of some ten other
/// pictures, so there are no more of them.
const KEYFRAME_EVERY: Duration = Duration::from_secs(10);
/// How much later than it is heard something is seen on average, as `tests/media/record_sync.rs`
/// measures it: most of it is that the canvas shows a picture with its next frame, up to 33 ms later
/// at 30 frames a second.
const PICTURE_LAG: Duration = Duration::from_millis(24);
/// Time from a packet's first sample to the running time of the packet, less what the picture of
/// that time is late. The mixer stamps a block with the time at which it is complete, and its sound
/// is older than the picture of that time.
const SOUND_AGE: Duration = FRAME.saturating_add(SOUND_LAG).saturating_sub(PICTURE_LAG);

/// The pipeline that writes a format, not started.
fn pipeline(templates: &Templates, format: MixFormat) -> Result<Pipeline, RecorderError> {
    let copied = |name| Ok(Pipeline::parse(name, &templates.fill(name, &[])?)?);
    match (format.container(), format.sound()) {
        (Container::Mp4, SoundCodec::Aac) => {
            let encoder = aac::find().ok_or(RecorderError::NoAac)?;
            let name = "record-mp4";
            let text = templates.fill(name, &aac::values(encoder))?;
            let pipeline = Pipeline::parse(name, &text)?;
            aac::set_up(encoder, &pipeline)?;
            Ok(pipeline)
        }
        (Container::Mp4, SoundCodec::Opus) => copied("record-mp4-opus"),
        (Container::Webm, _) => copied("record-webm"),
        (Container::Ogg, _) => copied("record-ogg"),
    }
}

/// The track that decides where a file of this container begins.
fn lead(container: Container) -> LeadTrack {
    match container.codec() {
        Some(_) => LeadTrack::Picture,
        None => LeadTrack::Sound,
    }
}

/// A recording of a mix. Dropping it ends the file where it is, which can be played as after a
/// crash.
#[derive(Debug)]
pub(crate) struct Recorder {
    picture: Option<Subscription>,
    sound: Option<Subscription>,
    feeder: Arc<Feeder>,
    // Last, so that it is dropped after everything that points into it.
    writing: WritingPipeline,
}

impl Recorder {
    /// Opens `path` for a file of this format. Nothing is written before it gets packets:
    /// [`Recorder::feed_sound`], [`Recorder::feed_picture`]. `on_failure` is called on a tokio
    /// thread when nothing more can be written.
    ///
    /// # Errors
    /// [`RecorderError`] when the pipeline cannot be made or the file not be opened.
    pub(crate) fn start(
        templates: &Templates,
        format: MixFormat,
        path: &Path,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, RecorderError> {
        let container = format.container();
        let pipeline = pipeline(templates, format)?;
        let file = pipeline.element::<gst::Element>("file")?;
        file.set_property("location", path);
        reserve(container, &pipeline)?;
        let picture = match lead(container) {
            LeadTrack::Picture => {
                let parse = pipeline.element::<gst::Element>("parse")?;
                if let Some(pad) = parse.static_pad("src") {
                    keep_first_caps(&pad);
                }
                Some(pipeline.element("picture")?)
            }
            LeadTrack::Sound => None,
        };
        let feeder = Arc::new(Feeder {
            picture,
            sound: pipeline.element("sound")?,
            timeline: Mutex::new(Timeline::new(lead(container))),
        });
        Ok(Self {
            picture: None,
            sound: None,
            feeder,
            writing: WritingPipeline::start(pipeline, on_failure)?,
        })
    }

    /// Records the picture of `tap` from the next keyframe on, which is requested.
    pub(crate) fn feed_picture(&mut self, tap: &Tap) {
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

    /// Records the sound of `tap` from now on: mono Opus, 20 ms a packet.
    pub(crate) fn feed_sound(&mut self, tap: &Tap) {
        self.sound = None;
        let feeder = Arc::clone(&self.feeder);
        self.sound = Some(tap.connect(Box::new(move |packets, _caps| feeder.sounds(packets))));
    }

    /// Running time at which the file begins; `None` before its first packet.
    pub(crate) fn began(&self) -> Option<Duration> {
        self.feeder.timeline.lock().start()
    }

    /// The duration of the file so far.
    pub(crate) fn length(&self) -> Duration {
        self.feeder.timeline.lock().length()
    }

    /// Writes what is left and the index, and waits for it. Returns the duration of the file.
    ///
    /// # Errors
    /// [`RecorderError::Failed`], also with the reason of an earlier failure, and
    /// [`RecorderError::Stuck`] after [`FINISH_DEADLINE`]. The file stays, and can be repaired as
    /// after a crash.
    pub(crate) async fn finish(mut self) -> Result<Duration, RecorderError> {
        self.picture = None;
        self.sound = None;
        self.feeder.end();
        let length = self.length();
        self.writing.ended(FINISH_DEADLINE).await?;
        Ok(length)
    }
}

/// The state that the threads of both taps share.
#[derive(Debug)]
struct Feeder {
    picture: Option<gst_app::AppSrc>,
    sound: gst_app::AppSrc,
    timeline: Mutex<Timeline<gst::Buffer>>,
}

impl Feeder {
    /// Takes packets of the picture. Returns whether to request a keyframe.
    fn pictures(
        &self,
        format: Codec,
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
                let first_sample = at.saturating_sub(SOUND_AGE);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
