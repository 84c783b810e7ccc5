//! Opens what a transport receives (SRTP, RFC 3711); pure.
//!
//! Anybody can send packets that look as if they came from the other side. Nothing is kept of one that
//! is not authentic: each SSRC has a context of its own for RTP and one for RTCP, which is made with
//! its first packet and thrown away if that cannot be opened. Neither may such a packet move anything
//! in a context that is there. Three ways to do so that crate `rtc-srtp` 0.21 has are shut here:
//! - it takes RTCP that says that it is not encrypted without looking at its authentication;
//! - the first packet of a context says where its replay window begins, authentic or not;
//! - a packet half of all numbers behind the newest counts as the newest, if it is played again.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};

use super::{SrtpError, SrtpKeys};
use crate::media::rtp::header::{is_newer, ssrc_and_seq};
use crate::media::rtp::session_gate::FORGOTTEN;
use crate::media::rtp::token_bucket::TokenBucket;

/// Packets of a stream that may arrive out of order, and are each taken once: those of RTP, and of
/// RTCP.
const REPLAY_WINDOWS: (usize, usize) = (1024, 128);
/// Half of all sequence numbers.
const HALF: u16 = 0x8000;
/// Packets a second of SSRCs that are not known yet that are tried, and as many at once. Each takes a
/// derivation of keys.
const TRIED_PER_SECOND: u32 = 100;
/// Bytes of the index behind a packet of RTCP, whose first bit says that it is encrypted.
const INDEX: usize = 4;

/// What is sealed apart from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Rtp,
    Rtcp,
}

/// Of whom something authentic has come.
struct Sender {
    context: Context,
    last: Duration,
    /// The newest sequence number, of RTP.
    newest: Option<u16>,
}

/// Opens what one transport receives.
pub(crate) struct Opener {
    keys: SrtpKeys,
    senders: BTreeMap<(u32, Kind), Sender>,
    /// Most of them.
    limit: usize,
    trials: TokenBucket,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("senders", &self.senders.len())
            .finish_non_exhaustive()
    }
}

impl Opener {
    /// For what is sealed with these keys, under `limit` SSRCs at most.
    ///
    /// # Errors
    /// [`SrtpError::Keys`] when they do not fit their profile.
    pub(crate) fn new(keys: SrtpKeys, limit: usize) -> Result<Self, SrtpError> {
        keys.context(None)?;
        Ok(Self {
            keys,
            senders: BTreeMap::new(),
            // Of each RTP and RTCP.
            limit: limit.saturating_mul(2),
            trials: TokenBucket::new(TRIED_PER_SECOND, TRIED_PER_SECOND),
        })
    }

    /// Opens a packet of RTP that came at `now`; `None` if it is not authentic, has come before, or is
    /// of an SSRC more than there may be.
    pub(crate) fn open_rtp(&mut self, now: Duration, packet: &[u8]) -> Option<BytesMut> {
        let (ssrc, seq) = ssrc_and_seq(packet)?;
        let known = self.senders.get(&(ssrc, Kind::Rtp));
        let newest = known.and_then(|sender| sender.newest);
        if newest.is_some_and(|newest| seq.wrapping_sub(newest) == HALF) {
            return None;
        }
        let (sender, opened) = self.open(now, (ssrc, Kind::Rtp), |context| {
            context.decrypt_rtp(packet).ok()
        })?;
        if sender.newest.is_none_or(|newest| is_newer(seq, newest)) {
            sender.newest = Some(seq);
        }
        Some(opened)
    }

    /// The same for a compound packet of RTCP.
    pub(crate) fn open_rtcp(&mut self, now: Duration, compound: &[u8]) -> Option<BytesMut> {
        let ssrc = compound.get(4..8)?.try_into().ok()?;
        let ssrc = u32::from_be_bytes(ssrc);
        let index = compound.len().checked_sub(INDEX + self.keys.rtcp_tag())?;
        if compound.get(index)? & 0x80 == 0 {
            return None;
        }
        let (_, opened) = self.open(now, (ssrc, Kind::Rtcp), |context| {
            context.decrypt_rtcp(compound).ok()
        })?;
        Some(opened)
    }

