//! What the sender of what comes is told, as RTCP: reports, requests for packets and for keyframes,
//! arrival times, and how much to send at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::media::peer::egress::{Egress, WeakEgress};
use crate::media::rtp::feedback::Compound;
use crate::media::sdp::line::{BitrateControl, Line};
use crate::media::sdp::normalise::OfferedCodec;

/// Bitrate that a sender of pictures is granted for its sound, bit/s.
const SOUND_BITRATE: u32 = 64_000;

/// What a sender is to send at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// Bit/s, of all.
    bitrate: u32,
    /// The streams that the limit is for.
    ssrcs: Vec<u32>,
}

/// The way to the sender.
pub(super) struct ToSender {
    egress: Egress,
    /// The SSRC that all of it comes from.
    from: u32,
    /// Number of the next request for a keyframe as FIR.
    requests: Arc<AtomicU8>,
    /// Bit/s that are granted for sound on top of a limit of pictures; `None` where none is told by
    /// REMB.
    sound: Option<u32>,
    /// Packets that were asked for.
    asked: AtomicU64,
}

impl ToSender {
    /// To the sender of the uplinks among `lines`.
    pub(super) fn new(egress: &Egress, lines: &[Line]) -> Self {
        let takes_remb = |line: &Line| line.bitrate_control == BitrateControl::Remb;
        let has_sound = lines.iter().any(|line| line.role.is_audio());
        let granted = if has_sound { SOUND_BITRATE } else { 0 };
        Self {
            egress: egress.clone(),
            from: egress.add_reporter(),
            requests: Arc::default(),
            sound: lines.iter().any(takes_remb).then_some(granted),
            asked: AtomicU64::new(0),
        }
    }

    /// Packets that were asked for so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Asks for packets of a stream again.
    pub(super) fn ask(&self, ssrc: u32, missing: &[u16]) {
        if missing.is_empty() {
            return;
        }
        let asked = u64::try_from(missing.len()).unwrap_or_default();
        self.asked.fetch_add(asked, Ordering::Relaxed);
        send(&self.egress, self.from, &[], |compound| {
            compound.nack(ssrc, missing);
        });
    }

    /// Asks for a keyframe of a stream of that codec when it is called.
    pub(super) fn keyframe_requests(
        &self,
        ssrc: u32,
        codec: Option<&OfferedCodec>,
    ) -> Box<dyn Fn() + Send + Sync> {
        let takes = |kind| codec.is_some_and(|codec| codec.feedback.contains(&kind));
        let is_fir = takes("ccm fir") && !takes("nack pli");
        // What asks lives as long as the stream's tap, which must not keep the peer.
        let egress: WeakEgress = self.egress.downgrade();
        let (from, requests) = (self.from, Arc::clone(&self.requests));
        Box::new(move || {
            let Some(egress) = egress.upgrade() else {
                return;
            };
            send(&egress, from, &[], |compound| match is_fir {
                true => compound.full_intra(ssrc, requests.fetch_add(1, Ordering::Relaxed)),
                false => compound.picture_loss(ssrc),
            });
        })
    }

    /// The limit of a sender that is to send pictures with `bitrate` bit/s at most; `None` if it is
    /// not told by REMB.
    pub(super) fn limit(&self, bitrate: u32, ssrcs: Vec<u32>) -> Option<Limit> {
        let bitrate = bitrate.saturating_add(self.sound?);
        Some(Limit { bitrate, ssrcs })
    }

    /// Sends a report with these blocks, and the limit: it is not acknowledged. Nothing if there is
    /// neither.
    pub(super) fn report(&self, blocks: &[[u8; 24]], limit: Option<&Limit>) {
        if blocks.is_empty() && limit.is_none() {
            return;
        }
        send(&self.egress, self.from, blocks, |compound| {
            if let Some(Limit { bitrate, ssrcs }) = limit {
                compound.remb(*bitrate, ssrcs);
            }
        });
    }

    /// Says when packets arrived, of all streams; `of` is one of them.
    pub(super) fn tell_arrivals(&self, of: u32, fci: &[u8]) {
        send(&self.egress, self.from, &[], |compound| {
            compound.transport_wide(of, fci);
        });
    }
}

fn send(egress: &Egress, from: u32, blocks: &[[u8; 24]], write: impl FnOnce(&mut Compound)) {
    egress.send_rtcp(|cname| {
        let mut compound = Compound::new(from, cname, blocks);
        write(&mut compound);
        compound.into_bytes()
    });
}
