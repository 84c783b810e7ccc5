//! One stream of a link that is known by reports: what was sent, and what has been told of it; pure.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::media::bwe::rtcp::Block;

/// Packets of a stream that are remembered: some seconds at 10 Mbit/s. What is never reported of
/// costs no more.
const REMEMBERED: usize = 4096;
/// Over what is counted at least. Requests for packets come with reports, at any moment.
pub(crate) const INTERVAL: Duration = Duration::from_millis(800);
/// Fewer packets than that tell nothing of loss...
pub(crate) const ENOUGH: u32 = 50;
/// ... and for so long requests are counted until they have told of as many.
const LONGEST: Duration = Duration::from_secs(4);
/// Over what is counted what is sent.
const RECENT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) seq: u16,
    pub(crate) at: Duration,
    pub(crate) size: usize,
}

/// What was told of a stream in a while.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) packets: u32,
    bytes: usize,
    lost: u32,
    /// Packets sent before what was last known of the link had led to anything.
    early: u32,
}

impl Count {
    fn of<'a>(told: impl Iterator<Item = &'a Sent>, lost: u32, relief: Duration) -> Self {
        let mut count = Self::default();
        for sent in told {
            count.packets += 1;
            count.bytes += sent.size;
            count.early += u32::from(sent.at < relief);
        }
        count.lost = lost.min(count.packets);
        count
    }

    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.early += other.early;
    }

    /// Which packets are lost is not told: those of a stream are taken to be of one size.
    fn bytes_each(&self) -> f64 {
        self.bytes as f64 / f64::from(self.packets.max(1))
    }

    /// bit/s that arrived.
    pub(crate) fn rate(&self, over: Duration) -> f64 {
        8.0 * f64::from(self.packets - self.lost) * self.bytes_each() / over.as_secs_f64()
    }

    /// Packets sent since less is.
    pub(crate) fn late(&self) -> u32 {
        self.packets - self.early
    }

    /// Bytes a second lost of those sent since less is, and how many these are. What is missing is
    /// taken to have been sent before that, if it may have been.
    pub(crate) fn late_bytes(&self, over: Duration) -> (f64, f64) {
        let rate = |packets: u32| f64::from(packets) * self.bytes_each() / over.as_secs_f64();
        (
            rate(self.lost.saturating_sub(self.early)),
            rate(self.late()),
        )
    }
}

/// What is counted, a while at a time.
#[derive(Debug, Default)]
struct Tally {
    /// What is being counted, and since when.
    counting: Option<(Duration, Count)>,
    /// What was counted last: until when, over how long.
    counted: Option<(Duration, Duration, Count)>,
}

impl Tally {
    /// Adds what has come since `before`. True if that is a while now, and of `enough` packets.
    fn add(&mut self, now: Duration, before: Duration, come: Count, enough: u32) -> bool {
        let (since, count) = self.counting.get_or_insert((before, Count::default()));
        count.add(come);
        let over = now.saturating_sub(*since);
        let is_counted = over >= INTERVAL && (count.packets >= enough || over >= LONGEST);
        if is_counted {
            self.counted = Some((now, over, *count));
            self.counting = None;
        }
        is_counted
    }
}

/// One SSRC.
///
/// A report tells the fate of all that was sent up to some packet. Requests name packets that are
/// missing, but not all of them: some receivers ask for a few a second only. So what they tell is
/// the most that can have come, and holds until the next report, which counts all of it again.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Of which nothing has been reported, oldest first.
    sent: VecDeque<Sent>,
    /// Of how many of these requests have told.
    asked: usize,
    /// The last report, and when it came.
    reported: Option<(Duration, Block)>,
    reports: Tally,
    /// Since reports were last counted.
    requests: Tally,
    /// When the last request came that told of something, since then.
    requested: Option<Duration>,
    /// When how many bytes were sent, in the last second.
    recent: VecDeque<(Duration, usize)>,
}

