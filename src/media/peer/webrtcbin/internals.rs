//! The elements that webrtcbin makes inside itself and has no properties for.

use gst::glib;
use gst::prelude::*;

use super::identity;
use crate::media::rtp::srtp::{SrtpError, SrtpKeys};

/// Calls `f` for each element that webrtcbin makes inside itself from now on, with the name of its
/// factory, on the thread that adds it.
pub(crate) fn on_element_added(
    webrtc: &gst::Element,
    f: impl Fn(&gst::Element, &str) + Send + Sync + 'static,
) {
    if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
        bin.connect_deep_element_added(move |_, _, element| {
            if let Some(name) = factory_name(element) {
                f(element, &name);
            }
        });
    }
}

/// The name of the factory that made an element.
pub(crate) fn factory_name(element: &gst::Element) -> Option<gst::glib::GString> {
    element.factory().map(|factory| factory.name())
}

/// Configures the elements that `webrtc` makes from now on as rooms need them.
pub(crate) fn configure(webrtc: &gst::Element) {
    on_element_added(webrtc, |element, name| match name {
        "rtpjitterbuffer" => configure_jitterbuffer(element),
        "rtpsession" => configure_session(element),
        "dtlsdec" => show_certificate(element),
        _ => {}
    });
}

/// What is missing is asked for when it is missed, as browsers do, and nothing waits for what might
/// have been before the first packet. `rtx-next-seqnum` would ask for packets that are only guessed
/// to be late, among them ones that were never sent; where frames come unevenly that is a flood of
/// NACKs.
fn configure_jitterbuffer(element: &gst::Element) {
    element.set_property("faststart-min-packets", 1u32);
    element.set_property("rtx-next-seqnum", false);
}

/// Bandwidth that RTCP may take, bit/s: more than it ever does, so that it never waits.
const RTCP_BANDWIDTH: f64 = 8_000_000.0;

/// Mean time between two regular reports: as often as browsers report. Until a stream's first
/// sender report its receiver cannot synchronise it with others.
const REPORT_INTERVAL: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// Time between two reports of arrival times (transport-wide congestion control). By default they
/// are sent once a frame of video, which is 20 kbit/s at 30 frames a second, and too seldom where
/// frames are lost.
const TWCC_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Sends feedback when it is due. By default a session sends early feedback (RFC 4585 section 3.5)
/// only once its share of the bandwidth allows it, a twentieth of what it takes the bandwidth for.
/// Between two people that is easily two seconds, longer than a jitterbuffer waits for a lost
/// packet: four of five were never asked for.
fn configure_session(session: &gst::Element) {
    let inner = session.property::<gst::glib::Object>("internal-session");
    inner.set_property("twcc-feedback-interval", TWCC_INTERVAL.nseconds());
    session.set_property("rtcp-fraction", RTCP_BANDWIDTH);
    session.set_property("rtcp-min-interval", REPORT_INTERVAL.nseconds());
}

/// Has DTLS show the certificate of this process and not one of its own.
fn show_certificate(dtls: &gst::Element) {
    if let Some(identity) = identity::own() {
        dtls.set_property("pem", &identity.pem);
    }
}

/// Calls `f`, on the thread that reads the socket, when the other side has closed the connection
/// (close_notify of DTLS, RFC 8446 section 6.1), which webrtcbin does not tell.
pub(crate) fn on_close_notify(webrtc: &gst::Element, f: impl Fn() + Clone + Send + Sync + 'static) {
    on_element_added(webrtc, move |element, name| {
        if name == "dtlsdec" {
            let f = f.clone();
            element.connect_notify(Some("connection-state"), move |dtls, _| {
                let state = dtls.property_value("connection-state");
                let closed = glib::EnumValue::from_value(&state);
                if closed.is_some_and(|(_, state)| state.nick() == "closed") {
                    f();
                }
            });
        }
    });
}

