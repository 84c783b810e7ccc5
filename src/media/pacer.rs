//! Spreads the packets of large frames over time where a link is slow.
//!
//! A keyframe sent at once fills the queue before a slow link, where sound then waits behind it, or
//! overflows it. Held back here it costs the picture the same time and the sound none. Links that
//! carry everything are left alone: their packets go out as they come, a frame at once.
//!
//! One thread serves all slots that hold something back; it sleeps while there is none.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::pipeline::running_time;

/// How often held packets are looked at.
const BEAT: Duration = Duration::from_millis(5);
/// Nothing is held longer, even if it goes out faster then: encoders keep to a bitrate in the long
/// run only.
const LONGEST: f64 = 2.0;
/// What may go out at once after a pause: two packets.
const BURST: f64 = 2.0 * 1200.0;

/// Lets items pass at a rate; pure.
#[derive(Debug)]
struct Bucket<T> {
    held: VecDeque<(T, usize)>,
    /// Bytes held.
    bytes: usize,
    /// Bytes that may pass now.
    allowance: f64,
    /// Bytes a second at least, so that what is held is gone in time.
    haste: f64,
    filled: Duration,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self {
            held: VecDeque::new(),
            bytes: 0,
            allowance: BURST,
            haste: 0.0,
            filled: Duration::ZERO,
        }
    }
}

impl<T> Bucket<T> {
    fn hold(&mut self, item: T, bytes: usize) {
        self.bytes += bytes;
        self.haste = self.haste.max(self.bytes as f64 / LONGEST);
        self.held.push_back((item, bytes));
    }

    /// What may pass at `now`, at `rate` bit/s; all of it if that is `None`.
    fn release(&mut self, now: Duration, rate: Option<u32>) -> Vec<T> {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = now;
        let Some(rate) = rate else {
            (self.bytes, self.haste) = (0, 0.0);
            return self.held.drain(..).map(|(item, _)| item).collect();
        };
        let rate = (f64::from(rate) / 8.0).max(self.haste);
        self.allowance = (self.allowance + rate * passed).min(BURST.max(rate * passed));
        let mut released = Vec::new();
        while self.allowance > 0.0
            && let Some((item, bytes)) = self.held.pop_front()
        {
            self.allowance -= bytes as f64;
            self.bytes -= bytes;
            released.push(item);
        }
        if self.held.is_empty() {
            self.haste = 0.0;
        }
        released
    }
}

/// The packets on their way to one slot. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Pacer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    appsrc: gst_app::AppSrc,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bucket: Bucket<gst::Buffer>,
    /// bit/s.
    rate: Option<u32>,
    /// The thread knows of it.
    served: bool,
}

impl Pacer {
    /// Passes everything on to `appsrc` as it comes, so far.
    pub fn new(appsrc: gst_app::AppSrc) -> Self {
        Self(Arc::new(Inner {
            appsrc,
            queue: Mutex::default(),
        }))
    }

    /// Passes no more than `rate` bit/s on from now on; everything if that is `None`.
    pub fn limit(&self, rate: Option<u32>) {
        self.0.queue.lock().rate = rate;
    }

    /// Whether there is a rate.
    pub fn is_limited(&self) -> bool {
        self.0.queue.lock().rate.is_some()
    }

    /// Takes the packets of a frame. Does not block; a full or flushing `appsrc` is the peer's
    /// own trouble.
    pub fn send(&self, packets: Vec<gst::Buffer>) {
        let queue = &mut *self.0.queue.lock();
        if queue.rate.is_none() && queue.bucket.held.is_empty() {
            self.0.push(packets);
            return;
        }
        for packet in packets {
            let size = packet.size();
            queue.bucket.hold(packet, size);
        }
        self.0.release(queue);
        if !queue.bucket.held.is_empty() && !std::mem::replace(&mut queue.served, true) {
            Thread::get().serve(Arc::downgrade(&self.0));
        }
    }
}

