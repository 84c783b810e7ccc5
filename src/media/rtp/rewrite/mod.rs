//! One unbroken RTP stream (RFC 3550) out of several sources, one after the other; pure.
//!
//! A downlink slot announces one SSRC at join and keeps it, whatever feeds it: the rendition of
//! today, the encoder that replaces it, somebody else's camera. The receiver must not notice. A
//! [`Rewriter`] therefore moves every source onto the slot's numbers by a constant, chosen when
//! the source takes over:
//!
//! - within a source all differences of sequence numbers, timestamps and VP8 picture numbers
//!   stay as they are, gaps and disorder included, so that loss is still seen and repaired;
//! - from one source to the next sequence numbers and picture numbers go on without a gap, and
//!   the timestamp advances by the time that has passed.

use std::time::Duration;

use super::header::RtpHeader;
use super::payload::vp8::{PictureId, Vp8Descriptor, Vp8Numbers};

/// How long after a source was left its packets are dropped as stragglers. Longer than any queue
/// between a source and a slot: a source whose packets come later than that has come back.
pub const STRAGGLERS: Duration = Duration::from_secs(1);

/// Minimum by which timestamps advance from one source to the next: a frame of sound at its usual
/// length, and less than one of video. Less would have two frames overlap.
const MIN_STEP: Duration = Duration::from_millis(20);

/// Most sources left within [`STRAGGLERS`] that are remembered. A slot is not switched more often.
const MAX_LEFT: usize = 16;

/// Where in its packets a source may take a slot over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// At any packet. For audio.
    AnyPacket,
    /// Only at the start of a keyframe. For video.
    Keyframe,
}

/// What a slot was negotiated with, and where its numbers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotParams {
    /// The SSRC of every packet.
    pub ssrc: u32,
    /// The payload type of every packet.
    pub payload_type: u8,
    /// Timestamp units a second, Hz.
    pub clock_rate: u32,
    /// Sequence number of the first packet.
    pub first_seq: u16,
    /// Timestamp of the first packet.
    pub first_timestamp: u32,
    /// Where a source may take the slot over.
    pub entry: Entry,
}

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is sent with this header.
    Forward(RtpHeader),
    /// It is not sent, for this reason.
    Drop(DropReason),
}

/// Why a packet is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The new source has not started a keyframe yet. The caller should ask it for one.
    AwaitingKeyframe,
    /// The packet is older than the one at which its source took over.
    BeforeEntry,
    /// The packet is from a source that has been left, or not from the one that is expected.
    OtherSource,
}

/// Which source may take over next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The current one goes on. Another may take over unannounced, when its SSRC appears.
    Current,
    /// Any that was not left within [`STRAGGLERS`].
    Any,
    /// The one with this SSRC.
    Ssrc(u32),
}

/// The source that has the slot.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    /// Sequence number of the packet at which it took over.
    first_seq: u16,
    /// Distance of the highest sequence number from that one; does not wrap.
    highest: i64,
    /// Added to its sequence numbers.
    seq_shift: u16,
    /// Added to its timestamps.
    timestamp_shift: u32,
}

/// The highest sequence number and timestamp that have been sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    seq: u16,
    timestamp: u32,
    /// When the first packet with that timestamp was sent.
    at: Duration,
}

/// Keeps one slot's stream unbroken. Not shared between threads: the streaming thread of the
/// slot owns it, or a lock guards it.
#[derive(Debug, Clone)]
pub struct Rewriter {
    params: SlotParams,
    expected: Expected,
    source: Option<Source>,
    sent: Option<Sent>,
    /// A source that was held back until its keyframe.
    candidate: Option<u32>,
    /// SSRCs of sources left, and when they stop counting as stragglers; oldest first.
    left: Vec<(u32, Duration)>,
    /// The source is to be left with the next packet, which says what time it is.
    leaving: bool,
    picture_id: Counter<15>,
    tl0_pic_idx: Counter<8>,
    key_idx: Counter<5>,
}

impl Rewriter {
    /// A slot that has sent nothing yet.
    pub fn new(params: SlotParams) -> Self {
        Self {
            params,
            expected: Expected::Any,
            source: None,
            sent: None,
            candidate: None,
            left: Vec::new(),
            leaving: false,
            picture_id: Counter::default(),
            tl0_pic_idx: Counter::default(),
            key_idx: Counter::default(),
        }
    }

