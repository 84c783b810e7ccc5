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

use super::outgoing::{Outgoing, Outlet};
use crate::media::gst::pipeline::now;

/// Time between two looks at the packets that are held.
const TICK: Duration = Duration::from_millis(5);
/// Seconds at the paced rate that may go out at once after a pause, plus the packet that exceeds
/// that.
const BURST: f64 = 0.03;

/// How fast the packets of a slot go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// Highest rate, bit/s. At 0 nothing goes out.
    pub rate: u32,
    /// Longest time that a packet is held; the rate is exceeded for that, because encoders keep to
    /// a bitrate only in the long run. Time at a rate of 0 does not count.
    pub within: Duration,
}

/// Lets items pass at a rate (a leaky bucket); pure.
#[derive(Debug)]
struct LeakyBucket<T> {
    held: VecDeque<(T, usize)>,
    /// Bytes that are held.
    bytes: usize,
    /// Bytes that may pass now; negative after an item that exceeded it.
    allowance: f64,
    /// Lowest rate at which all that is held passes in time, bytes a second.
    catch_up: f64,
    /// When the allowance was last filled.
    filled: Duration,
}

impl<T> Default for LeakyBucket<T> {
    fn default() -> Self {
        Self {
            held: VecDeque::new(),
            bytes: 0,
            allowance: 0.0,
            catch_up: 0.0,
            filled: Duration::ZERO,
        }
    }
}

impl<T> LeakyBucket<T> {
    /// Takes an item of so many bytes that must pass `within` a time.
    fn hold(&mut self, item: T, bytes: usize, within: Duration) {
        self.bytes += bytes;
        self.catch_up = self.catch_up.max(self.bytes as f64 / within.as_secs_f64());
        self.held.push_back((item, bytes));
    }

    /// Drops all items.
    fn clear(&mut self) {
        self.held.clear();
        (self.bytes, self.catch_up) = (0, 0.0);
    }

    /// Removes the items that may pass at `now`; all of them if `pacing` is `None`.
    fn release(&mut self, now: Duration, pacing: Option<Pacing>) -> Vec<T> {
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = now;
        let Some(pacing) = pacing else {
            (self.bytes, self.catch_up) = (0, 0.0);
            return self.held.drain(..).map(|(item, _)| item).collect();
        };
        if pacing.rate == 0 {
            return Vec::new();
        }
        let rate = (f64::from(pacing.rate) / 8.0).max(self.catch_up);
        self.allowance = (self.allowance + rate * passed).min(rate * BURST);
        let mut released = Vec::new();
        while self.allowance > 0.0
            && let Some((item, bytes)) = self.held.pop_front()
        {
            self.allowance -= bytes as f64;
            self.bytes -= bytes;
            released.push(item);
        }
        if self.held.is_empty() {
            self.catch_up = 0.0;
        }
        released
    }
}

/// Paces the packets of one slot on their way to its peer. Cloning shares it. Used on the
/// streaming threads of taps and on the pacer's own thread.
#[derive(Clone)]
pub(crate) struct Pacer(Arc<Inner>);

struct Inner {
    outlet: Arc<dyn Outlet>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    bucket: LeakyBucket<Outgoing>,
    /// `None` lets packets pass as they come.
    pacing: Option<Pacing>,
    /// The pacer's thread has it on its list.
    served: bool,
}

impl Pacer {
    /// Passes packets on to `outlet`, as they come until [`Self::limit`].
    pub(crate) fn new(outlet: Arc<dyn Outlet>) -> Self {
        Self(Arc::new(Inner {
            outlet,
            queue: Mutex::default(),
        }))
    }

    /// Passes packets on like this from now on; as they come with `None`.
    pub(crate) fn limit(&self, pacing: Option<Pacing>) {
        self.0.queue.lock().pacing = pacing;
    }

    /// Whether packets are paced.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.queue.lock().pacing.is_some()
    }

    /// Drops the packets that are held.
    pub(crate) fn clear(&self) {
        self.0.queue.lock().bucket.clear();
    }

    /// Takes the packets of a frame. Does not block.
    pub(crate) fn send(&self, packets: Vec<Outgoing>) {
        let queue = &mut *self.0.queue.lock();
        let Some(pacing) = queue.pacing else {
            // What was held so far goes first.
            self.0.release(queue);
            self.0.outlet.send(packets);
            return;
        };
        for packet in packets {
            let size = packet.size();
            queue.bucket.hold(packet, size, pacing.within);
        }
        self.0.release(queue);
        if !queue.bucket.held.is_empty() && !std::mem::replace(&mut queue.served, true) {
            Thread::get().serve(Arc::downgrade(&self.0));
        }
    }
}

