//! Writes one uplink to a file as it comes: nothing is decoded, nothing is encoded. A pipeline of
//! its own for each, so that what is odd about one costs no other.
//!
//! A file begins at zero, with a keyframe or the first sound, and says when that was. From then on
//! its times are those of the uplink: what was muted, lost or not sent is a gap.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::onward::Onward;
use super::writing::{Writing, keep_first_caps, lasts};
use super::{FINISH_DEADLINE, RecorderError, is_behind, opens, payload, push, timestamp};
use crate::codec::Codec;
use crate::media::gst::pipeline::Pipeline;
use crate::media::gst::template::Templates;
use crate::media::rtp::sanitize::Sanitizer;
use crate::media::stream::sanitize;
use crate::media::stream::tap::{Subscription, Tap};

/// Time between keyframes, so that one can seek. They cost everybody who watches this uplink.
const KEYFRAME_EVERY: Duration = Duration::from_secs(30);

/// Called once, with when the file begins, ahead of what is written of it. On the streaming thread
/// of the tap; must not block.
type OnBegin = Box<dyn Fn(Duration) + Send>;

/// What became of a track's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackEnd {
    /// It has its end.
    Written,
    /// Nothing came that could have begun it: there is an empty file.
    NeverBegun,
}

/// A track being written. Dropping it ends it where it is, as a crash would.
#[derive(Debug)]
pub struct TrackWriter {
    tap: Tap,
    link: Option<Subscription>,
    feeder: Arc<Feeder>,
    // Last, so that it is dropped after everything that points into it.
    writing: Writing,
}

impl TrackWriter {
    /// Opens the file; nothing is taken of the tap before [`TrackWriter::listen`]. `zero` is the
    /// running time at which the recording began, `on_failure` is called on a tokio thread when
    /// nothing more can be written. Opening can take as long as the disk likes; must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`RecorderError`] when the pipeline cannot be made or the file not be opened.
    pub fn start(
        templates: &Templates,
        tap: &Tap,
        path: &Path,
        zero: Duration,
        on_begin: impl Fn(Duration) + Send + 'static,
        on_failure: impl Fn(String) + Send + 'static,
    ) -> Result<Self, RecorderError> {
        let name = format!(
            "track-{}",
            tap.format().encoding_name().to_ascii_lowercase()
        );
        let pipeline = Pipeline::parse(name.as_str(), &templates.fill(&name, &[])?)?;
        let file = pipeline.element::<gst::Element>("file")?;
        file.set_property("location", path);
        let parse = pipeline.element::<gst::Element>("parse")?;
        if let Some(pad) = parse.static_pad("src") {
            keep_first_caps(&pad);
            lasts(&pad);
        }
        let feeder = Arc::new(Feeder {
            format: tap.format(),
            appsrc: pipeline.element("in")?,
            line: Mutex::new(TrackLine::new(zero)),
            on_begin: Mutex::new(Box::new(on_begin)),
        });
        Ok(Self {
            tap: tap.clone(),
            link: None,
            feeder,
            writing: Writing::start(pipeline, on_failure)?,
        })
    }

    /// Whether it is this tap that is written.
    pub fn is_of(&self, tap: &Tap) -> bool {
        self.tap.is_same(tap)
    }

    /// What is written.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Whether what comes is written.
    pub fn listens(&self) -> bool {
        self.link.is_some()
    }

    /// Takes what comes from now on, a picture from its next keyframe on, which is asked for.
    pub fn listen(&mut self) {
        if self.link.is_some() {
            return;
        }
        self.feeder.line.lock().broken();
        let (feeder, source) = (Arc::clone(&self.feeder), self.tap.clone());
        let mut listening = Listening {
            sanitizer: Sanitizer::new(self.tap.format()),
            asked: Duration::ZERO,
        };
        self.link = Some(self.tap.connect(Box::new(move |packets, caps| {
            if feeder.take(packets, caps, &mut listening) {
                source.request_keyframe();
            }
        })));
        if self.tap.format() != Codec::Opus {
            self.tap.request_keyframe();
        }
    }

    /// Takes nothing more until it is to listen again.
    pub fn pause(&mut self) {
        self.link = None;
    }

