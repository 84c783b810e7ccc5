//! Keeps packets of an uplink from a depayloader that would not survive them
//! ([`crate::media::rtp::sanitize`] has the rules), and makes those whole that it would misread.

use crate::codec::Codec;
use crate::media::rtp::payload::vp9::{self, SuperframeIndex};
use crate::media::rtp::sanitize::{Sanitizer, Verdict};

/// The way of one stream's packets to a depayloader.
#[derive(Debug)]
pub(crate) struct PacketGate {
    format: Codec,
    sanitizer: Sanitizer,
    /// Of VP9, the layers of the picture that is under way.
    layers: SuperframeIndex,
    /// How many packets were left out as if they had never been sent; modulo 65536, as sequence
    /// numbers are.
    left_out: u16,
    /// Whether the last packet was one that no decoder can begin with.
    waits: bool,
    /// Running time at which a keyframe was last asked for because of that.
    asked: gst::ClockTime,
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
            left_out: 0,
            waits: false,
            asked: gst::ClockTime::ZERO,
        }
    }

    /// The packet for the depayloader; `None` if it may not have it. What is no RTP it may not, and is
    /// counted as malformed. Its number closes up over packets of nothing that were left out, and a
    /// layer of VP9 says that it depends on the one below.
    pub(crate) fn admit(&mut self, packet: &gst::Buffer) -> Option<gst::Buffer> {
        let verdict = match gst_rtp::RTPBuffer::from_buffer_readable(packet) {
            Ok(rtp) => {
                let payload = rtp.payload().unwrap_or_default();
                self.sanitizer.judge(rtp.seq(), payload, rtp.is_marker())
            }
            Err(_) => Verdict::Malformed,
        };
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

    /// Whether a keyframe is to be asked for at `now`, because none has come since the beginning or
    /// the last loss.
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
    let Ok(map) = packet.map_readable() else {
        return packet.clone();
    };
    let mut longer = gst::Buffer::from_mut_slice([map.as_slice(), more].concat());
    let copied = longer
        .get_mut()
        .map(|longer| packet.copy_into(longer, gst::BUFFER_COPY_METADATA, ..));
    debug_assert!(matches!(copied, Some(Ok(()))), "a buffer of our own");
    longer
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
            assert!(gate.admit(&packet).is_none());
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
            let packet = gate.admit(&packet)?;
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&packet).expect("RTP");
            Some(rtp.seq())
        };
        let keyframe = [0x65, 0x88];
        assert_eq!(number(7, &keyframe), Some(7));
        assert_eq!(number(8, &[]), None);
        assert_eq!(number(9, &keyframe), Some(8));
        assert_eq!(number(11, &keyframe), Some(10), "10 is lost");
    }
}