    /// Leaves the current source; the next one takes over with its first fitting packet.
    ///
    /// What still arrives under an SSRC left within the last second is dropped. To go back to
    /// such a source at once, or to one that kept its SSRC, name it with [`Self::switch_to`].
    /// Name it too if the slot may be switched on before a source has sent anything: packets of
    /// a source that was never seen cannot be told from those of the next.
    pub fn switch(&mut self) {
        self.expected = Expected::Any;
        self.leaving = true;
    }

    /// Leaves the current source for the one with this SSRC, and drops all else
    /// until that has taken over.
    pub fn switch_to(&mut self, ssrc: u32) {
        self.expected = Expected::Ssrc(ssrc);
        self.leaving = true;
    }

    /// Lets the source with this SSRC take the slot over when it may enter, even if it was left a
    /// moment ago: its packets are no stragglers any more. The current source goes on until then.
    pub fn expect(&mut self, ssrc: u32) {
        self.left.retain(|&(left, _)| left != ssrc);
    }

    /// Whether packets are dropped until the next source takes over.
    pub fn is_waiting(&self) -> bool {
        self.expected != Expected::Current
    }

    /// Decides on one packet. To be called in the order in which packets arrive.
    ///
    /// `now` is any clock that does not go back; `keyframe_start` is
    /// [`starts_keyframe`](super::payload::starts_keyframe) of the payload and does not
    /// matter for audio. An SSRC that changes without a switch counts as one, but the old source
    /// keeps the slot until the new one may enter.
    pub fn rewrite(&mut self, now: Duration, header: &RtpHeader, keyframe_start: bool) -> Verdict {
        if self.leaving {
            self.leave(now);
        }
        self.left.retain(|&(_, until)| now < until);
        let current = self.source.filter(|s| s.ssrc == header.ssrc);
        if self.expected == Expected::Current
            && let Some(source) = current
        {
            return self.go_on(now, source, header);
        }
        let welcome = match self.expected {
            Expected::Ssrc(ssrc) => ssrc == header.ssrc,
            Expected::Any | Expected::Current => {
                !self.left.iter().any(|&(ssrc, _)| ssrc == header.ssrc)
            }
        };
        if !welcome {
            return Verdict::Drop(DropReason::OtherSource);
        }
        if self.params.entry == Entry::Keyframe && !keyframe_start {
            self.candidate = Some(header.ssrc);
            return Verdict::Drop(DropReason::AwaitingKeyframe);
        }
        self.enter(now, header)
    }

    /// The running numbers to send in a VP8 payload, continued across sources. Must be called once
    /// for each forwarded packet, after [`Self::rewrite`], in the same order.
    pub fn rewrite_vp8(&mut self, descriptor: &Vp8Descriptor) -> Vp8Numbers {
        let picture_id = descriptor.picture_id.map(|field| match field.value {
            // The lowest seven bits of a count that goes on are a count that goes on.
            PictureId::Short(id) => {
                PictureId::Short((self.picture_id.next(id.into(), 7) & 0x7f) as u8)
            }
            PictureId::Long(id) => PictureId::Long(self.picture_id.next(id, 15)),
        });
        // Both counters stay within their 8 and 5 bits.
        let tl0_pic_idx = descriptor
            .tl0_pic_idx
            .map(|field| self.tl0_pic_idx.next(field.value.into(), 8) as u8);
        let key_idx = descriptor
            .key_idx
            .map(|field| self.key_idx.next(field.value.into(), 5) as u8);
        Vp8Numbers {
            picture_id,
            tl0_pic_idx,
            key_idx,
        }
    }

    /// Forgets the current source and the one that was to follow, and remembers
    /// both to drop their stragglers.
    fn leave(&mut self, now: Duration) {
        self.leaving = false;
        let source = self.source.take().map(|s| s.ssrc);
        for ssrc in source.into_iter().chain(self.candidate.take()) {
            self.left.retain(|&(left, _)| left != ssrc);
            if self.left.len() == MAX_LEFT {
                self.left.remove(0);
            }
            self.left.push((ssrc, now.saturating_add(STRAGGLERS)));
        }
    }

