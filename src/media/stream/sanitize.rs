//! Keeps packets of an uplink from a depayloader that would not survive them
//! ([`crate::media::rtp::sanitize`] has the rules) and from a decoder of which they would ask too
//! much ([`crate::media::rtp::budget`]), and makes those whole that it would misread.

use std::time::Duration;

use crate::codec::Codec;
use crate::media::gst::buffer::with_bytes;
use crate::media::rtp::budget::{DecodeBudget, Over};
use crate::media::rtp::payload::vp9::{self, SuperframeIndex};
use crate::media::rtp::sanitize::{Sanitizer, Verdict};

/// The way of one stream's packets to a depayloader.
#[derive(Debug)]
pub(crate) struct PacketGate {
    format: Codec,
    sanitizer: Sanitizer,
    /// Of VP9, the layers of the picture that is under way.
    layers: SuperframeIndex,
    budget: DecodeBudget,
    first_over: FirstOver,
    /// How many packets were left out as if they had never been sent; modulo 65536, as sequence
    /// numbers are.
    left_out: u16,
    /// Whether the last packet was left out because no decoder can begin with it, or go on.
    waits: bool,
    /// Running time at which a keyframe was last asked for because of that.
    asked: gst::ClockTime,
}

/// Whether somebody is to be told that a sender asks too much: once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstOver {
    NotYet,
    Untold(Over),
    Told,
}

/// Time between two requests for a keyframe that is waited for: requests can be lost.
const ASK_AGAIN: gst::ClockTime = gst::ClockTime::from_seconds(1);

impl PacketGate {
    /// For a stream of this codec.
    pub(crate) fn new(format: Codec) -> Self {
        Self {
            format,
            sanitizer: Sanitizer::new(format),
            layers: SuperframeIndex::default(),
            budget: DecodeBudget::new(format),
            first_over: FirstOver::NotYet,
            left_out: 0,
            waits: false,
            asked: gst::ClockTime::ZERO,
        }
    }

    /// The packet for the depayloader, which comes at running time `now`; `None` if it may not have
    /// it. What is no RTP it may not, and is counted as malformed. Its number closes up over packets
    /// of nothing that were left out, and a layer of VP9 says that it depends on the one below.
    pub(crate) fn admit(
        &mut self,
        packet: &gst::Buffer,
        now: gst::ClockTime,
    ) -> Option<gst::Buffer> {
        let (verdict, budget) = match gst_rtp::RTPBuffer::from_buffer_readable(packet) {
            Ok(rtp) => {
                let payload = rtp.payload().unwrap_or_default();
                let verdict = self.sanitizer.judge(rtp.seq(), payload, rtp.is_marker());
                let budget = match verdict {
                    Verdict::Pass => self.budget.spend(now.into(), payload),
                    _ => Ok(()),
                };
                (verdict, budget)
            }
            Err(_) => (Verdict::Malformed, Ok(())),
        };
        if let Err(over) = budget {
            self.take_note(over);
            return None;
        }
        match verdict {
            Verdict::Pass => {
                self.waits = false;
                Some(self.made_whole(packet))
            }
            Verdict::Empty => {
                self.left_out = self.left_out.wrapping_add(1);
                None
            }
            Verdict::Early => {
                self.waits = true;
                None
            }
            Verdict::Malformed => {
                metrics::counter!("tessera_malformed_packets_total").increment(1);
                None
            }
        }
    }

    /// Lets nothing through for a while, because at running time `now` a decoder has made a picture
    /// that is too large; then from a keyframe on.
    pub(crate) fn shut(&mut self, now: gst::ClockTime) {
        self.budget.shut(now.into());
        self.take_note(Over::Size);
    }

    fn take_note(&mut self, over: Over) {
        metrics::counter!("tessera_over_budget_packets_total", "of" => over.name()).increment(1);
        self.waits = self.format != Codec::Opus;
        if self.first_over == FirstOver::NotYet {
            self.first_over = FirstOver::Untold(over);
        }
    }

    /// Why less than what came is decoded, told once.
    pub(crate) fn newly_over(&mut self) -> Option<Over> {
        match self.first_over {
            FirstOver::Untold(over) => {
                self.first_over = FirstOver::Told;
                Some(over)
            }
            FirstOver::NotYet | FirstOver::Told => None,
        }
    }

    /// Whether a decoder makes up for so much lost sound at running time `now`.
    pub(crate) fn conceals(&mut self, now: gst::ClockTime, lost: Duration) -> bool {
        let samples = lost.as_micros() * 48 / 1_000;
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        self.budget.conceals(now.into(), samples)
    }

    /// Whether a keyframe is to be asked for at `now`, because none has come since the beginning or
    /// the last loss, or since too much was asked of a decoder.
    pub(crate) fn wants_keyframe(&mut self, now: gst::ClockTime) -> bool {
        let due = self.waits && now.saturating_sub(self.asked) >= ASK_AGAIN;
        if due {
            self.asked = now;
        }
        due
    }