impl Stream {
    pub(crate) fn send(&mut self, sent: Sent) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
            self.asked = self.asked.saturating_sub(1);
        }
        self.sent.push_back(sent);
        self.recent.push_back((sent.at, sent.size));
        self.forget(sent.at);
    }

    fn forget(&mut self, now: Duration) {
        let is_old = |at: Duration| at + RECENT <= now;
        while self.recent.front().is_some_and(|(at, _)| is_old(*at)) {
            self.recent.pop_front();
        }
    }

    /// Takes a report block; since `relief` less is sent. Returns when the newest packet was sent that
    /// has arrived, if there is a new one.
    pub(crate) fn hear(
        &mut self,
        now: Duration,
        block: &Block,
        relief: Duration,
    ) -> Option<Duration> {
        let told = self.until(block.highest);
        let newest = self.last_of(told).map(|sent| sent.at);
        let told: Vec<Sent> = self.sent.drain(..told).collect();
        self.asked = self.asked.saturating_sub(told.len());
        // What came before the first report has taken nobody knows how long.
        if let Some((at, before)) = self.reported.replace((now, *block)) {
            let lost = block.lost.saturating_sub(before.lost);
            let lost = u32::try_from(lost).unwrap_or_default();
            let come = Count::of(told.iter(), lost, relief);
            if self.reports.add(now, at, come, 0) {
                (self.requests, self.requested) = (Tally::default(), None);
            }
        }
        newest
    }

    /// Takes a request for packets, as [`Stream::hear`] a report. `None` if none of them is news.
    pub(crate) fn miss(
        &mut self,
        now: Duration,
        missing: impl Iterator<Item = u16>,
        relief: Duration,
    ) -> Option<Duration> {
        let known = self.last_of(self.asked).map(|sent| sent.seq);
        let known = known.or(self.reported.map(|(_, block)| block.highest));
        let newly = missing.filter(|seq| known.is_none_or(|known| is_after(*seq, known)));
        let newly: BTreeSet<u16> = newly.collect();
        let newest = |a: u16, b: u16| if is_after(a, b) { a } else { b };
        let newest = newly.iter().copied().reduce(newest)?;
        let told = self.asked..self.until(newest).max(self.asked);
        self.asked = told.end;
        let before = self.requested.replace(now);
        if let Some(before) = before.or(self.reported.map(|(at, _)| at)) {
            let lost = u32::try_from(newly.len()).unwrap_or_default();
            let come = Count::of(self.sent.range(told), lost, relief);
            self.requests.add(now, before, come, ENOUGH);
        }
        self.last_of(self.asked).map(|sent| sent.at)
    }

    /// The last of the first `n` of which no report has told.
    fn last_of(&self, n: usize) -> Option<Sent> {
        self.sent.get(n.checked_sub(1)?).copied()
    }

    /// When the last packet was sent, if no report has told of it.
    pub(crate) fn newest(&self) -> Option<Duration> {
        self.sent.back().map(|sent| sent.at)
    }

    /// How much was sent up to a sequence number of what no report has told of.
    fn until(&self, highest: u16) -> usize {
        self.sent
            .partition_point(|sent| !is_after(sent.seq, highest))
    }

    /// Of which nothing is known, oldest first.
    pub(crate) fn untold(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.sent.range(self.asked..)
    }

    /// When something was counted last.
    pub(crate) fn counted(&self) -> Option<Duration> {
        self.last().map(|(until, ..)| until)
    }

    /// What was counted, and over how long, if that was in the last `time`.
    pub(crate) fn lately(&self, now: Duration, time: Duration) -> Option<(Duration, Count)> {
        let (until, over, count) = self.last()?;
        (until + time > now).then_some((over, count))
    }

    fn last(&self) -> Option<(Duration, Duration, Count)> {
        self.requests.counted.or(self.reports.counted)
    }

    /// bit/s that arrive while a share of `loss` of what is sent does not. Where nothing has been
    /// counted for a while, as nobody asks for packets, as much of this stream as of the others.
    pub(crate) fn carried(&self, now: Duration, loss: f32) -> f64 {
        let fresh = match self.requests.counted {
            Some(_) => LONGEST + INTERVAL,
            None => 2 * INTERVAL,
        };
        match self.lately(now, fresh) {
            Some((over, count)) => count.rate(over),
            None => self.sent_lately(now) * f64::from(1.0 - loss),
        }
    }

    /// bit/s.
    fn sent_lately(&self, now: Duration) -> f64 {
        let sent = self.recent.iter().filter(|(at, _)| *at + RECENT > now);
        8.0 * sent.map(|(_, size)| size).sum::<usize>() as f64 / RECENT.as_secs_f64()
    }
}

/// Whether a sequence number comes after another.
fn is_after(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000
}
