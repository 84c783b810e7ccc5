//! Damage to the video that a bot sends, done to its RTP packets.

use rand::Rng;

use crate::media::gst::buffer::with_bytes;

/// Bytes that [`CorruptMode::Flip`] leaves alone: the fixed RTP header (RFC 3550 section 5.1) and
/// the longest payload descriptor of a codec, so that the damage reaches the decoder and not only
/// the depayloader.
const HEADERS: usize = 12 + 6;

/// How packets are damaged. The RTP header stays, else SRTP would not send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorruptMode {
    /// A few random bytes behind the codec's own headers are changed, one in 64.
    Flip,
    /// Everything after the RTP header is random.
    Noise,
    /// Of the payload only the first byte is left.
    Truncate,
}

impl CorruptMode {
    /// The damaged copy of an RTP packet.
    fn apply(self, packet: &[u8], rng: &mut impl Rng) -> Vec<u8> {
        let mut damaged = packet.to_vec();
        match self {
            Self::Flip => {
                if let Some(body) = damaged.get_mut(HEADERS..)
                    && !body.is_empty()
                {
                    for _ in 0..body.len().div_ceil(64) {
                        let at = rng.random_range(0..body.len());
                        body[at] ^= rng.random_range(1..=255u8);
                    }
                }
            }
            Self::Noise => {
                if let Some(payload) = damaged.get_mut(12..) {
                    rng.fill(payload);
                }
            }
            Self::Truncate => damaged.truncate(13),
        }
        damaged
    }

    /// Damages every packet that leaves `pad` from now on.
    pub(crate) fn install(self, pad: &gst::Pad) {
        use gst::prelude::*;
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, info| {
            match &mut info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => *buffer = self.damage(buffer),
                Some(gst::PadProbeData::BufferList(list)) => {
                    *list = list.iter().map(|b| self.damage(&b.to_owned())).collect();
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// A new buffer, because the old one's memory belongs to the clip and to other bots.
    fn damage(self, buffer: &gst::Buffer) -> gst::Buffer {
        match buffer.map_readable() {
            Ok(bytes) => with_bytes(buffer, self.apply(&bytes, &mut rand::rng())),
            Err(_) => buffer.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_rtp_header_stays() {
        let packet: Vec<u8> = (0..=255).collect();
        for mode in [CorruptMode::Flip, CorruptMode::Noise, CorruptMode::Truncate] {
            let damaged = mode.apply(&packet, &mut rand::rng());
            assert_eq!(damaged[..12], packet[..12], "{mode:?}");
            assert_ne!(damaged, packet, "{mode:?}");
        }
    }

    #[test]
    fn short_packets_do_no_harm() {
        for length in 0..20 {
            let packet = vec![0x80; length];
            for mode in [CorruptMode::Flip, CorruptMode::Noise, CorruptMode::Truncate] {
                assert!(mode.apply(&packet, &mut rand::rng()).len() <= length);
            }
        }
    }
}