    /// Writes what is left, and the index.
    ///
    /// # Errors
    /// [`RecorderError::Failed`], [`RecorderError::Stuck`]. What was written stays, and can be
    /// repaired as after a crash.
    pub async fn finish(mut self) -> Result<TrackEnd, RecorderError> {
        self.link = None;
        if !self.feeder.line.lock().has_begun() {
            return Ok(TrackEnd::NeverBegun);
        }
        let _ = self.feeder.appsrc.end_of_stream();
        self.writing.ended(FINISH_DEADLINE).await?;
        Ok(TrackEnd::Written)
    }
}

/// What is known of a stream since it has been listened to.
struct Listening {
    sanitizer: Sanitizer,
    /// When a keyframe was asked for last.
    asked: Duration,
}

/// What the tap's thread uses.
struct Feeder {
    format: Codec,
    appsrc: gst_app::AppSrc,
    line: Mutex<TrackLine>,
    on_begin: Mutex<OnBegin>,
}

impl std::fmt::Debug for Feeder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feeder")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Feeder {
    /// Takes packets. True if a keyframe is wanted.
    fn take(
        &self,
        packets: &[gst::Buffer],
        caps: &gst::CapsRef,
        listening: &mut Listening,
    ) -> bool {
        let picture = self.format != Codec::Opus;
        if picture && self.appsrc.caps().as_deref() != Some(caps) {
            self.appsrc.set_caps(Some(&caps.to_owned()));
        }
        let mut line = self.line.lock();
        if is_behind(&self.appsrc) {
            line.broken();
            return false;
        }
        let mut wanted = false;
        let Listening { sanitizer, asked } = listening;
        for packet in packets {
            if !sanitize::admits(sanitizer, packet) {
                continue;
            }
            let (Some(at), Some(timestamp)) = (packet.pts().map(Duration::from), timestamp(packet))
            else {
                continue;
            };
            let opening = opens(self.format, packet);
            let Some(placed) = line.place(at, timestamp, opening) else {
                continue;
            };
            if let Placed::First(start) = placed {
                (self.on_begin.lock())(start);
            }
            if picture && opening {
                *asked = at;
            } else if picture && at.saturating_sub(*asked) > KEYFRAME_EVERY {
                *asked = at;
                wanted = true;
            }
            self.write(packet, placed.time());
        }
        wanted
    }

    fn write(&self, packet: &gst::Buffer, time: Duration) {
        match self.format {
            Codec::Opus => {
                let opus = payload(packet).filter(|opus| !opus.is_empty());
                if let Some(opus) = opus {
                    push(&self.appsrc, &gst::Buffer::from_slice(opus), time);
                }
            }
            _ => push(&self.appsrc, packet, time),
        }
    }
}

/// Where a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// At zero: the file begins with it, at this time of the recording.
    First(Duration),
    /// At this time of the file.
    At(Duration),
}

impl Placed {
    fn time(self) -> Duration {
        match self {
            Self::First(_) => Duration::ZERO,
            Self::At(time) => time,
        }
    }
}

/// The time line of a track's file; pure.
#[derive(Debug)]
struct TrackLine {
    /// Running time of the recording's zero.
    zero: Duration,
    /// Running time of the file's.
    start: Option<Duration>,
    /// Whether what comes can be used before something opens.
    open: Gate,
    times: Onward,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    AwaitsOpening,
    Open,
}

impl TrackLine {
    fn new(zero: Duration) -> Self {
        Self {
            zero,
            start: None,
            open: Gate::AwaitsOpening,
            times: Onward::default(),
        }
    }

    fn has_begun(&self) -> bool {
        self.start.is_some()
    }

    /// Some of the stream is missing: nothing can be used before the next keyframe.
    fn broken(&mut self) {
        self.open = Gate::AwaitsOpening;
    }

    /// Where a packet of running time `at` and this RTP timestamp belongs, if anywhere; whether it is
    /// `opening`: the first of a keyframe, or sound.
    fn place(&mut self, at: Duration, timestamp: u32, opening: bool) -> Option<Placed> {
        // What was on its way when the recording began is not of it.
        let since = at.checked_sub(self.zero)?;
        if opening {
            self.open = Gate::Open;
        }
        if self.open == Gate::AwaitsOpening {
            return None;
        }
        match self.start {
            None => {
                self.start = Some(at);
                self.times.place(timestamp, Duration::ZERO);
                Some(Placed::First(since))
            }
            Some(start) => {
                let time = at.saturating_sub(start);
                Some(Placed::At(self.times.place(timestamp, time)))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
