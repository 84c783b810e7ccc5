//! The streams that come from a peer, a bounded number of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stream::Stream;
use crate::media::bwe::rtcp::SenderInfo;
use crate::media::rtp::media_clock::synchronise;
use crate::media::rtp::session_gate::FORGOTTEN;

/// A stream that has been silent for so long says nothing any more of the way that others take.
const SYNCHRONISED: Duration = Duration::from_secs(5);

/// A stream that repeats lost packets of another (RTX, RFC 4588).
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeats {
    /// The place of the uplink of that stream, and of its encoding there if it is said.
    pub(super) uplink: usize,
    pub(super) encoding: Option<usize>,
    /// The SSRC of that stream, once it is known.
    pub(super) of: Option<u32>,
    /// When its newest packet came.
    pub(super) last: Duration,
}

/// The SSRC of a stream that is the only one.
fn only<'a>(mut streams: impl Iterator<Item = &'a Stream>) -> Option<u32> {
    let first = streams.next()?;
    streams.next().is_none().then_some(first.ssrc)
}

/// The streams of one peer.
pub(super) struct Streams {
    media: Vec<Stream>,
    repeats: BTreeMap<u32, Repeats>,
    /// Most of both.
    limit: usize,
    /// Packets lost and recovered of streams that are gone.
    gone: (u64, u64),
}

impl Streams {
    /// Room for `limit` streams.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            media: Vec::new(),
            repeats: BTreeMap::new(),
            limit,
            gone: (0, 0),
        }
    }

    /// The stream of media of that SSRC.
    pub(super) fn media(&mut self, ssrc: u32) -> Option<&mut Stream> {
        self.media.iter_mut().find(|stream| stream.ssrc == ssrc)
    }

    /// All streams of media.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.media.iter_mut()
    }

    /// The stream of repeated packets of that SSRC.
    pub(super) fn repeats(&mut self, ssrc: u32) -> Option<&mut Repeats> {
        self.repeats.get_mut(&ssrc)
    }

    /// Adds a stream of media.
    pub(super) fn add(&mut self, stream: Stream) {
        self.media.push(stream);
    }

    /// Adds a stream of repeated packets.
    pub(super) fn add_repeats(&mut self, ssrc: u32, repeats: Repeats) {
        self.repeats.insert(ssrc, repeats);
    }

    /// The stream whose packet the stream `ssrc` repeats: the one that is known, or else the only one of
    /// the uplink and encoding that it names, or the only one there that misses it, which is known from
    /// then on.
    pub(super) fn original(&mut self, ssrc: u32, seq: u16) -> Option<&mut Stream> {
        let Repeats {
            uplink,
            encoding,
            of,
            ..
        } = *self.repeats.get(&ssrc)?;
        let is_it = |stream: &&Stream| {
            stream.uplink == uplink && encoding.is_none_or(|encoding| stream.encoding == encoding)
        };
        let of = match of {
            Some(of) => of,
            None => {
                let all = || self.media.iter().filter(is_it);
                only(all()).or_else(|| only(all().filter(|stream| stream.misses(seq))))?
            }
        };
        self.repeats.get_mut(&ssrc)?.of = Some(of);
        self.media(of)
    }

    /// Whether there is place for another stream, if need be of one that has been silent for long.
    pub(super) fn has_place(&mut self, now: Duration) -> bool {
        let is_there = |last: Duration| now.saturating_sub(last) < FORGOTTEN;
        if self.count() >= self.limit {
            self.repeats.retain(|_, repeats| is_there(repeats.last));
            let gone = &mut self.gone;
            self.media.retain(|stream| {
                let (lost, recovered) = stream.counts();
                let stays = is_there(stream.last);
                if !stays {
                    *gone = (gone.0 + lost, gone.1 + recovered);
                }
                stays
            });
        }
        self.count() < self.limit
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.media.len() + self.repeats.len()
    }

    /// Packets that were waited for in vain so far, and packets that came because they were asked for.
    pub(super) fn counts(&self) -> (u64, u64) {
        let counts = self.media.iter().map(Stream::counts);
        counts.fold(self.gone, |sum, (lost, recovered)| {
            (sum.0 + lost, sum.1 + recovered)
        })
    }

    /// Takes what the sender says of its streams at `now`, and puts them together.
    pub(super) fn on_sender_reports(
        &mut self,
        now: Duration,
        reports: impl Iterator<Item = SenderInfo>,
    ) {
        let mut is_told = false;
        for info in reports {
            if let Some(stream) = self.media(info.ssrc) {
                stream.on_sender_report(now, &info);
                is_told = true;
            }
        }
        if is_told {
            let is_there = |stream: &&mut Stream| now.saturating_sub(stream.last) < SYNCHRONISED;
            let streams = self.media.iter_mut().filter(is_there);
            synchronise(streams.map(|stream| &mut stream.clock));
        }
    }
}
