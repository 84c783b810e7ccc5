//! Records one uplink as it comes: nothing is decoded, nothing is encoded. Each has a pipeline of
//! its own, so that what is odd about one costs no other.
//!
//! A file begins at zero, with a keyframe or the first sound, and the writer reports when that was.
//! From then on its times are those of the uplink: what was muted, lost or not sent is a gap.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use parking_lot::Mutex;

use super::error::RecorderError;
use super::monotonic::MonotonicTimes;
use super::packets::{FINISH_DEADLINE, is_behind, opens, payload, push, timestamp};
use super::writing::{WritingPipeline, ensure_duration, keep_first_caps};

use crate::codec::Codec;
use crate::media::gst::pipeline::{Pipeline, running_time};
use crate::media::gst::template::Templates;
use crate::media::stream::sanitize::PacketGate;
use crate::media::stream::since_keyframe::Backlog;
use crate::media::stream::tap::{Deliver, Subscription, Tap};

/// Time between keyframes, so that one can seek. Each costs all viewers of the uplink.
const KEYFRAME_EVERY: Duration = Duration::from_secs(30);

/// Called once with the time of the recording at which the file begins, before anything is written.
/// It is called on the streaming thread of the tap and must not block.
type OnBegin = Box<dyn Fn(Duration) + Send>;

/// What a finished file of a track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackEnd {
    /// The file is complete.
    Written,
    /// The file is empty, because nothing came that it could begin with.
    NeverBegun,
}

/// A recording of one uplink. Dropping it ends the file where it is, as a crash would.
#[derive(Debug)]
pub(crate) struct TrackWriter {
    tap: Tap,
    link: Option<Subscription>,
    feeder: Arc<Feeder>,
    // Last, so that it is dropped after everything that points into it.
    writing: WritingPipeline,
}

impl TrackWriter {
    /// Opens the file, paused: nothing is taken from the tap before [`TrackWriter::resume`]. `zero`
    /// is the running time at which the recording began. `on_failure` is called on a tokio thread
    /// when nothing more can be written. Blocks for as long as the disk takes. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`RecorderError`] when the pipeline cannot be made or the file not be opened.
    pub(crate) fn start(
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
            ensure_duration(&pad);
        }
        let feeder = Arc::new(Feeder {
            format: tap.format(),
            appsrc: pipeline.element("in")?,
            line: Mutex::new(TrackTimeline::new(zero, tap.format().clock_rate())),
            on_begin: Mutex::new(Box::new(on_begin)),
        });
        Ok(Self {
            tap: tap.clone(),
            link: None,
            feeder,
            writing: WritingPipeline::start(pipeline, on_failure)?,
        })
    }

    /// Whether this tap is recorded.
    pub(crate) fn is_of(&self, tap: &Tap) -> bool {
        self.tap.is_same(tap)
    }

    /// The tap that is recorded.
    pub(crate) fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Whether packets are written, which is not the case while paused.
    pub(crate) fn is_recording(&self) -> bool {
        self.link.is_some()
    }

    /// Records from now on, and `backlog` of what came before; a picture from its next keyframe on,
    /// which is requested.
    pub(crate) fn resume(&mut self, backlog: Backlog) {
        if self.link.is_some() {
            return;
        }
        self.feeder.line.lock().broken();
        let (feeder, source) = (Arc::clone(&self.feeder), self.tap.clone());
        let mut stream = Stream {
            gate: PacketGate::new(self.tap.format()),
            asked: Duration::ZERO,
        };
        let deliver: Deliver = Box::new(move |packets, caps| {
            if feeder.take(packets, caps, &mut stream) {
                source.request_keyframe();
            }
        });
        self.link = Some(self.tap.connect_with(backlog, deliver));
        if self.tap.format() != Codec::Opus {
            self.tap.request_keyframe();
        }
    }

    /// Records nothing until [`TrackWriter::resume`].
    pub(crate) fn pause(&mut self) {
        self.link = None;
    }

    /// Writes what is left and the index, and waits for it.
    ///
    /// # Errors
    /// [`RecorderError::Failed`], [`RecorderError::Stuck`]. The file stays, and can be repaired as
    /// after a crash.
    pub(crate) async fn finish(mut self) -> Result<TrackEnd, RecorderError> {
        self.link = None;
        if !self.feeder.line.lock().has_begun() {
            return Ok(TrackEnd::NeverBegun);
        }
        let _ = self.feeder.appsrc.end_of_stream();
        self.writing.ended(FINISH_DEADLINE).await?;
        Ok(TrackEnd::Written)
    }
}

/// The state of a stream since recording was last resumed.
struct Stream {
    gate: PacketGate,
    /// When a keyframe was last requested or came.
    asked: Duration,
}

/// The state that the thread of the tap uses.
struct Feeder {
    format: Codec,
    appsrc: gst_app::AppSrc,
    line: Mutex<TrackTimeline>,
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
    /// Takes packets. Returns whether to request a keyframe.
    fn take(&self, packets: &[gst::Buffer], caps: &gst::CapsRef, stream: &mut Stream) -> bool {
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
        let Stream { gate, asked } = stream;
        for packet in packets {
            let now = running_time();
            let Some(packet) = &gate.admit(packet, now) else {
                wanted |= gate.wants_keyframe(now);
                continue;
            };
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

/// Where in a file a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// At zero. The file begins with it, at this time of the recording.
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

/// The timeline of the file of a track; pure.
#[derive(Debug)]
struct TrackTimeline {
    /// Running time at which the recording begins.
    zero: Duration,
    /// Running time at which the file begins; `None` before its first packet.
    start: Option<Duration>,
    /// Whether packets can be written, or have to wait for one that opens.
    open: TrackGate,
    times: MonotonicTimes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrackGate {
    AwaitsOpening,
    Open,
}

impl TrackTimeline {
    /// For a recording that began at running time `zero` and a track of this RTP clock rate, Hz.
    fn new(zero: Duration, clock_rate: u32) -> Self {
        Self {
            zero,
            start: None,
            open: TrackGate::AwaitsOpening,
            times: MonotonicTimes::new(clock_rate),
        }
    }

    fn has_begun(&self) -> bool {
        self.start.is_some()
    }

    /// Lets nothing in before the next keyframe, because some of the stream is missing.
    fn broken(&mut self) {
        self.open = TrackGate::AwaitsOpening;
    }

    /// Where a packet of running time `at` and this RTP timestamp belongs, if anywhere. `opening`
    /// is whether it is the first of a keyframe, or sound.
    fn place(&mut self, at: Duration, timestamp: u32, opening: bool) -> Option<Placed> {
        // Packets that were on their way when the recording began do not belong to it.
        let since = at.checked_sub(self.zero)?;
        if opening {
            self.open = TrackGate::Open;
        }
        if self.open == TrackGate::AwaitsOpening {
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