    /// Opens a packet with the context of its sender; with a new one if there is none, which is kept
    /// if that works.
    fn open(
        &mut self,
        now: Duration,
        whose: (u32, Kind),
        open: impl FnOnce(&mut Context) -> Option<BytesMut>,
    ) -> Option<(&mut Sender, BytesMut)> {
        if self.senders.contains_key(&whose) {
            let sender = self.senders.get_mut(&whose)?;
            let opened = open(&mut sender.context)?;
            sender.last = now;
            return Some((sender, opened));
        }
        if !self.has_place(now) || !self.trials.take(now, 1) {
            return None;
        }
        let (rtp, rtcp) = REPLAY_WINDOWS;
        let replay = (srtp_replay_protection(rtp), srtcp_replay_protection(rtcp));
        let mut context = self.keys.context(Some(replay)).ok()?;
        let opened = open(&mut context)?;
        let sender = self.senders.entry(whose).or_insert(Sender {
            context,
            last: now,
            newest: None,
        });
        Some((sender, opened))
    }

    /// Whether there is place for another sender, if need be of one that has been silent for long.
    fn has_place(&mut self, now: Duration) -> bool {
        if self.senders.len() >= self.limit {
            let is_there = |sender: &Sender| now.saturating_sub(sender.last) < FORGOTTEN;
            self.senders.retain(|_, sender| is_there(sender));
        }
        self.senders.len() < self.limit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::rtp::srtp::Sealer;

    const NOW: Duration = Duration::ZERO;
    /// A receiver report.
    const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 1];

    fn keys() -> SrtpKeys {
        SrtpKeys::new("aes-128-icm", "hmac-sha1-80", (0..30).collect()).expect("a profile")
    }

    fn both() -> (Sealer, Opener) {
        let sealer = Sealer::new(keys()).expect("they fit");
        (sealer, Opener::new(keys(), 4).expect("they fit"))
    }

    fn packet(ssrc: u32, seq: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend(seq.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.extend(b"payload");
        packet
    }

    /// A packet with each of its bits the other way.
    fn forgeries(sealed: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..8 * sealed.len()).map(|bit| {
            let mut forged = sealed.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            forged
        })
    }

    #[test]
    fn what_is_sealed_is_opened_once() {
        let (mut sealer, mut opener) = both();
        let sealed = sealer.seal_rtp(&packet(1, 7)).expect("it is sealed");
        assert_eq!(
            opener.open_rtp(NOW, &sealed).as_deref(),
            Some(&packet(1, 7)[..])
        );
        assert_eq!(opener.open_rtp(NOW, &sealed), None, "it has come before");
        let sealed = sealer.seal_rtcp(&REPORT).expect("it is sealed");
        assert_eq!(opener.open_rtcp(NOW, &sealed).as_deref(), Some(&REPORT[..]));
        assert_eq!(opener.open_rtcp(NOW, &sealed), None, "it has come before");
    }

    #[test]
    fn no_bit_may_be_another() {
        let (mut sealer, mut opener) = both();
        let rtp = sealer.seal_rtp(&packet(1, 7)).expect("it is sealed");
        let rtcp = sealer.seal_rtcp(&REPORT).expect("it is sealed");
        // So slowly that each is tried.
        let mut seconds = (0..).map(Duration::from_secs);
        for (forged, now) in forgeries(&rtp).zip(&mut seconds) {
            assert_eq!(opener.open_rtp(now, &forged), None, "{now:?}");
        }
        for (forged, now) in forgeries(&rtcp).zip(&mut seconds) {
            assert_eq!(opener.open_rtcp(now, &forged), None, "{now:?}");
        }
        let now = seconds.next().expect("more of them");
        assert!(opener.open_rtp(now, &rtp).is_some());
        assert!(opener.open_rtcp(now, &rtcp).is_some());
    }

