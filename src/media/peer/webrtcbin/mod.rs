//! webrtcbin's ways: how one is made, told, asked and read. The one place that knows them, shared
//! by the server's peers and by the bots; whatever replaces webrtcbin some day replaces this.
//!
//! - making it with its ICE agent, transceivers and candidates: here
//! - descriptions, whose replies are promises that can hang or be errors in disguise: [`promise`]
//! - the elements that webrtcbin makes inside itself and has no properties for: [`internals`]
//! - the certificate that all of them show: [`identity`]
//! - what is sent instead of what webrtcbin would send: [`rework`]
//! - the transport that carries all m-lines: `transport`, and its addresses that change while the
//!   connection is up: `rebind`
//!
//! libnice watches the consent of the other side (RFC 7675), which takes 30 s, or 50. The owner of a
//! webrtcbin that wants to know earlier notices it itself: silence by [`on_received`], and that
//! nothing arrives by what RTCP says.

pub(crate) mod identity;
pub(crate) mod internals;
pub(crate) mod promise;
mod rebind;
pub(crate) mod rework;
mod transport;

use std::net::IpAddr;

use gst::glib;
use gst::prelude::*;

use gst_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection,
    WebRTCSessionDescription,
};

use self::internals::elements;
pub(crate) use self::transport::{ConnectionState, add_candidate, remote_certificate};

/// How long a jitterbuffer waits for a missing packet of video, ms: until it has been asked for,
/// and asked for again where the request was lost, on a link of 100 ms round trip. Without the
/// packet the picture freezes for at least as long, until a keyframe is there. Nothing waits while
/// no packet is missing.
const VIDEO_JITTERBUFFER_MS: u32 = 250;

/// The property of libnice's agent by which it keeps a connection alive with checks that want an
/// answer.
const ASKS_FOR_CONSENT: &str = "keepalive-conncheck";

/// Makes a webrtcbin that gathers candidates on the addresses `ips` only (on all if it is empty)
/// and from the UDP ports `ports`, inclusive (any if `None`). It bundles all m-lines on one
/// transport and uses UDP only.
///
/// # Errors
/// When webrtcbin is not installed.
pub(crate) fn make(
    ips: &[IpAddr],
    ports: Option<(u16, u16)>,
) -> Result<gst::Element, glib::BoolError> {
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .property("latency", VIDEO_JITTERBUFFER_MS)
        .build()?;
    let ice = webrtc.property::<glib::Object>("ice-agent");
    for ip in ips {
        ice.emit_by_name::<bool>("add-local-ip-address", &[&ip.to_string()]);
    }
    if let Some((low, high)) = ports {
        ice.set_property("min-rtp-port", u32::from(low));
        ice.set_property("max-rtp-port", u32::from(high));
    }
    internals::configure(&webrtc);
    let nice = ice.property::<glib::Object>("agent");
    nice.set_property("ice-tcp", false);
    // A search for a router that would only cost time and a port.
    nice.set_property("upnp", false);
    // Asks the other side every few seconds whether it is still there. GStreamer from 1.24 on does
    // so by itself, and gives up after 30 s (RFC 7675); libnice 0.1.21, with 1.22, after 50.
    nice.set_property(ASKS_FOR_CONSENT, true);
    rebind::follow(&webrtc, &ice);
    Ok(webrtc)
}

/// Does not ask the other side whether it is still there, for it is sent no media: there are publishers
/// that answer nothing once they are connected (FFmpeg 8). GStreamer from 1.24 on asks all the same.
pub(crate) fn ask_for_no_consent(webrtc: &gst::Element) {
    let ice = webrtc.property::<glib::Object>("ice-agent");
    let nice = ice.property::<glib::Object>("agent");
    nice.set_property(ASKS_FOR_CONSENT, false);
}

/// Adds an m-line that only receives. `nack` is whether lost packets are asked for.
///
/// An m-line that sends is added by [`add_sender`], and never by both: that makes two.
pub(crate) fn add_receiver(webrtc: &gst::Element, caps: &gst::Caps, nack: bool) {
    let receive = WebRTCRTPTransceiverDirection::Recvonly;
    let transceiver =
        webrtc.emit_by_name::<WebRTCRTPTransceiver>("add-transceiver", &[&receive, caps]);
    transceiver.set_property("do-nack", nack);
}

/// Adds an m-line that sends, and returns the pad that takes its packets. `nack` is whether packets
/// are sent again when the other side asks for them.
///
/// # Errors
/// webrtcbin gives no pad; the text says what is wrong.
pub(crate) fn add_sender(
    webrtc: &gst::Element,
    caps: &gst::Caps,
    direction: WebRTCRTPTransceiverDirection,
    nack: bool,
) -> Result<gst::Pad, &'static str> {
    let template = webrtc
        .pad_template("sink_%u")
        .ok_or("webrtcbin has no sink_%u")?;
    let pad = webrtc
        .request_pad(&template, None, Some(caps))
        .ok_or("webrtcbin gives none")?;
    let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
    transceiver.set_property("direction", direction);
    transceiver.set_property("codec-preferences", caps);
    transceiver.set_property("do-nack", nack);
    Ok(pad)
}

