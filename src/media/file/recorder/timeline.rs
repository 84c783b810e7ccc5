//! The time in a file at which a packet of a mix belongs; pure.
//!
//! A file begins with a keyframe, at zero, so that nothing black comes first and both tracks count
//! from the same moment. Sound that came meanwhile is held, because it arrives sooner than the
//! picture of the same moment. Where packets of sound are missing (a pause that was not sent, an
//! encoder that was started anew) silence takes their place: a muxer waits for a track that has
//! gaps.

use std::collections::VecDeque;
use std::time::Duration;

use super::monotonic::MonotonicTimes;

/// RTP timestamp units per second of all video codecs, Hz.
const VIDEO_CLOCK_RATE: u32 = 90_000;
/// The length of the Opus packets of a mix.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
/// Most packets of sound that are held until the picture begins: five seconds, longer than a
/// picture is late.
const MAX_HELD: usize = 250;
/// Longest gap that is filled with silence. A longer one is not a pause, and stays a gap.
const LONGEST_GAP: Duration = Duration::from_secs(30);

/// The track that decides where a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeadTrack {
    /// The picture: the file begins with its first keyframe.
    Picture,
    /// The sound: the file begins with its first packet, for there is no picture.
    Sound,
}

/// A packet of sound with its time in the file; `None` is silence.
pub(crate) type Timed<T> = (Duration, Option<T>);

/// Whether pictures can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PictureGate {
    AwaitsKeyframe,
    Open,
}

/// The timeline of a file, for packets of sound of type `T`.
#[derive(Debug)]
pub(crate) struct Timeline<T> {
    lead: LeadTrack,
    start: Option<Duration>,
    gate: PictureGate,
    held: VecDeque<(Duration, T)>,
    /// Time in the file at which the next packet of sound is due; `None` before the first.
    next: Option<Duration>,
    /// Times of the pictures in the file.
    pictures: MonotonicTimes,
}

impl<T> Timeline<T> {
    pub(crate) fn new(lead: LeadTrack) -> Self {
        Self {
            lead,
            start: None,
            gate: PictureGate::AwaitsKeyframe,
            held: VecDeque::new(),
            next: None,
            pictures: MonotonicTimes::new(VIDEO_CLOCK_RATE),
        }
    }

    /// Takes a packet of the picture of running time `at` and this RTP timestamp. Returns its time
    /// in the file, if it belongs there.
    pub(crate) fn picture(
        &mut self,
        at: Duration,
        timestamp: u32,
        keyframe: bool,
    ) -> Option<Duration> {
        if keyframe {
            self.gate = PictureGate::Open;
            self.start.get_or_insert(at);
        }
        let start = self.start.filter(|_| self.gate == PictureGate::Open)?;
        Some(self.pictures.place(timestamp, at.saturating_sub(start)))
    }

    /// Lets no picture in before the next keyframe, because some are missing.
    pub(crate) fn picture_broken(&mut self) {
        self.gate = PictureGate::AwaitsKeyframe;
    }

    /// Takes a packet of sound of running time `at`.
    pub(crate) fn sound(&mut self, at: Duration, packet: T) {
        if self.lead == LeadTrack::Sound {
            self.start.get_or_insert(at);
        }
        self.held.push_back((at, packet));
        if self.start.is_none() && self.held.len() > MAX_HELD {
            self.held.pop_front();
        }
    }

    /// The sound that can be written now.
    pub(crate) fn sounds(&mut self) -> Vec<Timed<T>> {
        let Some(start) = self.start else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for (at, packet) in self.held.drain(..) {
            let Some(time) = at.checked_sub(start) else {
                continue;
            };
            // Where the file begins in a pause, its sound begins with silence: a track that began
            // later would be played from the beginning all the same.
            let due = self.next.unwrap_or_default();
            // The newest of two sources that overlap would sound twice.
            if time + FRAME / 2 < due {
                continue;
            }
            let gap = time.saturating_sub(due);
            if gap <= LONGEST_GAP {
                let missing = (gap + FRAME / 2).as_micros() / FRAME.as_micros();
                let missing = u32::try_from(missing).unwrap_or_default();
                out.extend((0..missing).map(|n| (due + FRAME * n, None)));
            }
            out.push((time, Some(packet)));
            self.next = Some(time + FRAME);
        }
        out
    }

    /// The sound to write at the end of a file: a packet of silence if it has a picture and no
    /// sound. An MP4 whose track of sound is empty cannot be read, not even its picture.
    pub(crate) fn end(&mut self) -> Option<Timed<T>> {
        let mute = self.start.is_some() && self.next.is_none();
        mute.then(|| {
            self.next = Some(FRAME);
            (Duration::ZERO, None)
        })
    }

