//! One stream of a link that is known by receiver reports: what was sent, and what has been
//! reported of it; pure.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::media::bwe::rtcp::ReportBlock;
use crate::media::rtp::header::is_newer;

/// Packets of a stream that are remembered: some seconds at 10 Mbit/s. A stream that is
/// never reported costs no more.
const REMEMBERED: usize = 4096;
/// Shortest window for counting packets and losses. A NACK may follow a report within moments, and
/// so few packets would say nothing.
pub(crate) const INTERVAL: Duration = Duration::from_millis(800);
/// Fewest packets whose losses are taken as a loss share.
pub(crate) const ENOUGH: u32 = 50;
/// NACKs are counted until they have told of [`ENOUGH`] packets, and for this long at most.
const LONGEST: Duration = Duration::from_secs(4);
/// Window of the rate at which the stream is sent.
const SEND_WINDOW: Duration = Duration::from_secs(1);

/// A packet that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) seq: u16,
    pub(crate) at: Duration,
    pub(crate) size: usize,
}

/// What became of the packets of a stream, over a time that is kept beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Count {
    pub(crate) packets: u32,
    bytes: usize,
    lost: u32,
    /// Packets sent before the last reduction had taken effect. Their loss is
    /// not held against the link.
    early: u32,
}

impl Count {
    fn of<'a>(reported: impl Iterator<Item = &'a Sent>, lost: u32, relief: Duration) -> Self {
        let mut count = Self::default();
        for sent in reported {
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

    /// Average size. Reports do not say which packets are lost, so all of a stream are taken
    /// to be of one size.
    fn bytes_each(&self) -> f64 {
        self.bytes as f64 / f64::from(self.packets.max(1))
    }

    /// bit/s that arrived, of packets counted `over` a time.
    pub(crate) fn rate(&self, over: Duration) -> f64 {
        8.0 * f64::from(self.packets - self.lost) * self.bytes_each() / over.as_secs_f64()
    }

    /// Packets sent after the last reduction had taken effect.
    pub(crate) fn late(&self) -> u32 {
        self.packets - self.early
    }

    /// Bytes a second lost of [`Self::late`] packets, and all bytes a second of these. A loss is
    /// taken for one of an early packet as long as there are any.
    pub(crate) fn late_bytes(&self, over: Duration) -> (f64, f64) {
        let rate = |packets: u32| f64::from(packets) * self.bytes_each() / over.as_secs_f64();
        (
            rate(self.lost.saturating_sub(self.early)),
            rate(self.late()),
        )
    }
}

/// Collects counts until they are of enough packets or time.
#[derive(Debug, Default)]
struct Tally {
    /// The count that is going on, and since when.
    counting: Option<(Duration, Count)>,
    /// The last finished count: when it was finished, and over how long.
    counted: Option<(Duration, Duration, Count)>,
}

impl Tally {
    /// Adds what has come since `before`. Returns whether that finishes a
    /// count, which needs `enough` packets.
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

/// The packets of one SSRC.
///
/// A report tells what became of all that was sent up to some packet. NACKs name packets that are
/// missing, but not all of them: some receivers ask for a few a second only. So what NACKs tell is
/// the most that can have arrived, and holds until the next report, which counts all of it again.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Packets that no report has covered, the oldest first.
    sent: VecDeque<Sent>,
    /// How many of these NACKs have covered.
    nacked: usize,
    /// The last report block, and when it came.
    reported: Option<(Duration, ReportBlock)>,
    /// Counts by reports.
    reports: Tally,
    /// Counts by NACKs since the last one by reports.
    nacks: Tally,
    /// Time of the last NACK that told of something new since then.
    last_nack: Option<Duration>,
    /// Time and size of what was sent in the last [`SEND_WINDOW`].
    recent: VecDeque<(Duration, usize)>,
}

impl Stream {
    /// Records a packet that is sent.
    pub(crate) fn record(&mut self, sent: Sent) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
            self.nacked = self.nacked.saturating_sub(1);
        }
        self.sent.push_back(sent);
        self.recent.push_back((sent.at, sent.size));
        self.forget(sent.at);
    }

    fn forget(&mut self, now: Duration) {
        let is_old = |at: Duration| at + SEND_WINDOW <= now;
        while self.recent.front().is_some_and(|(at, _)| is_old(*at)) {
            self.recent.pop_front();
        }
    }

    /// Takes a report block. `relief` is when the last reduction took effect. Returns when the
    /// newest packet was sent that the block covers, if it covers new ones.
    pub(crate) fn on_report(
        &mut self,
        now: Duration,
        block: &ReportBlock,
        relief: Duration,
    ) -> Option<Duration> {
        let covered = self.sent_until(block.highest);
        let newest = self.last_of(covered).map(|sent| sent.at);
        let covered: Vec<Sent> = self.sent.drain(..covered).collect();
        self.nacked = self.nacked.saturating_sub(covered.len());
        // How long the packets before the first report took is not known.
        if let Some((at, before)) = self.reported.replace((now, *block)) {
            let lost = block.lost.saturating_sub(before.lost);
            let lost = u32::try_from(lost).unwrap_or_default();
            let come = Count::of(covered.iter(), lost, relief);
            if self.reports.add(now, at, come, 0) {
                (self.nacks, self.last_nack) = (Tally::default(), None);
            }
        }
        newest
    }

    /// Counts the sequence numbers of a NACK (RFC 4585 section 6.2.1) as lost, and packets up to
    /// the newest of them as reported. Numbers no newer than the last report or NACK are ignored.
    /// `relief` is when the last reduction took effect. Returns when the newest packet of those was
    /// sent; `None` if all numbers were ignored.
    pub(crate) fn on_nack(
        &mut self,
        now: Duration,
        missing: impl Iterator<Item = u16>,
        relief: Duration,
    ) -> Option<Duration> {
        let known = self.last_of(self.nacked).map(|sent| sent.seq);
        let known = known.or(self.reported.map(|(_, block)| block.highest));
        let new = missing.filter(|seq| known.is_none_or(|known| is_newer(*seq, known)));
        let new: BTreeSet<u16> = new.collect();
        let newer = |a: u16, b: u16| if is_newer(a, b) { a } else { b };
        let newest = new.iter().copied().reduce(newer)?;
        let covered = self.nacked..self.sent_until(newest).max(self.nacked);
        self.nacked = covered.end;
        let before = self.last_nack.replace(now);
        if let Some(before) = before.or(self.reported.map(|(at, _)| at)) {
            let lost = u32::try_from(new.len()).unwrap_or_default();
            let come = Count::of(self.sent.range(covered), lost, relief);
            self.nacks.add(now, before, come, ENOUGH);
        }
        self.last_of(self.nacked).map(|sent| sent.at)
    }

    /// The last of the first `n` packets that no report has covered.
    fn last_of(&self, n: usize) -> Option<Sent> {
        self.sent.get(n.checked_sub(1)?).copied()
    }

    /// When the last packet was sent, if no report has covered it.
    pub(crate) fn newest(&self) -> Option<Duration> {
        self.sent.back().map(|sent| sent.at)
    }

    /// How many of the packets that no report has covered were sent up to a sequence number.
    fn sent_until(&self, highest: u16) -> usize {
        self.sent
            .partition_point(|sent| !is_newer(sent.seq, highest))
    }

    /// Packets of which nothing is known, the oldest first.
    pub(crate) fn outstanding(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.sent.range(self.nacked..)
    }

    /// When the last count was finished.
    pub(crate) fn counted(&self) -> Option<Duration> {
        self.last_count().map(|(until, ..)| until)
    }

    /// The last count, and over how long it is, if it was finished in the last `time`.
    pub(crate) fn recent_count(&self, now: Duration, time: Duration) -> Option<(Duration, Count)> {
        let (until, over, count) = self.last_count()?;
        (until + time > now).then_some((over, count))
    }

    fn last_count(&self) -> Option<(Duration, Duration, Count)> {
        self.nacks.counted.or(self.reports.counted)
    }

    /// bit/s that arrive while the link loses a share of `loss`. Without a fresh count, because the
    /// receiver sends no NACKs, as much of this stream is taken to be lost as of the others.
    pub(crate) fn delivery_rate(&self, now: Duration, loss: f32) -> f64 {
        let fresh = match self.nacks.counted {
            Some(_) => LONGEST + INTERVAL,
            None => 2 * INTERVAL,
        };
        match self.recent_count(now, fresh) {
            Some((over, count)) => count.rate(over),
            None => self.send_rate(now) * f64::from(1.0 - loss),
        }
    }

    /// bit/s that were sent in the last [`SEND_WINDOW`].
    fn send_rate(&self, now: Duration) -> f64 {
        let sent = self.recent.iter().filter(|(at, _)| *at + SEND_WINDOW > now);
        8.0 * sent.map(|(_, size)| size).sum::<usize>() as f64 / SEND_WINDOW.as_secs_f64()
    }
}
