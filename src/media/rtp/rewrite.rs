//! One unbroken RTP stream (RFC 3550) out of several sources, one after the other; pure.
//!
//! A downlink slot announces one SSRC at join and keeps it, whoever feeds it: the rendition of
//! today, the encoder that replaces it, somebody else's camera. The receiver must not notice. A
//! [`Rewriter`] therefore moves every source onto the slot's numbers by a constant, chosen when
//! the source takes over:
//!
//! - within a source all differences of sequence numbers, timestamps and VP8 picture numbers
//!   stay as they are, gaps and disorder included, so that loss is still seen and repaired;
//! - from one source to the next sequence numbers and picture numbers go on without a gap, and
//!   the timestamp advances by the time that has passed.

use std::time::Duration;

use super::payload::{PictureId, RtpHeader, Vp8Descriptor, Vp8Numbers};

/// How long after a source was left its packets are known as stragglers. Longer than any queue
/// between a source and a slot; a source that still sends after it has come back.
pub const STRAGGLERS: Duration = Duration::from_secs(1);

/// The least by which timestamps advance from one source to the next: a frame of sound at its
/// usual length, and less than one of video. Less would have two frames overlap.
const MIN_STEP: Duration = Duration::from_millis(20);

/// Sources left within [`STRAGGLERS`] that are remembered. A slot is not switched more often.
const MAX_LEFT: usize = 16;

/// Where in a source a slot may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entry {
    /// At any packet: audio.
    AnyPacket,
    /// Only at the start of a keyframe: video.
    Keyframe,
}

/// What a slot was announced with, and where its numbers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotParams {
    /// The SSRC of every packet.
    pub ssrc: u32,
    /// The payload type of every packet.
    pub payload_type: u8,
    /// Timestamp units a second.
    pub clock_rate: u32,
    /// The first packet's sequence number.
    pub first_seq: u16,
    /// The first packet's timestamp.
    pub first_timestamp: u32,
    /// Where in a source the slot may begin.
    pub entry: Entry,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Send it with this header.
    Forward(RtpHeader),
    /// Do not send it.
    Drop(Reason),
}

/// Why a packet is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The new source has not started a keyframe yet. The caller should ask it for one.
    AwaitingKeyframe,
    /// It is older than the packet at which its source took over.
    BeforeEntry,
    /// It comes from a source that has been left, or not from the one that is expected.
    OtherSource,
}

/// Which source may take over next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The current one goes on; another may take over unannounced, when its SSRC appears.
    Current,
    /// Any that has not just been left.
    Any,
    /// The one with this SSRC.
    Ssrc(u32),
}

/// The source that has the slot.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    /// Its first sequence number that was forwarded, and the extended one: 0.
    first_seq: u16,
    /// The highest since, as a distance from the first.
    newest: i64,
    /// What is added to sequence numbers.
    seq_shift: u16,
    /// What is added to timestamps.
    timestamp_shift: u32,
}

/// The end of what has been sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Highest sequence number.
    seq: u16,
    /// Highest timestamp.
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
    /// Set by `switch` until the next packet tells the time.
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

    /// The slot leaves its source; the next one takes over with its first fitting packet.
    ///
    /// What still arrives under an SSRC left within the last second is dropped. To go back to
    /// such a source at once, or to one that kept its SSRC, name it with [`Self::switch_to`].
    /// Name it too if the slot may be switched on before a source has sent anything: packets of
    /// a source that was never seen cannot be told from those of the next.
    pub fn switch(&mut self) {
        self.expected = Expected::Any;
        self.leaving = true;
    }

    /// The slot leaves its source for the one with this SSRC, and drops all else until it has
    /// taken over.
    pub fn switch_to(&mut self, ssrc: u32) {
        self.expected = Expected::Ssrc(ssrc);
        self.leaving = true;
    }

    /// The source with this SSRC may take the slot over unannounced, when it may enter, even if it
    /// was left a moment ago: what comes of it now is no straggler. The present one goes on until
    /// then.
    pub fn expect(&mut self, ssrc: u32) {
        self.left.retain(|&(left, _)| left != ssrc);
    }

    /// Whether packets are held back until the next source starts.
    pub fn is_waiting(&self) -> bool {
        self.expected != Expected::Current
    }

    /// Decides on one packet, in the order in which packets arrive.
    ///
    /// `now` is any clock that does not go back; `keyframe_start` is
    /// [`starts_keyframe`](crate::media::rtp::payload::starts_keyframe) of the payload and does not
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
            return Verdict::Drop(Reason::OtherSource);
        }
        if self.params.entry == Entry::Keyframe && !keyframe_start {
            self.candidate = Some(header.ssrc);
            return Verdict::Drop(Reason::AwaitingKeyframe);
        }
        self.enter(now, header)
    }

    /// The running numbers of a VP8 payload, continued across sources. To be called once for
    /// each forwarded packet, after [`Self::rewrite`], in the same order.
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

    /// Forgets the source, and the one that was to follow, and remembers to drop stragglers.
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

    /// A source takes over with this packet.
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
            newest: 0,
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

    /// The source that has the slot sends another packet.
    fn go_on(&mut self, now: Duration, mut source: Source, header: &RtpHeader) -> Verdict {
        let newest_seq = source.first_seq.wrapping_add(source.newest as u16);
        let ahead = header.seq.wrapping_sub(newest_seq).cast_signed();
        let distance = source.newest + i64::from(ahead);
        if distance < 0 {
            return Verdict::Drop(Reason::BeforeEntry);
        }
        let seq = header.seq.wrapping_add(source.seq_shift);
        let timestamp = header.timestamp.wrapping_add(source.timestamp_shift);
        source.newest = source.newest.max(distance);
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

    /// A time in timestamp units; these wrap.
    fn units(&self, time: Duration) -> u32 {
        let units = time.as_nanos() * u128::from(self.params.clock_rate) / 1_000_000_000;
        units as u32
    }
}

