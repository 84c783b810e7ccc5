//! Lip synchronisation: a participant's pictures wait for as long as their sound does.
//!
//! The sound mixer plays a microphone from a buffer, a little late, and later the more its packets
//! jitter. The canvas draws the newest picture of a camera. To keep both together, the sound mixer
//! says by how much longer than its least delay it holds somebody's sound ([`SyncDelay`]), and
//! their pictures wait for as long ([`SyncedPictures`]). How old each is follows from its times,
//! which are on the same clock for all streams of a participant: rtpbin synchronises them by sender
//! reports (RFC 3550 section 6.4.1). The stream that arrives sooner can have times ahead of the
//! present.
//!
//! Pictures wait for each other, too. Those of a camera whose packets are lost and sent again
//! arrive at different ages, and are drawn at the same one ([`super::frame_delay`]), a little
//! behind their sound if need be.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::frame_delay::FrameDelay;
use crate::media::mixer::source::SampleSource;

/// Longest time that a picture waits for its sound, and furthest that its time may lie ahead.
/// Beyond that they are out of sync.
const MAX_WAIT: gst::ClockTime = gst::ClockTime::from_mseconds(200);
/// Most pictures that wait: 400 ms of them at 30 a second. Beyond it the oldest is dropped.
const MAX_PICTURES: usize = 12;
/// A wait changes by one part in so many of the time that passes: the picture is faster or slower
/// by a quarter, and does not jump.
const SLEW_DIVISOR: gst::ClockTimeDiff = 4;
/// How much before its time a picture is drawn rather than a frame late: half a frame at 30 a
/// second.
const EARLY: gst::ClockTime = gst::ClockTime::from_mseconds(16);
/// Most that pictures fall behind their sound, or behind the earliest of them, to wait for the late
/// ones. Less than what is acceptable of early sound (90 ms, ITU-R BT.1359).
const MAX_BEHIND_SOUND: gst::ClockTime = gst::ClockTime::from_mseconds(80);

/// By how much longer than the mixer's least delay the sound of one participant is held, ns;
/// negative where its times lie ahead. The sound thread sets it, the canvas thread reads it.
#[derive(Debug, Default)]
pub(crate) struct SyncDelay(AtomicI64);

impl SyncDelay {
    pub(crate) fn set(&self, delay: gst::ClockTimeDiff) {
        self.0.store(delay, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> gst::ClockTimeDiff {
        self.0.load(Ordering::Relaxed)
    }
}

/// The pictures of a camera, which wait for the sound of its participant.
#[derive(Debug)]
pub(crate) struct SyncedPictures {
    sink: gst_app::AppSink,
    delay: Arc<SyncDelay>,
    queue: PictureQueue<gst::Sample>,
}

impl SyncedPictures {
    /// The pictures that come out of `sink`, held for `delay`.
    pub(crate) fn new(sink: gst_app::AppSink, delay: Arc<SyncDelay>) -> Self {
        Self {
            sink,
            delay,
            queue: PictureQueue::default(),
        }
    }
}

impl SampleSource for SyncedPictures {
    fn pull(&mut self, now: gst::ClockTime) -> Option<gst::Sample> {
        while let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::ZERO) {
            let taken = sample.buffer().and_then(|buffer| buffer.pts());
            self.queue.push(taken.unwrap_or(now), now, sample);
        }
        self.queue.take(now, self.delay.get())
    }
}

/// Waiting pictures in the order they came, each with the time it was taken at; pure.
#[derive(Debug)]
struct PictureQueue<T> {
    pictures: VecDeque<(gst::ClockTime, T)>,
    /// How long after its time a picture is due, ns.
    wait: gst::ClockTimeDiff,
    /// When a picture was asked for last.
    asked: Option<gst::ClockTime>,
    frame_delay: FrameDelay,
}

impl<T> Default for PictureQueue<T> {
    fn default() -> Self {
        Self {
            pictures: VecDeque::with_capacity(MAX_PICTURES),
            wait: 0,
            asked: None,
            frame_delay: FrameDelay::default(),
        }
    }
}

impl<T> PictureQueue<T> {
    /// Adds a picture that has come `now`. Its time is clamped to that of the picture before it and
    /// to [`MAX_WAIT`] ahead.
    fn push(&mut self, taken: gst::ClockTime, now: gst::ClockTime, picture: T) {
        let before = self.pictures.back().map_or(taken, |(before, _)| *before);
        let taken = taken.max(before).min(now + MAX_WAIT);
        let age = since(now, taken);
        // A picture that is even later makes no other wait.
        if age < length(MAX_WAIT) {
            self.frame_delay.note(age);
        }
        self.pictures.push_back((taken, picture));
        if self.pictures.len() > MAX_PICTURES {
            self.pictures.pop_front();
        }
    }