/// The index of the m-line that webrtcbin takes the packets of a pad for.
pub(crate) fn mline_index(pad: &gst::Pad) -> u32 {
    pad.property::<WebRTCRTPTransceiver>("transceiver")
        .mlineindex()
}

/// What `on-ice-candidate` says. Both carry the index of an m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// A local candidate of that m-line.
    Candidate(u32, String),
    /// There are no more: an empty candidate, which webrtcbin 1.22 never sends and 1.26 does.
    End(u32),
}

impl Gathered {
    /// Reads the arguments of the signal: webrtcbin, m-line index, candidate.
    fn from_values(values: &[glib::Value]) -> Option<Self> {
        let index = values.get(1)?.get::<u32>().ok()?;
        let candidate = values.get(2)?.get::<String>().ok()?;
        Some(match candidate.is_empty() {
            true => Self::End(index),
            false => Self::Candidate(index, candidate),
        })
    }
}

/// Calls `f`, on a thread of GStreamer, for each local candidate.
pub(crate) fn on_candidate(webrtc: &gst::Element, f: impl Fn(Gathered) + Send + Sync + 'static) {
    webrtc.connect("on-ice-candidate", false, move |values| {
        if let Some(gathered) = Gathered::from_values(values) {
            f(gathered);
        }
        None
    });
}

/// Whether all local candidates have been gathered. That state may never be reached.
pub(crate) fn has_gathered(webrtc: &gst::Element) -> bool {
    let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
    state == WebRTCICEGatheringState::Complete
}

/// Calls `f` with [`has_gathered`], on a thread of GStreamer, whenever the gathering state changes.
pub(crate) fn on_gathering(
    webrtc: &gst::Element,
    f: impl Fn(bool) + Send + Sync + 'static,
) -> glib::SignalHandlerId {
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        f(has_gathered(webrtc));
    })
}

/// Calls `f`, on a thread of GStreamer, whenever the state of the connection changes.
pub(crate) fn on_connection_state(
    webrtc: &gst::Element,
    f: impl Fn(&gst::Element, ConnectionState) + Send + Sync + 'static,
) {
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        f(webrtc, webrtc.property("connection-state"));
    });
}

/// Calls `f`, on the threads that read the sockets, for each packet of any kind that arrives. To be
/// called after the remote description was set, which makes the elements that read.
pub(crate) fn on_received(webrtc: &gst::Element, f: impl Fn() + Clone + Send + Sync + 'static) {
    for pad in pads(webrtc, "nicesrc", "src") {
        let f = f.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            f();
            gst::PadProbeReturn::Ok
        });
    }
}

/// Lets nothing out of the machine any more: no media, no RTCP, no DTLS alert.
pub(crate) fn silence(webrtc: &gst::Element) {
    for pad in pads(webrtc, "nicesink", "sink") {
        let kinds = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM;
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what the binding
        // has released.
        pad.add_probe(kinds, |_, _| gst::PadProbeReturn::Handled);
    }
}

/// Adds packets to all RTCP that is sent from now on, as a peer may that means harm. To be called
/// once the connection is up.
pub(crate) fn append_rtcp(webrtc: &gst::Element, packets: Vec<u8>) {
    let packets = gst::Memory::from_slice(packets);
    for pad in pads(webrtc, "rtpsession", "send_rtcp_src") {
        let packets = packets.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(compound)) = &mut info.data {
                compound.make_mut().append_memory(packets.clone());
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// A description as text: `side` is `local-description` or `remote-description`. `None` before it is
/// set.
pub(crate) fn description(webrtc: &gst::Element, side: &str) -> Option<String> {
    let description = webrtc.property::<Option<WebRTCSessionDescription>>(side)?;
    description.sdp().as_text().ok()
}

/// The pads of that name of all elements of one factory inside webrtcbin.
fn pads<'a>(
    webrtc: &gst::Element,
    factory: &'a str,
    name: &'a str,
) -> impl Iterator<Item = gst::Pad> + use<'a> {
    elements(webrtc, factory).filter_map(move |element| element.static_pad(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_candidate_is_the_end_of_them() {
        let said = |candidate: &str| {
            let webrtc = "the element".to_value();
            Gathered::from_values(&[webrtc, 0u32.to_value(), candidate.to_value()])
        };
        let host = "candidate:1 1 UDP 2015363327 127.0.0.1 40000 typ host";
        assert_eq!(said(host), Some(Gathered::Candidate(0, host.into())));
        assert_eq!(said(""), Some(Gathered::End(0)));
    }
}
