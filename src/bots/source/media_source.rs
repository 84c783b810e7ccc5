//! Where encoded frames enter pipelines, and what plays a clip into them.
//!
//! A [`MediaSource`] is one camera or microphone. It has a [`PipelineInput`] into every pipeline
//! that sends it: the one to the server, and in a mesh one to each other participant.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use gst::prelude::*;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::clip::{Clip, ClipTiming};
use super::encode::Frame;
use super::level::LevelWriter;
use super::pace::{Paced, next_due};
use crate::bots::clock;

/// Shortest time between two keyframes sent on request.
const KEY_SPACING: Duration = Duration::from_millis(250);

/// An appsrc whose frames are stamped with the running time of its pipeline.
#[derive(Debug)]
pub(crate) struct PipelineInput {
    source: gst_app::AppSrc,
    pub(crate) levels: Arc<LevelWriter>,
    /// Frames are let through: the connection is up, and the receiver wants what is sent.
    open: AtomicBool,
    /// The next frame let through has to be a keyframe.
    starting: AtomicBool,
    /// A receiver has requested a keyframe.
    key_wanted: AtomicBool,
    last_key: Mutex<Option<Duration>>,
    pub(crate) frames: watch::Sender<u64>,
    pub(crate) bytes: AtomicU64,
    pub(crate) key_requests: watch::Sender<u64>,
}

