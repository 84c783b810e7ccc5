//! From the timestamps of a stream to running time, and of several streams of one sender to times that
//! fit together; pure.
//!
//! A packet is given the time at which it would have come with the least transit time of the last
//! seconds: so neither queues on the way nor the bursts of a large picture move it. The two clocks may
//! drift; the estimate follows slowly, so that no step of it is heard.
//!
//! Streams of one sender are put together by its sender reports (RFC 3550 section 6.4.1): those whose
//! way is shorter are given later times, as many as their transit differs from that of the longest.

use std::time::Duration;

use crate::media::bwe::windowed_min::WindowedMin;

/// Seconds over which the least transit time is taken: longer than bursts are apart, and short
/// enough to notice soon that the path has become longer.
const WINDOW_SECONDS: u64 = 3;
/// A packet that is later than this, ns, was not queued: its sender paused its clock, and the least
/// transit time is forgotten.
const MAX_LATENESS: i64 = 400_000_000;
/// Packets for which the estimate is what was measured: some two seconds of sound.
const SETTLING: u32 = 100;
/// Share of a packet's least transit time in the estimate after that.
const MEAN_OF: i64 = 125;
/// A step of the estimate that is made at once, ns: the way has become another.
const JUMP: i64 = 100_000_000;
/// Least change of what a stream is delayed by, ns. Smaller ones are measuring errors.
const MIN_SHIFT: i64 = 4_000_000;
/// Most that a stream is delayed by, ns. Beyond it the reports are wrong.
const MAX_SHIFT: i64 = 3_000_000_000;

/// What sender reports say of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reported {
    /// Nothing. It stands by itself.
    Never,
    /// Units and NTP time, ns.
    At(i64, i64),
    /// What they said is of other timestamps, or of another way. The next one will tell.
    Before,
}

/// The clock of one stream.
#[derive(Debug)]
pub(crate) struct MediaClock {
    /// Timestamp units a second, Hz.
    clock_rate: u32,
    /// The newest timestamp, and the units from the first one to it.
    last: Option<(u32, i64)>,
    /// The least transit time, ns: from a packet's timestamp to its arrival, up to a constant.
    least: WindowedMin<i64, WINDOW_SECONDS>,
    /// The estimate of it.
    transit: i64,
    packets: u32,
    reported: Reported,
    /// What the stream is delayed by, ns, to fit to the others.
    shift: i64,
    /// Units and time of the packet before.
    before: Option<(i64, Duration)>,
}

impl MediaClock {
    /// For a stream of that clock rate, Hz.
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            last: None,
            least: WindowedMin::default(),
            transit: 0,
            packets: 0,
            reported: Reported::Never,
            shift: 0,
            before: None,
        }
    }

    /// Running time of a packet of that timestamp, which came at `now`. Times do not go back where
    /// timestamps go on.
    pub(crate) fn time(&mut self, timestamp: u32, now: Duration) -> Duration {
        let units = self.unwrap(timestamp);
        let sent = self.nanos(units);
        let transit = nanos(now).saturating_sub(sent);
        if self
            .least
            .get()
            .is_some_and(|least| transit.saturating_sub(least) > MAX_LATENESS)
        {
            self.least.clear();
            self.packets = 0;
        }
        self.least.record(now, transit);
        let least = self.least.get().unwrap_or(transit);
        let off = least.saturating_sub(self.transit);
        if off.saturating_abs() > JUMP && self.reported != Reported::Never {
            self.reported = Reported::Before;
        }
        self.packets = self.packets.saturating_add(1);
        let step = match self.packets <= SETTLING || off.saturating_abs() > JUMP {
            true => off,
            false => off / MEAN_OF,
        };
        self.transit = self.transit.saturating_add(step);
        let time = sent.saturating_add(self.transit).saturating_add(self.shift);
        let time = Duration::from_nanos(u64::try_from(time).unwrap_or_default());
        let time = match self.before {
            Some((before, then)) if contradicts(units.cmp(&before), time.cmp(&then)) => then,
            _ => time,
        };
        self.before = Some((units, time));
        time
    }

    /// Takes the time and the timestamp of a sender report: nanoseconds of NTP.
    pub(crate) fn on_sender_report(&mut self, ntp: i64, timestamp: u32) {
        if let Some((last, units)) = self.last {
            let ahead = i64::from(timestamp.wrapping_sub(last).cast_signed());
            self.reported = Reported::At(units + ahead, ntp);
        }
    }

    /// The running time less the sender's clock for what leaves it now, ns; `None` before its first
    /// report, and while that is of before.
    fn offset(&self) -> Option<i64> {
        let Reported::At(units, ntp) = self.reported else {
            return None;
        };
        Some(
            self.nanos(units)
                .saturating_add(self.transit)
                .saturating_sub(ntp),
        )
    }

    fn unwrap(&mut self, timestamp: u32) -> i64 {
        let units = match self.last {
            Some((last, units)) => units + i64::from(timestamp.wrapping_sub(last).cast_signed()),
            None => 0,
        };
        self.last = Some((timestamp, units));
        units
    }

    fn nanos(&self, units: i64) -> i64 {
        let nanos = i128::from(units) * 1_000_000_000 / i128::from(self.clock_rate.max(1));
        i64::try_from(nanos).unwrap_or_default()
    }
}

