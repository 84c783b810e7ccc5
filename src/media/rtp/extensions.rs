//! URIs of the RTP header extensions (RFC 8285) that are used.

/// Names the m-line of a packet (RFC 9143 section 15.2). Senders add it until the first
/// report that their packets arrive.
pub(crate) const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// Names the simulcast encoding of a packet (RFC 8852 section 4.3).
pub(crate) const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// Names the simulcast encoding of a packet that is sent again as RTX (RFC 8852 section 4.4).
pub(crate) const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// Says how loud the sound of a packet is (RFC 6464 section 6).
pub(crate) const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// Carries the transport-wide sequence number of a packet, for congestion control.
pub(crate) const TRANSPORT_WIDE_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Says what the samples of a picture are: matrix and range.
pub(crate) const COLOR_SPACE: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";