impl PipelineInput {
    /// Takes over an appsrc, and counts the keyframe requests that arrive at it.
    pub(crate) fn new(source: gst_app::AppSrc) -> Arc<Self> {
        let input = Arc::new(Self {
            source,
            levels: Arc::default(),
            open: AtomicBool::new(false),
            starting: AtomicBool::new(true),
            key_wanted: AtomicBool::new(false),
            last_key: Mutex::new(None),
            frames: watch::Sender::new(0),
            bytes: AtomicU64::new(0),
            key_requests: watch::Sender::new(0),
        });
        if let Some(pad) = input.source.static_pad("src") {
            let weak = Arc::downgrade(&input);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if let (Some(event), Some(input)) = (info.event(), weak.upgrade())
                    && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
                {
                    input.key_requests.send_modify(|count| *count += 1);
                    input.key_wanted.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        input
    }

    /// The appsrc, to be linked.
    pub(crate) fn element(&self) -> &gst::Element {
        self.source.upcast_ref()
    }

    /// Lets frames through, from the next keyframe on.
    pub(crate) fn open(&self) {
        if !self.open.load(Ordering::Acquire) {
            self.starting.store(true, Ordering::Relaxed);
            self.open.store(true, Ordering::Release);
        }
    }

    /// Lets no frames through any more.
    pub(crate) fn shut(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Whether the next frame should be a keyframe.
    fn needs_key(&self, now: Duration) -> bool {
        if !self.open.load(Ordering::Acquire) {
            return false;
        }
        if self.starting.load(Ordering::Relaxed) {
            return true;
        }
        let last = *self.last_key.lock();
        self.key_wanted.load(Ordering::Relaxed) && last.is_none_or(|at| now >= at + KEY_SPACING)
    }

    fn push(&self, frame: &Frame, at: Duration, level: Option<u8>) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        let Some(base) = self.source.base_time() else {
            return;
        };
        if frame.key {
            self.starting.store(false, Ordering::Relaxed);
            self.key_wanted.store(false, Ordering::Relaxed);
            *self.last_key.lock() = Some(at);
        } else if self.starting.load(Ordering::Relaxed) {
            return;
        }
        let pts = gst::ClockTime::try_from(at)
            .ok()
            .map(|t| t.saturating_sub(base));
        // Shares the memory, which nothing may write to: see `corrupt`.
        let mut buffer = frame.buffer.copy();
        let size = buffer.size() as u64;
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(pts);
            buffer.set_dts(None);
            buffer.set_duration(None);
        }
        if let (Some(pts), Some(level)) = (pts, level) {
            self.levels.announce(pts, level);
        }
        // Refused only while the pipeline stops, when nobody misses the frame.
        if self.source.push_buffer(buffer).is_ok() {
            self.frames.send_modify(|count| *count += 1);
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// A camera or microphone. What is pushed goes to all its inputs.
#[derive(Debug, Default)]
pub(crate) struct MediaSource {
    inputs: Mutex<Vec<Weak<PipelineInput>>>,
}

impl MediaSource {
    /// A source with one input.
    pub(crate) fn with(input: &Arc<PipelineInput>) -> Arc<Self> {
        let media_source = Self::default();
        media_source.add(input);
        Arc::new(media_source)
    }

    /// Sends into a further input, while that exists.
    pub(crate) fn add(&self, input: &Arc<PipelineInput>) {
        let mut inputs = self.lock();
        inputs.retain(|input| input.strong_count() > 0);
        inputs.push(Arc::downgrade(input));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<PipelineInput>>> {
        self.inputs.lock()
    }

    /// Drops frames up to the next keyframe, because they come from another encoder than the last
    /// ones.
    pub(crate) fn restart(&self) {
        for input in self.lock().iter().filter_map(Weak::upgrade) {
            input.starting.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the next frame should be a keyframe, for any of its inputs.
    pub(crate) fn needs_key(&self, now: Duration) -> bool {
        let inputs = self.lock();
        let mut inputs = inputs.iter().filter_map(Weak::upgrade);
        inputs.any(|input| input.needs_key(now))
    }

    /// Sends a frame that was taken at `at` on the machine's clock.
    pub(crate) fn push(&self, frame: &Frame, at: Duration) {
        self.send(frame, at, None);
    }

    /// Sends a frame, with its audio level if it is one of audio.
    fn send(&self, frame: &Frame, at: Duration, level: Option<u8>) {
        // Pushing never blocks: each appsrc has a queue of its own.
        for input in self.lock().iter().filter_map(Weak::upgrade) {
            input.push(frame, at, level);
        }
    }
}

/// Plays a clip into a media source, over and over.
#[derive(Debug)]
pub(crate) struct ClipPlayer {
    media_source: Arc<MediaSource>,
    /// How many frames go out together.
    burst: usize,
    playing: Mutex<Playing>,
}

#[derive(Debug)]
struct Playing {
    clip: Arc<Clip>,
    position: usize,
    /// Frames that wait for the rest of their burst, and when each was due.
    kept: Vec<(Frame, Duration, Option<u8>)>,
}

impl ClipPlayer {
    /// Plays from the position that the clock says, moved by `offset`. Each frame is sent when it
    /// is due.
    pub(crate) fn new(
        media_source: Arc<MediaSource>,
        clip: Arc<Clip>,
        offset: Duration,
    ) -> Arc<Self> {
        Self::in_bursts(media_source, clip, offset, 1)
    }

    /// Like [`ClipPlayer::new`], but sends `burst` frames at a time, when the last of them is due.
    pub(crate) fn in_bursts(
        media_source: Arc<MediaSource>,
        clip: Arc<Clip>,
        offset: Duration,
        burst: usize,
    ) -> Arc<Self> {
        let playing = Mutex::new(Playing {
            position: clip.count_at(clock::now() + offset),
            clip,
            kept: Vec::new(),
        });
        Arc::new(Self {
            media_source,
            burst,
            playing,
        })
    }

    /// Goes on with another clip of the same content, from its next keyframe.
    pub(crate) fn change(&self, clip: Arc<Clip>) {
        let mut playing = self.playing.lock();
        let done = playing.position as f64 / playing.clip.frames.len() as f64;
        playing.position = (done * clip.frames.len() as f64) as usize;
        playing.clip = clip;
        self.media_source.restart();
    }
}

impl Paced for ClipPlayer {
    fn tick(&self, due: Duration) -> Option<Duration> {
        let mut playing = self.playing.lock();
        let Playing {
            clip,
            position,
            kept,
        } = &mut *playing;
        if clip.timing == ClipTiming::Clock {
            *position = clip.count_at(due);
        }
        if self.media_source.needs_key(due) {
            *position = clip.key_from(*position);
        }
        if let Some(frame) = clip.frames.get(*position) {
            let level = clip.levels.get(*position).copied();
            kept.push((frame.clone(), due, level));
        }
        if kept.len() >= self.burst {
            for (frame, at, level) in kept.drain(..) {
                self.media_source.send(&frame, at, level);
            }
        }
        *position = (*position + 1) % clip.frames.len();
        Some(next_due(due, clip.interval))
    }
}