/// A wrapping number of `BITS` bits that runs through several sources.
#[derive(Debug, Clone, Copy, Default)]
struct Counter<const BITS: u32> {
    /// The newest number the source has sent, and what became of it.
    newest: Option<(u16, u16)>,
    /// The newest number that was sent.
    sent: Option<u16>,
}

impl<const BITS: u32> Counter<BITS> {
    const MASK: u16 = (1 << BITS) - 1;

    /// Another source takes over.
    fn enter(&mut self) {
        self.newest = None;
    }

    /// The number to send for `value`, of which the source counts `width` bits.
    fn next(&mut self, value: u16, width: u32) -> u16 {
        let Some((newest, as_sent)) = self.newest else {
            let sent = match self.sent {
                Some(sent) => sent.wrapping_add(1) & Self::MASK,
                None => value & Self::MASK,
            };
            self.newest = Some((value, sent));
            self.sent = Some(sent);
            return sent;
        };
        let ahead = signed(value.wrapping_sub(newest), width);
        let sent = as_sent.wrapping_add_signed(ahead) & Self::MASK;
        if ahead > 0 {
            self.newest = Some((value, sent));
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
mod tests {
    use super::*;

    const SLOT: SlotParams = SlotParams {
        ssrc: 7,
        payload_type: 96,
        clock_rate: 90_000,
        first_seq: 65_534,
        first_timestamp: 1_000,
        entry: Entry::Keyframe,
    };

    fn packet(ssrc: u32, seq: u16, timestamp: u32) -> RtpHeader {
        RtpHeader {
            payload_type: 100,
            seq,
            timestamp,
            marker: false,
            ssrc,
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn sent(verdict: Verdict) -> (u16, u32) {
        match verdict {
            Verdict::Forward(h) => {
                assert_eq!((h.ssrc, h.payload_type), (7, 96));
                (h.seq, h.timestamp)
            }
            Verdict::Drop(reason) => panic!("dropped: {reason:?}"),
        }
    }

    #[test]
    fn a_source_takes_over_at_its_keyframe() {
        let mut r = Rewriter::new(SLOT);
        assert_eq!(
            r.rewrite(ms(0), &packet(1, 9, 50), false),
            Verdict::Drop(Reason::AwaitingKeyframe)
        );
        assert_eq!(
            sent(r.rewrite(ms(10), &packet(1, 10, 100), true)),
            (65_534, 1_000)
        );
        assert_eq!(
            sent(r.rewrite(ms(43), &packet(1, 12, 3_100), false)),
            (0, 4_000)
        );
        assert_eq!(
            sent(r.rewrite(ms(44), &packet(1, 11, 3_100), false)),
            (65_535, 4_000)
        );
        assert_eq!(
            r.rewrite(ms(45), &packet(1, 9, 50), false),
            Verdict::Drop(Reason::BeforeEntry)
        );
        r.switch();
        assert!(r.is_waiting());
        assert_eq!(
            r.rewrite(ms(50), &packet(1, 13, 6_100), true),
            Verdict::Drop(Reason::OtherSource)
        );
        // 100 ms after the newest frame: 9000 units.
        assert_eq!(
            sent(r.rewrite(ms(143), &packet(2, 500, 77), true)),
            (1, 13_000)
        );
        assert!(!r.is_waiting());
        assert_eq!(
            r.rewrite(ms(150), &packet(1, 14, 9_100), true),
            Verdict::Drop(Reason::OtherSource)
        );
    }

    #[test]
    fn going_back_to_a_source_by_name() {
        let mut r = Rewriter::new(SLOT);
        r.rewrite(ms(0), &packet(1, 10, 100), true);
        r.switch_to(2);
        assert_eq!(
            r.rewrite(ms(5), &packet(3, 1, 1), true),
            Verdict::Drop(Reason::OtherSource)
        );
        r.rewrite(ms(10), &packet(2, 70, 100), true);
        r.switch_to(1);
        assert_eq!(sent(r.rewrite(ms(20), &packet(1, 11, 100), true)).0, 0);
        r.switch_to(1);
        assert_eq!(
            r.rewrite(ms(30), &packet(1, 12, 100), false),
            Verdict::Drop(Reason::AwaitingKeyframe)
        );
        assert_eq!(sent(r.rewrite(ms(40), &packet(1, 90, 100), true)).0, 1);
    }

    #[test]
    fn a_source_that_kept_its_ssrc_is_let_in_after_a_while() {
        let mut r = Rewriter::new(SLOT);
        r.rewrite(ms(0), &packet(1, 10, 100), true);
        r.switch();
        for at in [1, 500, 1_000] {
            assert_eq!(
                r.rewrite(ms(at), &packet(1, 11, 100), true),
                Verdict::Drop(Reason::OtherSource)
            );
        }
        assert_eq!(
            sent(r.rewrite(ms(1_001), &packet(1, 11, 100), true)).0,
            65_535
        );
    }

    #[test]
    fn a_source_that_is_expected_again_takes_over_while_the_other_goes_on() {
        let mut r = Rewriter::new(SLOT);
        r.rewrite(ms(0), &packet(1, 10, 100), true);
        r.rewrite(ms(5), &packet(2, 70, 100), true);
        let straggler = Verdict::Drop(Reason::OtherSource);
        assert_eq!(r.rewrite(ms(10), &packet(1, 11, 100), true), straggler);
        r.expect(1);
        assert_eq!(
            r.rewrite(ms(20), &packet(1, 12, 100), false),
            Verdict::Drop(Reason::AwaitingKeyframe)
        );
        assert_eq!(sent(r.rewrite(ms(25), &packet(2, 71, 200), false)).0, 0);
        assert_eq!(sent(r.rewrite(ms(30), &packet(1, 13, 100), true)).0, 1);
        assert_eq!(r.rewrite(ms(35), &packet(2, 72, 300), true), straggler);
    }

    #[test]
    fn sound_starts_at_once_and_marks_the_start() {
        let mut r = Rewriter::new(SlotParams {
            entry: Entry::AnyPacket,
            clock_rate: 48_000,
            ..SLOT
        });
        r.rewrite(ms(0), &packet(1, 10, 100), false);
        // Sooner than a frame lasts: still a whole frame later.
        match r.rewrite(ms(1), &packet(2, 3, 5), false) {
            Verdict::Forward(h) => assert_eq!((h.timestamp, h.marker), (1_960, true)),
            Verdict::Drop(reason) => panic!("dropped: {reason:?}"),
        }
    }

    #[test]
    fn vp8_numbers_go_on() {
        let numbers = |id, tl0, key| Vp8Numbers {
            picture_id: Some(PictureId::Long(id)),
            tl0_pic_idx: Some(tl0),
            key_idx: Some(key),
        };
        let vp8 = |id: u16, tl0: u8, key: u8| {
            let [high, low] = (id | 0x8000).to_be_bytes();
            Vp8Descriptor::parse(&[0x90, 0xf0, high, low, tl0, key]).expect("complete")
        };
        let mut r = Rewriter::new(SLOT);
        r.rewrite(ms(0), &packet(1, 10, 100), true);
        assert_eq!(
            r.rewrite_vp8(&vp8(32_766, 255, 31)),
            numbers(32_766, 255, 31)
        );
        assert_eq!(r.rewrite_vp8(&vp8(0, 1, 0)), numbers(0, 1, 0));
        assert_eq!(r.rewrite_vp8(&vp8(32_767, 0, 31)), numbers(32_767, 0, 31));
        r.switch();
        r.rewrite(ms(50), &packet(2, 10, 100), true);
        assert_eq!(r.rewrite_vp8(&vp8(500, 77, 9)), numbers(1, 2, 1));
        assert_eq!(r.rewrite_vp8(&vp8(503, 78, 9)), numbers(4, 3, 1));
    }
}