/// Whether times are in another order than timestamps.
fn contradicts(timestamps: std::cmp::Ordering, times: std::cmp::Ordering) -> bool {
    timestamps != times
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Puts the streams of one sender together. To be called after a report of one of them has come.
/// Nothing is moved while of one it is not known any more where it stands.
pub(crate) fn synchronise<'a>(clocks: impl Iterator<Item = &'a mut MediaClock>) {
    let clocks: Vec<&mut MediaClock> = clocks.collect();
    if clocks
        .iter()
        .any(|clock| clock.reported == Reported::Before)
    {
        return;
    }
    let mut clocks: Vec<(i64, &mut MediaClock)> = clocks
        .into_iter()
        .filter_map(|clock| Some((clock.offset()?, clock)))
        .collect();
    let Some(longest) = clocks.iter().map(|(offset, _)| *offset).max() else {
        return;
    };
    for (offset, clock) in &mut clocks {
        let shift = longest.saturating_sub(*offset);
        let shift = if shift > MAX_SHIFT { 0 } else { shift };
        if (shift - clock.shift).abs() >= MIN_SHIFT {
            clock.shift = shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 10_000;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Milliseconds between a packet's time and when it was sent, up to what it was for the first.
    fn times(clock: &mut MediaClock, packets: impl Iterator<Item = (u64, u64)>) -> Vec<i64> {
        packets
            .map(|(sent, way)| {
                let timestamp = (sent * u64::from(clock.clock_rate) / 1_000) as u32;
                let time = clock.time(timestamp, ms(START + sent + way));
                time.as_millis() as i64 - (START + sent) as i64
            })
            .collect()
    }

    #[test]
    fn a_burst_is_spread_as_it_was_sent() {
        let mut clock = MediaClock::new(48_000);
        // Each tenth packet brings those before it.
        let bursts = (0..500u64).map(|n| (20 * n, 20 * (9 - n % 10)));
        let times = times(&mut clock, bursts);
        assert!(times[100..].iter().all(|late| *late <= 1), "{times:?}");
    }

    #[test]
    fn a_longer_way_is_followed_without_a_step() {
        let mut clock = MediaClock::new(48_000);
        let longer = (0..1_500u64).map(|n| (20 * n, if n < 500 { 10 } else { 60 }));
        let times = times(&mut clock, longer);
        assert_eq!((times[499], times[510]), (10, 10));
        assert!(times.last().is_some_and(|late| *late >= 58), "{times:?}");
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= 1));
    }

    #[test]
    fn a_paused_clock_begins_anew() {
        let mut clock = MediaClock::new(90_000);
        let paused = (0..200u64).map(|n| (33 * n, if n < 100 { 5 } else { 10_005 }));
        let times = times(&mut clock, paused);
        assert_eq!((times[99], times[100], times[199]), (5, 10_005, 10_005));
    }

    #[test]
    fn a_report_of_before_a_pause_delays_nobody() {
        let mut sound = MediaClock::new(48_000);
        let mut picture = MediaClock::new(90_000);
        let play = |sound: &mut MediaClock, picture: &mut MediaClock, sent: u64, pause: u64| {
            let heard = sound.time(48 * sent as u32, ms(START + sent));
            picture.time(90 * sent as u32, ms(START + sent + pause));
            heard.as_millis() as u64 - START - sent
        };
        assert_eq!(play(&mut sound, &mut picture, 0, 0), 0);
        let ntp = 3_900_000_000_000_000_000;
        sound.on_sender_report(ntp, 0);
        picture.on_sender_report(ntp, 0);
        synchronise([&mut sound, &mut picture].into_iter());
        // The picture's timestamps stand still for two seconds.
        assert_eq!(play(&mut sound, &mut picture, 20, 2_000), 0);
        sound.on_sender_report(ntp + 20_000_000, 960);
        synchronise([&mut sound, &mut picture].into_iter());
        assert_eq!(play(&mut sound, &mut picture, 40, 2_000), 0);
    }

    #[test]
    fn any_times_are_taken() {
        let mut clock = MediaClock::new(48_000);
        let edges = [0, 1, 1 << 31, u32::MAX, 0x7fff_ffff];
        let times = [0, 1, u64::MAX / 2, u64::MAX - 1];
        for timestamp in edges.into_iter().cycle().take(1_000) {
            for time in times {
                let _ = clock.time(timestamp, Duration::from_nanos(time));
                clock.on_sender_report(i64::MAX - 1, timestamp);
                synchronise([&mut clock].into_iter());
            }
        }
    }

    #[test]
    fn packets_of_one_picture_have_one_time_and_later_ones_no_earlier() {
        let mut clock = MediaClock::new(90_000);
        let first = clock.time(0, ms(100));
        assert_eq!(clock.time(0, ms(120)), first);
        // The way becomes shorter by more than a picture lasts.
        let second = clock.time(3_000, ms(60));
        assert!(second >= first);
        let mut wrapped = MediaClock::new(90_000);
        let before = wrapped.time(u32::MAX - 1_499, ms(100));
        assert_eq!(
            wrapped.time(1_500, ms(200)),
            before + Duration::from_nanos(33_333_333)
        );
    }

    #[test]
    fn what_was_recorded_together_is_played_together() {
        let mut sound = MediaClock::new(48_000);
        let mut picture = MediaClock::new(90_000);
        // The picture takes 80 ms longer, and its timestamps begin elsewhere.
        let play = |sound: &mut MediaClock, picture: &mut MediaClock, sent: u64| {
            let heard = sound.time(48 * sent as u32, ms(START + sent));
            let seen = picture.time(
                (90 * sent as u32).wrapping_sub(7_000),
                ms(START + sent + 80),
            );
            seen.as_millis() as i64 - heard.as_millis() as i64
        };
        assert_eq!(play(&mut sound, &mut picture, 0), 80);
        let ntp = 3_900_000_000_000_000_000;
        sound.on_sender_report(ntp, 0);
        synchronise([&mut sound, &mut picture].into_iter());
        assert_eq!(
            play(&mut sound, &mut picture, 20),
            80,
            "one report is not enough"
        );
        picture.on_sender_report(ntp, 0u32.wrapping_sub(7_000));
        synchronise([&mut sound, &mut picture].into_iter());
        assert_eq!(play(&mut sound, &mut picture, 40), 0);
        // Nonsense is not followed.
        picture.on_sender_report(0, 0u32.wrapping_sub(7_000));
        synchronise([&mut sound, &mut picture].into_iter());
        assert_eq!(play(&mut sound, &mut picture, 200), 80);
    }
}
