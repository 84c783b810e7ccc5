//! What of a peer's packets is read; pure.
//!
//! `rtpsession`, which bots read RTCP with, trusts who sends to it: it makes a source of every SSRC that
//! it hears of and keeps it for minutes, goes through all that it knows for each report, and keeps for
//! good what transport-wide feedback tells of (to 1.28). A peer that means harm makes it run out of
//! memory with a few kilobytes. So of each compound packet those parts alone are let through that are
//! made use of, about SSRCs that are known, and so many a second:
//!
//! - reports and feedback of a bounded number of SSRCs, report blocks and feedback about SSRCs that
//!   this side sends;
//! - names and ends of SSRCs that have sent something;
//! - no transport-wide feedback, which is read by `bwe/twcc`;
//! - under another SSRC what comes from one that this side sends, as receivers say who have none of
//!   their own (libdatachannel): the session would take it for a collision;
//! - nothing else: no extended reports, no APP, no REMB, no padding.

mod sdes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compound::{
    BYE, FULL_INTRA, GENERIC_NACK, PAYLOAD_FEEDBACK, PICTURE_LOSS, Packet, RECEIVER_REPORT,
    SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK, TRANSPORT_WIDE, packets, ssrc, write,
};
use super::token_bucket::TokenBucket;

/// RTCP packets that a peer may send a second, each part of a compound packet for itself. A viewer
/// of 25 forwarded pictures that loses some of all of them sends half as many.
const PACKETS_PER_SECOND: u32 = 1_000;
/// What RTCP packets may list a second: report blocks, missing packets (NACK), canonical names,
/// streams of which a keyframe is wanted (FIR).
const ENTRIES_PER_SECOND: u32 = 4_000;
/// Packets that transport-wide feedback may tell of a second: some ten times what one connection is
/// sent.
const TOLD_PER_SECOND: u32 = 20_000;
/// Seconds of each of these rates that may come at once.
const AT_ONCE: u32 = 2;

/// After so much silence an SSRC makes place for another: a sender may begin anew as often as it
/// likes, and `rtpsession` forgets who is silent as soon.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(30);

/// Bytes of a report before its blocks: the sender's SSRC and, in a sender report, what it has sent.
const REPORT_HEADS: [(u8, usize); 2] = [(SENDER_REPORT, 24), (RECEIVER_REPORT, 4)];
/// Bytes of a report block.
const BLOCK: usize = 24;
/// Bytes of feedback before what it lists: the SSRCs of who sends it and of what it is about.
const FEEDBACK_HEAD: usize = 8;

/// What of a compound packet may go where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Admitted<'a> {
    /// The compound packet for `rtpsession`; empty if nothing is left for it.
    pub(crate) compound: Vec<u8>,
    /// What each transport-wide feedback says (FCI), for `bwe/twcc`.
    pub(crate) transport_wide: Vec<&'a [u8]>,
}

impl Admitted<'_> {
    /// Whether nothing is let through.
    pub(crate) fn is_empty(&self) -> bool {
        self.compound.is_empty() && self.transport_wide.is_empty()
    }
}

/// The gate before one `rtpsession`.
#[derive(Debug)]
pub(crate) struct SessionGate {
    /// SSRCs that this side sends.
    own: BTreeSet<u32>,
    /// SSRCs of the peer's RTP, and when each last sent.
    streams: BTreeMap<u32, Duration>,
    /// Other SSRCs that the peer's RTCP comes from, and when each last sent: those of receivers that
    /// send no RTP.
    reporters: BTreeMap<u32, Duration>,
    /// Most [`Self::streams`], and most [`Self::reporters`].
    limit: usize,
    packets: TokenBucket,
    entries: TokenBucket,
    told: TokenBucket,
}

impl SessionGate {
    /// For a peer that may have `limit` SSRCs of RTP, and as many that only report.
    pub(crate) fn new(limit: usize) -> Self {
        let bucket = |per_second: u32| TokenBucket::new(per_second, AT_ONCE * per_second);
        Self {
            own: BTreeSet::new(),
            streams: BTreeMap::new(),
            reporters: BTreeMap::new(),
            limit,
            packets: bucket(PACKETS_PER_SECOND),
            entries: bucket(ENTRIES_PER_SECOND),
            told: bucket(TOLD_PER_SECOND),
        }
    }