    #[test]
    fn forged_packets_do_not_keep_authentic_ones_out() {
        let (mut sealer, mut opener) = both();
        let mut open = |seq| {
            let sealed = sealer.seal_rtp(&packet(1, seq)).expect("it is sealed");
            opener.open_rtp(NOW, &sealed).is_some()
        };
        assert!(open(100));
        let mut report = vec![0x81, 201, 0, 1, 0, 0, 0, 1];
        report.extend([0xbf, 0xff, 0, 0]);
        report.extend([0; 10]);
        assert_eq!(opener.open_rtcp(NOW, &report), None);
        let sealed = sealer.seal_rtcp(&REPORT).expect("it is sealed");
        assert!(opener.open_rtcp(NOW, &sealed).is_some());
        let mut forged = packet(1, 20_100);
        forged.extend([0; 10]);
        assert_eq!(opener.open_rtp(NOW, &forged), None);
        let sealed = sealer.seal_rtp(&packet(1, 101)).expect("it is sealed");
        assert!(opener.open_rtp(NOW, &sealed).is_some());
    }

    #[test]
    fn what_is_played_again_much_later_does_not_count() {
        let (mut sealer, mut opener) = both();
        let mut kept = None;
        // Once round, and half of all numbers more.
        for n in 1..=0x1_8010u32 {
            let sealed = sealer.seal_rtp(&packet(1, n as u16)).expect("it is sealed");
            assert!(opener.open_rtp(NOW, &sealed).is_some(), "{n}");
            if n == 0x1_0010 {
                kept = Some(sealed);
            }
        }
        assert_eq!(opener.open_rtp(NOW, &kept.expect("a packet")), None);
        let sealed = sealer.seal_rtp(&packet(1, 0x8011)).expect("it is sealed");
        assert!(opener.open_rtp(NOW, &sealed).is_some());
    }

    #[test]
    fn nothing_is_kept_of_what_is_not_authentic_and_of_few_of_what_is() {
        let (mut sealer, mut opener) = both();
        for ssrc in 0..1_000 {
            let at = Duration::from_millis(u64::from(ssrc) * 20);
            assert_eq!(opener.open_rtp(at, &packet(ssrc, 1)), None);
        }
        assert_eq!(opener.senders.len(), 0);
        let mut open = |ssrc, seconds| {
            let sealed = sealer.seal_rtp(&packet(ssrc, 1)).expect("it is sealed");
            let at = Duration::from_secs(seconds);
            opener.open_rtp(at, &sealed).is_some()
        };
        assert!((1..=8).all(|ssrc| open(ssrc, 30)));
        assert!(!open(9, 30));
        assert!(open(10, 61), "the others have been silent for long");
    }

    #[test]
    fn strangers_are_not_tried_without_end() {
        let (mut sealer, mut opener) = both();
        for ssrc in 0..TRIED_PER_SECOND {
            assert_eq!(opener.open_rtp(NOW, &packet(ssrc, 1)), None);
        }
        let sealed = sealer.seal_rtp(&packet(1, 1)).expect("it is sealed");
        assert_eq!(opener.open_rtp(NOW, &sealed), None, "too many were tried");
        assert!(opener.open_rtp(Duration::from_secs(1), &sealed).is_some());
    }

    proptest! {
        /// What one side seals the other opens, over wraps, gaps and disorder.
        #[test]
        fn numbers_wrap_on_both_sides(
            steps in proptest::collection::vec((1u16..400, 0usize..3), 1..600),
        ) {
            let (mut sealer, mut opener) = both();
            // So far before a wrap that the first packet to arrive is before it, too.
            let (mut seq, mut late) = (64_000u16, Vec::new());
            for (step, hold) in steps {
                seq = seq.wrapping_add(step);
                let sealed = sealer.seal_rtp(&packet(1, seq)).expect("it is new");
                late.push((hold, seq, sealed));
                for (hold, seq, sealed) in std::mem::take(&mut late) {
                    if hold > 0 {
                        late.push((hold - 1, seq, sealed));
                        continue;
                    }
                    let opened = opener.open_rtp(NOW, &sealed);
                    prop_assert_eq!(opened.as_deref(), Some(&packet(1, seq)[..]));
                }
            }
        }
    }
}
