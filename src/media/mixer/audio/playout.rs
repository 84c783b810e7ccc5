//! The playout buffer of one source, which evens out jitter: packets in, a frame every 20 ms out;
//! pure.
//!
//! The buffer plays a little behind, by as much as arrivals jitter. *Spare* is what remains after a
//! frame was taken, and `target` is the spare that it aims at. Running dry makes the target larger;
//! time without need makes it smaller. Cuts and gaps are crossfaded over 5 ms, so that nothing
//! clicks.

use std::collections::VecDeque;
use std::time::Duration;

use super::mix::{FRAME, Frame, SAMPLE_RATE};

/// The number of samples in a millisecond.
const MS: usize = SAMPLE_RATE as usize / 1000;

/// Most sound that is held. Beyond it the oldest is dropped.
pub const MAX_HELD: gst::ClockTime = gst::ClockTime::from_mseconds(400);
/// The same in samples.
pub const MAX_DEPTH: usize = MAX_HELD.mseconds() as usize * MS;

/// Length of every crossfade, in samples: 5 ms.
pub const FADE: usize = 5 * MS;

/// Least delay of the buffer: what it holds of a source without jitter after a frame was taken.
pub const MIN_DELAY: Duration = Duration::from_millis(20);

/// The least target, with which a source begins, in samples.
const MIN_TARGET: usize = MIN_DELAY.as_millis() as usize * MS;
/// The largest target, in samples: 120 ms.
const MAX_TARGET: usize = 120 * MS;
/// By how much the target grows when the buffer runs dry, in samples.
const GROWTH: usize = 20 * MS;
/// By how much the target shrinks after [`CALM_FRAMES`] without need, in samples.
const DECLINE: usize = 10 * MS;

/// Spare beyond the target that is tolerated, in samples. With less, cuts would be frequent.
const SLACK: usize = 10 * MS;

/// Frames for which the spare has to exceed the target before it is cut: half a second.
const SURPLUS_FRAMES: u32 = 25;

/// Frames for which some of the spare has to be unused before the target shrinks: ten seconds.
const CALM_FRAMES: u32 = 500;

/// Frames without sound, half a second, that make a pause (a muted microphone, DTX): the source was
/// not late, so the target does not grow.
const PAUSE_FRAMES: u32 = 25;

/// How pushed samples relate to those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Continuity {
    /// They begin where those before ended.
    Seamless,
    /// Sound is missing in between (lost packets, a restarted decoder).
    Gap,
}

/// What a frame taken from the buffer consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Sound of the source throughout.
    Played,
    /// The rest of the sound, faded out, because the buffer ran dry.
    Concealed,
    /// Silence: the source has not begun, or too little of it has arrived.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for enough sound. The buffer ran dry `dry` frames ago.
    Filling {
        dry: u32,
    },
    Playing,
}

/// The least spare in a stretch of frames.
#[derive(Debug, Clone, Copy)]
struct LeastSpare {
    least: usize,
    frames: u32,
}

impl LeastSpare {
    const NEW: Self = Self {
        least: usize::MAX,
        frames: 0,
    };

    /// Records the spare after a frame. Returns the least, and begins anew, after `stretch` frames.
    fn note(&mut self, spare: usize, stretch: u32) -> Option<usize> {
        self.least = self.least.min(spare);
        self.frames += 1;
        if self.frames < stretch {
            return None;
        }
        Some(std::mem::replace(self, Self::NEW).least)
    }
}

/// One source's buffer, for mono sound at 48 kHz in packets of any length.
#[derive(Debug, Clone)]
pub struct Playout {
    buffer: VecDeque<f32>,
    /// The end of what was played.
    played: [f32; FADE],
    /// What would have been played next, had the buffer not been cut at its front.
    cut: Option<[f32; FADE]>,
    state: State,
    target: usize,
    /// The target before the buffer last ran dry.
    target_before: usize,
    surplus: LeastSpare,
    calm: LeastSpare,
}