    /// The newest picture that is due when pictures wait for `delay`. None is returned twice.
    fn take(&mut self, now: gst::ClockTime, delay: gst::ClockTimeDiff) -> Option<T> {
        self.slew(now, delay);
        let wait = self.wait;
        let due = |taken: gst::ClockTime| since(now + EARLY, taken) >= wait;
        let late = self.pictures.iter().take_while(|(taken, _)| due(*taken));
        // Where too many wait the oldest is due, or it would be dropped unseen.
        let full = usize::from(self.pictures.len() >= MAX_PICTURES);
        let count = late.count().max(full);
        let newest = self.pictures.drain(..count).last();
        newest.map(|(_, picture)| picture)
    }

    fn slew(&mut self, now: gst::ClockTime, delay: gst::ClockTimeDiff) {
        let wait = self.target(delay);
        self.wait = match self.asked.replace(now) {
            None => wait,
            Some(asked) => {
                let step = since(now, asked).max(0) / SLEW_DIVISOR;
                wait.clamp(self.wait - step, self.wait + step)
            }
        };
    }

    /// How long pictures should wait where the sound is held for `delay`.
    fn target(&self, delay: gst::ClockTimeDiff) -> gst::ClockTimeDiff {
        let for_all = self.frame_delay.range().map_or(delay, |range| {
            let furthest = delay.max(range.least) + length(MAX_BEHIND_SOUND);
            range.most.min(furthest)
        });
        let most = length(MAX_WAIT);
        delay.max(for_all).clamp(-most, most)
    }
}

fn length(time: gst::ClockTime) -> gst::ClockTimeDiff {
    since(time, gst::ClockTime::ZERO)
}

/// The time from `earlier` to `later`, ns; negative the other way round.
pub(crate) fn since(later: gst::ClockTime, earlier: gst::ClockTime) -> gst::ClockTimeDiff {
    let ns = |time: gst::ClockTime| i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
    ns(later).saturating_sub(ns(earlier))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: gst::ClockTimeDiff = 1_000_000;

    fn ms(ms: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(ms)
    }

    /// Ages of the pictures that are taken every 33 ms for two seconds, of a camera of 30 a second
    /// whose pictures come in bursts of `burst` ms, where they wait for `delay`.
    fn ages(burst: u64, delay: i64) -> Vec<u64> {
        let mut queue = PictureQueue::default();
        let (mut next, mut ages) = (990, Vec::new());
        for now in (1_000..3_000).step_by(33) {
            let arrived = now / burst * burst;
            while next <= arrived {
                queue.push(ms(next), ms(now), next);
                next += 33;
            }
            ages.extend(queue.take(ms(now), delay * MS).map(|taken| now - taken));
        }
        ages
    }

    #[test]
    fn without_a_hold_every_picture_is_drawn_at_once() {
        let ages = ages(1, 0);
        assert!(ages.len() > 58, "{ages:?}");
        assert!(ages.iter().all(|age| *age < 33), "{ages:?}");
    }

    #[test]
    fn held_pictures_are_as_old_as_the_sound_and_none_is_missing() {
        for delay in [40, 80, 120] {
            let ages = ages(1, delay);
            assert!(ages.len() > 56, "{ages:?}");
            let apart = |age: &u64| age.abs_diff(delay.unsigned_abs());
            assert!(ages.iter().all(|age| apart(age) <= 33), "{delay}: {ages:?}");
        }
    }

    #[test]
    fn bursts_are_evened_out_by_the_hold() {
        let ages = ages(100, 120);
        assert!(ages.len() > 56, "{ages:?}");
        assert!(ages.iter().all(|age| age.abs_diff(120) <= 33), "{ages:?}");
    }

    /// The share of pictures that is drawn, percent, and their mean age, ms: of a camera of 30 a
    /// second, each picture one packet, one in ten lost and sent again when the next has come. The
    /// canvas has the same rate and is `phase` ms behind.
    fn drawn_of_losses(phase: u64) -> (u64, u64) {
        let mut queue = PictureQueue::default();
        let (mut drawn, mut age) = (0, 0);
        for n in 30..3_030 {
            let taken = |n: u64| n * 33;
            let is_lost = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xff < 26;
            let now = taken(n) + phase;
            let came = [n - 1].into_iter().filter(|n| is_lost(*n));
            for came in came.chain(Some(n).filter(|n| !is_lost(*n))) {
                queue.push(ms(taken(came)), ms(now), came);
            }
            if let Some(shown) = queue.take(ms(now), 0) {
                drawn += 1;
                age += now - taken(shown);
            }
        }
        (drawn / 30, age / drawn)
    }

    #[test]
    fn pictures_that_were_lost_and_came_again_are_drawn() {
        for phase in 1..33 {
            let (drawn, age) = drawn_of_losses(phase);
            assert!(drawn >= 96, "{phase}: {drawn} %");
            assert!(age <= phase + 34, "{phase}: {age} ms");
        }
    }

    #[test]
    fn pictures_do_not_fall_far_behind_their_sound() {
        let mut queue = PictureQueue::default();
        for n in 0..100 {
            // One in ten comes 150 ms late.
            let age = if n % 10 == 0 { 150 } else { 5 };
            queue.push(ms(1_000 + n), ms(1_000 + n + age), n);
        }
        assert_eq!(queue.target(0), 85 * MS);
        assert_eq!(queue.target(20 * MS), 100 * MS);
        assert_eq!(queue.target(190 * MS), 190 * MS, "with their sound");
    }

    #[test]
    fn a_hold_that_changes_is_followed_slowly() {
        let mut queue: PictureQueue<()> = PictureQueue::default();
        queue.take(ms(0), 0);
        queue.take(ms(40), 100 * MS);
        assert_eq!(queue.wait, 10 * MS);
        queue.take(ms(400), 100 * MS);
        assert_eq!(queue.wait, 100 * MS);
        queue.take(ms(440), -100 * MS);
        assert_eq!(queue.wait, 90 * MS);
        queue.take(ms(60_000), 5_000 * MS);
        assert_eq!(queue.wait, 200 * MS);
    }

    /// Where the sound came sooner than the picture, the times of what comes later lie ahead.
    #[test]
    fn pictures_ahead_of_their_sound_wait_for_their_time() {
        let mut queue = PictureQueue::default();
        queue.push(ms(1_100), ms(1_000), 'a');
        assert_eq!(queue.take(ms(1_000), 0), None);
        assert_eq!(queue.take(ms(1_066), 0), None);
        assert_eq!(queue.take(ms(1_099), 0), Some('a'));
        let mut queue = PictureQueue::default();
        queue.push(ms(1_100), ms(1_000), 'a');
        assert_eq!(queue.take(ms(1_000), -100 * MS), Some('a'), "as its sound");
    }

    #[test]
    fn what_cannot_be_is_not_believed_and_few_are_kept() {
        let mut queue = PictureQueue::default();
        queue.push(gst::ClockTime::MAX, ms(1_000), 0);
        assert_eq!(queue.take(ms(1_183), 0), None);
        assert_eq!(queue.take(ms(1_184), 0), Some(0));
        assert_eq!(queue.take(ms(1_217), 0), None, "none is given twice");
        for n in 0..100 {
            queue.push(ms(2_000 + n), ms(2_000 + n), n);
        }
        assert_eq!(queue.pictures.len(), MAX_PICTURES);
        assert_eq!(queue.take(ms(9_000), 0), Some(99));
        assert!(queue.pictures.is_empty());
    }

    /// Of a camera of 60 a second more would wait than are kept.
    #[test]
    fn a_picture_that_makes_room_is_drawn() {
        let mut queue = PictureQueue::default();
        let mut drawn = 0;
        for n in 0..200 {
            let now = ms(1_000 + n * 17);
            queue.push(now + MAX_WAIT, now, n);
            drawn += usize::from(queue.take(now, 200 * MS).is_some());
        }
        assert!(drawn > 180, "{drawn}");
    }

    #[test]
    fn time_that_goes_back_keeps_the_order() {
        let mut queue = PictureQueue::default();
        queue.push(ms(1_000), ms(1_000), 'a');
        queue.push(ms(10), ms(1_010), 'b');
        assert_eq!(queue.take(ms(1_010), 100 * MS), None);
        assert_eq!(queue.take(ms(1_100), 100 * MS), Some('b'));
    }
}
