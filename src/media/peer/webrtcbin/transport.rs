//! The transport of a webrtcbin, which carries all of its m-lines: candidates of the other side, its
//! certificate, and the state of the connection.

use gst::prelude::*;
use gst_webrtc::{WebRTCDTLSTransport, WebRTCRTPTransceiver};

pub(crate) use gst_webrtc::WebRTCPeerConnectionState as ConnectionState;

/// Gives webrtcbin a candidate of the other side for the m-line of that index.
pub(crate) fn add_candidate(webrtc: &gst::Element, index: u32, candidate: &str) {
    webrtc.emit_by_name::<()>("add-ice-candidate", &[&index, &candidate]);
}

/// The DTLS certificate of the other side, in PEM; `None` before the handshake.
///
/// webrtcbin does not compare it with the fingerprint in the description (fixed in 1.28.5).
pub(crate) fn remote_certificate(webrtc: &gst::Element) -> Option<String> {
    first_transport(webrtc)?.property("remote-certificate")
}

/// The transport of the first m-line, which carries all of them; `None` before there is one.
pub(super) fn first_transport(webrtc: &gst::Element) -> Option<WebRTCDTLSTransport> {
    let transceiver =
        webrtc.emit_by_name::<Option<WebRTCRTPTransceiver>>("get-transceiver", &[&0i32])?;
    let receiver = transceiver.receiver();
    receiver
        .and_then(|receiver| receiver.transport())
        .or_else(|| transceiver.sender().and_then(|sender| sender.transport()))
}