    /// Running time at which the file begins; `None` before its first packet.
    pub(crate) fn start(&self) -> Option<Duration> {
        self.start
    }

    /// The duration of the file so far.
    pub(crate) fn length(&self) -> Duration {
        self.next.unwrap_or_default().max(self.pictures.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn times(sounds: &[Timed<u32>]) -> Vec<(u64, Option<u32>)> {
        let in_ms = |(at, packet): &Timed<u32>| (at.as_millis() as u64, *packet);
        sounds.iter().map(in_ms).collect()
    }

    #[test]
    fn a_file_is_never_without_sound() {
        let mut line: Timeline<u32> = Timeline::new(LeadTrack::Picture);
        assert_eq!(line.end(), None, "it has not begun");
        line.picture(ms(1000), 0, true);
        assert_eq!(line.end(), Some((ms(0), None)));
        assert_eq!(line.end(), None);
        let mut line = Timeline::new(LeadTrack::Picture);
        line.picture(ms(1000), 0, true);
        line.sound(ms(1000), 1);
        line.sounds();
        assert_eq!(line.end(), None);
    }

    #[test]
    fn a_file_begins_with_a_keyframe_and_the_sound_of_that_moment() {
        let mut line = Timeline::new(LeadTrack::Picture);
        for n in 0..10 {
            line.sound(ms(1000 + 20 * u64::from(n)), n);
        }
        assert_eq!(line.picture(ms(1030), 0, false), None, "no keyframe yet");
        assert!(line.sounds().is_empty());
        assert_eq!(line.picture(ms(1115), 1, true), Some(ms(0)));
        let sounds = times(&line.sounds());
        assert_eq!(sounds[0], (5, Some(6)));
        assert_eq!(sounds.last(), Some(&(65, Some(9))));
        assert_eq!(line.picture(ms(1148), 2, false), Some(ms(33)));
        line.sound(ms(1200), 10);
        assert_eq!(times(&line.sounds()), [(85, Some(10))]);
        assert_eq!(line.length(), ms(105));
    }

    #[test]
    fn a_file_that_begins_in_a_pause_has_all_of_its_silence() {
        let mut line = Timeline::new(LeadTrack::Picture);
        line.sound(ms(900), 0);
        line.picture(ms(1000), 0, true);
        line.sound(ms(1042), 1);
        let expected = [(0, None), (20, None), (42, Some(1))];
        assert_eq!(times(&line.sounds()), expected);
    }

    #[test]
    fn pauses_are_filled_with_silence() {
        let mut line = Timeline::new(LeadTrack::Sound);
        line.sound(ms(500), 0);
        line.sound(ms(600), 1);
        line.sound(ms(621), 2);
        let expected = [
            (0, Some(0)),
            (20, None),
            (40, None),
            (60, None),
            (80, None),
            (100, Some(1)),
            (121, Some(2)),
        ];
        assert_eq!(times(&line.sounds()), expected);
        line.sound(ms(100_000), 3);
        assert_eq!(times(&line.sounds()), [(99_500, Some(3))], "not a pause");
    }

    #[test]
    fn two_sources_at_once_do_not_sound_twice() {
        let mut line = Timeline::new(LeadTrack::Sound);
        for (at, packet) in [(0, 0), (20, 1), (8, 9), (28, 9), (40, 2)] {
            line.sound(ms(at), packet);
        }
        let sounds = times(&line.sounds());
        assert_eq!(sounds, [(0, Some(0)), (20, Some(1)), (40, Some(2))]);
    }

    #[test]
    fn what_is_broken_waits_for_a_keyframe() {
        let mut line = Timeline::<u32>::new(LeadTrack::Picture);
        assert_eq!(line.picture(ms(1000), 0, true), Some(ms(0)));
        line.picture_broken();
        assert_eq!(line.picture(ms(1033), 1, false), None);
        assert_eq!(line.picture(ms(1066), 2, true), Some(ms(66)));
        assert_eq!(line.picture(ms(1050), 2, false), Some(ms(66)), "the same");
        assert_eq!(line.picture(ms(1050), 3, false), Some(ms(67)), "never back");
    }

    #[test]
    fn little_is_held_for_a_picture_that_does_not_come() {
        let mut line = Timeline::new(LeadTrack::Picture);
        for n in 0..100_000 {
            line.sound(ms(20 * n), n);
        }
        assert_eq!(line.held.len(), MAX_HELD);
    }
}
