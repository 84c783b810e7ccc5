//! Where encoded frames enter pipelines, and what plays a reel into them.
//!
//! An [`Outlet`] is one camera or microphone. It has a [`Way`] into every pipeline that sends it:
//! the one to the server, and in a mesh one to each member.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use gst::prelude::*;
use tokio::sync::watch;

use super::clip::{Course, Reel};
use super::encode::Frame;
use super::pace::{Paced, following};
use crate::bots::clock;
use crate::bots::rtc::level::LevelWriter;

/// The least time between two keyframes sent because somebody asked.
const KEY_SPACING: Duration = Duration::from_millis(250);

/// The way into one pipeline: an appsrc whose frames are stamped with the pipeline's running time.
#[derive(Debug)]
pub(crate) struct Way {
    source: gst_app::AppSrc,
    pub(crate) levels: Arc<LevelWriter>,
    /// Frames are let through: the connection is up, and what is sent is wanted.
    open: AtomicBool,
    /// A keyframe has to come before anything else.
    starting: AtomicBool,
    /// A receiver asked for a keyframe.
    key_wanted: AtomicBool,
    last_key: Mutex<Option<Duration>>,
    pub(crate) frames: watch::Sender<u64>,
    pub(crate) bytes: AtomicU64,
    pub(crate) key_requests: watch::Sender<u64>,
}

impl Way {
    /// Takes over an appsrc, and hears the keyframe requests that arrive at it.
    pub(crate) fn new(source: gst_app::AppSrc) -> Arc<Self> {
        let way = Arc::new(Self {
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
        if let Some(pad) = way.source.static_pad("src") {
            let weak = Arc::downgrade(&way);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if let (Some(event), Some(way)) = (info.event(), weak.upgrade())
                    && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
                {
                    way.key_requests.send_modify(|count| *count += 1);
                    way.key_wanted.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        way
    }

    /// What frames enter by.
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

    /// Lets nothing through any more.
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
        let last = *self.last_key.lock().unwrap_or_else(PoisonError::into_inner);
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
            *self.last_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
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

/// A camera or microphone: what is pushed goes every way there is.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    ways: Mutex<Vec<Weak<Way>>>,
}

impl Outlet {
    /// An outlet that has one way.
    pub(crate) fn with(way: &Arc<Way>) -> Arc<Self> {
        let outlet = Self::default();
        outlet.add(way);
        Arc::new(outlet)
    }

    /// Sends a further way as well, while it is there.
    pub(crate) fn add(&self, way: &Arc<Way>) {
        let mut ways = self.lock();
        ways.retain(|way| way.strong_count() > 0);
        ways.push(Arc::downgrade(way));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Way>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops frames up to the next keyframe: they come from another encoder than the last ones.
    pub(crate) fn restart(&self) {
        for way in self.lock().iter().filter_map(Weak::upgrade) {
            way.starting.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the next frame should be a keyframe.
    pub(crate) fn needs_key(&self, now: Duration) -> bool {
        let ways = self.lock();
        let mut ways = ways.iter().filter_map(Weak::upgrade);
        ways.any(|way| way.needs_key(now))
    }

    /// Sends a frame that was taken at `at` on the machine's clock.
    pub(crate) fn push(&self, frame: &Frame, at: Duration) {
        self.send(frame, at, None);
    }

    /// Sends a frame with the level of its sound, if it is one of sound.
    fn send(&self, frame: &Frame, at: Duration, level: Option<u8>) {
        // Pushing never blocks: each appsrc has a queue of its own.
        for way in self.lock().iter().filter_map(Weak::upgrade) {
            way.push(frame, at, level);
        }
    }
}

/// Plays a reel into an outlet, over and over.
#[derive(Debug)]
pub(crate) struct Player {
    outlet: Arc<Outlet>,
    /// So many frames go out together.
    burst: usize,
    playing: Mutex<Playing>,
}

#[derive(Debug)]
struct Playing {
    reel: Arc<Reel>,
    position: usize,
    /// Frames that go out with a later one, and when each was due.
    kept: Vec<(Frame, Duration, Option<u8>)>,
}

impl Player {
    /// A player at the place of the loop that the clock says, `offset` further on, which sends
    /// each frame as it is due.
    pub(crate) fn new(outlet: Arc<Outlet>, reel: Arc<Reel>, offset: Duration) -> Arc<Self> {
        Self::in_bursts(outlet, reel, offset, 1)
    }

    /// The same, which sends `burst` frames at a time, as the last of them is due.
    pub(crate) fn in_bursts(
        outlet: Arc<Outlet>,
        reel: Arc<Reel>,
        offset: Duration,
        burst: usize,
    ) -> Arc<Self> {
        let playing = Mutex::new(Playing {
            position: reel.count_at(clock::now() + offset),
            reel,
            kept: Vec::new(),
        });
        Arc::new(Self {
            outlet,
            burst,
            playing,
        })
    }

    /// Goes on with another reel of the same content, from its keyframe nearest ahead.
    pub(crate) fn change(&self, reel: Arc<Reel>) {
        let mut playing = self.playing.lock().unwrap_or_else(PoisonError::into_inner);
        let done = playing.position as f64 / playing.reel.frames.len() as f64;
        playing.position = (done * reel.frames.len() as f64) as usize;
        playing.reel = reel;
        self.outlet.restart();
    }
}

impl Paced for Player {
    fn tick(&self, due: Duration) -> Option<Duration> {
        let mut playing = self.playing.lock().unwrap_or_else(PoisonError::into_inner);
        let Playing {
            reel,
            position,
            kept,
        } = &mut *playing;
        if reel.course == Course::Clock {
            *position = reel.count_at(due);
        }
        if self.outlet.needs_key(due) {
            *position = reel.key_from(*position);
        }
        if let Some(frame) = reel.frames.get(*position) {
            let level = reel.levels.get(*position).copied();
            kept.push((frame.clone(), due, level));
        }
        if kept.len() >= self.burst {
            for (frame, at, level) in kept.drain(..) {
                self.outlet.send(&frame, at, level);
            }
        }
        *position = (*position + 1) % reel.frames.len();
        Some(following(due, reel.interval))
    }
}