impl Inner {
    /// Passes on the packets that may go. The lock of `queue` is held meanwhile, so that packets
    /// stay in order; the outlet takes them without waiting.
    fn release(&self, queue: &mut Queue) {
        let now = now();
        let released = queue.bucket.release(now, queue.pacing);
        if !released.is_empty() {
            self.outlet.send(released);
        }
    }

    /// Passes on what may go now. Returns whether packets are still held.
    fn tick(&self) -> bool {
        let queue = &mut *self.queue.lock();
        self.release(queue);
        queue.served = !queue.bucket.held.is_empty();
        queue.served
    }
}

/// The thread that lets held packets go, of all slots.
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
                    thread.tick();
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

    fn tick(&self) {
        let mut slots = self.slots.lock();
        while slots.is_empty() {
            self.work.wait(&mut slots);
        }
        let serving = std::mem::take(&mut *slots);
        drop(slots);
        // Slots take this thread's lock under their own, and so are not served under it.
        let mut left = serving;
        left.retain(|slot| slot.upgrade().is_some_and(|slot| slot.tick()));
        self.slots.lock().append(&mut left);
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn pacing(rate: u32) -> Pacing {
        let within = Duration::from_secs(2);
        Pacing { rate, within }
    }

    /// When each of `n` packets of a frame goes out, ms.
    fn departures(n: usize, pacing: Option<Pacing>) -> Vec<u64> {
        let mut bucket = LeakyBucket::default();
        bucket.release(ms(1000), pacing);
        let within = pacing.map_or(Duration::from_secs(2), |pacing| pacing.within);
        for packet in 0..n {
            bucket.hold(packet, 1000, within);
        }
        let mut gone = Vec::new();
        for at in (0..6000).step_by(5) {
            for packet in bucket.release(ms(1000 + at), pacing) {
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
        let slow = departures(20, Some(pacing(800_000)));
        assert_eq!(slow.len(), 20);
        let spread = |from: usize, to: usize| slow[to].abs_diff(slow[from]);
        assert!(
            slow[2] == 0 && spread(3, 19).abs_diff(160) <= 10,
            "{slow:?}"
        );
    }

    #[test]
    fn nothing_is_held_longer_than_allowed() {
        for seconds in [2, 4] {
            let within = Duration::from_secs(seconds);
            let gone = departures(
                100,
                Some(Pacing {
                    within,
                    ..pacing(1_000)
                }),
            );
            assert_eq!(gone.len(), 100);
            let last = gone[99];
            assert!(last.abs_diff(seconds * 1000) < 100, "{gone:?}");
        }
    }

    #[test]
    fn what_is_held_back_goes_out_in_its_time_afterwards() {
        let within = Duration::from_secs(4);
        let pacing = |rate| Some(Pacing { rate, within });
        let mut bucket = LeakyBucket::default();
        bucket.release(ms(0), pacing(0));
        for packet in 0..4 {
            bucket.hold(packet, 1000, within);
        }
        for at in [5, 500, 3000] {
            assert_eq!(bucket.release(ms(at), pacing(0)), [0; 0]);
        }
        let ticks = (3005..9000).step_by(5);
        let gone: Vec<u64> = ticks
            .filter(|at| !bucket.release(ms(*at), pacing(1_000)).is_empty())
            .collect();
        // A packet a second, and the first at once.
        assert_eq!(gone, [3005, 4005, 5005, 6005]);
    }

    #[test]
    fn what_is_cleared_is_not_in_the_way_of_what_follows() {
        let pacing = Some(pacing(8_000));
        let mut bucket = LeakyBucket::default();
        bucket.release(ms(1000), pacing);
        for packet in 0..50 {
            bucket.hold(packet, 1000, ms(2000));
        }
        assert_eq!(bucket.release(ms(1005), pacing), [0]);
        bucket.clear();
        bucket.hold(50, 1000, ms(2000));
        bucket.hold(51, 1000, ms(2000));
        assert_eq!(bucket.release(ms(2010), pacing), [50]);
        assert_eq!(bucket.release(ms(2500), pacing), [0; 0], "in no haste");
    }

    #[test]
    fn a_pause_does_not_make_a_burst() {
        let pacing = Some(pacing(100_000));
        let mut bucket = LeakyBucket::default();
        bucket.release(ms(0), pacing);
        for packet in 0..10 {
            bucket.hold(packet, 1200, Duration::from_secs(2));
        }
        assert_eq!(bucket.release(ms(60_000), pacing).len(), 1);
    }
}