impl Default for Playout {
    fn default() -> Self {
        Self::new()
    }
}

impl Playout {
    /// An empty buffer, with the least target.
    pub fn new() -> Self {
        Self {
            buffer: VecDeque::with_capacity(MAX_DEPTH),
            played: [0.0; FADE],
            cut: None,
            state: State::Filling { dry: PAUSE_FRAMES },
            target: MIN_TARGET,
            target_before: MIN_TARGET,
            surplus: LeastSpare::NEW,
            calm: LeastSpare::NEW,
        }
    }

    /// Appends sound that has arrived. Beyond [`MAX_DEPTH`] the oldest is dropped.
    ///
    /// Samples beyond full scale are clipped, and samples that are not numbers become silence: a
    /// broken decoder must not harm the mix.
    pub fn push(&mut self, samples: &[f32], continuity: Continuity) {
        let tail = match continuity {
            Continuity::Seamless => None,
            Continuity::Gap => Some(self.reflected_tail()),
        };
        let fade = samples.len().min(FADE);
        for (i, &sample) in samples.iter().enumerate() {
            let mut sample = if sample.is_nan() {
                0.0
            } else {
                sample.clamp(-1.0, 1.0)
            };
            if let Some(tail) = tail
                && i < fade
            {
                sample = crossfade(tail[i], sample, i, fade);
            }
            self.buffer.push_back(sample);
        }
        self.drop_front(self.buffer.len().saturating_sub(MAX_DEPTH));
    }

    /// Appends so many samples of silence, as [`Self::push`].
    pub fn push_silence(&mut self, count: usize, continuity: Continuity) {
        let fade = match continuity {
            Continuity::Seamless => 0,
            Continuity::Gap => count.min(FADE),
        };
        self.push(&[0.0; FADE][..fade], continuity);
        self.buffer.extend(std::iter::repeat_n(0.0, count - fade));
        self.drop_front(self.buffer.len().saturating_sub(MAX_DEPTH));
    }

    /// Puts `samples` in place of the last that are held; of more than are held the last. They are
    /// faded in.
    pub fn replace_end(&mut self, samples: &[f32]) {
        let count = samples.len().min(self.buffer.len());
        let start = self.buffer.len() - count;
        let fade = count.min(FADE);
        let held = self.buffer.range_mut(start..);
        let samples = &samples[samples.len() - count..];
        for (i, (held, &sample)) in held.zip(samples).enumerate() {
            let sample = if sample.is_nan() { 0.0 } else { sample };
            let sample = sample.clamp(-1.0, 1.0);
            *held = match i < fade {
                true => crossfade(*held, sample, i, fade),
                false => sample,
            };
        }
    }

    /// Fills `out` with the next 20 ms. Call it once a period.
    pub fn take(&mut self, out: &mut Frame) -> FrameKind {
        match self.state {
            State::Filling { dry } if self.buffer.len() < FRAME + self.target => {
                out.fill(0.0);
                self.played.fill(0.0);
                let dry = dry.saturating_add(1);
                if dry == PAUSE_FRAMES {
                    // The last words before a pause do not belong before the next ones.
                    self.buffer.clear();
                }
                self.state = State::Filling { dry };
                return FrameKind::Silent;
            }
            State::Filling { dry } => self.begin(dry, out),
            State::Playing if self.buffer.len() < FRAME => {
                self.conceal(out);
                return FrameKind::Concealed;
            }
            State::Playing => self.play(out),
        }
        self.played.copy_from_slice(&out[FRAME - FADE..]);
        self.adapt();
        FrameKind::Played
    }

