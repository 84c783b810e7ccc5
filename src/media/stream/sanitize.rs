//! Keeps packets of an uplink from a depayloader that would not survive them
//! ([`crate::media::rtp::sanitize`] has the rules).

use crate::media::rtp::sanitize::Sanitizer;

/// Whether a packet may pass to the depayloader. What is no RTP may not. Counts what may not.
pub(crate) fn admits(sanitizer: &mut Sanitizer, packet: &gst::Buffer) -> bool {
    let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(packet) else {
        return false;
    };
    let payload = rtp.payload().unwrap_or_default();
    let admitted = sanitizer.passes(payload, rtp.is_marker());
    if !admitted {
        metrics::counter!("tessera_malformed_packets_total").increment(1);
    }
    admitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    #[test]
    fn what_is_no_rtp_does_not_pass() {
        gst::init().expect("GStreamer");
        for format in [Codec::Vp8, Codec::Opus] {
            let mut sanitizer = Sanitizer::new(format);
            let packet = gst::Buffer::from_slice([0u8; 7]);
            assert!(!admits(&mut sanitizer, &packet));
        }
    }
}
