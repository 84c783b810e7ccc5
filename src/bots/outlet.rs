//! Where encoded frames enter a bot's pipeline, and what plays a reel into it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;
use tokio::sync::watch;

use super::clock;
use super::encode::Frame;
use super::pace::{Paced, following};
use super::reel::Reel;

/// The least time between two keyframes sent because somebody asked.
const KEY_SPACING: Duration = Duration::from_millis(250);

/// One m-line's way in: an appsrc whose frames are stamped with the pipeline's running time.
#[derive(Debug)]
pub(super) struct Outlet {
    source: gst_app::AppSrc,
    /// Frames are let through: the connection is up and the bot has not gone.
    open: AtomicBool,
    /// A keyframe has to come before anything else.
    starting: AtomicBool,
    /// A receiver asked for a keyframe.
    key_wanted: AtomicBool,
    last_key: Mutex<Option<Duration>>,
    pub(super) frames: watch::Sender<u64>,
    pub(super) bytes: AtomicU64,
    pub(super) key_requests: watch::Sender<u64>,
}

impl Outlet {
    /// Takes over an appsrc, and hears the keyframe requests that arrive at it.
    pub(super) fn new(source: gst_app::AppSrc) -> Arc<Self> {
        let outlet = Arc::new(Self {
            source,
            open: AtomicBool::new(false),
            starting: AtomicBool::new(true),
            key_wanted: AtomicBool::new(false),
            last_key: Mutex::new(None),
            frames: watch::Sender::new(0),
            bytes: AtomicU64::new(0),
            key_requests: watch::Sender::new(0),
        });
        if let Some(pad) = outlet.source.static_pad("src") {
            let weak = Arc::downgrade(&outlet);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if let (Some(event), Some(outlet)) = (info.event(), weak.upgrade())
                    && gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
                {
                    outlet.key_requests.send_modify(|count| *count += 1);
                    outlet.key_wanted.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        outlet
    }

    /// Lets frames through, from the next keyframe on.
    pub(super) fn open(&self) {
        self.starting.store(true, Ordering::Relaxed);
        self.open.store(true, Ordering::Release);
    }

    /// Lets nothing through any more.
    pub(super) fn shut(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Drops frames up to the next keyframe: they come from another encoder than the last ones.
    pub(super) fn restart(&self) {
        self.starting.store(true, Ordering::Relaxed);
    }

    /// Whether the next frame should be a keyframe.
    pub(super) fn needs_key(&self, now: Duration) -> bool {
        if self.starting.load(Ordering::Relaxed) {
            return true;
        }
        let last = *self.last_key.lock().unwrap_or_else(PoisonError::into_inner);
        self.key_wanted.load(Ordering::Relaxed) && last.is_none_or(|at| now >= at + KEY_SPACING)
    }

    /// Sends a frame that was taken at `at` on the machine's clock.
    pub(super) fn push(&self, frame: &Frame, at: Duration) {
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
        // Shares the memory, which nothing may write to: see `corrupt`.
        let mut buffer = frame.buffer.copy();
        let size = buffer.size() as u64;
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(
                gst::ClockTime::try_from(at)
                    .ok()
                    .map(|t| t.saturating_sub(base)),
            );
            buffer.set_dts(None);
            buffer.set_duration(None);
        }
        // Refused only while the pipeline stops, when nobody misses the frame.
        if self.source.push_buffer(buffer).is_ok() {
            self.frames.send_modify(|count| *count += 1);
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// Plays a reel into an outlet, over and over.
#[derive(Debug)]
pub(super) struct Player {
    outlet: Arc<Outlet>,
    playing: Mutex<Playing>,
}

#[derive(Debug)]
struct Playing {
    reel: Arc<Reel>,
    position: usize,
}

impl Player {
    /// A player at the place of the loop that the clock says, `offset` further on.
    pub(super) fn new(outlet: Arc<Outlet>, reel: Arc<Reel>, offset: Duration) -> Arc<Self> {
        let position = reel.count_at(clock::now() + offset);
        let playing = Mutex::new(Playing { reel, position });
        Arc::new(Self { outlet, playing })
    }

    /// Goes on with another reel of the same content, from its keyframe nearest ahead.
    pub(super) fn change(&self, reel: Arc<Reel>) {
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
        let Playing { reel, position } = &mut *playing;
        if self.outlet.needs_key(due) {
            *position = reel.key_from(*position);
        }
        if let Some(frame) = reel.frames.get(*position) {
            self.outlet.push(frame, due);
        }
        *position = (*position + 1) % reel.frames.len();
        Some(following(due, reel.interval))
    }
}