    /// The sound that comes next, as far as it is held: 20 ms at most.
    pub fn ahead(&self) -> impl Iterator<Item = f32> + '_ {
        self.buffer.iter().take(FRAME).copied()
    }

    /// The length of the sound held, ms.
    pub fn depth_ms(&self) -> u32 {
        (self.buffer.len() / MS) as u32
    }

    /// How long it takes to play the sound that is held.
    pub fn spare(&self) -> Duration {
        Duration::from_nanos(self.buffer.len() as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE))
    }

    /// Whether there has been nothing to play for half a second, or never anything.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Filling { dry } if dry >= PAUSE_FRAMES)
    }

    /// The spare that is aimed at after each frame, ms.
    pub fn target_ms(&self) -> u32 {
        (self.target / MS) as u32
    }

    fn begin(&mut self, dry: u32, out: &mut Frame) {
        if dry >= PAUSE_FRAMES {
            self.target = self.target_before;
        }
        self.state = State::Playing;
        self.surplus = LeastSpare::NEW;
        self.calm = LeastSpare::NEW;
        // Nothing was played for it to connect to.
        self.cut = None;
        self.pop(out);
        for (i, sample) in out.iter_mut().take(FADE).enumerate() {
            *sample = crossfade(0.0, *sample, i, FADE);
        }
    }

    fn play(&mut self, out: &mut Frame) {
        self.pop(out);
        if let Some(cut) = self.cut.take() {
            for (i, (sample, old)) in out.iter_mut().zip(cut).enumerate() {
                *sample = crossfade(old, *sample, i, FADE);
            }
        }
    }

    /// Plays what is left and fades out, over a reflection of the last sound where nothing is
    /// left to fade: it connects without a step and is too short to be heard as such.
    fn conceal(&mut self, out: &mut Frame) {
        let rest = self.buffer.len();
        let reflected = self.reflected_tail();
        out.fill(0.0);
        for (sample, held) in out.iter_mut().zip(self.buffer.drain(..)) {
            *sample = held;
        }
        for (sample, tail) in out[rest..].iter_mut().zip(reflected) {
            *sample = tail;
        }
        let start = rest.min(FRAME - FADE);
        for (i, sample) in out[start..].iter_mut().enumerate() {
            *sample = crossfade(*sample, 0.0, i.min(FADE - 1), FADE);
        }
        self.played.fill(0.0);
        self.cut = None;
        self.state = State::Filling { dry: 0 };
        self.target_before = self.target;
        self.target = (self.target + GROWTH).min(MAX_TARGET);
    }

    /// Looks at the spare after a frame: cuts a surplus, and lowers a target that is too high.
    fn adapt(&mut self) {
        let spare = self.buffer.len();
        if let Some(least) = self.calm.note(spare, CALM_FRAMES)
            && least >= MIN_TARGET + DECLINE
        {
            self.target = self.target.saturating_sub(DECLINE).max(MIN_TARGET);
        }
        if let Some(least) = self.surplus.note(spare, SURPLUS_FRAMES)
            && least > self.target + SLACK
        {
            self.drop_front(least - self.target);
        }
    }

    /// Drops the first `count` samples, and keeps what the next frame is crossfaded from.
    fn drop_front(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        if self.cut.is_none() && self.state == State::Playing {
            let mut cut = [0.0; FADE];
            for (kept, &sample) in cut.iter_mut().zip(&self.buffer) {
                *kept = sample;
            }
            self.cut = Some(cut);
        }
        self.buffer.drain(..count);
    }

    fn pop(&mut self, out: &mut Frame) {
        for (sample, held) in out.iter_mut().zip(self.buffer.drain(..FRAME)) {
            *sample = held;
        }
    }

    /// The last samples, held or played, backwards.
    fn reflected_tail(&self) -> [f32; FADE] {
        let mut tail = [0.0; FADE];
        let before = self.played.iter().rev();
        let last = self.buffer.iter().rev().chain(before);
        for (kept, &sample) in tail.iter_mut().zip(last) {
            *kept = sample;
        }
        tail
    }
}