    fn made_whole(&mut self, packet: &gst::Buffer) -> gst::Buffer {
        let Layering { depends, index } = self.layering(packet);
        let mut packet = index.map_or_else(|| packet.clone(), |index| appended(packet, &index));
        if self.left_out == 0 && depends.is_none() {
            return packet;
        }
        if let Ok(mut rtp) = gst_rtp::RTPBuffer::from_buffer_writable(packet.make_mut()) {
            let number = rtp.seq().wrapping_sub(self.left_out);
            rtp.set_seq(number);
            let byte = depends.and_then(|at| rtp.payload_mut().ok()?.get_mut(at));
            byte.into_iter().for_each(|byte| *byte |= 1);
        }
        packet
    }

    fn layering(&mut self, packet: &gst::Buffer) -> Layering {
        let rtp = gst_rtp::RTPBuffer::from_buffer_readable(packet);
        let (Codec::Vp9, Ok(rtp)) = (self.format, rtp) else {
            return Layering::default();
        };
        let payload = rtp.payload().unwrap_or_default();
        let number = rtp.seq().wrapping_sub(self.left_out);
        let index = self.layers.after(number, payload, rtp.is_marker());
        Layering {
            depends: vp9::undeclared_dependency(payload),
            // It would come behind the padding.
            index: index.filter(|_| !rtp.has_padding()),
        }
    }
}

/// What a packet of VP9 does not say of its layers.
#[derive(Debug, Default)]
struct Layering {
    /// The byte of the payload that has to say that this layer depends on the one below.
    depends: Option<usize>,
    /// What makes one picture of the layers that end with this packet.
    index: Option<Vec<u8>>,
}

/// The packet with more behind its payload.
fn appended(packet: &gst::Buffer, more: &[u8]) -> gst::Buffer {
    match packet.map_readable() {
        Ok(bytes) => with_bytes(packet, [bytes.as_slice(), more].concat()),
        Err(_) => packet.clone(),
    }
}

#[cfg(test)]
mod tests {
    use gst_rtp::prelude::RTPBufferExt;

    use super::*;

    #[test]
    fn what_is_no_rtp_does_not_pass() {
        gst::init().expect("GStreamer");
        for format in [Codec::Vp8, Codec::Opus] {
            let mut gate = PacketGate::new(format);
            let packet = gst::Buffer::from_slice([0u8; 7]);
            assert!(gate.admit(&packet, gst::ClockTime::ZERO).is_none());
        }
    }

    #[test]
    fn numbers_close_up_over_padding_and_not_over_losses() {
        gst::init().expect("GStreamer");
        let mut gate = PacketGate::new(Codec::H264);
        let mut number = |sequence: u16, payload: &[u8]| {
            let size = u32::try_from(payload.len()).expect("short");
            let mut packet = gst::Buffer::new_rtp_with_sizes(size, 0, 0).expect("a packet");
            let writable = packet.get_mut().expect("ours");
            let mut rtp = gst_rtp::RTPBuffer::from_buffer_writable(writable).expect("RTP");
            rtp.set_seq(sequence);
            rtp.payload_mut()
                .expect("a payload")
                .copy_from_slice(payload);
            drop(rtp);
            let packet = gate.admit(&packet, gst::ClockTime::ZERO)?;
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&packet).expect("RTP");
            Some(rtp.seq())
        };
        let keyframe = [0x65, 0x88];
        assert_eq!(number(7, &keyframe), Some(7));
        assert_eq!(number(8, &[]), None);
        assert_eq!(number(9, &keyframe), Some(8));
        assert_eq!(number(11, &keyframe), Some(10), "10 is lost");
    }

    #[test]
    fn pictures_that_are_too_large_are_left_out_and_told_of_once() {
        gst::init().expect("GStreamer");
        let mut gate = PacketGate::new(Codec::Vp8);
        let now = gst::ClockTime::from_seconds(50);
        let mut admits = |sequence: u16, width: u16| {
            let [low, high] = width.to_le_bytes();
            let keyframe = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, low, high, low, high];
            let mut packet = gst::Buffer::new_rtp_with_sizes(11, 0, 0).expect("a packet");
            let writable = packet.get_mut().expect("ours");
            let mut rtp = gst_rtp::RTPBuffer::from_buffer_writable(writable).expect("RTP");
            rtp.set_seq(sequence);
            rtp.set_marker(true);
            let payload = rtp.payload_mut().expect("a payload");
            payload.copy_from_slice(&keyframe);
            drop(rtp);
            (gate.admit(&packet, now).is_some(), gate.newly_over())
        };
        assert_eq!(admits(1, 1_000), (true, None));
        assert_eq!(admits(2, 16_383), (false, Some(Over::Size)));
        assert_eq!(admits(3, 16_383), (false, None));
        assert!(gate.wants_keyframe(now));
        let mut admits = |sequence| {
            let mut packet = gst::Buffer::new_rtp_with_sizes(2, 0, 0).expect("a packet");
            let writable = packet.get_mut().expect("ours");
            let mut rtp = gst_rtp::RTPBuffer::from_buffer_writable(writable).expect("RTP");
            rtp.set_seq(sequence);
            let payload = rtp.payload_mut().expect("a payload");
            payload.copy_from_slice(&[0x10, 0x01]);
            drop(rtp);
            gate.admit(&packet, now).is_some()
        };
        assert!(!admits(4), "it depends on what was left out");
    }
}