    /// Takes note of an SSRC that this side sends.
    pub(crate) fn sends(&mut self, ssrc: u32) {
        self.own.insert(ssrc);
    }

    /// Whether this side sends that SSRC.
    pub(crate) fn is_sent_by_us(&self, ssrc: u32) -> bool {
        self.own.contains(&ssrc)
    }

    /// Whether RTP of an SSRC may pass at `now`: of those that came first, as many as the limit, less
    /// those that have been silent for [`FORGOTTEN`].
    pub(crate) fn admits_stream(&mut self, now: Duration, ssrc: u32) -> bool {
        let is_admitted =
            !self.own.contains(&ssrc) && note(&mut self.streams, self.limit, now, ssrc);
        if is_admitted {
            self.reporters.remove(&ssrc);
        }
        is_admitted
    }

    /// What of a compound packet that came at `now` may pass. Nothing of one that is malformed.
    pub(crate) fn admit<'a>(&mut self, now: Duration, compound: &'a [u8]) -> Admitted<'a> {
        let mut admitted = Admitted::default();
        for packet in packets(compound).unwrap_or_default() {
            if !self.packets.take(now, 1) {
                break;
            }
            // `None` for what is malformed or not wanted: it is left out.
            let _ = self.admit_packet(now, packet, &mut admitted);
        }
        admitted
    }

    fn admit_packet<'a>(
        &mut self,
        now: Duration,
        packet: Packet<'a>,
        to: &mut Admitted<'a>,
    ) -> Option<()> {
        let Packet { kind, count, body } = packet;
        match (kind, count) {
            (SENDER_REPORT | RECEIVER_REPORT, _) => self.report(now, packet, &mut to.compound),
            (SOURCE_DESCRIPTION, _) => self.names(now, packet, &mut to.compound),
            (BYE, _) => self.ends(packet, &mut to.compound),
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => {
                let (_, _, feedback) = self.feedback(now, body)?;
                let [_, _, high, low, ..] = feedback else {
                    return None;
                };
                let told = u32::from(u16::from_be_bytes([*high, *low]));
                let is_admitted = self.told.take(now, told);
                to.transport_wide.extend(is_admitted.then_some(feedback));
                Some(())
            }
            (TRANSPORT_FEEDBACK, GENERIC_NACK) => {
                let (head, about, list) = self.feedback(now, body)?;
                if !self.own.contains(&about) {
                    return None;
                }
                let is_kept = |gate: &mut Self, entry: &[u8; 4]| {
                    let following = u16::from_be_bytes([entry[2], entry[3]]);
                    gate.entries.take(now, 1 + following.count_ones())
                };
                self.list(packet, (&head, list), is_kept, &mut to.compound)
            }
            (PAYLOAD_FEEDBACK, FULL_INTRA) => {
                let (head, _, list) = self.feedback(now, body)?;
                let is_kept = |gate: &mut Self, entry: &[u8; 8]| {
                    let wanted = ssrc(entry).is_some_and(|of| gate.own.contains(&of));
                    wanted && gate.entries.take(now, 1)
                };
                self.list(packet, (&head, list), is_kept, &mut to.compound)
            }
            (PAYLOAD_FEEDBACK, PICTURE_LOSS) => {
                let (head, about, _) = self.feedback(now, body)?;
                if self.own.contains(&about) {
                    write(&mut to.compound, kind, count, &head);
                }
                Some(())
            }
            _ => None,
        }
    }

    /// The SSRC under which RTCP from `ssrc` passes: from one whose RTP is known, or one of those
    /// that came first.
    fn admit_reporter(&mut self, now: Duration, ssrc: u32) -> Option<u32> {
        if self.streams.contains_key(&ssrc) {
            return Some(ssrc);
        }
        let reporter = match self.own.contains(&ssrc) {
            true => !ssrc,
            false => ssrc,
        };
        let is_admitted =
            !self.own.contains(&reporter) && note(&mut self.reporters, self.limit, now, reporter);
        is_admitted.then_some(reporter)
    }

    fn is_known(&self, ssrc: u32) -> bool {
        self.streams.contains_key(&ssrc) || self.reporters.contains_key(&ssrc)
    }

    /// A report, with those of its blocks that are about SSRCs of this side.
    fn report(&mut self, now: Duration, packet: Packet<'_>, to: &mut Vec<u8>) -> Option<()> {
        let known = REPORT_HEADS.iter().find(|(kind, _)| *kind == packet.kind);
        let (head, rest) = packet.body.split_at_checked(known?.1)?;
        let blocks = rest.get(..BLOCK * usize::from(packet.count))?;
        let (from, info) = head.split_first_chunk()?;
        let reporter = self.admit_reporter(now, u32::from_be_bytes(*from))?;
        let mut kept = [&reporter.to_be_bytes()[..], info].concat();
        let mut count = 0;
        for block in blocks.as_chunks::<BLOCK>().0 {
            if self.own.contains(&ssrc(block)?) && self.entries.take(now, 1) {
                kept.extend(block);
                count += 1;
            }
        }
        write(to, packet.kind, count, &kept);
        Some(())
    }

    /// The canonical names of known SSRCs.
    fn names(&mut self, now: Duration, packet: Packet<'_>, to: &mut Vec<u8>) -> Option<()> {
        let mut kept = Vec::new();
        let mut count = 0;
        for (of, name) in sdes::names(packet.body, packet.count)? {
            if self.is_known(of) && self.entries.take(now, 1) {
                kept.extend(sdes::chunk(of, name));
                count += 1;
            }
        }
        if count > 0 {
            write(to, packet.kind, count, &kept);
        }
        Some(())
    }

    /// The end of known SSRCs, without its reason.
    fn ends(&mut self, packet: Packet<'_>, to: &mut Vec<u8>) -> Option<()> {
        let listed = packet.body.get(..4 * usize::from(packet.count))?;
        let of = |bytes: &&[u8; 4]| self.is_known(u32::from_be_bytes(**bytes));
        let kept: Vec<[u8; 4]> = listed.as_chunks().0.iter().filter(of).copied().collect();
        if let Some(count) = u8::try_from(kept.len()).ok().filter(|count| *count > 0) {
            write(to, packet.kind, count, &kept.concat());
        }
        Some(())
    }

    /// How feedback begins, the SSRC that it is about, and what it lists; `None` if it is cut short,
    /// or may not come from who sends it.
    fn feedback<'a>(
        &mut self,
        now: Duration,
        body: &'a [u8],
    ) -> Option<([u8; FEEDBACK_HEAD], u32, &'a [u8])> {
        let (head, list) = body.split_first_chunk::<FEEDBACK_HEAD>()?;
        let reporter = self.admit_reporter(now, ssrc(head)?)?;
        let mut head = *head;
        *head.first_chunk_mut()? = reporter.to_be_bytes();
        let about = ssrc(head.get(4..)?)?;
        Some((head, about, list))
    }

    /// Feedback with those entries of its list that may pass; nothing if there are none.
    fn list<const N: usize>(
        &mut self,
        packet: Packet<'_>,
        (head, list): (&[u8; FEEDBACK_HEAD], &[u8]),
        mut is_kept: impl FnMut(&mut Self, &[u8; N]) -> bool,
        to: &mut Vec<u8>,
    ) -> Option<()> {
        let (entries, rest) = list.as_chunks::<N>();
        if !rest.is_empty() {
            return None;
        }
        let mut kept = head.to_vec();
        for entry in entries {
            if is_kept(self, entry) {
                kept.extend(entry);
            }
        }
        if kept.len() > FEEDBACK_HEAD {
            write(to, packet.kind, packet.count, &kept);
        }
        Some(())
    }
}

/// Whether an SSRC is one of those that are known, or becomes one in place of one that is forgotten.
fn note(known: &mut BTreeMap<u32, Duration>, limit: usize, now: Duration, ssrc: u32) -> bool {
    if let Some(last) = known.get_mut(&ssrc) {
        *last = now;
        return true;
    }
    if known.len() >= limit {
        known.retain(|_, last| now.saturating_sub(*last) < FORGOTTEN);
    }
    let is_admitted = known.len() < limit;
    if is_admitted {
        known.insert(ssrc, now);
    }
    is_admitted
}

#[cfg(test)]
mod tests;