/// The keys that DTLS has agreed on for what this side sends, which `srtpenc` holds.
///
/// # Errors
/// [`SrtpError`] where there are none, or for a cipher that is not known.
pub(crate) fn srtp_keys(webrtc: &gst::Element) -> Result<SrtpKeys, SrtpError> {
    let nick = |encoder: &gst::Element, name| {
        let value = encoder.property_value(name);
        let known = glib::EnumValue::from_value(&value);
        known.map_or_else(String::new, |(_, value)| value.nick().to_owned())
    };
    let mut encoders = elements(webrtc, "srtpenc");
    let (encoder, key) = encoders
        .find_map(|encoder| {
            let key = encoder.property::<Option<gst::Buffer>>("key")?;
            Some((encoder, key))
        })
        .ok_or_else(no_keys)?;
    let (cipher, auth) = (nick(&encoder, "rtp-cipher"), nick(&encoder, "rtp-auth"));
    SrtpKeys::new(&cipher, &auth, bytes(&key)?)
}

/// Where the keys are found for what the other side sends, as soon as DTLS has agreed on them: where
/// `srtpdec` asks for them.
#[derive(Debug, Clone)]
pub(crate) struct RemoteKeys(glib::WeakRef<gst::Element>);

impl RemoteKeys {
    /// Those of the transport of `webrtc`, which has to be there.
    pub(crate) fn of(webrtc: &gst::Element) -> Option<Self> {
        let decoder = elements(webrtc, "srtpdec").next()?;
        Some(Self(decoder.downgrade()))
    }

    /// The keys.
    ///
    /// # Errors
    /// [`SrtpError`] where there are none yet, or for a cipher that is not known.
    pub(crate) fn get(&self) -> Result<SrtpKeys, SrtpError> {
        let decoder = self.0.upgrade().ok_or_else(no_keys)?;
        // They are the same for every SSRC.
        let asked = decoder.emit_by_name::<Option<gst::Caps>>("request-key", &[&0u32]);
        let caps = asked.ok_or_else(no_keys)?;
        let said = caps.structure(0).ok_or_else(no_keys)?;
        let key = said.get::<gst::Buffer>("srtp-key");
        let key = key.map_err(|_| no_keys()).and_then(|key| bytes(&key))?;
        let name = |field| said.get::<&str>(field).unwrap_or_default();
        SrtpKeys::new(name("srtp-cipher"), name("srtp-auth"), key)
    }
}

fn no_keys() -> SrtpError {
    SrtpError::Keys {
        bytes: 0,
        reason: "there are none yet".to_owned(),
    }
}

fn bytes(key: &gst::BufferRef) -> Result<Vec<u8>, SrtpError> {
    let key = key.map_readable().map_err(|_| no_keys())?;
    Ok(key.to_vec())
}

/// The pad of libnice's sink, which takes packets as they are to leave.
pub(crate) fn way_out(webrtc: &gst::Element) -> Option<gst::Pad> {
    let mut sinks = elements(webrtc, "nicesink");
    sinks.find_map(|sink| sink.static_pad("sink"))
}

/// The pads that packets come out of as they are read from the sockets.
pub(crate) fn ways_in(webrtc: &gst::Element) -> impl Iterator<Item = gst::Pad> + use<'_> {
    elements(webrtc, "nicesrc").filter_map(|source| source.static_pad("src"))
}

/// Ends the threads of the elements of `webrtc` that packets of a server's peer do not go through: the
/// session, which would report, and what would send again. To be called once a description was set, which
/// makes them.
pub(crate) fn rest(webrtc: &gst::Element) {
    for session in elements(webrtc, "rtpsession") {
        // Or it would start again with the others.
        session.set_locked_state(true);
        if let Err(error) = session.set_state(gst::State::Null) {
            tracing::warn!(%error, "the session does not rest");
        }
    }
    for sender in elements(webrtc, "rtprtxsend") {
        for pad in sender.src_pads() {
            if let Err(error) = pad.set_active(false) {
                tracing::warn!(%error, "what would send again does not rest");
            }
        }
    }
}

/// All elements of one factory inside webrtcbin.
pub(super) fn elements<'a>(
    webrtc: &gst::Element,
    factory: &'a str,
) -> impl Iterator<Item = gst::Element> + use<'a> {
    let bin = webrtc.downcast_ref::<gst::Bin>();
    let elements = bin.map(|bin| bin.iterate_recurse().into_iter().flatten());
    elements
        .into_iter()
        .flatten()
        .filter(move |element| factory_name(element).is_some_and(|made_by| made_by == factory))
}