/// Sample `i` of a crossfade from one sound to another over `length` samples.
fn crossfade(from: f32, to: f32, i: usize, length: usize) -> f32 {
    let share = (i + 1) as f32 / length as f32;
    from + (to - from) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_ms(playout: &mut Playout, ms: usize) {
        playout.push(&vec![0.5; ms * MS], Continuity::Seamless);
    }

    fn take(playout: &mut Playout) -> (FrameKind, Frame) {
        let mut out = [9.0; FRAME];
        let taken = playout.take(&mut out);
        (taken, out)
    }

    #[test]
    fn begins_with_a_fade_once_the_target_is_held() {
        let mut p = Playout::new();
        push_ms(&mut p, 39);
        assert_eq!(take(&mut p), (FrameKind::Silent, [0.0; FRAME]));
        push_ms(&mut p, 1);
        let (taken, out) = take(&mut p);
        assert_eq!(taken, FrameKind::Played);
        assert!(out[0] < 0.003);
        assert!(out[FADE - 1..].iter().all(|&s| s == 0.5));
        assert_eq!((p.depth_ms(), p.target_ms()), (20, 20));
    }

    #[test]
    fn runs_dry_with_a_fade_and_grows() {
        let mut p = Playout::new();
        push_ms(&mut p, 50);
        take(&mut p);
        take(&mut p);
        let (taken, out) = take(&mut p);
        assert_eq!(taken, FrameKind::Concealed);
        assert!(out[..10 * MS].iter().all(|&s| s == 0.5), "what was held");
        assert!(out[10 * MS] > 0.49 && out[12 * MS] < 0.35, "the fade");
        assert!(out[15 * MS - 1..].iter().all(|&s| s == 0.0));
        assert_eq!(p.target_ms(), 40);
        push_ms(&mut p, 59);
        assert_eq!(take(&mut p).0, FrameKind::Silent);
        push_ms(&mut p, 1);
        assert_eq!(take(&mut p).0, FrameKind::Played);
    }

    #[test]
    fn a_pause_is_not_held_against_the_source() {
        let mut p = Playout::new();
        push_ms(&mut p, 40);
        for _ in 0..10 {
            take(&mut p);
        }
        push_ms(&mut p, 20);
        for _ in 0..20 {
            take(&mut p);
        }
        assert_eq!(p.depth_ms(), 0, "what came before the pause");
        push_ms(&mut p, 60);
        assert_eq!(take(&mut p).0, FrameKind::Played);
        assert_eq!(p.target_ms(), 20);
    }

    #[test]
    fn the_oldest_goes_beyond_the_cap() {
        let mut p = Playout::new();
        push_ms(&mut p, 350);
        p.push(&vec![0.25; 350 * MS], Continuity::Seamless);
        assert_eq!(p.depth_ms(), 400);
        let (_, out) = take(&mut p);
        assert_eq!(out[FRAME - 1], 0.5);
        for _ in 0..3 {
            take(&mut p);
        }
        assert_eq!(take(&mut p).1[FRAME - 1], 0.25);
        p.push(&vec![0.5; 3_000 * MS], Continuity::Seamless);
        assert_eq!(p.depth_ms(), 400);
    }

    #[test]
    fn a_surplus_is_cut_after_half_a_second() {
        let mut p = Playout::new();
        push_ms(&mut p, 200);
        let mut depths = Vec::new();
        for _ in 0..30 {
            take(&mut p);
            depths.push(p.depth_ms());
            push_ms(&mut p, 20);
        }
        assert_eq!(depths[..24], [180; 24]);
        assert_eq!(depths[24..], [20; 6]);
    }

    #[test]
    fn what_no_decoder_should_say_is_tamed() {
        let mut p = Playout::new();
        p.push(&[f32::NAN; 2 * FRAME], Continuity::Gap);
        assert_eq!(take(&mut p), (FrameKind::Played, [0.0; FRAME]));
        p.push(&[f32::INFINITY, -1e30], Continuity::Seamless);
        p.push(&[0.0; FRAME - 2], Continuity::Seamless);
        take(&mut p);
        assert_eq!(take(&mut p).1[..2], [1.0, -1.0]);
    }
}
