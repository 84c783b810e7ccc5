//! One stream of a link that is known by reports: what was sent, and what has been told of it; pure.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::media::reports::Block;

/// Packets of a stream that are remembered: some seconds at 10 Mbit/s. What is never reported of
/// costs no more.
const REMEMBERED: usize = 4096;
/// Over what is counted at least. Requests for packets come with reports, at any moment.
pub(super) const INTERVAL: Duration = Duration::from_millis(800);

#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) seq: u16,
    pub(super) at: Duration,
    pub(super) size: usize,
}

/// What reports told of a stream in a while.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) packets: u32,
    bytes: usize,
    lost: u32,
    /// Packets sent before what was last known of the link had led to anything.
    pub(super) early: u32,
}

impl Count {
    /// Which packets are lost is not told: those of a stream are taken to be of one size.
    fn bytes_each(&self) -> f64 {
        self.bytes as f64 / f64::from(self.packets.max(1))
    }

    /// bit/s that arrived.
    pub(super) fn rate(&self, over: Duration) -> f64 {
        8.0 * f64::from(self.packets - self.lost) * self.bytes_each() / over.as_secs_f64()
    }

    /// Bytes lost of those sent since less is, and how many these are. What is missing is taken to have
    /// been sent before that, if it may have been.
    pub(super) fn late_bytes(&self) -> (f64, f64) {
        let [lost, sent] = [self.lost, self.packets].map(|all| all.saturating_sub(self.early));
        (
            f64::from(lost) * self.bytes_each(),
            f64::from(sent) * self.bytes_each(),
        )
    }
}

/// One SSRC.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Of which nothing has been reported, oldest first.
    pub(super) sent: VecDeque<Sent>,
    /// The last report, and when it came.
    reported: Option<(Duration, Block)>,
    /// What is being counted, and since when.
    counting: Option<(Duration, Count)>,
    /// What was counted last: until when, over how long.
    counted: Option<(Duration, Duration, Count)>,
}

impl Stream {
    pub(super) fn send(&mut self, sent: Sent) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(sent);
    }

    /// Takes a report block; since `relief` less is sent. Returns when the newest packet was sent that
    /// has arrived, if there is a new one.
    pub(super) fn hear(
        &mut self,
        now: Duration,
        block: &Block,
        relief: Duration,
    ) -> Option<Duration> {
        let (newest, mut come) = self.take_until(block.highest, relief);
        // What came before the first report has taken nobody knows how long.
        if let Some((at, before)) = self.reported.replace((now, *block)) {
            let lost = block.lost.saturating_sub(before.lost);
            come.lost = u32::try_from(lost).unwrap_or_default().min(come.packets);
            self.count(now, at, come);
        }
        newest
    }

    /// Takes what was sent up to a sequence number. Returns when the last of it was.
    fn take_until(&mut self, highest: u16, relief: Duration) -> (Option<Duration>, Count) {
        let (mut newest, mut taken) = (None, Count::default());
        while let Some(sent) = self.sent.front()
            && !is_after(sent.seq, highest)
        {
            newest = Some(sent.at);
            taken.packets += 1;
            taken.bytes += sent.size;
            taken.early += u32::from(sent.at < relief);
            self.sent.pop_front();
        }
        (newest, taken)
    }

    /// Adds what has come since `before`.
    fn count(&mut self, now: Duration, before: Duration, come: Count) {
        let (since, count) = self.counting.get_or_insert((before, Count::default()));
        count.packets += come.packets;
        count.bytes += come.bytes;
        count.lost += come.lost;
        count.early += come.early;
        let counted = now.saturating_sub(*since);
        if counted >= INTERVAL {
            self.counted = Some((now, counted, *count));
            self.counting = None;
        }
    }

    /// What a report would say of the stream, now that packets are missing of which none has.
    pub(super) fn without(&self, ssrc: u32, missing: impl Iterator<Item = u16>) -> Option<Block> {
        let last = self.reported.map(|(_, block)| block);
        let newly = missing.filter(|seq| last.is_none_or(|last| is_after(*seq, last.highest)));
        let newly: BTreeSet<u16> = newly.collect();
        let newest = |a: u16, b: u16| if is_after(a, b) { a } else { b };
        let lost = last.map_or(0, |last| last.lost);
        Some(Block {
            ssrc,
            fraction_lost: 0,
            highest: newly.iter().copied().reduce(newest)?,
            lost: lost.saturating_add(newly.len() as i32),
        })
    }

    /// What was counted, and over how long, if that was in the last `time`.
    pub(super) fn lately(&self, now: Duration, time: Duration) -> Option<(Duration, Count)> {
        let (until, over, count) = self.counted?;
        (until + time > now).then_some((over, count))
    }

    /// bit/s that were sent in the last `time`, as far as nothing has been reported of it.
    pub(super) fn sent_since(&self, now: Duration, time: Duration) -> f64 {
        let sent = self.sent.iter().rev();
        let sent = sent.take_while(|sent| sent.at + time > now);
        8.0 * sent.map(|sent| sent.size).sum::<usize>() as f64 / time.as_secs_f64()
    }
}

/// Whether a sequence number comes after another.
fn is_after(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000
}