    /// Lets a source take over with this packet.
    fn enter(&mut self, now: Duration, header: &RtpHeader) -> Verdict {
        self.leave(now);
        self.left.retain(|&(ssrc, _)| ssrc != header.ssrc);
        self.expected = Expected::Current;
        let (seq, timestamp) = match self.sent {
            Some(sent) => {
                let elapsed = now.saturating_sub(sent.at).max(MIN_STEP);
                (
                    sent.seq.wrapping_add(1),
                    sent.timestamp.wrapping_add(self.units(elapsed)),
                )
            }
            None => (self.params.first_seq, self.params.first_timestamp),
        };
        self.sent = Some(Sent {
            seq,
            timestamp,
            at: now,
        });
        self.source = Some(Source {
            ssrc: header.ssrc,
            first_seq: header.seq,
            highest: 0,
            seq_shift: seq.wrapping_sub(header.seq),
            timestamp_shift: timestamp.wrapping_sub(header.timestamp),
        });
        self.picture_id.enter();
        self.tl0_pic_idx.enter();
        self.key_idx.enter();
        // RFC 3551 section 4.1: the first packet of a talkspurt, where a receiver may adapt.
        let talkspurt = self.params.entry == Entry::AnyPacket;
        Verdict::Forward(self.header(seq, timestamp, header.marker || talkspurt))
    }

    /// Forwards another packet of the current source.
    fn go_on(&mut self, now: Duration, mut source: Source, header: &RtpHeader) -> Verdict {
        let highest_seq = source.first_seq.wrapping_add(source.highest as u16);
        let ahead = header.seq.wrapping_sub(highest_seq).cast_signed();
        let distance = source.highest + i64::from(ahead);
        if distance < 0 {
            return Verdict::Drop(DropReason::BeforeEntry);
        }
        let seq = header.seq.wrapping_add(source.seq_shift);
        let timestamp = header.timestamp.wrapping_add(source.timestamp_shift);
        source.highest = source.highest.max(distance);
        self.source = Some(source);
        if let Some(sent) = &mut self.sent {
            if ahead > 0 {
                sent.seq = seq;
            }
            if timestamp.wrapping_sub(sent.timestamp).cast_signed() > 0 {
                sent.timestamp = timestamp;
                sent.at = now;
            }
        }
        Verdict::Forward(self.header(seq, timestamp, header.marker))
    }

    fn header(&self, seq: u16, timestamp: u32, marker: bool) -> RtpHeader {
        RtpHeader {
            payload_type: self.params.payload_type,
            seq,
            timestamp,
            marker,
            ssrc: self.params.ssrc,
        }
    }

    /// A time in timestamp units, modulo 2^32.
    fn units(&self, time: Duration) -> u32 {
        let units = time.as_nanos() * u128::from(self.params.clock_rate) / 1_000_000_000;
        units as u32
    }
}

/// A wrapping counter of `BITS` bits that goes on from one source to the next.
#[derive(Debug, Clone, Copy, Default)]
struct Counter<const BITS: u32> {
    /// The highest number of the current source, and what it was replaced with.
    highest: Option<(u16, u16)>,
    /// The highest number that was sent.
    sent: Option<u16>,
}

impl<const BITS: u32> Counter<BITS> {
    const MASK: u16 = (1 << BITS) - 1;

    /// Goes on with another source, whose next number follows on the last one sent.
    fn enter(&mut self) {
        self.highest = None;
    }

    /// The number to send in place of `value`, of which the source counts `width` bits.
    fn next(&mut self, value: u16, width: u32) -> u16 {
        let Some((highest, as_sent)) = self.highest else {
            let sent = match self.sent {
                Some(sent) => sent.wrapping_add(1) & Self::MASK,
                None => value & Self::MASK,
            };
            self.highest = Some((value, sent));
            self.sent = Some(sent);
            return sent;
        };
        let ahead = signed(value.wrapping_sub(highest), width);
        let sent = as_sent.wrapping_add_signed(ahead) & Self::MASK;
        if ahead > 0 {
            self.highest = Some((value, sent));
            self.sent = Some(sent);
        }
        sent
    }
}

/// The lowest `width` bits of `n` (1 to 16 of them) as a signed number.
fn signed(n: u16, width: u32) -> i16 {
    let unused = 16 - width;
    (n << unused).cast_signed() >> unused
}

#[cfg(test)]
mod tests;