impl Inner {
    /// Passes on what may go. The lock is held meanwhile, so that packets stay in order; appsrc
    /// is leaky and takes them without waiting.
    fn release(&self, queue: &mut Queue) {
        let now = Duration::from_nanos(running_time().nseconds());
        let released = queue.bucket.release(now, queue.rate);
        self.push(released);
    }

    fn push(&self, mut packets: Vec<gst::Buffer>) {
        if packets.len() > 1 {
            let list: gst::BufferList = packets.into_iter().collect();
            let _ = self.appsrc.push_buffer_list(list);
        } else if let Some(packet) = packets.pop() {
            let _ = self.appsrc.push_buffer(packet);
        }
    }

    /// One beat. Whether there will be another.
    fn beat(&self) -> bool {
        let queue = &mut *self.queue.lock();
        self.release(queue);
        queue.served = !queue.bucket.held.is_empty();
        queue.served
    }
}

/// The thread that lets held packets go.
#[derive(Default)]
struct Thread {
    slots: Mutex<Vec<Weak<Inner>>>,
    work: Condvar,
}

impl Thread {
    fn get() -> &'static Self {
        static THREAD: OnceLock<Thread> = OnceLock::new();
        THREAD.get_or_init(|| {
            let name = "pacer".to_owned();
            let spawned = std::thread::Builder::new().name(name).spawn(|| {
                let thread = Self::get();
                loop {
                    thread.beat();
                }
            });
            if let Err(error) = spawned {
                tracing::error!(%error, "no thread to pace packets");
            }
            Self::default()
        })
    }

    fn serve(&self, slot: Weak<Inner>) {
        self.slots.lock().push(slot);
        self.work.notify_one();
    }

    fn beat(&self) {
        let mut slots = self.slots.lock();
        while slots.is_empty() {
            self.work.wait(&mut slots);
        }
        let serving = std::mem::take(&mut *slots);
        drop(slots);
        // Slots take this thread's lock under their own, and so are not served under it.
        let mut left = serving;
        left.retain(|slot| slot.upgrade().is_some_and(|slot| slot.beat()));
        self.slots.lock().append(&mut left);
        std::thread::sleep(BEAT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// When each of `n` packets of a frame goes out, ms, at `rate` bit/s.
    fn departures(n: usize, rate: Option<u32>) -> Vec<u64> {
        let mut bucket = Bucket::default();
        bucket.release(ms(1000), rate);
        for packet in 0..n {
            bucket.hold(packet, 1000);
        }
        let mut gone = Vec::new();
        for at in (0..4000).step_by(5) {
            for packet in bucket.release(ms(1000 + at), rate) {
                assert_eq!(packet, gone.len(), "in order");
                gone.push(at);
            }
        }
        gone
    }

    #[test]
    fn a_frame_is_spread_over_the_time_it_takes() {
        assert_eq!(departures(5, None), [0; 5]);
        // A packet a millisecond.
        let slow = departures(20, Some(800_000));
        assert_eq!(slow.len(), 20);
        let spread = |from: usize, to: usize| slow[to].abs_diff(slow[from]);
        assert!(
            slow[2] == 0 && spread(3, 19).abs_diff(160) <= 10,
            "{slow:?}"
        );
    }

    #[test]
    fn nothing_is_held_for_long() {
        let gone = departures(100, Some(1_000));
        assert_eq!(gone.len(), 100);
        assert!((1_900..2_100).contains(&gone[99]), "{gone:?}");
    }

    #[test]
    fn a_pause_does_not_make_a_burst() {
        let mut bucket = Bucket::default();
        bucket.release(ms(0), Some(100_000));
        bucket.release(ms(60_000), Some(100_000));
        for packet in 0..10 {
            bucket.hold(packet, 1200);
        }
        assert!(bucket.release(ms(60_005), Some(100_000)).len() <= 3);
    }
}
