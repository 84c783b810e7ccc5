//! The elements that webrtcbin makes inside itself and has no properties for.

use gst::glib;
use gst::prelude::*;

use super::identity;
use crate::media::rtp::bye::without_bye;

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
        "rtpulpfecenc" => bypass_idle_fec(element),
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
    never_say_bye(session);
}

/// Keeps a session from saying BYE. By itself it does so for each sender of ours that has been silent
/// for five seconds, and a slot is silent whenever nothing feeds it: while a room has another mode,
/// while somebody hears sound alone, while a camera is muted. Who honours BYE (aiortc, GStreamer)
/// ends that stream for good. It ends with the connection, and only then.
fn never_say_bye(session: &gst::Element) {
    session.connect_pad_added(|_, pad| {
        if pad.name() == "send_rtcp_src" {
            pad.add_probe(gst::PadProbeType::BUFFER, |_, info| take_bye_out(info));
        }
    });
}

fn take_bye_out(info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
        return gst::PadProbeReturn::Ok;
    };
    let kept = match buffer.map_readable() {
        Ok(compound) => without_bye(&compound),
        Err(_) => None,
    };
    let Some(kept) = kept else {
        return gst::PadProbeReturn::Ok;
    };
    if kept.is_empty() {
        info.data = None;
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases once more what is gone.
        return gst::PadProbeReturn::Handled;
    }
    let mut rest = gst::Buffer::from_mut_slice(kept);
    if let Some(rest) = rest.get_mut() {
        let flags = gst::BufferCopyFlags::META | gst::BufferCopyFlags::TIMESTAMPS;
        let _ = buffer.copy_into(rest, flags, ..);
    }
    *buffer = rest;
    gst::PadProbeReturn::Ok
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

/// Leads lists of packets around the encoders of ULPFEC and RED. Every sender of webrtcbin has
/// both, and they do nothing where no FEC is negotiated, except take lists apart: each packet would
/// then leave with a system call of its own.
fn bypass_idle_fec(fec: &gst::Element) {
    let Some(sink) = fec.static_pad("sink") else {
        return;
    };
    sink.add_probe(gst::PadProbeType::BUFFER_LIST, |sink, info| {
        let Some(after) = behind_idle_encoders(sink) else {
            return gst::PadProbeReturn::Ok;
        };
        if let Some(gst::PadProbeData::BufferList(list)) = info.data.take() {
            info.flow_res = after.push_list(list);
        }
        // Handled and not Drop: after Drop, GStreamer 1.22.0 releases the list once more.
        gst::PadProbeReturn::Handled
    });
}

/// The way out of the RED encoder behind the FEC encoder of `sink`, if neither has anything to do.
fn behind_idle_encoders(sink: &gst::Pad) -> Option<gst::Pad> {
    /// rtpulpfecenc's payload type when it is off.
    const NO_FEC: u32 = 255;
    let fec = sink.parent_element()?;
    let red = fec.static_pad("src")?.peer()?.parent_element()?;
    let idle = fec.property::<u32>("pt") == NO_FEC
        && factory_name(&red).is_some_and(|name| name == "rtpredenc")
        && !red.property::<bool>("allow-no-red-blocks")
        && red.property::<u32>("distance") == 0;
    idle.then(|| red.static_pad("src")).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sizes of what leaves the encoders of a frame of three packets: of the list, if it is one,
    /// or of its first packet.
    fn sizes_behind_encoders(set_up: impl Fn(&gst::Element, &gst::Element)) -> Vec<usize> {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        configure(pipeline.upcast_ref());
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("clock-rate", 90_000i32)
            .field("encoding-name", "H264")
            .build();
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .build();
        let make = |name| gst::ElementFactory::make(name).build().unwrap();
        let (fec, red) = (make("rtpulpfecenc"), make("rtpredenc"));
        set_up(&fec, &red);
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .buffer_list(true)
            .build();
        let elements: [&gst::Element; 4] = [source.upcast_ref(), &fec, &red, sink.upcast_ref()];
        pipeline.add_many(elements).unwrap();
        gst::Element::link_many(elements).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();

        let packet = |size| gst::Buffer::from_mut_slice(vec![0x80; size]);
        let frame: gst::BufferList = [20, 30, 40].map(packet).into_iter().collect();
        source.push_buffer_list(frame).unwrap();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10));
        let sample = sample.unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        match sample.buffer_list() {
            Some(list) => list.iter().map(gst::BufferRef::size).collect(),
            None => vec![sample.buffer().unwrap().size()],
        }
    }

    #[test]
    fn a_frame_passes_idle_encoders_whole() {
        let sizes = sizes_behind_encoders(|_, red| {
            // As webrtcbin has them where no FEC is negotiated.
            red.set_property("allow-no-red-blocks", false);
        });
        assert_eq!(sizes, [20, 30, 40]);
    }

    #[test]
    fn encoders_at_work_are_not_passed() {
        // RED puts a byte of its own before the payload.
        let sizes = sizes_behind_encoders(|_, red| red.set_property("pt", 100i32));
        assert_eq!(sizes, [21]);
    }
}
